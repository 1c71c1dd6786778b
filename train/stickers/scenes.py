"""Scenes of sticker world: what is said, where everything stands, and the pictures of it.

A scene is a function of (seed, index, side of the split). Each relation (the words of the paper's
Table 8) has one canonical layout, so that a caption and its subjects determine the picture up to a
pixel of jitter: a prior trained with a squared error learns the blur of whatever is undetermined.
"""

import functools
import math
import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from train.stickers.concepts import CONCEPTS, Concept
from train.stickers.places import PLACES, Place
from train.stickers.split import Split, load_split
from train.stickers.sprites import Sprite, load, rasterize

SIZE_PX = 128
HUES = 6  # colourings of a sprite, its own included
_ACTORS = ("animal", "person")
_ANY = ("animal", "person", "food", "vehicle", "thing", "building", "head", "eyes")
_BY_NOUN: dict[str, Concept] = {concept.noun: concept for concept in CONCEPTS}


@dataclass(frozen=True)
class Spot:
    """Where a subject stands: centre x, bottom y and long side, in pixels."""

    x: float
    y: float
    size: float
    flip: bool = False
    tilt: float = 0.0  # degrees, counter-clockwise


@dataclass(frozen=True)
class Relation:
    """A sentence form with its one layout. Subjects are drawn in the order of `layers`."""

    name: str
    weight: float
    templates: tuple[str, ...]
    kinds: tuple[tuple[str, ...], ...]
    spots: tuple[Spot, ...]
    layers: tuple[int, ...]


RELATIONS: tuple[Relation, ...] = (
    Relation(
        "alone",
        30,
        ("{0} {p}", "{0} {p}", "a picture of {0} {p}", "{0} standing {p}"),
        (_ANY,),
        (Spot(64, 114, 86),),
        (0,),
    ),
    Relation(
        "and",
        20,
        (
            "{0} and {1} {p}",
            "{0} and {1} playing {p}",
            "{0} with {1} {p}",
            "{0} and {1} standing next to each other {p}",
        ),
        (_ANY, _ANY),
        (Spot(35, 112, 58), Spot(93, 112, 58)),
        (0, 1),
    ),
    Relation(
        "wearing",
        14,
        ("{0} wearing {1} {p}", "{0} wearing {1} {p}", "{0} in {1} {p}"),
        (_ACTORS, ("head", "eyes")),
        (Spot(64, 118, 76), Spot(64, 0, 46)),
        (0, 1),
    ),
    Relation(
        "chasing",
        5,
        ("{0} chasing {1} {p}", "{0} running after {1} {p}"),
        (_ACTORS, ("animal", "person", "food", "vehicle")),
        (Spot(94, 112, 60, tilt=10), Spot(30, 112, 46, tilt=10)),
        (0, 1),
    ),
    Relation(
        "looking",
        5,
        ("{0} looking at {1} {p}", "{0} watching {1} {p}"),
        (_ACTORS, _ANY),
        (Spot(33, 114, 60, flip=True), Spot(100, 80, 44)),
        (0, 1),
    ),
    Relation(
        "sitting",
        5,
        ("{0} sitting on {1} {p}", "{0} is sitting on {1} {p}"),
        (_ACTORS, ("vehicle", "thing", "food", "animal")),
        (Spot(64, 70, 54), Spot(64, 118, 62)),
        (1, 0),
    ),
    Relation(
        "standing",
        5,
        ("{0} standing on {1} {p}", "{0} standing on top of {1} {p}"),
        (_ACTORS, ("vehicle", "thing", "food", "animal")),
        (Spot(64, 44, 40), Spot(64, 120, 78)),
        (0, 1),
    ),
    Relation(
        "front",
        6,
        ("{0} in front of {1} {p}", "{0} with a view of {1} {p}"),
        (_ANY, ("building",)),
        (Spot(64, 120, 52), Spot(64, 100, 94)),
        (1, 0),
    ),
    Relation(
        "with two",
        5,
        ("{0} with {1} and {2} {p}", "{0} between {1} and {2} {p}"),
        (_ANY, _ANY, _ANY),
        (Spot(64, 114, 60), Spot(20, 114, 38), Spot(108, 114, 38)),
        (1, 2, 0),
    ),
    Relation(
        "front of",
        4,
        ("{0} with {1} in front of {2} {p}", "{0} and {1} in front of {2} {p}"),
        (_ANY, _ANY, ("building",)),
        (Spot(32, 120, 48), Spot(98, 120, 48), Spot(64, 98, 88)),
        (2, 0, 1),
    ),
    Relation(
        "background",
        4,
        ("{0} with {1} and {2} in the background {p}", "{0} with {1} and a view of {2} {p}"),
        (_ANY, _ANY, ("building", "thing")),
        (Spot(40, 118, 58), Spot(98, 118, 44), Spot(98, 56, 46)),
        (2, 0, 1),
    ),
    Relation(
        "four",
        3,
        ("{0}, {1}, {2} and {3} {p}", "{0} and {1} with {2} and {3} {p}"),
        (_ANY, _ANY, _ANY, _ANY),
        (Spot(34, 66, 44), Spot(94, 66, 44), Spot(34, 118, 44), Spot(94, 118, 44)),
        (0, 1, 2, 3),
    ),
)


