"""How each modelled place is built: ground, relief, what stands around."""

from train.world.blender import landmarks, shapes
from train.world.blender.library import Library
from train.world.blender.materials import Draw, material, patterned, planks, shade, vary

GREENS = [(0.05, 0.13, 0.03), (0.08, 0.17, 0.04), (0.12, 0.19, 0.06), (0.04, 0.09, 0.03)]
JUNGLE = ["palm", "sabalPalmeto", "bamboo", "ficusTree", "bush", "coconutTree"]
SNOWY = ["pineSnow", "bluePineSnow"]
LEAFY = ["acacia", "poplar", "sycamoreMaple", "copperBeech", "pine", "cypress"]
AUTUMN = ["japaneseMaple", "copperBeech"]
PEOPLE = ["male01", "male02", "male03", "female01", "female02", "female03"]


def jungle(draw: Draw, library: Library) -> None:
    shapes.ground(
        patterned("soil", "Noise", ((0.03, 0.05, 0.02), (0.1, 0.12, 0.04)), 3, 0.8),
        shapes.waves(draw, 0.12, 3),
    )
    shapes.blades(draw, 9000, 0.3, 0.03, GREENS, start=0.7)
    library.scatter(draw, JUNGLE, 45, (1.5, 7), 2.5, 16, 1.0)


def snow(draw: Draw, library: Library) -> None:
    shapes.ground(
        patterned("snow", "Noise", ((0.8, 0.83, 0.88), (0.9, 0.92, 0.95)), 2, 0.3, 0.6),
        shapes.waves(draw, 0.3, 7),
    )
    library.scatter(draw, SNOWY, draw.randint(6, 25), (3, 9), 6, 35, 3)
    if draw.random() < 0.4:
        landmarks.mountains(draw)


def beach(draw: Draw, library: Library) -> None:
    sand = vary(draw, (0.62, 0.47, 0.29), 0.15)
    slope, shore = draw.uniform(0.02, 0.05), draw.uniform(4, 14)
    relief = shapes.waves(draw, 0.06, 1.5)
    shapes.ground(
        patterned("sand", "Noise", (shade(sand, 0.85), sand), 6, 0.4, 0.9),
        lambda x, y: relief(x, y) + slope * (shore - y),
    )
    sea = material("sea", vary(draw, (0.02, 0.16, 0.22)), 0.12)
    swell = shapes.waves(draw, 0.12, 4)
    shapes.ground(sea, lambda x, y: swell(x, y) * (y > 0) - 0.02, near=shore - 2, far=400, wide=400)
    if draw.random() < 0.5:
        library.scatter(
            draw,
            ["coconutTree", "coconutTreeBended", "palm"],
            draw.randint(1, 4),
            (4, 7),
            3,
            9,
            2.5,
        )


def cobblestone(draw: Draw, library: Library) -> None:
    stone = vary(draw, (0.28, 0.26, 0.25))
    shapes.ground(
        patterned(
            "stones",
            "Voronoi",
            (shade(stone, 1.3), shade(stone, 0.2)),
            draw.uniform(4, 8),
            1.0,
            0.55,
            (0.3, 0.75),
        )
    )
    landmarks.city(draw, draw.uniform(9, 22))
    if draw.random() < 0.5:
        library.scatter(draw, ["classic-lamppost", "painted-bench"], 3, (2, 3.5), 5, 9, 2.5)


def wooden_floor(draw: Draw, library: Library) -> None:
    wood = draw.choice([(0.4, 0.2, 0.08), (0.55, 0.33, 0.15), (0.22, 0.1, 0.05), (0.5, 0.4, 0.28)])
    shapes.ground(planks(draw, vary(draw, wood, 0.15)))
    wall = material(
        "wall",
        draw.choice([(0.75, 0.72, 0.66), (0.5, 0.55, 0.5), (0.65, 0.7, 0.75), (0.6, 0.45, 0.35)]),
    )
    back = draw.uniform(2.5, 6)
    shapes.box((-12, back, 0), (12, back + 0.2, 5), wall)
    shapes.box((-12, back - 0.03, 0), (12, back, 0.12), material("skirting", (0.8, 0.8, 0.78)))
    if draw.random() < 0.6:
        library.scatter(
            draw, ["ficus", "decorativePlant"], 2, (0.8, 1.6), back - 1, back - 0.6, 1.2
        )


