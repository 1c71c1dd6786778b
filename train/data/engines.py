"""Engines, which run the steps of a work: in this process, or with Ray Data on a cluster.

Both write equal shards: a shard is a function of its task and the options. The models' libraries
are imported only in processes that run models.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

# Shares of a core: with one annotator per core, reading and writing still get scheduled.
ANNOTATOR_CPUS, IO_CPUS = 0.75, 0.25


@dataclass(frozen=True)
class Work:
    """The steps of each task: read, apply models, write; can be pickled.

    read: task → chunk. load: the models, a callable chunk → chunk. write: chunk → number of its
    shard. gpu: whether the models need one.
    """

    read: Callable[[Any], Any]
    load: Callable[[], Callable[[Any], Any]]
    write: Callable[[Any], int]
    gpu: bool = False


def run_local(tasks: Sequence[Any], work: Work) -> Iterator[int]:
    """Run the tasks one by one; yields the number of each shard after it is written.

    A second thread reads one task ahead, so the models do not wait for the disk.
    """
    if not tasks:
        return
    annotate = work.load()
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(work.read, tasks[0])
        for following in [*tasks[1:], None]:
            chunk = ahead.result()
            if following is not None:
                ahead = reader.submit(work.read, following)
            yield work.write(annotate(chunk))


def run_ray(tasks: Sequence[Any], work: Work, workers: int) -> Iterator[int]:
    """Run the tasks on the Ray cluster of this machine, or on its cores if it is in none.

    Yields like `run_local`, in any order. workers: annotators, each on one core and, if the work
    needs one, one GPU. Code, input and output must have the same paths on all machines. The tasks
    of a dead worker are run again. ValueError without Ray.
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
    written = (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .map(_read, fn_args=(work,), num_cpus=IO_CPUS)
        .map(
            _Annotate,
            fn_constructor_args=(work,),
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(tasks))),
            num_cpus=ANNOTATOR_CPUS,
            num_gpus=1 if work.gpu else 0,
        )
        .map(_write, fn_args=(work,), num_cpus=IO_CPUS)
    )
    for row in written.iter_rows():
        yield row["number"]


def _read(row: Row, work: Work) -> Row:
    """The work's `read` on rows: a pickled task becomes a pickled chunk."""
    return {"payload": pickle.dumps(work.read(pickle.loads(row["payload"])))}


class _Annotate:
    """The work's models on rows of pickled chunks."""

    def __init__(self, work: Work) -> None:
        self.annotate = work.load()

    def __call__(self, row: Row) -> Row:
        return {"payload": pickle.dumps(self.annotate(pickle.loads(row["payload"])))}


def _write(row: Row, work: Work) -> Row:
    """The work's `write` on rows: a pickled chunk becomes the number of its shard."""
    return {"number": work.write(pickle.loads(row["payload"]))}