@dataclass(frozen=True)
class Scene:
    """One scene: everything that its caption, picture and views are made of."""

    seed: str
    place: Place
    relation: Relation
    sprites: tuple[Sprite, ...]
    hues: tuple[float, ...]  # turn of each subject's colours, degrees
    nouns: tuple[str, ...]  # as written in the caption
    caption: str


def _article(noun: str) -> str:
    if noun in (
        "glasses",
        "sunglasses",
        "grapes",
        "cherries",
        "ruins",
        "spectacles",
        "shades",
        "eyeglasses",
    ):
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


@functools.cache
def _pools(side: str) -> dict[str, tuple[Sprite, ...]]:
    sprites, _ = load()
    split = load_split()
    held = {"train": False, "seen": False, "held": True}[side]
    chosen = [s for s in sprites if (s.name in split.sprites) == held]
    return {kind: tuple(s for s in chosen if s.kind == kind) for kind in _ANY}


def _draw_sprite(rng: random.Random, kinds: tuple[str, ...], side: str) -> Sprite:
    pools = _pools(side)
    pool = [s for kind in kinds for s in pools[kind]] or [
        s
        for kind in kinds
        for s in _pools("train")[kind]  # nothing of this kind is held out
    ]
    return rng.choice(pool)


def sample_scene(seed: int, index: int, side: str = "train") -> Scene:
    """The scene number `index` of a seed.

    `side`: "train" (allowed sprites and pairs), "seen" (training sprites; scenes of another random
    stream, for evaluation) or "held" (held-out sprites).
    """
    key = f"{side}-{seed}-{index}"
    rng = random.Random(key)
    split: Split = load_split()
    relation = rng.choices(RELATIONS, [r.weight for r in RELATIONS])[0]
    while True:
        sprites = tuple(_draw_sprite(rng, kinds, side) for kinds in relation.kinds)
        distinct = len({s.noun for s in sprites}) == len(sprites)
        if distinct and (side == "held" or split.is_train(sprites)):
            break
    return compose(key, rng, relation, rng.choice(PLACES), sprites)


def compose(
    key: str,
    rng: random.Random,
    relation: Relation,
    place: Place,
    sprites: tuple[Sprite, ...],
    recolour: float = 0.3,
) -> Scene:
    """A scene of the given parts; words and colours are drawn from `rng`."""
    nouns = []
    for sprite in sprites:
        synonyms = _BY_NOUN[sprite.noun].synonyms
        nouns.append(rng.choice(synonyms) if synonyms and rng.random() < 0.2 else sprite.noun)
    hues = tuple(
        rng.choice(palette(s.name)[1:]) if rng.random() < recolour else 0.0 for s in sprites
    )
    phrase = place.phrases[0] if rng.random() < 0.6 else rng.choice(place.phrases)
    caption = rng.choice(relation.templates).format(*map(_article, nouns), p=phrase)
    return Scene(key, place, relation, sprites, hues, tuple(nouns), " ".join(caption.split()))


def turn_hue(picture: Image.Image, degrees: float, gain: float = 1.0) -> Image.Image:
    """Turns the colours of an RGBA picture about the grey axis (YIQ); greys stay."""
    if degrees == 0 and gain == 1:
        return picture
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    matrix = gain * np.linalg.inv(to_yiq) @ turn @ to_yiq
    rows = np.concatenate([matrix, np.zeros((3, 1))], axis=1).ravel()
    turned = picture.convert("RGB").convert("RGB", tuple(rows))
    turned.putalpha(picture.getchannel("A"))
    return turned


