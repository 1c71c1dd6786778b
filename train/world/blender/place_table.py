"""The modelled places: how each is built, what lights it, and the camera's pitch."""

from collections.abc import Callable
from dataclasses import dataclass

from train.world.blender import place_models as models
from train.world.blender.library import Library
from train.world.blender.materials import Draw

DAY = (
    "park",
    "sky",
    "city",
    "dawn",
    "forest",
    "venice",
    "bridge",
    "sunset",
    "sunrise",
)
INDOOR = ("apartment", "lobby", "hall", "studio", "workshop")


@dataclass(frozen=True)
class Place:
    """How a place is built, what lights it, and how far down the camera looks at it (degrees)."""

    build: Callable[[Draw, Library], None]
    environments: tuple[str, ...]
    pitch: tuple[float, float]
    sun: bool  # the environments' own sun is clipped
    bright: bool = False  # photographers expose white grounds higher


GROUND, BACKGROUND = (8.0, 20.0), (-1.0, 7.0)
PLACES: dict[str, Place] = {
    "jungle": Place(models.jungle, ("forest", "park", "sky"), (2, 10), True),
    "snow": Place(models.snow, ("sky", "dawn", "park", "sunrise"), (2, 12), True, True),
    "beach": Place(models.beach, ("sky", "sunset", "park", "sunrise"), (2, 10), True),
    "cobblestone": Place(models.cobblestone, ("city", "venice", "dawn"), GROUND, True),
    "pink fabric": Place(models.pink_fabric, INDOOR, GROUND, False),
    "wooden floor": Place(models.wooden_floor, INDOOR, GROUND, False),
    "city": Place(models.city_background, ("city", "sky", "dawn", "sunset"), BACKGROUND, True),
    "mountain": Place(models.mountain, ("sky", "park", "dawn", "sunrise"), BACKGROUND, True),
    "blue house": Place(models.house_background, ("sky", "park"), BACKGROUND, True),
    "purple rug in forest": Place(models.purple_rug_in_forest, ("forest", "park"), GROUND, True),
    "wheat": Place(models.wheat, ("sky", "sunset", "park", "sunrise"), (0, 8), True),
    "autumn": Place(models.autumn, ("park", "sky"), (2, 10), True),
    "eiffel tower": Place(models.eiffel, ("sky", "dawn", "sunset"), (-7, 0), True),
    "water": Place(models.water, ("sky", "sunset", "park", "sunrise", "bridge"), GROUND, True),
    "milk": Place(models.milk, ("sky", "studio", "park"), GROUND, False, True),
    "sunflowers": Place(models.sunflower_field, ("sky", "park", "sunset"), (4, 12), True),
    "mirror": Place(models.mirror, (*INDOOR, "sky"), GROUND, False),
    "sidewalk": Place(models.sidewalk, ("city", "venice"), (2, 10), True),
    "dirt road": Place(models.dirt_road, ("sky", "park", "sunset"), (4, 12), True),
    "white rug": Place(models.white_rug, INDOOR, GROUND, False),
    "desert": Place(models.desert, ("sky", "sunset", "sunrise"), (2, 10), True),
    "forest": Place(models.forest, ("forest", "park"), (2, 10), True),
    "grass": Place(models.meadow, DAY, (4, 16), True),
    "plain": Place(models.plain, INDOOR, GROUND, False),
}
