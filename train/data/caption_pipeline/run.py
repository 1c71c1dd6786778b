"""A run of the pipeline: plan tasks, make the missing shards, count what is in them."""

from pathlib import Path

from train.data.caption_pipeline.options import Options
from train.data.caption_pipeline.sources import Task, digest, plan
from train.data.caption_pipeline.statistics import Statistics, gather, write
from train.data.interleaved_shards import FORMAT, KIND, write_manifest
from train.data.resumable import Engine, check_settings, complete


def run(source: Path, out: Path, options: Options, engine: Engine[Task]) -> Statistics:
    """Write the shards of `source` to `out`, then manifest and statistics.

    A second run makes only the missing shards. ValueError when `out` was begun with other settings
    or from another input, or lies within it.
    """
    if source.is_dir() and (out == source or source in out.parents):
        raise ValueError(f"{out} is in {source}: write the shards to a folder outside of it.")
    tasks = plan(source, options.per_shard)
    out.mkdir(parents=True, exist_ok=True)
    check_settings(out, {"format": FORMAT, **options.settings(), "input": digest(tasks)})
    ordered = complete(out, KIND, tasks, engine, "pictures")
    write_manifest(out, ordered)
    statistics = gather(ordered)
    write(out, statistics)
    return statistics
