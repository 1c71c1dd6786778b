"""What is painted, measured: likeness, composition, colour, and how far from rendered scenes.

All by an encoder that took part in no training (`train.measure.judge`). "held" = sprites that no
training
has seen, "seen" = training sprites in new scenes. Everything is painted with the stack's own steps
and guidance; picture i has seed i.
"""

import random
from collections.abc import Sequence
from importlib.resources import files

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from train.measure.judge import (
    ALONE,
    BESIDE,
    Judge,
    choose_sprites,
    cut,
    named_right,
    nearest_sprites,
    scene_of,
    spread_places,
)
from train.measure.oracle import train_oracle
from train.world.arrays import EVALUATION_SEED
from train.world.looks import SIZE_PX, VIEW_PX
from train.world.places import PLACES, Place
from train.world.render import ground, render, subject_view
from train.world.scenes import Scene, sample_scene
from train.world.split import load_split
from train.world.sprites import Sprite, load

SIDES = ("held", "seen")
CANDIDATES, PAIRS = 50, 25
DRAWS = 3  # of candidates, and of pairs: one alone is ± 0.06, and ± 0.09
NAMED = ("truth", "decoder", "path")  # rendered, painted from the true embedding, the whole path
SCENES = 256
FRECHET_DIMENSIONS = 64  # of the judge's features: more can't be estimated from 256 pictures
# photograph → (package, file inside it, noun); all are shipped inside installed packages
PHOTOS: dict[str, tuple[str, str, str]] = {
    "cat": ("skimage", "data/chelsea.png", "cat"),
    "coffee cup": ("skimage", "data/coffee.png", "coffee"),
    "rocket": ("skimage", "data/rocket.jpg", "rocket"),
    "motorcycle": ("skimage", "data/motorcycle_left.png", "motorcycle"),
    "lion": ("gradio", "media_assets/images/lion.jpg", "lion"),
    "cheetah": ("gradio", "media_assets/images/cheetah.jpg", "leopard"),
    "tower": ("gradio", "media_assets/images/tower.jpg", "tower"),
}


def photo(name: str) -> Image.Image:
    """One of the photographs, RGB."""
    package, path, _ = PHOTOS[name]
    return flatten(open_picture(str(files(package) / path)))


def embed(studio: Studio, images: Sequence[Image.Image]) -> Tensor:
    """(N, D) image embeddings, in batches."""
    batches = (list(images[i : i + 64]) for i in range(0, len(images), 64))
    return torch.cat([studio.models.clip.image(batch) for batch in batches])


def paint(studio: Studio, embeds: Tensor) -> list[Image.Image]:
    """Pictures of embeddings (N, D)."""
    stack = studio.models.stack
    return studio.models.decoder.paint(
        embeds,
        studio.models.clip.null_image(),
        seeds=range(len(embeds)),
        steps=stack.steps,
        guidance=stack.guidance,
        batch_size=stack.batch_size,
    )


def predict(
    studio: Studio, scene: Scene, seed: int, embeds: dict[tuple[int, int], Tensor]
) -> Tensor:
    """The prior's embedding (D,); subject k is shown where `embeds` has (seed, k), else a word."""
    subjects = tuple(
        Subject(noun, embedding=embeds[seed, k])
        for k, noun in enumerate(scene.nouns)
        if (seed, k) in embeds
    )
    return studio.embed(Request(scene.caption, subjects, seed=seed))[0]


def whole_path(studio: Studio, scenes: Sequence[Scene], shown: bool = True) -> list[Image.Image]:
    """Sentence and subjects' views, or the sentence alone → pictures."""
    keys = [(i, k) for i, scene in enumerate(scenes) for k in range(len(scene.nouns)) if shown]
    views = [subject_view(scenes[i], k) for i, k in keys]
    embeds = dict(zip(keys, embed(studio, views), strict=True)) if keys else {}
    rows = [predict(studio, scene, i, embeds) for i, scene in enumerate(scenes)]
    return paint(studio, torch.stack(rows))


