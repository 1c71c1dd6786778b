"""The places of sticker world: a drawing each (SVG, 128 × 128) and the phrases that name it."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A ground that scenes stand on; `phrases` end a caption."""

    name: str
    phrases: tuple[str, ...]
    svg: str  # body only; the canvas is 128 × 128


def _rect(y: float, height: float, fill: str, x: float = 0, width: float = 128) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"/>'


def _circle(x: float, y: float, radius: float, fill: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}"/>'


def _ellipse(x: float, y: float, rx: float, ry: float, fill: str) -> str:
    return f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{fill}"/>'


def _path(outline: str, fill: str) -> str:
    return f'<path d="{outline}" fill="{fill}"/>'


def _beach() -> str:
    waves = "".join(_ellipse(x, 72, 11, 3, "#ffffff") for x in range(6, 128, 23))
    sun, sky = _circle(106, 20, 12, "#ffd83d"), _rect(0, 52, "#8fd3ff")
    return sky + sun + _rect(46, 28, "#1e88d2") + waves + _rect(72, 56, "#f2d79b")


def _snow() -> str:
    pines = "".join(
        _path(f"M{x} {y}l12 34h-24z", "#2f6b57") + _path(f"M{x} {y}l5 13h-10z", "#ffffff")
        for x, y in ((12, 34), (32, 42), (98, 42), (116, 32))
    )
    flakes = "".join(
        _circle(random.Random(i).uniform(2, 126), random.Random(i + 99).uniform(2, 62), 1.6, "#fff")
        for i in range(26)
    )
    ground = _rect(70, 58, "#eef5fb") + _ellipse(30, 74, 60, 12, "#eef5fb")
    return _rect(0, 128, "#b4cde4") + pines + ground + _ellipse(104, 76, 50, 12, "#fafdff") + flakes


def _desert() -> str:
    dunes = _path("M0 78Q36 52 72 76T128 66V128H0z", "#e2a04f")
    near = _path("M0 98Q44 76 84 94T128 90V128H0z", "#cf8437")
    return _rect(0, 128, "#fbdca0") + _circle(24, 22, 13, "#fff3c4") + dunes + near


def _jungle() -> str:
    trunks = "".join(_rect(0, 92, "#4a3421", x, 8) for x in (8, 34, 88, 112))
    leaves = "".join(
        _ellipse(x, y, 17, 9, ("#1f7a35", "#2f9a45", "#14602a")[i % 3])
        for i, (x, y) in enumerate(
            ((4, 8), (30, 4), (58, 9), (86, 4), (114, 8), (16, 20), (46, 18), (76, 20), (104, 19))
        )
    )
    ferns = "".join(
        _path(f"M{x} 128q-4-26-16-32q14 2 18 18q4-16 18-18q-14 8-16 32z", "#2f9a45")
        for x in (10, 118)
    )
    return _rect(0, 128, "#0f4a26") + trunks + _rect(90, 38, "#1c5c2b") + leaves + ferns


def _garden() -> str:
    fence = "".join(_rect(52, 24, "#f7efe0", x, 7) for x in range(3, 128, 13))
    flowers = "".join(
        _circle(x, y, 3.2, colour) + _circle(x, y, 1.2, "#fff6a8")
        for x, y, colour in (
            (8, 92, "#e8457a"),
            (22, 118, "#f6c945"),
            (118, 94, "#9b5de5"),
            (108, 120, "#e8457a"),
            (62, 122, "#9b5de5"),
            (40, 104, "#ff8a3d"),
            (86, 104, "#f6c945"),
            (124, 110, "#ff8a3d"),
        )
    )
    rails = _rect(58, 3, "#e9dcc4") + _rect(68, 3, "#e9dcc4")
    return _rect(0, 76, "#bfe8ff") + rails + fence + _rect(74, 54, "#7cc651") + flowers


def _mountain() -> str:
    peaks = _path("M-10 92L34 22L78 92z", "#7d8798") + _path("M50 92L94 12L138 92z", "#667085")
    caps = _path("M34 22l13 21l-9-4l-6 5l-9-3z", "#fff") + _path(
        "M94 12l16 29l-11-5l-7 6l-12-5z", "#fff"
    )
    rocks = _path("M0 92L18 84L44 90L70 84L100 90L128 84V128H0z", "#8d7b68")
    return _rect(0, 128, "#9cc9f0") + peaks + caps + rocks


