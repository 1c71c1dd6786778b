"""Shapes for modelled places: ground, grass, buildings, mountains, rugs. Metres; y points away."""

import math
from collections.abc import Callable
from typing import Any

import bpy
import numpy as np

from train.world.blender.materials import Colour, Draw, material, patterned, shade

FAR = 60.0  # where the ground ends


def mesh(name: str, vertices: np.ndarray, faces: list, surface: Any) -> Any:
    made = bpy.data.meshes.new(name)
    made.from_pydata([tuple(v) for v in vertices], [], faces)
    made.materials.append(surface)
    thing = bpy.data.objects.new(name, made)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def ground(
    surface: Any,
    height: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    near: float = -6.0,
    far: float = FAR,
    wide: float = 40.0,
    cells: int = 160,
) -> Any:
    """A sheet of ground, finer towards the camera; y points away from it."""
    t = np.linspace(0, 1, cells)
    ys = near + (far - near) * t**2.5
    xs = np.linspace(-1, 1, cells)
    x, y = (xs[None] * (3 + wide * (t**2.5)[:, None])), np.broadcast_to(ys[:, None], (cells, cells))
    z = height(x, y) if height else np.zeros_like(x)
    at = np.arange(cells * cells).reshape(cells, cells)
    faces = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]], -1).reshape(-1, 4)
    thing = mesh("ground", np.stack([x, y, z], -1).reshape(-1, 3), faces.tolist(), surface)
    for face in thing.data.polygons:
        face.use_smooth = True
    return thing


def waves(draw: Draw, size: float, length: float, octaves: int = 4) -> Callable:
    """Heights made of random waves, metres; the amplitude falls with the wave's length."""
    parts = []
    for k in range(octaves):
        for _ in range(4):
            turn, phase = draw.uniform(0, 2 * math.pi), draw.uniform(0, 2 * math.pi)
            step = 2 * math.pi / (length / 1.9**k * draw.uniform(0.7, 1.4))
            parts.append((step * math.cos(turn), step * math.sin(turn), phase, size / 1.9**k / 2))

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sum([a * np.sin(u * x + v * y + p) for u, v, p, a in parts], axis=0)

    return height


def blades(
    draw: Draw,
    count: int,
    tall: float,
    thin: float,
    colours: list[Colour],
    near: float = -1.0,
    far: float = 25.0,
    start: float = 0.0,
) -> None:
    """Grass, wheat: bent triangles, denser near the camera; fewer within `start`."""
    rng = np.random.default_rng(draw.randrange(2**31))
    for colour in colours:
        n = count // len(colours)
        y = near + (far - near) * rng.random(n) ** 2
        x = rng.uniform(-1, 1, n) * (2.5 + 0.7 * np.maximum(y, 0))
        # A clearing where subjects stand, with a soft edge.
        keep = np.hypot(x, y) > start * rng.uniform(0.3, 1.2, n)
        x, y = x[keep], y[keep]
        n, turn = len(x), rng.uniform(0, np.pi, keep.sum())
        high, lean = tall * rng.uniform(0.5, 1.2, n), tall * rng.normal(0, 0.25, (2, n))
        base = np.stack([x, y, np.zeros(n)], -1)
        side = thin * np.stack([np.cos(turn), np.sin(turn), np.zeros(n)], -1)
        tip = base + np.stack([lean[0], lean[1], high], -1)
        points = np.stack([base - side, base + side, tip], 1).reshape(-1, 3)
        mesh(
            "blades",
            points,
            np.arange(3 * n).reshape(-1, 3).tolist(),
            material("blade", colour, 0.6),
        )


def box(low: tuple, high: tuple, surface: Any) -> Any:
    corners = np.array(
        [
            [(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]]
            for i in (0, 1)
            for j in (0, 1)
            for k in (0, 1)
        ]
    )
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return mesh("box", corners, faces, surface)


def sunflowers(draw: Draw, count: int) -> None:
    petal, heart = material("petal", (0.9, 0.5, 0.02), 0.5), material("heart", (0.08, 0.04, 0.02))
    stalk = material("stalk", (0.08, 0.2, 0.03))
    for _ in range(count):
        x, y = draw.uniform(-3, 3), draw.uniform(0.4, 6)
        if abs(x) < 0.8 and y < 1.6:
            continue
        x, z, r = x * (1 + y / 4), draw.uniform(0.5, 1.2), draw.uniform(0.14, 0.24)
        turn, points, faces = draw.uniform(-0.5, 0.5), [], []
        for k in range(16):
            a = 2 * math.pi * k / 16
            for angle, reach in ((a - 0.2, 0.4), (a + 0.2, 0.4), (a, 1.0)):
                points.append(
                    (
                        x + r * reach * math.cos(angle),
                        y - 0.02 + turn * 0.1,
                        z + r * reach * math.sin(angle),
                    )
                )
            faces.append((3 * k, 3 * k + 1, 3 * k + 2))
        mesh("petals", np.array(points), faces, petal)
        ring = [
            (x + 0.48 * r * math.cos(a), y - 0.03, z + 0.48 * r * math.sin(a))
            for a in np.linspace(0, 2 * math.pi, 20, endpoint=False)
        ]
        mesh("heart", np.array(ring), [tuple(range(20))], heart)
        box((x - 0.012, y, 0), (x + 0.012, y + 0.02, z), stalk)


def rug(colour: Colour, draw: Draw, z: float = 0.02) -> None:
    pile = patterned("rug", "Noise", (colour, shade(colour, 0.75)), 30, 0.8, 0.95)
    wide, deep = draw.uniform(0.9, 1.5), draw.uniform(0.6, 1.1)
    box((-wide, 0.1 - deep, 0), (wide, 0.3 + deep, z), pile)
