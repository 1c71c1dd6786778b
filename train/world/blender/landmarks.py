"""Landmarks behind modelled places: a house, a city, mountains, the Eiffel Tower. Metres."""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from train.world.blender.materials import Draw, material, patterned, shade, vary
from train.world.blender.shapes import box, mesh


def house(
    at: tuple[float, float],
    size: tuple[float, float, float],
    wall: Any,
    roof: Any,
    glass: Any,
    frame: Any,
) -> None:
    """A gabled house with windows and a door towards the camera."""
    (x, y), (wide, deep, tall) = at, size
    box((x - wide / 2, y, 0), (x + wide / 2, y + deep, tall), wall)
    peak, over = tall + 0.45 * wide, 0.3
    points = np.array(
        [
            [x - wide / 2 - over, y - over, tall - 0.2],
            [x + wide / 2 + over, y - over, tall - 0.2],
            [x, y - over, peak],
            [x - wide / 2 - over, y + deep + over, tall - 0.2],
            [x + wide / 2 + over, y + deep + over, tall - 0.2],
            [x, y + deep + over, peak],
        ]
    )
    mesh("roof", points, [(0, 2, 5, 3), (2, 1, 4, 5)], roof)
    mesh("gable", points[:3] + np.array((0, over, 0)), [(0, 1, 2)], wall)
    for column in (-0.3, 0.3):
        for row in (0.3, 0.7):
            cx, cz = x + column * wide, row * tall
            box((cx - 0.5, y - 0.06, cz - 0.6), (cx + 0.5, y - 0.02, cz + 0.6), frame)
            box((cx - 0.4, y - 0.08, cz - 0.5), (cx + 0.4, y - 0.05, cz + 0.5), glass)
    box((x - 0.5, y - 0.08, 0), (x + 0.5, y - 0.02, 2.1), frame)


def city(draw: Draw, near: float = 25.0) -> None:
    """Blocks of buildings with rows of windows."""
    for row in range(3):
        x, y = -45.0, near + 14 * row
        while x < 45:
            wide, tall = draw.uniform(5, 11), draw.uniform(8, 22) * (1 + 0.5 * row)
            wall = vary(
                draw,
                draw.choice(
                    [
                        (0.45, 0.42, 0.4),
                        (0.5, 0.3, 0.22),
                        (0.6, 0.57, 0.5),
                        (0.25, 0.28, 0.32),
                        (0.7, 0.66, 0.6),
                    ]
                ),
            )
            facade = patterned("facade", "Brick", (wall, (0.05, 0.07, 0.1)), 0.35, 0, 0.6)
            nodes, links = facade.node_tree.nodes, facade.node_tree.links
            windows = nodes["Brick Texture"]
            windows.offset = 0.0
            windows.inputs["Color1"].default_value = (0.06, 0.08, 0.11, 1)
            windows.inputs["Color2"].default_value = (0.2, 0.22, 0.25, 1)
            windows.inputs["Mortar"].default_value = (*wall, 1)
            windows.inputs["Mortar Size"].default_value = draw.uniform(0.12, 0.2)
            windows.inputs["Brick Width"].default_value = draw.uniform(0.5, 0.8)
            windows.inputs["Row Height"].default_value = draw.uniform(0.7, 1.0)
            turn = nodes.new("ShaderNodeMapping")
            turn.inputs["Rotation"].default_value = (math.pi / 2, 0, 0)
            links.new(nodes["Texture Coordinate"].outputs["Object"], turn.inputs["Vector"])
            links.new(turn.outputs[0], windows.inputs["Vector"])
            links.new(windows.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
            box((x, y, 0), (x + wide, y + 8, tall), facade)
            x += wide + draw.choice((0.2, 0.5, 2.5))


def mountains(draw: Draw, snow: bool = True) -> None:
    """Ridges on the horizon; white above a line."""
    rng = np.random.default_rng(draw.randrange(2**31))
    rock = vary(draw, (0.16, 0.15, 0.17))
    for row, (y, tall) in enumerate(((90, 16), (130, 34))):
        n = 400
        x = np.linspace(-130, 130, n)
        ridge = np.zeros(n)
        for k in range(7):
            knots = rng.uniform(-1, 1, 4 * 2**k + 1)
            ridge += np.interp(x, np.linspace(-130, 130, len(knots)), knots) / 1.8**k
        ridge = tall * (0.55 + 0.35 * ridge).clip(0.1)
        levels = 24
        t = np.linspace(0, 1, levels)[:, None]
        rough = rng.normal(0, 0.5, (levels, n)) * (1 - t) * 1.2
        z = ridge[None] * t + rough * (t > 0) * (t < 1)
        depth = y - 12 * t + rng.normal(0, 0.8, (levels, n))
        points = np.stack([np.broadcast_to(x, z.shape), depth, z], -1).reshape(-1, 3)
        at = np.arange(levels * n).reshape(levels, n)
        faces = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]], -1).reshape(-1, 4)
        base = rock if row else vary(draw, (0.06, 0.1, 0.05))
        surface = patterned("rock", "Noise", (base, shade(base, 1.8)), 0.15, 0.6)
        if row and snow:
            nodes, links = surface.node_tree.nodes, surface.node_tree.links
            split, ramp = nodes.new("ShaderNodeSeparateXYZ"), nodes.new("ShaderNodeMapRange")
            ramp.inputs["From Min"].default_value = tall * 0.35
            ramp.inputs["From Max"].default_value = tall * 0.5
            mix = nodes.new("ShaderNodeMixRGB")
            mix.inputs["Color2"].default_value = (0.85, 0.88, 0.92, 1)
            colour = nodes["Principled BSDF"].inputs["Base Color"]
            links.new(nodes["Texture Coordinate"].outputs["Object"], split.inputs[0])
            links.new(split.outputs["Z"], ramp.inputs["Value"])
            links.new(colour.links[0].from_socket, mix.inputs["Color1"])
            links.new(ramp.outputs[0], mix.inputs["Fac"])
            links.new(mix.outputs[0], colour)
        mesh("mountains", points, faces.tolist(), surface)


