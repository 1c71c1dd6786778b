"""Parts of a small sticker world, and a trainer's check, for the tests of the pocket trainers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lambda_eclipse.pocket.embedding import APPEARANCE, LAYOUT
from lambda_eclipse.pocket.tower import SEMANTIC
from train.loop.loop import train
from train.loop.task import Losses, Settings, Task, generator
from train.pocket.lexicon import DIM as LEXICON_DIM
from train.pocket.lexicon import Lexicon
from train.world.split import load_split
from train.world.sprites import Sprite, load

DIM = SEMANTIC + LAYOUT + APPEARANCE  # embedding width
TRAIN_SCENES, SCENES = 70, 64  # for training, and of each other side
TRAINED = "cat dog robot clown apple car ball guitar castle tower hat glasses".split()


def few_sprites() -> tuple[Sprite, ...]:
    """One drawing of each trained noun, a second of some, and held-out ones of most kinds."""
    held, (sprites, _) = load_split().sprites, load()
    allowed = [s for s in sprites if s.name not in held]
    chosen = [next(s for s in allowed if s.noun == noun) for noun in TRAINED]
    second = [[s for s in allowed if s.noun == noun][1] for noun in ("cat", "car")]
    hidden = {(s.kind, s.noun): s for s in sprites if s.name in held}
    per_kind: dict[str, list[Sprite]] = {}
    for (kind, _), sprite in hidden.items():
        per_kind.setdefault(kind, []).append(sprite)
    return (*chosen, *second, *(s for kind in per_kind.values() for s in kind[:2]))


def random_lexicon(folder: Path) -> Lexicon:
    """Words with random vectors in place of the sentence encoder's."""
    names = tuple(f"class {i}" for i in range(1000))
    words = (*dict.fromkeys(s.noun for s in few_sprites()), *names)
    vectors = torch.randn(len(words), LEXICON_DIM, generator=generator(5, 0))
    nouns = tuple(TRAINED[i] if i < len(TRAINED) else None for i in range(1000))
    return Lexicon(words, F.normalize(vectors, dim=-1), names, nouns)


def run_command(main: Callable[[], None], *flags: str, **options: object) -> None:
    """Run a trainer's command line."""
    line = [main.__module__, *(f"--{flag}" for flag in flags)]
    for name, value in options.items():
        line += ["--" + name.replace("_", "-"), *str(value).split()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", line)
        main()


@torch.no_grad()
def losses(task: Task, step: int = 0) -> Losses:
    """The losses of a step, without training."""
    task.model.train()
    found = task.loss(step)
    assert isinstance(found, dict)
    return found


def check_task(
    make: Callable[[Settings], Task], settings: Settings, folder: Path
) -> torch.nn.Module:
    """The loss falls, and is a function of weights and step; returns the averaged weights.

    So a resumed run repeats the uninterrupted one (`tests/train/loop`).
    """
    task, again = make(settings), make(settings)
    before = [losses(task, step) for step in range(3)]
    torch.randn(7)  # the global random state has no influence
    for step in (2, 0, 1):
        assert all(torch.equal(v, before[step][k]) for k, v in losses(again, step).items())
    finished = train(replace(task, evaluate=lambda model: {}), settings, folder)
    after = sum(losses(task, step)["loss"] for step in range(3))
    assert after < sum(parts["loss"] for parts in before)
    return finished
