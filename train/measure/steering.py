"""How far the controls steer, measured: strength, edge maps, words never seen, the square.

By the judge that took part in no training, where pictures are compared; sides as in
`train.measure.painted`.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lambda_eclipse import interpolate
from lambda_eclipse.canny import edge_map
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from train.measure.judge import Judge, cut
from train.measure.painted import SIDES, alone, embed, paint
from train.world.concepts import CONCEPTS
from train.world.render import render, stand, subject_view
from train.world.scenes import Scene

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
TOLERANCE_PX = 2
SQUARES, POINTS = 12, 17
SYNONYMS = 50
# words that no caption holds, and what they mean
UNSEEN = {
    "tabby": "cat",
    "feline": "cat",
    "terrier": "dog",
    "poodle": "dog",
    "canine": "dog",
    "hog": "pig",
    "stallion": "horse",
    "mare": "horse",
    "rooster": "chicken",
    "bumblebee": "bee",
    "ewe": "sheep",
    "trout": "fish",
    "chimpanzee": "monkey",
    "vampire bat": "bat",
    "tarantula": "spider",
    "humanoid": "robot",
    "martian": "alien",
    "phantom": "ghost",
    "fedora": "hat",
    "bowler": "hat",
    "goggles": "glasses",
    "muffin": "cake",
    "croissant": "bread",
    "cheeseburger": "hamburger",
    "espresso": "coffee",
    "limousine": "car",
    "convertible": "car",
    "minibus": "bus",
    "pickup": "truck",
    "scooter": "motorcycle",
    "jet": "airplane",
    "yacht": "boat",
    "canoe": "boat",
    "cruise liner": "ship",
    "football helmet": "helmet",
    "banjo": "guitar",
    "bugle": "trumpet",
    "knapsack": "backpack",
    "briefcase": "handbag",
    "stopwatch": "clock",
    "armchair": "chair",
    "settee": "couch",
    "cellphone": "telephone",
    "lantern": "lamp",
    "blouse": "shirt",
    "tulip": "flower",
    "oak": "tree",
    "palace": "castle",
    "cottage": "house",
    "cathedral": "church",
}


def likeness(judge: Judge, pictures: Sequence[Image.Image], scenes: Sequence[Scene]) -> np.ndarray:
    """Cosine of each picture's subject with its sprite there, about the mean of all sprites."""
    spots = [scene.spots[0] for scene in scenes]
    known = judge.features(
        [
            cut(stand(scene.sprites[0], scene.place, spot), spot)
            for scene, spot in zip(scenes, spots, strict=True)
        ]
    )
    seen = judge.features(
        [cut(picture, spot) for picture, spot in zip(pictures, spots, strict=True)]
    )
    mean = known.mean(0)
    return F.cosine_similarity(seen - mean, known - mean).numpy()


def _request(scene: Scene, view: Tensor, seed: int, **changed: object) -> Request:
    strength = float(changed.pop("strength", 1.0))
    subject = Subject(scene.nouns[0], embedding=view, strength=strength)
    return Request(scene.caption, (subject,), seed=seed, **changed)


def strength(studio: Studio, judge: Judge) -> dict[str, object]:
    """Mean likeness at each of `STRENGTHS`, one subject alone."""
    result: dict[str, object] = {"strengths": STRENGTHS}
    for side in SIDES:
        _, _, found = alone(side)
        views = embed(studio, [subject_view(scene, 0) for scene in found])
        means = []
        for amount in STRENGTHS:
            rows = [
                studio.embed(_request(scene, views[i], i, strength=amount))[0]
                for i, scene in enumerate(found)
            ]
            pictures = paint(studio, torch.stack(rows))
            means.append(float(likeness(judge, pictures, found).mean()))
        result[f"strength_likeness_{side}"] = means
    return result


def edge_agreement(edges: np.ndarray, wanted: np.ndarray) -> float:
    """F1 of two edge maps (H, W) bool, edges within `TOLERANCE_PX` counting as the same."""
    kernel = np.ones((2 * TOLERANCE_PX + 1,) * 2, np.uint8)
    grown = [cv2.dilate(one.astype(np.uint8), kernel) > 0 for one in (edges, wanted)]
    precision = float((edges & grown[1]).sum() / max(1, edges.sum()))
    recall = float((wanted & grown[0]).sum() / max(1, wanted.sum()))
    return 2 * precision * recall / max(1e-9, precision + recall)


