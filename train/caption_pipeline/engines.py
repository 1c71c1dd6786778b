"""Who runs the steps: this process, or Ray Data on as many machines as there are.

Both give equal shards: a shard depends on its task and the options alone. Its `.json` is written
last, so that what a killed run left is done again, and nothing else. The models' libraries are
imported only where models run.
"""

import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from train.caption_pipeline.options import Options
from train.caption_pipeline.sources import Task
from train.caption_pipeline.steps import Chunk, read_step, write_step

Row = dict[str, Any]

# Of a core, so that as many annotators as a machine has cores leave room for reading and writing.
ANNOTATOR_CPUS, IO_CPUS = 0.75, 0.25


def run_local(tasks: Sequence[Task], options: Options, out: Path) -> Iterator[int]:
    """Runs the tasks one after the other; yields the number of each shard when it is written.

    A second thread reads one task ahead, so that the models need not wait for the disk.
    """
    if not tasks:
        return
    from train.caption_pipeline.annotator import Annotator

    annotate = Annotator(options)
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read_step, tasks[0], options)
        for following in [*tasks[1:], None]:
            chunk = ahead.result()
            if following is not None:
                ahead = reader.submit(read_step, following, options)
            yield write_step(annotate(chunk), out)


def run_ray(tasks: Sequence[Task], options: Options, out: Path, workers: int) -> Iterator[int]:
    """Runs the tasks on the Ray cluster that this machine is part of, else on its own cores.

    Yields like `run_local`, in any order. `workers`: annotators, each on a core and, where the
    options say so, a GPU of its own. This code, input and output must be at the same paths on all
    machines. A task whose worker died is run again elsewhere. ValueError without ray.
    """
    if not tasks:
        return
    try:
        import ray
    except ImportError:
        raise ValueError('--engine ray needs Ray: pip install "ray[data]"') from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    rows = [{"payload": pickle.dumps(task)} for task in tasks]
    gpus = 1 if options.device.startswith("cuda") else 0
    written = (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .map(_read, fn_args=(options,), num_cpus=IO_CPUS)
        .map(
            _Annotate,
            fn_constructor_args=(options,),
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(tasks))),
            num_cpus=ANNOTATOR_CPUS,
            num_gpus=gpus,
        )
        .map(_write, fn_args=(out,), num_cpus=IO_CPUS)
    )
    for row in written.iter_rows():
        yield row["number"]


def _read(row: Row, options: Options) -> Row:
    """`read_step` on rows: a pickled task becomes a pickled chunk."""
    task: Task = pickle.loads(row["payload"])
    return {"payload": pickle.dumps(read_step(task, options))}


class _Annotate:
    """`Annotator` on rows of pickled chunks."""

    def __init__(self, options: Options) -> None:
        from train.caption_pipeline.annotator import Annotator

        self.annotate = Annotator(options)

    def __call__(self, row: Row) -> Row:
        chunk: Chunk = pickle.loads(row["payload"])
        return {"payload": pickle.dumps(self.annotate(chunk))}


def _write(row: Row, out: Path) -> Row:
    """`write_step` on rows: a pickled chunk becomes the number of its shard."""
    return {"number": write_step(pickle.loads(row["payload"]), out)}