def eiffel_tower(at: tuple[float, float], tall: float) -> None:
    """Four lattice legs that meet, three platforms, a spire."""
    iron = material("iron", (0.13, 0.09, 0.06), 0.5)
    x0, y0 = at

    def half(z: float) -> float:
        return tall * (0.19 * math.exp(-3.4 * z / tall) + 0.006)

    def beam(a: np.ndarray, b: np.ndarray, thick: float) -> None:
        along = b - a
        side = np.cross(along, [0.3, 1, 0.2])
        side *= thick / np.linalg.norm(side)
        other = np.cross(along, side)
        other *= thick / np.linalg.norm(other)
        ring = [side, other, -side, -other]
        points = np.array([p + r for p in (a, b) for r in ring])
        faces = [(i, (i + 1) % 4, 4 + (i + 1) % 4, 4 + i) for i in range(4)]
        mesh("beam", points, faces, iron)

    steps = [tall * s for s in np.linspace(0, 0.93, 16)]
    for low, high in pairwise(steps):
        for sx in (-1, 1):
            for sy in (-1, 1):
                inner_low, inner_high = (
                    max(0.0, 1 - 0.42 * (1 + 3 * z / tall)) for z in (low, high)
                )
                corners = [
                    np.array([x0 + sx * half(z) * u, y0 + sy * half(z) * v, z])
                    for z, inner in ((low, 1 - inner_low), (high, 1 - inner_high))
                    for u, v in ((1, 1), (1 - inner, 1), (1, 1 - inner))
                ]
                for i, j in ((0, 3), (1, 4), (2, 5), (0, 4), (1, 3), (0, 5), (2, 3)):
                    beam(corners[i], corners[j], tall * 0.004)
    for share, deep in ((0.18, 0.02), (0.37, 0.015), (0.9, 0.01)):
        h = half(tall * share) + tall * 0.012
        z = tall * share
        box((x0 - h, y0 - h, z), (x0 + h, y0 + h, z + tall * deep), iron)
    box((x0 - 0.1, y0 - 0.1, tall * 0.9), (x0 + 0.1, y0 + 0.1, tall), iron)
