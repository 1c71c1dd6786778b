"""Nouns for a subject: vocabularies, and the words of them that CLIP finds most similar.

Letters: D embedding width, V words of a vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lambda_eclipse.clip import Clip

TEXT_BATCH = 256

# The nouns of sticker world.
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
# Common nouns of photographed things, for CLIPs trained on the web.
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
# Names as in `Stack.nouns`.
VOCABULARIES = {"stickers": STICKERS, "photographs": COMMON}

_phrases: WeakKeyDictionary[Clip, dict[str, Tensor]] = WeakKeyDictionary()


def propose_nouns(
    clip: Clip,
    subject: Image.Image | Tensor,
    vocabulary: Sequence[str],
    count: int = 5,
    template: str = "a {}",
    whole: Image.Image | None = None,
) -> list[tuple[str, float]]:
    """The `count` words that fit a subject best, with their probabilities, best first.

    subject: its picture, best alone on white as `Studio.prepare` makes it, or its embedding (D,)
    or (1, D). vocabulary: words to choose from; repeated ones count once. template: the phrase
    that CLIP reads of each. whole: the picture that the subject was cut out of, RGB; what is around
    a subject tells what it is, too, so both count the same. The probabilities, in [0, 1], are
    CLIP's own over the vocabulary: they sum to 1 over all of its words.

    The phrases' embeddings are computed once per `clip` and kept for as long as it lives, so
    its weights must not change. ValueError for an empty vocabulary, one with empty words, a
    template without {}, a count under 1, or an embedding of another width.
    """
    import torch
    import torch.nn.functional as F

    from lambda_eclipse.images import flatten

    words = list(dict.fromkeys(vocabulary))
    if not words or not all(word.strip() for word in words):
        raise ValueError("The vocabulary is empty or has an empty word.")
    if "{}" not in template or count < 1:
        raise ValueError(f'Template "{template}", count {count}: use "a {{}}" and at least 1.')
    if isinstance(subject, torch.Tensor):
        embedding = subject.detach().float().cpu().reshape(1, -1)  # (1, D)
    else:
        embedding = clip.image([flatten(subject)]).float().cpu()  # (1, D)
    if whole is not None:
        around = clip.image([flatten(whole)]).float().cpu()  # (1, D)
        embedding = F.normalize(embedding, dim=1) + F.normalize(around, dim=1)  # (1, D)
    text = _encoded(clip, [template.format(word) for word in words])  # (V, D)
    scale = float(clip.model.logit_scale.exp())
    cosines = torch.cosine_similarity(embedding, text, dim=1).clamp(-1, 1)  # (V,)
    best = (scale * cosines).softmax(dim=0).topk(min(count, len(words)))
    return [(words[i], p) for p, i in zip(*(t.tolist() for t in best), strict=True)]


def _encoded(clip: Clip, phrases: Sequence[str]) -> Tensor:
    """(V, D) float32 embeddings of phrases, on the CPU, each computed once per Clip."""
    import torch

    known = _phrases.setdefault(clip, {})
    new = [phrase for phrase in phrases if phrase not in known]
    for start in range(0, len(new), TEXT_BATCH):
        batch = new[start : start + TEXT_BATCH]
        known.update(zip(batch, clip.text(batch).pooled.float().cpu(), strict=True))
    return torch.stack([known[phrase] for phrase in phrases])