def fabric(draw: Draw, colour: tuple[float, float, float]) -> None:
    folds = shapes.waves(draw, draw.uniform(0.1, 0.3), draw.uniform(1, 2), 3)
    shapes.ground(
        patterned("fabric", "Noise", (shade(colour, 0.9), colour), 25, 0.3, 0.7),
        lambda x, y: folds(x, y) + 0.09 * (y - 1).clip(0) ** 2,
        far=14,
        wide=10,
    )


def pink_fabric(draw: Draw, library: Library) -> None:
    fabric(draw, vary(draw, (0.85, 0.22, 0.38), 0.2))


def city_background(draw: Draw, library: Library) -> None:
    grey = vary(draw, (0.22, 0.22, 0.23))
    shapes.ground(patterned("asphalt", "Noise", (shade(grey, 0.8), grey), 10, 0.3))
    landmarks.city(draw, draw.uniform(16, 35))


def mountain(draw: Draw, library: Library) -> None:
    meadow(draw, library)
    landmarks.mountains(draw, snow=draw.random() < 0.8)


def meadow(draw: Draw, library: Library) -> None:
    green = vary(draw, (0.08, 0.14, 0.04))
    shapes.ground(
        patterned("turf", "Noise", (shade(green, 0.6), green), 3, 0.6), shapes.waves(draw, 0.1, 4)
    )
    shapes.blades(draw, 16000, draw.uniform(0.06, 0.16), 0.008, [vary(draw, g) for g in GREENS])


def house_background(draw: Draw, library: Library) -> None:
    meadow(draw, library)
    blue = vary(draw, (0.05, 0.18, 0.6), 0.2)
    landmarks.house(
        (draw.uniform(-1.5, 1.5), draw.uniform(7, 12)),
        (draw.uniform(5, 8), 5, draw.uniform(3, 4.5)),
        patterned("boards", "Wave", (blue, shade(blue, 0.8)), 3, 0.3),
        material("roof", vary(draw, draw.choice([(0.25, 0.06, 0.04), (0.08, 0.08, 0.1)]))),
        material("glass", (0.03, 0.05, 0.08), 0.1),
        material("frame", (0.85, 0.85, 0.82)),
    )
    library.scatter(draw, ["bush", "acacia", "poplar"], 5, (1, 5), 10, 18, 4)


def purple_rug_in_forest(draw: Draw, library: Library) -> None:
    forest(draw, library)
    shapes.rug(vary(draw, (0.25, 0.05, 0.42), 0.2), draw, 0.14)


def forest(draw: Draw, library: Library) -> None:
    shapes.ground(
        patterned("forest floor", "Noise", ((0.05, 0.035, 0.02), (0.16, 0.11, 0.05)), 5, 1),
        shapes.waves(draw, 0.1, 3),
    )
    shapes.blades(draw, 5000, 0.12, 0.02, [*GREENS[:2], (0.2, 0.12, 0.04)])
    library.scatter(draw, LEAFY, 30, (5, 12), 5, 28, 2.2)


def wheat(draw: Draw, library: Library) -> None:
    shapes.ground(patterned("earth", "Noise", ((0.16, 0.11, 0.05), (0.3, 0.21, 0.09)), 4, 0.6))
    gold = [vary(draw, c, 0.15) for c in ((0.6, 0.4, 0.12), (0.7, 0.5, 0.2), (0.5, 0.33, 0.1))]
    shapes.blades(draw, 26000, draw.uniform(0.5, 0.9), 0.012, gold, near=1.2, far=40)
    if draw.random() < 0.4:
        library.scatter(draw, LEAFY, 5, (5, 9), 32, 45, 3)


