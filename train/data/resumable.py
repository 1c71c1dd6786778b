"""Making a folder of shards task by task: its settings, what is done, and what is still to do."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lambda_eclipse.weights import write_json
from train.data.tars import name_of, read_done
from train.loop.checkpoints import differences

SETTINGS = "settings.json"


class Task(Protocol):
    """One shard to make, of `size` inputs."""

    @property
    def number(self) -> int: ...

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Task)
Engine = Callable[[Sequence[T]], Iterator[int]]  # runs tasks, yields the numbers of made shards


def complete(
    out: Path, kind: str, tasks: Sequence[T], engine: Engine[T], unit: str
) -> list[dict[str, Any]]:
    """Run the tasks whose shards of a kind are missing; returns all shards' `.json`, in order.

    Progress goes to stderr. unit: of a task's size and a report's "seen".
    """
    for leftover in out.glob(f".{kind}-*"):
        leftover.unlink()  # of a killed run
    dones = {task.number: read_done(out, kind, task.number) for task in tasks}
    todo = [task for task in tasks if dones[task.number] is None]
    started, seen = time.monotonic(), 0
    for i, number in enumerate(engine(todo), 1):
        done = dones[number] = read_done(out, kind, number)
        assert done is not None, f"{name_of(kind, number)} was not written"
        seen += done["seen"]
        rate = seen / (time.monotonic() - started)
        left_s = max(sum(task.size for task in todo) - seen, 0) / rate if rate else 0.0
        print(
            f"{name_of(kind, number)}: kept {done['examples']} of {done['seen']}; {i} of "
            f"{len(todo)} shards, {rate:.1f} {unit}/s, {left_s / 3600:.1f} h left",
            file=sys.stderr,
            flush=True,
        )
    return [done for task in tasks if (done := dones[task.number]) is not None]


def check_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Keep the settings beside the shards; ValueError when the folder was begun with others."""
    path = out / SETTINGS
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        write_json(settings, path)
        return
    except ValueError:
        raise ValueError(f"{path} is damaged: use another folder with --out.") from None
    if differ := differences(settings, begun):
        raise ValueError(
            f"{out} was begun with other settings or from other pictures: {'; '.join(differ)}. "
            f"Go on with those, or take another folder with --out."
        )
