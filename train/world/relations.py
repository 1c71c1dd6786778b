"""The relations of sticker world: sentence templates (paper, Table 8), each with one layout."""

from dataclasses import dataclass

ANY = ("animal", "person", "food", "vehicle", "thing", "building", "head", "eyes")
_ACTOR = ("animal", "person")
_SUPPORT = ("vehicle", "thing", "food", "animal")
_QUARRY = ("animal", "person", "food", "vehicle")
_HOUSE = ("building",)


@dataclass(frozen=True)
class Spot:
    """Centre and long side of a subject, in pixels.

    Centred like the isolated view, so that the scene shows the view moved and scaled.
    """

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Relation:
    """Sentence templates and their one layout. `layers`: subjects from back to front."""

    name: str
    weight: float
    templates: tuple[str, ...]
    kinds: tuple[tuple[str, ...], ...]
    spots: tuple[Spot, ...]
    layers: tuple[int, ...]


# Relations share spots: the prior must learn one map from view to scene for each.
LEFT, RIGHT = Spot(33, 80, 62), Spot(95, 80, 62)
TOP, BASE = Spot(64, 40, 56), Spot(64, 94, 62)
BEHIND = Spot(64, 54, 94)
QUARTERS = (Spot(34, 40, 46), Spot(94, 40, 46), Spot(34, 98, 46), Spot(94, 98, 46))
_PAIR, _STACK = (LEFT, RIGHT), (TOP, BASE)

# name → weight, kinds of the subjects, their spots, layers
_LAYOUTS: dict[str, tuple[float, tuple[tuple[str, ...], ...], tuple[Spot, ...], str]] = {
    "alone": (30, (ANY,), (Spot(64, 68, 92),), "0"),
    "and": (20, (ANY, ANY), _PAIR, "01"),
    "wearing": (14, (_ACTOR, ("head", "eyes")), (Spot(64, 79, 80), Spot(64, 0, 48)), "01"),
    "chasing": (5, (_ACTOR, _QUARRY), _PAIR, "01"),
    "looking": (5, (_ACTOR, ANY), _PAIR, "01"),
    "sitting": (5, (_ACTOR, _SUPPORT), _STACK, "10"),
    "standing": (5, (_ACTOR, _SUPPORT), _STACK, "01"),
    "front": (6, (ANY, _HOUSE), (Spot(64, 98, 54), BEHIND), "10"),
    "with two": (5, (ANY, ANY, ANY), (TOP, *QUARTERS[2:]), "012"),
    "front of": (4, (ANY, ANY, _HOUSE), (*QUARTERS[2:], BEHIND), "201"),
    "background": (4, (ANY, ANY, ("building", "thing")), (LEFT, RIGHT, TOP), "201"),
    "four": (3, (ANY, ANY, ANY, ANY), QUARTERS, "0123"),
}
# of the relations in the same order; the phrase of the place follows
_TEMPLATES = """
    {0} | {0} | a picture of {0} | {0} standing
    {0} and {1} | {0} and {1} playing | {0} with {1} | {0} and {1} standing next to each other
    {0} wearing {1} | {0} wearing {1} | {0} in {1}
    {0} chasing {1} | {0} running after {1}
    {0} looking at {1} | {0} watching {1}
    {0} sitting on {1} | {0} is sitting on {1}
    {0} standing on {1} | {0} standing on top of {1}
    {0} in front of {1} | {0} with a view of {1}
    {0} with {1} and {2} | {0} between {1} and {2}
    {0} with {1} in front of {2} | {0} and {1} in front of {2}
    {0} with {1} and {2} in the background | {0} with {1} and a view of {2}
    {0}, {1}, {2} and {3} | {0} and {1} with {2} and {3}
"""
RELATIONS: tuple[Relation, ...] = tuple(
    Relation(
        name,
        weight,
        tuple(f"{template.strip()} {{p}}" for template in templates.split("|")),
        kinds,
        spots,
        tuple(map(int, layers)),
    )
    for (name, (weight, kinds, spots, layers)), templates in zip(
        _LAYOUTS.items(), _TEMPLATES.strip().splitlines(), strict=True
    )
)
