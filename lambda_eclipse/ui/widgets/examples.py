"""The examples: one table. Pictures are file names in assets/subjects."""

from dataclasses import dataclass
from pathlib import Path

from lambda_eclipse.ui.i18n import mark

SUBJECTS = Path(__file__).resolve().parents[3] / "assets" / "subjects"


@dataclass(frozen=True)
class Example:
    """One example. group: a marked text. For Explore, four subjects: two of A, then two of B."""

    group: str
    prompt: str
    subjects: tuple[tuple[str, str], ...] = ()  # (noun, file name)
    canny: str | None = None
    seed: int = 0

    def files(self) -> list[Path]:
        """Every picture that this example needs."""
        names = [name for _, name in self.subjects] + ([self.canny] if self.canny else [])
        return [SUBJECTS / name for name in names]

    def complete(self) -> bool:
        """Whether all its pictures are there."""
        return all(path.is_file() for path in self.files())


ONE = mark("One subject")
TWO = mark("Two subjects")
EDGES = mark("Edge control")
WORDS = mark("Text only")

COMPOSE = (
    Example(ONE, "a cat on the beach", (("cat", "cat-1.png"),), seed=1),
    Example(ONE, "a dog in the snow", (("dog", "dog-1.png"),), seed=2),
    Example(ONE, "a robot in the jungle", (("robot", "robot-1.png"),), seed=3),
    Example(TWO, "a cat wearing a hat", (("cat", "cat-2.png"), ("hat", "hat-1.png")), seed=4),
    Example(
        TWO,
        "a cat wearing a hat on the beach",
        (("cat", "cat-photo.jpg"), ("hat", "hat-1.png")),
        seed=11,
    ),
    Example(
        TWO,
        "a dog and a cat playing in the garden",
        (("dog", "dog-2.png"), ("cat", "cat-1.png")),
        seed=5,
    ),
    Example(EDGES, "a cat on the beach", (("cat", "cat-1.png"),), canny="cat-2.png", seed=6),
    Example(WORDS, "a castle on top of the mountain", seed=7),
    Example(WORDS, "a boat with a rainbow in the background", seed=8),
)

EXPLORE = (
    Example(
        TWO,
        "a cat wearing a hat",
        (("cat", "cat-1.png"), ("cat", "cat-2.png"), ("hat", "hat-1.png"), ("hat", "hat-2.png")),
        seed=9,
    ),
    Example(
        TWO,
        "a dog looking at a robot",
        (
            ("dog", "dog-1.png"),
            ("dog", "dog-2.png"),
            ("robot", "robot-1.png"),
            ("robot", "robot-2.png"),
        ),
        seed=10,
    ),
)
