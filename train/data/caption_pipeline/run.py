"""A run: what is to be done is planned, what is done already is kept, what was done is reported."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from lambda_eclipse.weights import write_json
from train.data.caption_pipeline.interleaved import FORMAT, KIND, write_manifest
from train.data.caption_pipeline.options import Options
from train.data.caption_pipeline.sources import Task, digest, plan
from train.data.caption_pipeline.statistics import Statistics, gather, write
from train.data.tars import name_of, read_done

SETTINGS = "settings.json"

Engine = Callable[[Sequence[Task]], Iterator[int]]


class Sized(Protocol):
    """A task, as far as `complete` knows it: one shard to be made of `size` things."""

    @property
    def number(self) -> int: ...

    @property
    def size(self) -> int: ...


def run(source: Path, out: Path, options: Options, engine: Engine) -> Statistics:
    """Writes the shards of `source` to `out`, then manifest and statistics.

    Run again, it makes only what is missing or was cut off. `engine`: runs tasks and yields the
    numbers of finished shards. Raises ValueError where `out` was begun with other settings or from
    another input, or lies in it.
    """
    if source.is_dir() and (out == source or source in out.parents):
        raise ValueError(f"{out} is in {source}: write the shards to a folder outside of it.")
    tasks = plan(source, options.per_shard)
    out.mkdir(parents=True, exist_ok=True)
    settle(out, {"format": FORMAT, **options.settings(), "input": digest(tasks)})
    ordered = complete(out, KIND, tasks, engine, "pictures")
    write_manifest(out, ordered)
    statistics = gather(ordered)
    write(out, statistics)
    return statistics


def complete(
    out: Path, kind: str, tasks: Sequence[Sized], engine: Callable, unit: str
) -> list[dict[str, Any]]:
    """Runs the tasks whose shards of a kind are missing; what all shards' `.json` say, in order.

    Progress goes to stderr. `unit`: what a task's size and a report's "seen" count.
    """
    for leftover in out.glob(f".{kind}-*"):
        leftover.unlink()  # of a killed run
    dones = {task.number: read_done(out, kind, task.number) for task in tasks}
    todo = [task for task in tasks if dones[task.number] is None]
    started, seen = time.monotonic(), 0
    for i, number in enumerate(engine(todo), 1):
        done = dones[number] = read_done(out, kind, number)
        seen += done["seen"]
        rate = seen / (time.monotonic() - started)
        left = rate and sum(task.size for task in todo) / rate - seen / rate
        print(
            f"{name_of(kind, number)}: kept {done['examples']} of {done['seen']}; {i} of "
            f"{len(todo)} shards, {rate:.1f} {unit}/s, {max(left, 0) / 3600:.1f} h left",
            file=sys.stderr,
            flush=True,
        )
    return [dones[task.number] for task in tasks]


def settle(out: Path, settings: dict[str, Any]) -> None:
    """Keeps the settings of a run with its shards; ValueError where it was begun with others."""
    path = out / SETTINGS
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        write_json(settings, path)
        return
    except ValueError:
        raise ValueError(f"{path} is damaged: take another folder with --out.") from None
    differ = [
        f"{key} is {settings.get(key)!r}, was {begun.get(key)!r}"
        for key in sorted(settings.keys() | begun.keys())
        if settings.get(key) != begun.get(key)
    ]
    if differ:
        raise ValueError(
            f"{out} was begun with other settings or from other pictures: {'; '.join(differ)}. "
            f"Go on with those, or take another folder with --out."
        )