def canny(studio: Studio, judge: Judge) -> dict[str, float]:
    """Edge maps of scenes whose subjects stand off their spots: what they steer, and at what cost.

    Edge agreement with that scene, and likeness of the subject where it should stand, with the map
    and without any.
    """
    result = {}

    def edges(picture: Image.Image) -> np.ndarray:
        return np.asarray(edge_map(picture, size_px=picture.width).convert("L")) > 127

    for side in SIDES:
        (_, _, usual), (_, _, free) = alone(side), alone(side, free=True)
        views = embed(studio, [subject_view(scene, 0) for scene in usual])
        truth = [render(scene) for scene in free]
        for name, found in (("map", free), ("none", usual)):
            rows = [
                studio.embed(
                    _request(scene, views[i], i, canny=truth[i] if name == "map" else None)
                )[0]
                for i, scene in enumerate(found)
            ]
            pictures = paint(studio, torch.stack(rows))
            pairs = zip(pictures, truth, strict=True)
            agreement = [edge_agreement(edges(image), edges(true)) for image, true in pairs]
            result[f"edges_{name}_{side}"] = float(np.mean(agreement))
            like = likeness(judge, pictures, found)
            result[f"edges_likeness_{name}_{side}"] = float(like.mean())
    return result


def synonyms(studio: Studio) -> dict[str, float]:
    """How often the prior takes a word for what it means, among all nouns, at the beach.

    "taught": the first synonyms of the concepts, which captions hold now and then; "unseen": words
    that none holds.
    """
    nouns = [concept.noun for concept in CONCEPTS]
    taught = {c.synonyms[0]: c.noun for c in CONCEPTS if c.synonyms}
    known = {word for c in CONCEPTS for word in (c.noun, *c.synonyms)}
    assert not known & set(UNSEEN), "a word of the list is in the captions"

    def predicted(words: Sequence[str]) -> Tensor:
        rows = [studio.embed(Request(f"a {word} on the beach"), prior_seed=0)[0] for word in words]
        return torch.stack(rows)

    gallery = predicted(nouns)
    mean = gallery.mean(0)
    gallery = F.normalize(gallery - mean, dim=1)
    result = {}
    for name, pairs in (("taught", taught), ("unseen", UNSEEN)):
        words = list(pairs)[:SYNONYMS]
        order = F.normalize(predicted(words) - mean, dim=1) @ gallery.T
        top = order.topk(5).indices.tolist()
        meant = [nouns.index(pairs[word]) for word in words]
        result[f"synonyms_{name}_top1"] = float(
            np.mean([m == t[0] for m, t in zip(meant, top, strict=True)])
        )
        result[f"synonyms_{name}_top5"] = float(
            np.mean([m in t for m, t in zip(meant, top, strict=True)])
        )
    return result


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """Angles between unit vectors (…, F), in radians."""
    return (a * b).sum(-1).clamp(-1, 1).arccos()


def smoothness(studio: Studio, judge: Judge) -> dict[str, object]:
    """Perceptual path length along the edges of squares between held-out subjects.

    Distances are angles between the judge's features, of neighbours among `POINTS` pictures along
    an edge. "length": their sum over the angle of the ends, 1 for a straight way.
    "step": percentiles 50, 95 and 100 of a step over the mean step of its edge; a jump would take
    most of the way in one step, `POINTS` − 1 times the mean.
    """
    _, _, found = alone("held")
    views = embed(studio, [subject_view(scene, 0) for scene in found])
    rows = torch.stack(
        [
            studio.embed(_request(scene, views[i], 0))[0]
            for i, scene in enumerate(found[: 4 * SQUARES])
        ]
    )
    result: dict[str, object] = {}
    for mode in ("lerp", "slerp"):
        lengths, steps = [], []
        for corners in rows.split(4):
            a, b, c, d = range(4)
            for one, two in ((a, b), (c, d), (a, c), (b, d)):
                square = corners[[one, two, one, two]]
                way = torch.stack(
                    [
                        interpolate.bilinear(square, i / (POINTS - 1), 0.0, mode)
                        for i in range(POINTS)
                    ]
                )
                images = [
                    picture.image
                    for picture in studio.paint(way, [0] * POINTS)  # one noise for all points
                ]
                seen = F.normalize(judge.features(images), dim=1)
                step = _angle(seen[1:], seen[:-1])
                lengths.append(float(step.sum() / _angle(seen[0], seen[-1])))
                steps.append(step / step.mean())
        spread = torch.cat(steps)
        result[f"path_length_{mode}"] = float(np.median(lengths))
        result[f"path_step_{mode}"] = [
            round(float(spread.quantile(q)), 3) for q in (0.5, 0.95, 1.0)
        ]
    return result
