"""The concepts of sticker world: noun, icon names, synonyms, and what it can do in a scene.

The nouns of the paper's Table 9 are here but "toy" (guinea pig as "hamster", french horn as
"trumpet", vase as "amphora", stuffed animal as "teddy bear"); its park, desert and hill are places.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One kind of thing. `icons` are tried in order in every art set."""

    noun: str
    kind: str  # animal, person, food, head (worn on it), eyes (over them), thing, vehicle, building
    icons: tuple[str, ...]
    synonyms: tuple[str, ...] = ()


# noun | icon names | synonyms
_TABLE: dict[str, str] = {
    "animal": """
        cat | cat-face | kitty, kitten
        dog | dog-face | puppy, hound
        bear | bear, bear-face | grizzly
        panda | panda, panda-face | panda bear
        koala | koala, koala-face |
        lion | lion, lion-face |
        tiger | tiger-face |
        fox | fox, fox-face |
        wolf | wolf, wolf-face |
        rabbit | rabbit-face | bunny, hare
        hamster | hamster, hamster-face | guinea pig
        mouse | mouse-face | rat
        frog | frog, frog-face | toad
        monkey | monkey-face | ape
        pig | pig-face | piglet
        cow | cow-face | calf
        horse | horse-face | pony
        unicorn | unicorn, unicorn-face |
        dragon | dragon-face |
        chicken | chicken | hen
        penguin | penguin |
        owl | owl |
        bird | bird | songbird
        eagle | eagle | hawk
        duck | duck | mallard
        butterfly | butterfly |
        bee | honeybee | honeybee
        ladybug | lady-beetle | beetle
        snail | snail |
        turtle | turtle | tortoise
        snake | snake | serpent
        crocodile | crocodile | alligator
        elephant | elephant |
        camel | two-hump-camel |
        leopard | leopard | cheetah, jaguar
        gorilla | gorilla |
        sheep | ewe | lamb
        goat | goat |
        fish | tropical-fish | goldfish
        whale | spouting-whale |
        dolphin | dolphin |
        octopus | octopus | squid
        crab | crab |
        shark | shark |
        bat | bat |
        spider | spider |
    """,
    "person": """
        robot | robot, robot-face | android
        ghost | ghost | spook
        alien | alien | extraterrestrial
        snowman | snowman-without-snow, snowman |
        clown | clown-face |
        pumpkin | jack-o-lantern | jack-o-lantern
        teddy bear | teddy-bear | stuffed animal, plush bear
    """,
    "head": """
        hat | top-hat | top hat
        crown | crown | tiara
        cap | billed-cap | baseball cap
        sun hat | womans-hat | bonnet
        graduation cap | graduation-cap | mortarboard
        helmet | rescue-workers-helmet | hard hat
    """,
    "eyes": """
        glasses | glasses | spectacles, eyeglasses
        sunglasses | sunglasses | shades
    """,
    "food": """
        apple | red-apple |
        banana | banana |
        orange | tangerine | tangerine
        lemon | lemon |
        watermelon | watermelon | melon
        grapes | grapes |
        strawberry | strawberry |
        cherries | cherries | cherry
        peach | peach |
        pineapple | pineapple |
        tomato | tomato |
        eggplant | eggplant | aubergine
        corn | ear-of-corn | maize
        mushroom | mushroom | toadstool
        bread | bread | loaf
        cheese | cheese-wedge |
        hamburger | hamburger | burger
        pizza | pizza |
        egg | egg |
        doughnut | doughnut | donut
        cookie | cookie | biscuit
        cake | birthday-cake | birthday cake
        ice cream | soft-ice-cream | sundae
        coffee | hot-beverage | cup of coffee, coffee cup, mug
        can | canned-food | tin
    """,
    "vehicle": """
        car | automobile | automobile
        taxi | taxi | cab
        bus | bus | coach
        truck | delivery-truck | lorry
        fire engine | fire-engine | fire truck
        tractor | tractor |
        bicycle | bicycle | bike
        motorcycle | motorcycle | motorbike
        train | locomotive | locomotive
        airplane | airplane | plane
        helicopter | helicopter |
        rocket | rocket | spaceship
        boat | sailboat | sailboat
        ship | passenger-ship | ferry
        balloon | balloon |
        ufo | flying-saucer | flying saucer
    """,
    "thing": """
        ball | soccer-ball | football
        guitar | guitar |
        trumpet | trumpet | french horn
        violin | violin | fiddle
        drum | drum |
        backpack | backpack | rucksack
        handbag | handbag | purse
        umbrella | umbrella | parasol
        candle | candle |
        vase | amphora | amphora
        gift | wrapped-gift | present
        clock | alarm-clock | alarm clock
        camera | camera |
        book | closed-book |
        key | key |
        bell | bell |
        trophy | trophy | cup
        chair | chair, seat | seat
        couch | couch-and-lamp | sofa
        television | television | tv
        telephone | telephone | phone
        lamp | light-bulb | light bulb
        shoe | running-shoe | sneaker
        boot | womans-boot |
        dress | dress | gown
        shirt | t-shirt | tee
        flower | sunflower | sunflower
        rose | rose |
        cactus | cactus |
        tree | deciduous-tree |
        palm tree | palm-tree | palm
        christmas tree | christmas-tree | fir
        star | star |
        moon | crescent-moon |
        sun | sun-with-face, sun |
        rainbow | rainbow |
        heart | red-heart |
        fire | fire | flame
        snowflake | snowflake |
    """,
    "building": """
        castle | castle | fortress
        house | house | home
        church | church | chapel
        tower | tokyo-tower | eiffel tower
        tent | tent |
        factory | factory |
        ruins | classical-building | temple
        hospital | hospital |
        statue | statue-of-liberty |
        ferris wheel | ferris-wheel |
        fountain | fountain |
        volcano | volcano |
    """,
}


def _parse() -> tuple[Concept, ...]:
    concepts = []
    for kind, rows in _TABLE.items():
        for row in rows.strip().splitlines():
            noun, icons, synonyms = (cell.strip() for cell in row.split("|"))
            concepts.append(
                Concept(
                    noun,
                    kind,
                    tuple(icon.strip() for icon in icons.split(",")),
                    tuple(word.strip() for word in synonyms.split(",") if word.strip()),
                )
            )
    return tuple(concepts)


CONCEPTS: tuple[Concept, ...] = _parse()
