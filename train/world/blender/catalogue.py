"""Which objects are rendered, from where, and under which light: decided without Blender."""

import random
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

# Fixtures of buildings and road markings: they have no look of their own, or no volume.
SKIPPED = re.compile(
    r"door|window|plug|switch|socket|arrow|crossing|parking|rail|elevator|escalator|chimney|"
    r"porch column|hedge|swimming pool|sidewalk|strip|spotlight|intercom|unit$|lobby|living room|"
    r"detector|goal|lying down|hood|heater|radiator|curtain|blind|island|corner cabinet|carpet|rug|"
    r"tatami|sandpit|doormat|bathmat|bill |frame ",
    re.IGNORECASE,
)
# Kinds of the benchmarks come first, so that a run cut short has the most useful ones.
FIRST = re.compile(
    r"cat\b|dog\b|bulldog|horse|chicken|rabbit|deer|bear|doll|toy|sneaker|shoe|boot|mocassin|slipper|"
    r"backpack|bag|briefcase|suitcase|hat\b|cap\b|helmet|glasses|teapot|cup|mug|vase|clock|watch|"
    r"candle|bottle|jar|pot|bowl|can\b|guitar|piano|xylophone|camera|car\b|truck|bus|bike|scooter|"
    r"plane|train|boat|fruit|apple|cake|bread|hamburger|hot dog|fries|chair|stool|table|"
    r"lamp|lantern|"
    r"flower|tulip|lily|orchid|plant|cactus|ball|book|gift|barrel|crate|chest|radio|phone|headphone|"
    r"joystick|snowman|christmas|umbrella|robot|extinguisher|hydrant|teddy|rowboat|tricycle|"
    r"dress|jacket|glove|skateboard|sedan|chevrolet|smart|beetle|suv|van\b|sofa|armchair|beer",
    re.IGNORECASE,
)
VIEWS = (5, 3, 3)  # of each instance: as it is, and re-textured twice


@dataclass(frozen=True)
class Object3D:
    """An object of a furniture library (`.sh3f`, a zip of OBJ, MTL and textures)."""

    key: str
    name: str
    category: str
    library: str
    creator: str
    obj: str


@dataclass(frozen=True)
class View:
    """A camera and its light; angles in degrees."""

    azimuth: float
    elevation: float
    field_of_view: float
    environment: str
    environment_turn: float
    exposure: float


def catalogue(furniture: Path) -> list[Object3D]:
    """The objects of all libraries in a folder, the most useful first."""
    objects = []
    for archive in sorted(furniture.glob("*.sh3f")):
        with zipfile.ZipFile(archive) as library:
            rows = _properties(library)
        for number in sorted({int(k.split("#")[1]) for k in rows if k.startswith("model#")}):
            at = {k.split("#")[0]: v for k, v in rows.items() if k.endswith(f"#{number}")}
            model = at["model"].lstrip("/")
            if not model.endswith(".obj") or SKIPPED.search(at["name"]):
                continue
            key = re.sub(r"[^a-z0-9]+", "_", f"{archive.stem}_{Path(model).stem}_{number}".lower())
            objects.append(
                Object3D(
                    key, at["name"], at["category"], archive.stem, at.get("creator", ""), model
                )
            )
    return sorted(objects, key=lambda o: (not FIRST.search(o.name), random.Random(o.key).random()))


def _properties(library: zipfile.ZipFile) -> dict[str, str]:
    """A library's catalogue: a Java properties file, ISO 8859-1 with \\u escapes."""
    text = library.read("PluginFurnitureCatalog.properties").decode("latin-1")
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    return {k.strip(): v.strip().encode("latin-1").decode("unicode_escape") for k, v in pairs}


def views_of(key: str, instance: int, environments: list[str]) -> list[View]:
    """The views of an instance; most of them from the front half, where faces are."""
    views = []
    for number in range(VIEWS[instance]):
        draw = random.Random(f"{key} {instance} {number}")
        reach = 75 if draw.random() < 0.75 else 180
        views.append(
            View(
                azimuth=draw.uniform(-reach, reach),
                elevation=draw.triangular(-5, 50, 12),
                field_of_view=draw.uniform(15, 40),
                environment=draw.choice(environments),
                environment_turn=draw.uniform(0, 360),
                exposure=draw.uniform(0.75, 1.35),
            )
        )
    return views


def jobs(objects: list[Object3D]) -> list[tuple[Object3D, int]]:
    """Every (object, instance): the useful kinds first, each as it is before re-textured."""
    useful = [o for o in objects if FIRST.search(o.name)]
    rest = [o for o in objects if not FIRST.search(o.name)]
    return [(o, i) for group in (useful, rest) for i in range(len(VIEWS)) for o in group]