def autumn(draw: Draw, library: Library) -> None:
    meadow(draw, library)
    leaves = [(0.5, 0.12, 0.02), (0.6, 0.28, 0.03), (0.4, 0.06, 0.02), (0.65, 0.42, 0.06)]
    shapes.blades(draw, 9000, 0.035, 0.035, leaves)
    library.scatter(draw, AUTUMN, draw.randint(2, 6), (4, 8), 6, 16, 1.8)


def eiffel(draw: Draw, library: Library) -> None:
    meadow(draw, library)
    landmarks.eiffel_tower((draw.uniform(-5, 5), draw.uniform(42, 55)), draw.uniform(24, 32))
    if draw.random() < 0.6:
        landmarks.city(draw, 65)
    library.scatter(draw, ["bush", "acacia"], 8, (2, 4), 20, 34, 5)


def water(draw: Draw, library: Library) -> None:
    surface = material("water", vary(draw, (0.015, 0.1, 0.14), 0.4), 0.06)
    shapes.ground(surface, shapes.waves(draw, 0.05, 1.4, 5), far=200, wide=200, cells=260)
    if draw.random() < 0.3:
        landmarks.mountains(draw)


def milk(draw: Draw, library: Library) -> None:
    surface = material("milk", (0.88, 0.86, 0.82), 0.2)
    shapes.ground(surface, shapes.waves(draw, 0.05, 1.6, 3), far=200, wide=200, cells=220)


def sunflower_field(draw: Draw, library: Library) -> None:
    meadow(draw, library)
    shapes.sunflowers(draw, draw.randint(25, 50))


def mirror(draw: Draw, library: Library) -> None:
    shapes.ground(material("mirror", (0.85, 0.87, 0.88), 0.02, metallic=1.0), far=12, wide=6)


def sidewalk(draw: Draw, library: Library) -> None:
    grey = vary(draw, (0.42, 0.4, 0.38), 0.15)
    slabs = patterned("slabs", "Brick", (shade(grey, 0.4), grey), 1.2, 0.3, 0.8, (0.1, 0.4))
    shapes.ground(slabs)
    landmarks.city(draw, draw.uniform(10, 18))
    library.scatter(draw, PEOPLE, draw.randint(7, 16), (1.6, 1.85), 3.5, 11, 1.1)


def dirt_road(draw: Draw, library: Library) -> None:
    meadow(draw, library)
    earth = vary(draw, (0.3, 0.2, 0.11), 0.2)
    road = patterned("road", "Noise", (shade(earth, 0.7), earth), 4, 0.7)
    ruts, wide = shapes.waves(draw, 0.05, 1.2), draw.uniform(0.9, 1.4)
    shapes.ground(road, lambda x, y: 0.1 + ruts(x, y) - 0.12 * (abs(x) > wide), wide=0.6)
    library.scatter(draw, LEAFY, 8, (4, 8), 8, 30, 4)


def white_rug(draw: Draw, library: Library) -> None:
    wooden_floor(draw, library)
    shapes.rug(vary(draw, (0.85, 0.83, 0.78), 0.06), draw, 0.04)


def desert(draw: Draw, library: Library) -> None:
    sand = vary(draw, (0.7, 0.42, 0.2), 0.15)
    shapes.ground(
        patterned("dunes", "Wave", (shade(sand, 0.85), sand), 2, 0.3, 0.9),
        shapes.waves(draw, 1.2, 16, 3),
        near=-4,
        far=120,
        wide=120,
    )


def plain(draw: Draw, library: Library) -> None:
    red, green, blue = (draw.uniform(0.03, 0.9) for _ in range(3))
    fabric(draw, (red, red, red) if draw.random() < 0.5 else (red, green, blue))
