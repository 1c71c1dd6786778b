"""The held-out side: whole concepts, one style of other concepts, and pairs of nouns.

`python -m train.world.split` wrote `data/split.json`; training draws only from its training side.
The nouns of the paper's Table 9 and of the photographs in the tests stay in training.
"""

import functools
import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path

from train.world.concepts import CONCEPTS
from train.world.sprites import DATA, Sprite, load

_KEPT = frozenset(
    "cat dog bird horse hamster glasses hat tower boat castle ruins rainbow candle backpack can "
    "church guitar trumpet vase robot coffee rocket motorcycle lion leopard".split()
) | {"teddy bear"}
_HELD_CONCEPTS, _HELD_STYLES, _HELD_PAIRS = 12, 48, 400


@dataclass(frozen=True)
class Split:
    """The held-out side: sprite names and unordered pairs of nouns."""

    concepts: frozenset[str]
    sprites: frozenset[str]
    pairs: frozenset[frozenset[str]]

    def is_train(self, sprites: tuple[Sprite, ...]) -> bool:
        """Whether a scene of these sprites may be trained on."""
        nouns = {sprite.noun for sprite in sprites}
        return not any(s.name in self.sprites for s in sprites) and not any(
            frozenset(pair) in self.pairs for pair in itertools.combinations(sorted(nouns), 2)
        )


def draw(seed: int = 0) -> dict[str, list]:
    """Draws the split once."""
    rng = random.Random(seed)
    sprites, _ = load()
    free = [c.noun for c in CONCEPTS if c.noun not in _KEPT and c.kind not in ("head", "eyes")]
    concepts = sorted(rng.sample(free, _HELD_CONCEPTS))
    others = [c.noun for c in CONCEPTS if c.noun not in concepts]
    held = [s.name for s in sprites if s.noun in concepts]
    for noun in sorted(rng.sample(others, _HELD_STYLES)):
        held.append(rng.choice([s.name for s in sprites if s.noun == noun]))
    pairs = rng.sample(list(itertools.combinations(sorted(others), 2)), _HELD_PAIRS)
    return {"concepts": concepts, "sprites": sorted(held), "pairs": sorted(map(list, pairs))}


@functools.cache
def load_split(path: Path = DATA / "split.json") -> Split:
    """The split that every training and every evaluation uses."""
    text = json.loads(path.read_text())
    return Split(
        frozenset(text["concepts"]),
        frozenset(text["sprites"]),
        frozenset(frozenset(pair) for pair in text["pairs"]),
    )


if __name__ == "__main__":
    (DATA / "split.json").write_text(json.dumps(draw(), indent=0) + "\n")