@functools.cache
def palette(name: str) -> tuple[float, ...]:
    """The colourings of a sprite: its own, then `HUES` − 1 turns of its hues, degrees."""
    rng = random.Random("palette-" + name)
    return (0.0, *(rng.uniform(30, 330) for _ in range(HUES - 1)))


@functools.cache
def ground(place: Place) -> Image.Image:
    """The empty place, RGB 128 px."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{place.svg}</svg>'
    return rasterize(svg, SIZE_PX).convert("RGB")


def _fit(picture: Image.Image, size: float, flip: bool, tilt: float) -> Image.Image:
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = size / max(picture.size)
    target = tuple(max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if tilt:
        picture = picture.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
    return picture


def _paste(canvas: Image.Image, picture: Image.Image, x: float, bottom: float) -> None:
    at = (round(x - picture.width / 2), round(bottom - picture.height))
    canvas.paste(picture, at, picture)


def _marks(canvas: Image.Image, relation: Relation) -> None:
    """The strokes that tell chasing and looking from standing side by side."""
    draw = ImageDraw.Draw(canvas)
    if relation.name == "chasing":
        for y in (76, 90, 104):
            draw.line((54, y, 64, y), fill=(255, 255, 255), width=2)
            draw.line((54, y + 2, 64, y + 2), fill=(110, 110, 110), width=1)
    if relation.name == "looking":
        for step in range(4):
            x, y = 60 + step * 6, 70 - step * 4
            draw.ellipse((x, y, x + 3, y + 3), fill=(255, 255, 255), outline=(90, 90, 90))


def render(scene: Scene, without_subjects: bool = False) -> Image.Image:
    """Paints the scene, RGB 128 × 128."""
    rng = random.Random(scene.seed + "-render")
    canvas = ground(scene.place).copy()
    if without_subjects:
        return canvas
    _marks(canvas, scene.relation)
    _, pictures = load()
    fitted = []
    for sprite, hue, spot in zip(scene.sprites, scene.hues, scene.relation.spots, strict=True):
        tilt = spot.tilt + rng.uniform(-2, 2)
        spot = replace(spot, x=spot.x + rng.uniform(-1, 1), y=spot.y + rng.uniform(-1, 1))
        picture = turn_hue(pictures[sprite.name], hue)
        fitted.append((_fit(picture, spot.size, spot.flip, tilt), spot))
    if scene.relation.name == "wearing":
        fitted[1] = _put_on(scene, fitted)
    for i in scene.relation.layers:
        picture, spot = fitted[i]
        _paste(canvas, picture, spot.x, spot.y)
    return canvas


def _put_on(scene: Scene, fitted: list[tuple[Image.Image, Spot]]) -> tuple[Image.Image, Spot]:
    """What is worn follows its wearer: hats overlap the top by 12 px, glasses sit at 2/5."""
    (wearer, spot), (worn, worn_spot) = fitted
    top = spot.y - wearer.height
    if scene.sprites[1].kind == "head":
        return worn, replace(worn_spot, x=spot.x, y=top + 14)
    return worn, replace(worn_spot, x=spot.x, y=top + 0.42 * wearer.height + worn.height / 2)


def sprite_view(name: str, hue: float, key: str) -> Image.Image:
    """A sprite alone on white, RGB 128 × 128; the view is drawn from `key`.

    Mirrored in one of five, turned up to 8°, at 0.8-1 of the frame, light changed by up to 8 %:
    what the masking of a user's picture gives (paper, Sec. 3.2).
    """
    rng = random.Random(f"view-{name}-{key}")
    _, pictures = load()
    picture = turn_hue(pictures[name], hue + rng.uniform(-6, 6), rng.uniform(0.92, 1.06))
    fitted = _fit(picture, 110 * rng.uniform(0.8, 1), rng.random() < 0.2, rng.uniform(-8, 8))
    canvas = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    jitter_x, jitter_y = rng.uniform(-3, 3), rng.uniform(-3, 3)
    _paste(canvas, fitted, 64 + jitter_x, 64 + jitter_y + fitted.height / 2)
    return canvas


def subject_view(scene: Scene, number: int) -> Image.Image:
    """Subject `number` of a scene alone on white, in another view than in the scene."""
    key = f"{scene.seed}-{number}"
    return sprite_view(scene.sprites[number].name, scene.hues[number], key)
