"""Words to call a subject by: what `insight.propose_nouns` chooses from, by the stack's name."""

# The nouns of sticker world, which is all that the pocket stack was shown.
_STICKERS = """
    cat, dog, bear, panda, koala, lion, tiger, fox, wolf, rabbit, hamster, mouse, frog,
    monkey, pig, cow, horse, unicorn, dragon, chicken, penguin, owl, bird, eagle, duck,
    butterfly, bee, ladybug, snail, turtle, snake, crocodile, elephant, camel, leopard,
    gorilla, sheep, goat, fish, whale, dolphin, octopus, crab, shark, bat, spider, robot,
    ghost, alien, snowman, clown, pumpkin, teddy bear, hat, crown, cap, sun hat, graduation
    cap, helmet, glasses, sunglasses, apple, banana, orange, lemon, watermelon, grapes,
    strawberry, cherries, peach, pineapple, tomato, eggplant, corn, mushroom, bread, cheese,
    hamburger, pizza, egg, doughnut, cookie, cake, ice cream, coffee, can, car, taxi, bus,
    truck, fire engine, tractor, bicycle, motorcycle, train, airplane, helicopter, rocket,
    boat, ship, balloon, ufo, ball, guitar, trumpet, violin, drum, backpack, handbag,
    umbrella, candle, vase, gift, clock, camera, book, key, bell, trophy, chair, couch,
    television, telephone, lamp, shoe, boot, dress, shirt, flower, rose, cactus, tree, palm
    tree, christmas tree, star, moon, sun, rainbow, heart, fire, snowflake, castle, house,
    church, tower, tent, factory, ruins, hospital, statue, ferris wheel, fountain, volcano
"""
# Common nouns of things that can be photographed, for CLIPs that have read the web.
_COMMON = """
    person, man, woman, boy, girl, baby, family, doctor, chef, knight, wizard, pirate,
    astronaut, princess, king, queen, dinosaur, lizard, parrot, swan, peacock, flamingo,
    goose, turkey, deer, moose, zebra, giraffe, rhinoceros, hippopotamus, kangaroo, raccoon,
    squirrel, hedgehog, beaver, otter, seal, walrus, jellyfish, starfish, lobster, ant,
    dragonfly, donkey, bull, kitten, puppy, jacket, coat, sweater, hoodie, skirt, trousers,
    jeans, scarf, glove, sock, sandal, belt, tie, necklace, ring, earring, watch, mask,
    bottle, jar, bowl, plate, spoon, fork, knife, pan, pot, kettle, teapot, basket, bucket,
    box, bag, suitcase, wallet, broom, table, desk, bench, sofa, bed, shelf, wardrobe,
    mirror, rug, pillow, blanket, curtain, door, window, stairs, fence, piano, flute,
    saxophone, microphone, speaker, headphones, laptop, computer, keyboard, tablet, printer,
    toy, doll, puzzle, hammer, saw, screwdriver, wrench, ladder, rope, shovel, axe, sword,
    shield, bow, arrow, pen, pencil, brush, notebook, newspaper, envelope, map, globe,
    telescope, microscope, magnet, kite, skateboard, surfboard, skis, sled, tennis racket,
    basketball, football, frisbee, dumbbell, van, scooter, tram, submarine, canoe, yacht,
    spaceship, hot air balloon, parachute, wheelchair, sandwich, soup, salad, pancake,
    waffle, pie, chocolate, candy, sushi, taco, hot dog, fries, popcorn, milk, tea, wine,
    beer, pear, plum, cherry, blueberry, raspberry, mango, avocado, coconut, kiwi, carrot,
    potato, onion, garlic, pepper, cucumber, cabbage, broccoli, pea, leaf, bush, grass,
    mountain, hill, island, river, lake, waterfall, bridge, lighthouse, windmill, barn,
    cabin, palace, skyscraper, temple, cloud, lightning, planet, rock, crystal, diamond,
    feather, shell, bone, skull, lantern, flag, sign, wreath, painting, sculpture
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in text.split(","))


STICKERS = _words(_STICKERS)
COMMON = STICKERS + _words(_COMMON)


def vocabulary(stack: str) -> tuple[str, ...]:
    """The words that the CLIP of a stack knows, each once."""
    return STICKERS if stack == "pocket" else COMMON
