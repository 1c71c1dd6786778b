"""Subject fidelity: whether the judge recognizes painted subjects, and the error of their colour.

"named" figures are shares of pictures whose subject the judge (`train.measure.judge`) names right
among 50 candidates, for "truth" (rendered), "decoder" (painted from the true embedding) and "path"
(caption and subjects → picture).
"""

import random
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from lambda_eclipse.pipeline import Studio
from train.measure.judge import (
    ALONE,
    BESIDE,
    Judge,
    choose_sprites,
    cut,
    named_right,
    scene_of,
    spread_places,
)
from train.measure.painting import SIDES, alone, embed, paint, whole_path
from train.world.places import Place
from train.world.render import ground, render
from train.world.split import load_split
from train.world.sprites import Sprite, load

PAIRS = 25
DRAWS = 3  # of candidates, and of pairs: a single draw is ± 0.06, and ± 0.09
NAMED = ("truth", "decoder", "path")
COLOUR_CLUSTERS = 4


def decoder(studio: Studio, judge: Judge) -> dict[str, float]:
    """Subjects named right, rendered and painted from the true embedding."""
    result = {}
    for side in SIDES:
        rendered, painted = [], []
        for draw in range(DRAWS):
            sprites, places, scenes = alone(side, draw=draw)
            truth = [render(scene) for scene in scenes]
            rendered += named_right(judge, truth, sprites, places)
            painted += named_right(judge, paint(studio, embed(studio, truth)), sprites, places)
        result[f"named_truth_{side}"] = share(rendered)
        result[f"named_decoder_{side}"] = share(painted)
    return result


def path(studio: Studio, judge: Judge) -> dict[str, float]:
    """Subjects named right, painted by the whole path."""
    return {
        f"named_path_{side}": share([named_path(studio, judge, side, i) for i in range(DRAWS)])
        for side in SIDES
    }


def named_path(studio: Studio, judge: Judge, side: str, draw: int = 0) -> float:
    """As `path`, for one side and one draw of candidates."""
    sprites, places, scenes = alone(side, draw=draw)
    return share(named_right(judge, whole_path(studio, scenes), sprites, places))


def choose_pairs(side: str, seed: int = 0) -> list[tuple[Sprite, Sprite]]:
    """`PAIRS` pairs of different sprites of a side, the same for each seed.

    "apart": training sprites whose nouns no training scene shows together.
    """
    if side != "apart":
        sprites = choose_sprites(side, 2 * PAIRS, seed)
        return list(zip(sprites[::2], sprites[1::2], strict=True))
    rng = random.Random(f"pairs-{seed}")
    split = load_split()
    by_noun: dict[str, list[Sprite]] = {}
    for sprite in load()[0]:
        if sprite.name not in split.sprites:
            by_noun.setdefault(sprite.noun, []).append(sprite)
    nouns = rng.sample(sorted(map(sorted, split.pairs)), PAIRS)
    return [(rng.choice(by_noun[one]), rng.choice(by_noun[two])) for one, two in nouns]


def pairs(studio: Studio, judge: Judge) -> dict[str, float]:
    """Two subjects side by side: shares of subjects, and of pairs, named right."""
    result: dict[str, float] = {}
    for side in (*SIDES, "apart"):
        drawn = [named_pairs(studio, judge, side, NAMED, draw) for draw in range(DRAWS)]
        for name in NAMED:
            each, both = (share(shares) for shares in zip(*(d[name] for d in drawn), strict=True))
            result |= {f"pair_each_{name}_{side}": each, f"pair_both_{name}_{side}": both}
    return result


def named_pairs(
    studio: Studio, judge: Judge, side: str, sources: Sequence[str] = ("path",), draw: int = 0
) -> dict[str, tuple[float, float]]:
    """For each source, of `NAMED`: shares of subjects and of pairs named right."""
    chosen, places = choose_pairs(side, draw), spread_places(PAIRS)
    candidates = list(dict.fromkeys(sprite for pair in chosen for sprite in pair))
    scenes = [
        scene_of(pair, place, f"pair-{i}", BESIDE)
        for i, (pair, place) in enumerate(zip(chosen, places, strict=True))
    ]
    result = {}
    for source in sources:
        if source == "path":
            pictures = whole_path(studio, scenes)
        else:
            pictures = [render(scene) for scene in scenes]
        if source == "decoder":
            pictures = paint(studio, embed(studio, pictures))
        left, right = (
            np.array(named_right(judge, pictures, sprites, places, spot, candidates))
            for sprites, spot in zip(zip(*chosen, strict=True), BESIDE.spots, strict=True)
        )
        result[source] = share([*left, *right]), share(left & right)
    return result


def colour(studio: Studio, judge: Judge) -> dict[str, float]:
    """Mean CIELAB distance of the subject's dominant colour from the rendered truth's."""
    result = {}
    for side in SIDES:
        _, places, scenes = alone(side)
        truth = [dominant(render(s), p) for s, p in zip(scenes, places, strict=True)]
        for name, shown in (("pictures", True), ("words", False)):
            pictures = whole_path(studio, scenes, shown)
            painted = [dominant(image, p) for image, p in zip(pictures, places, strict=True)]
            distances = np.linalg.norm(np.array(painted) - np.array(truth), axis=1)
            result[f"colour_{name}_{side}"] = float(distances.mean())
    return result


def dominant(picture: Image.Image, place: Place) -> np.ndarray:
    """CIELAB (3,) of the largest colour cluster among pixels that differ from the empty place."""
    spot = ALONE.spots[0]
    lab, empty = (
        cv2.cvtColor(np.asarray(cut(image, spot), np.float32) / 255, cv2.COLOR_RGB2LAB)
        for image in (picture, ground(place))
    )
    changed = np.linalg.norm(lab - empty, axis=2) > 12
    pixels = lab[changed] if changed.sum() >= 50 else lab.reshape(-1, 3)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    cv2.setRNGSeed(0)
    unused = np.empty(0, np.int32)  # labels to start from
    _, labels, centres = cv2.kmeans(
        pixels, COLOUR_CLUSTERS, unused, criteria, 2, cv2.KMEANS_PP_CENTERS
    )
    return centres[np.bincount(labels.ravel(), minlength=COLOUR_CLUSTERS).argmax()]


def share(verdicts: Sequence[float]) -> float:
    """Their mean."""
    return float(np.mean(verdicts))
