"""Effect of the controls: strength, edge map, and the square's interpolation.

Pictures are compared by the judge, which took part in no training (`train.measure.judge`).
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
from train.measure.painting import SIDES, alone, embed, paint
from train.world.render import render, render_sprite, subject_view
from train.world.scenes import Scene

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
TOLERANCE_PX = 2
SQUARES, POINTS = 12, 17


def likeness(judge: Judge, pictures: Sequence[Image.Image], scenes: Sequence[Scene]) -> np.ndarray:
    """Cosines (N,) of painted subjects and their rendered sprites, about the mean of the latter."""
    truth = judge.features(
        [
            cut(render_sprite(scene.sprites[0], scene.place, scene.spots[0]), scene.spots[0])
            for scene in scenes
        ]
    )
    painted = judge.features(
        [cut(picture, scene.spots[0]) for picture, scene in zip(pictures, scenes, strict=True)]
    )
    mean = truth.mean(0)
    return F.cosine_similarity(painted - mean, truth - mean).numpy()


def _predict(
    studio: Studio,
    scenes: Sequence[Scene],
    views: Tensor,
    strength: float = 1.0,
    canny: Sequence[Image.Image] | None = None,
) -> Tensor:
    """The prior's embeddings (N, D) of scenes of one subject, with its view (N, D)."""
    rows = []
    for i, (scene, view) in enumerate(zip(scenes, views, strict=True)):
        subject = Subject(scene.nouns[0], embedding=view, strength=strength)
        edges = canny[i] if canny else None
        rows.append(studio.embed(Request(scene.caption, (subject,), canny=edges, seed=i))[0])
    return torch.stack(rows)


def strength(studio: Studio, judge: Judge) -> dict[str, object]:
    """Mean likeness at each of `STRENGTHS`, one subject alone."""
    result: dict[str, object] = {"strengths": STRENGTHS}
    for side in SIDES:
        _, _, scenes = alone(side)
        views = embed(studio, [subject_view(scene, 0) for scene in scenes])
        means = []
        for amount in STRENGTHS:
            pictures = paint(studio, _predict(studio, scenes, views, amount))
            means.append(float(likeness(judge, pictures, scenes).mean()))
        result[f"strength_likeness_{side}"] = means
    return result


def edge_agreement(edges: np.ndarray, target: np.ndarray) -> float:
    """F1 of two edge maps (H, W) bool; edges within `TOLERANCE_PX` match."""
    kernel = np.ones((2 * TOLERANCE_PX + 1,) * 2, np.uint8)
    near_edges, near_target = (cv2.dilate(m.astype(np.uint8), kernel) > 0 for m in (edges, target))
    precision = float((edges & near_target).sum() / max(1, edges.sum()))
    recall = float((target & near_edges).sum() / max(1, target.sum()))
    return 2 * precision * recall / max(1e-9, precision + recall)


def canny(studio: Studio, judge: Judge) -> dict[str, float]:
    """Edge maps of scenes with their subject off its canonical spot, with the map and without.

    Edge agreement with that scene, and likeness of the subject at the expected spot.
    """
    result = {}

    def edges(picture: Image.Image) -> np.ndarray:
        return np.asarray(edge_map(picture, size_px=picture.width).convert("L")) > 127

    for side in SIDES:
        (_, _, canonical), (_, _, free) = alone(side), alone(side, free=True)
        views = embed(studio, [subject_view(scene, 0) for scene in canonical])
        truth = [render(scene) for scene in free]
        for name, scenes, maps in (("map", free, truth), ("none", canonical, None)):
            pictures = paint(studio, _predict(studio, scenes, views, canny=maps))
            pairs = zip(pictures, truth, strict=True)
            agreement = [edge_agreement(edges(image), edges(true)) for image, true in pairs]
            result[f"edges_{name}_{side}"] = float(np.mean(agreement))
            like = likeness(judge, pictures, scenes)
            result[f"edges_likeness_{name}_{side}"] = float(like.mean())
    return result


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """Angles between unit vectors (…, F), in radians."""
    return (a * b).sum(-1).clamp(-1, 1).arccos()


def smoothness(studio: Studio, judge: Judge) -> dict[str, object]:
    """Perceptual path length along the edges of squares between held-out subjects.

    Distances are angles between the judge's features, of neighbours among `POINTS` pictures of an
    edge. "length": their sum over the angle of the ends, 1 for a straight path. "step": percentiles
    50, 95 and 100 of a step over the mean step of its edge; a jump takes most of the path in one
    step, `POINTS` − 1 times the mean.
    """
    _, _, scenes = alone("held")
    scenes = scenes[: 4 * SQUARES]
    views = embed(studio, [subject_view(scene, 0) for scene in scenes])
    requests = [
        Request(scene.caption, (Subject(scene.nouns[0], embedding=view),), seed=0)
        for scene, view in zip(scenes, views, strict=True)
    ]
    embeds = torch.stack([studio.embed(request)[0] for request in requests])
    result: dict[str, object] = {}
    for mode in ("lerp", "slerp"):
        lengths, steps = [], []
        for corners in embeds.split(4):
            for ends in ((0, 1), (2, 3), (0, 2), (1, 3)):
                square = corners[[*ends, *ends]]
                points = [interpolate.bilinear(square, u, 0.0, mode) for u in _steps()]
                # The same noise for all points.
                pictures = studio.paint(torch.stack(points), [0] * POINTS)
                features = F.normalize(judge.features([p.image for p in pictures]), dim=1)
                step = _angle(features[1:], features[:-1])
                lengths.append(float(step.sum() / _angle(features[0], features[-1])))
                steps.append(step / step.mean())
        spread = torch.cat(steps)
        result[f"path_length_{mode}"] = float(np.median(lengths))
        result[f"path_step_{mode}"] = [
            round(float(spread.quantile(q)), 3) for q in (0.5, 0.95, 1.0)
        ]
    return result


def _steps() -> list[float]:
    """`POINTS` fractions from 0 to 1."""
    return [i / (POINTS - 1) for i in range(POINTS)]