def _street() -> str:
    houses = "".join(
        _rect(top, 80 - top, wall, x, 26)
        + _path(f"M{x - 1} {top}l14-14l14 14z", "#8c3b2e")
        + "".join(_rect(top + dy, 9, "#ffe9a8", x + dx, 6) for dx in (5, 15) for dy in (8, 26))
        for x, top, wall in (
            (0, 28, "#d9a066"),
            (26, 34, "#c97b63"),
            (52, 24, "#dcb983"),
            (78, 32, "#b98b73"),
            (104, 26, "#d9a066"),
        )
    )
    stones = "".join(
        _ellipse(x + (row % 2) * 8, 84 + row * 10, 7.2, 4.2, ("#9a9da5", "#868992")[(x + row) % 2])
        for row in range(5)
        for x in range(0, 136, 16)
    )
    return _rect(0, 80, "#cfe3ee") + houses + _rect(78, 50, "#63666e") + stones


def _city() -> str:
    towers = "".join(
        _rect(top, 92 - top, "#171f3d", x, width)
        + "".join(
            _rect(y, 4, "#ffd76a", x + dx, 3)
            for y in range(top + 5, 86, 10)
            for dx in range(3, width - 4, 7)
        )
        for x, top, width in (
            (0, 44, 20),
            (22, 26, 18),
            (42, 52, 16),
            (60, 34, 20),
            (82, 18, 18),
            (102, 46, 26),
        )
    )
    marks = "".join(_rect(108, 3, "#f0e6c0", x, 14) for x in range(4, 128, 28))
    return _rect(0, 92, "#3b4a8f") + towers + _rect(90, 38, "#3a3d46") + marks


def _sea() -> str:
    crests = "".join(
        _path(f"M{x} {y}q7-7 14 0q-7-2-14 0z", "#bfe6ff")
        for y, shift in ((58, 2), (74, 16), (92, 4), (110, 18))
        for x in range(shift, 120, 32)
    )
    return _rect(0, 46, "#a9dcf7") + _rect(44, 84, "#1565b8") + _rect(44, 12, "#2f86d6") + crests


def _space() -> str:
    stars = "".join(
        _circle(
            random.Random(i).uniform(2, 126),
            random.Random(i + 7).uniform(2, 126),
            0.8 + i % 3 * 0.5,
            "#ffffff",
        )
        for i in range(46)
    )
    planet = _circle(104, 26, 14, "#d98a5b") + _ellipse(104, 26, 23, 4, "#f2d3a4")
    return _rect(0, 128, "#150f33") + stars + planet + _ellipse(30, 20, 26, 9, "#3c2a78")


def _room() -> str:
    window = (
        _rect(14, 40, "#ffffff", 10, 36)
        + _rect(17, 34, "#9fd8ff", 13, 30)
        + _rect(17, 34, "#ffffff", 27, 2)
        + _rect(33, 2, "#ffffff", 13, 30)
    )
    boards = "".join(_rect(y, 1.2, "#8a5a33") for y in (96, 106, 117))
    picture = _rect(20, 26, "#7a5230", 90, 26) + _rect(23, 20, "#f6d7c0", 93, 20)
    return (
        _rect(0, 128, "#f4c9b3")
        + window
        + picture
        + _rect(84, 3, "#ffffff")
        + _rect(87, 41, "#b57a48")
        + boards
    )


def _hill() -> str:
    clouds = "".join(
        _ellipse(x + dx, y, r, r * 0.7, "#ffffff")
        for x, y in ((26, 22), (98, 32))
        for dx, r in ((-9, 8), (0, 11), (10, 8))
    )
    return _rect(0, 128, "#7fc4ff") + clouds + _ellipse(64, 132, 100, 60, "#58b046")


PLACES: tuple[Place, ...] = (
    Place("plain", ("", "on a white background", "on white"), _rect(0, 128, "#ffffff")),
    Place("beach", ("on the beach", "at the beach", "at the seaside", "on the sand"), _beach()),
    Place("snow", ("in the snow", "in a snowy field", "in the winter snow"), _snow()),
    Place("desert", ("in the desert", "on the dunes", "in a sandy desert"), _desert()),
    Place("jungle", ("in the jungle", "in the rainforest", "in the dark forest"), _jungle()),
    Place("garden", ("in the garden", "in the park", "on the lawn"), _garden()),
    Place("mountain", ("on top of the mountain", "in the mountains", "on a mountain"), _mountain()),
    Place("street", ("on a cobblestone street", "in the old town", "on the street"), _street()),
    Place("city", ("in the city at night", "in the city", "in front of a skyline"), _city()),
    Place("sea", ("in the sea", "in the ocean", "in the water"), _sea()),
    Place("space", ("in space", "in outer space", "among the stars"), _space()),
    Place("room", ("in a room", "at home", "in the living room"), _room()),
    Place("hill", ("on a green hill", "on the hill", "in the meadow"), _hill()),
)
