"""The steps of an engine: read a task, annotate it, write its shard.

The models' libraries are imported only by `load_step`, so a process that only reads or writes
starts quickly.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from train.data.caption_pipeline.options import Options
from train.data.caption_pipeline.sources import Chunk, Task, read
from train.data.caption_pipeline.statistics import counts
from train.data.engines import Work
from train.data.interleaved_shards import Example, write_shard


def read_step(task: Task, options: Options) -> Chunk:
    """The usable pictures of a task."""
    return Chunk(task.number, *read(task, options.min_px))


def write_step(chunk: Chunk, out: Path) -> int:
    """Write the shard of an annotated chunk; returns its number."""
    examples: list[Example] = chunk.items
    report = {**chunk.report.to_json(), **counts(examples)}
    write_shard(out, chunk.number, examples, report)
    return chunk.number


def load_step(options: Options) -> Callable[[Chunk], Chunk]:
    """The annotator with its models."""
    from train.data.caption_pipeline.annotator import Annotator

    return Annotator(options)


def work(options: Options, out: Path) -> Work:
    """The work for an engine."""
    return Work(
        partial(read_step, options=options),
        partial(load_step, options),
        partial(write_step, out=out),
        gpu=options.device.startswith("cuda"),
    )