def alone(
    side: str, free: bool = False, draw: int = 0
) -> tuple[list[Sprite], list[Place], list[Scene]]:
    """`CANDIDATES` sprites of a side, each alone at a place; `free`: off its spot."""
    sprites, places = choose_sprites(side, CANDIDATES, draw), spread_places(CANDIDATES)
    found = [
        scene_of([s], p, f"alone-{s.name}", free=free) for s, p in zip(sprites, places, strict=True)
    ]
    return sprites, places, found


def decoder(studio: Studio, judge: Judge) -> dict[str, float]:
    """How often the subject painted from the true embedding is named right among 50."""
    result = {}
    for side in SIDES:
        rendered, painted = [], []
        for draw in range(DRAWS):
            sprites, places, found = alone(side, draw=draw)
            truth = [render(scene) for scene in found]
            rendered += named_right(judge, truth, sprites, places)
            pictures = paint(studio, embed(studio, truth))
            painted += named_right(judge, pictures, sprites, places)
        result[f"named_truth_{side}"] = _share(rendered)
        result[f"named_decoder_{side}"] = _share(painted)
    return result


def path(studio: Studio, judge: Judge) -> dict[str, float]:
    """As `decoder`, but the whole path: a view of the subject and a sentence → picture."""
    return {
        f"named_path_{side}": _share([named_path(studio, judge, side, i) for i in range(DRAWS)])
        for side in SIDES
    }


def named_path(studio: Studio, judge: Judge, side: str, draw: int = 0) -> float:
    """Of a side, one draw of candidates."""
    sprites, places, found = alone(side, draw=draw)
    return _share(named_right(judge, whole_path(studio, found), sprites, places))


def choose_pairs(side: str, seed: int = 0) -> list[tuple[Sprite, Sprite]]:
    """`PAIRS` pairs of different sprites of a side, drawn once.

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
    """Two subjects side by side: how often each, and both, are named right among all of these."""
    result = {}
    for side in (*SIDES, "apart"):
        drawn = [named_pairs(studio, judge, side, NAMED, draw) for draw in range(DRAWS)]
        for name in NAMED:
            each, both = (_share(shares) for shares in zip(*(d[name] for d in drawn), strict=True))
            result |= {f"pair_each_{name}_{side}": each, f"pair_both_{name}_{side}": both}
    return result


def named_pairs(
    studio: Studio, judge: Judge, side: str, of: Sequence[str] = ("path",), draw: int = 0
) -> dict[str, tuple[float, float]]:
    """What is asked for, of `NAMED` → shares of the subjects of a side, and of its pairs."""
    chosen, places = choose_pairs(side, draw), spread_places(PAIRS)
    everyone = list(dict.fromkeys(sprite for pair in chosen for sprite in pair))
    found = [
        scene_of(pair, place, f"pair-{i}", BESIDE)
        for i, (pair, place) in enumerate(zip(chosen, places, strict=True))
    ]
    result = {}
    for name in of:
        if name == "path":
            pictures = whole_path(studio, found)
        else:
            pictures = [render(scene) for scene in found]
        if name == "decoder":
            pictures = paint(studio, embed(studio, pictures))
        left, right = (
            np.array(named_right(judge, pictures, own, places, spot, everyone))
            for own, spot in zip(zip(*chosen, strict=True), BESIDE.spots, strict=True)
        )
        result[name] = _share([*left, *right]), _share(left & right)
    return result


def scenes(studio: Studio, judge: Judge) -> dict[str, float]:
    """Place and relation as an oracle reads them, and Fréchet distances to rendered scenes."""
    oracle, maps = train_oracle(judge)
    features = maps.mean((2, 3))
    basis = torch.linalg.svd(features - features.mean(0), full_matrices=False).Vh
    basis = basis[:FRECHET_DIMENSIONS].T  # (F, 64)
    result = {}
    for side in SIDES:
        found = [sample_scene(EVALUATION_SEED, i, side) for i in range(SCENES)]
        others = [sample_scene(EVALUATION_SEED, i, side) for i in range(SCENES, 2 * SCENES)]
        real = judge.features([render(scene) for scene in others]) @ basis
        truth = [render(scene) for scene in found]
        for name, pictures in (
            ("truth", truth),
            ("decoder", paint(studio, embed(studio, truth))),
            ("path", whole_path(studio, found)),
        ):
            maps = judge.maps(pictures)
            for what, share in oracle.right(maps, found).items():
                result[f"{what}_{name}_{side}"] = share
            result[f"frechet_{name}_{side}"] = frechet(maps.mean((2, 3)) @ basis, real)
    return result


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the normal distributions of rows (N, F) and (M, F)."""
    a, b = a.double(), b.double()
    covariances = torch.cov(a.T), torch.cov(b.T)
    product = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0)
    spread = covariances[0].trace() + covariances[1].trace() - 2 * product.sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + spread)


def colour(studio: Studio, judge: Judge) -> dict[str, float]:
    """Mean CIELAB distance of the subject's dominant colour to that of the rendered truth."""
    result = {}
    for side in SIDES:
        _, places, found = alone(side)
        wanted = [dominant(render(s), p) for s, p in zip(found, places, strict=True)]
        for name, shown in (("pictures", True), ("words", False)):
            pictures = whole_path(studio, found, shown)
            reached = [dominant(image, p) for image, p in zip(pictures, places, strict=True)]
            far = np.linalg.norm(np.array(reached) - np.array(wanted), axis=1)
            result[f"colour_{name}_{side}"] = float(far.mean())
    return result


def dominant(picture: Image.Image, place: Place, clusters: int = 4) -> np.ndarray:
    """CIELAB of the largest of four clusters of what differs from the empty place, (3,)."""
    spot = ALONE.spots[0]
    lab, empty = (
        cv2.cvtColor(np.asarray(cut(image, spot), np.float32) / 255, cv2.COLOR_RGB2LAB)
        for image in (picture, ground(place))
    )
    changed = np.linalg.norm(lab - empty, axis=2) > 12
    pixels = lab[changed] if changed.sum() >= 50 else lab.reshape(-1, 3)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    cv2.setRNGSeed(0)
    _, labels, centres = cv2.kmeans(pixels, clusters, None, criteria, 2, cv2.KMEANS_PP_CENTERS)
    return centres[np.bincount(labels.ravel(), minlength=clusters).argmax()]


def photographs(studio: Studio, judge: Judge) -> dict[str, object]:
    """Photographs as subjects, alone on white: which kinds of thing the pictures look most like.

    The judge compares with every drawing of every concept; "truth": the photographs' own subjects,
    cut out and put there, which bounds what it can name.
    """
    sprites, _ = load()
    nouns = [noun for _, _, noun in PHOTOS.values()]
    truth, pictures = [], []
    for i, (name, noun) in enumerate(zip(PHOTOS, nouns, strict=True)):
        request = Request(f"a {noun} on a white background", (Subject(noun, photo(name)),), seed=i)
        pictures += [picture.image for picture in studio.generate(request)]
        truth.append(put_alone(studio.prepare(request.subjects[0]).picture))
    result: dict[str, object] = {}
    for what, images in (("truth", truth), ("path", pictures)):
        named = nearest_sprites(judge, images, sprites, [PLACES[0]] * len(images))
        kinds = [list(dict.fromkeys(s.noun for s in order))[:5] for order in named]
        for top in (1, 5):
            hits = [noun in k[:top] for k, noun in zip(kinds, nouns, strict=True)]
            result[f"photographs_{what}_top{top}"] = _share(hits)
        result[f"photographs_{what}_kinds"] = dict(zip(PHOTOS, kinds, strict=True))
    return result


def put_alone(view: Image.Image) -> Image.Image:
    """A subject alone on white, square, as large and where a scene of it alone has it."""
    spot = ALONE.spots[0]
    side = round(SIZE_PX * spot.size / VIEW_PX)
    canvas = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    small = flatten(view).resize((side, side), Image.Resampling.BICUBIC)
    canvas.paste(small, (round(spot.x - side / 2), round(spot.y - side / 2)))
    return canvas


def _share(verdicts: Sequence[float]) -> float:
    return float(np.mean(verdicts))
