"""The pipeline on Ray: a worker dies half-way, and the shards are those of one machine."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
import small_annotators
import synthetic_pictures
import torch

from train.data.caption_pipeline.options import Options
from train.data.caption_pipeline.run import run
from train.data.caption_pipeline.steps import work
from train.data.engines import run_local, run_ray

# Ray and Arrow take more than 400 MB, so that tests/run.sh does not install them.
ray = pytest.importorskip("ray", reason='Ray is optional: pip install "ray[data]"')

SHARDS, PER_SHARD = 12, 2


def kill_an_annotator(out: Path, killed: list[tuple[int, int]], over: threading.Event) -> None:
    """Kills (SIGKILL) one of this test's annotators at its work, after the first shard is done."""
    while not over.is_set():
        if written := len(list(out.glob("interleaved-*.json"))):
            for process in psutil.Process().children(recursive=True):
                command = " ".join(process.cmdline())
                # Ray gives its processes the names of what they do at the moment.
                if command.startswith("ray::") and "_Annotate" in command and "submit" in command:
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append((process.pid, written))
                    return
        time.sleep(0.01)


def test_two_workers_one_of_them_killed_write_the_shards_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One thread everywhere: Ray gives its workers one each, and sums depend on their number.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    source = synthetic_pictures.write_folder(tmp_path / "pictures", SHARDS * PER_SHARD)
    options = Options(
        **small_annotators.build(tmp_path / "models"),
        caption_tokens=1,
        per_shard=PER_SHARD,
        batch=1,
    )
    out, local = tmp_path / "ray", tmp_path / "local"
    killed: list[tuple[int, int]] = []  # process, shards written by then
    over = threading.Event()
    killer = threading.Thread(target=kill_an_annotator, args=(out, killed, over), daemon=True)
    # Idle processes are kept, so that writing need not wait for new ones to start.
    keep = {"idle_worker_killing_time_threshold_ms": 600_000}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _system_config=keep)
    try:
        killer.start()
        numbers = []

        def engine(tasks):
            for number in run_ray(tasks, work(options, out), workers=2):
                numbers.append(number)
                yield number

        run(source, out, options, engine)
    finally:
        over.set()
        ray.shutdown()
    killer.join()
    assert killed, "the run was over before a worker could be killed"
    assert 0 < killed[0][1] < SHARDS
    assert sorted(numbers) == list(range(SHARDS))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the environment came too late for this process
    try:
        run(source, local, options, lambda tasks: run_local(tasks, work(options, local)))
    finally:
        torch.set_num_threads(threads)
    names = sorted(path.name for path in local.iterdir())
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        assert (out / name).read_bytes() == (local / name).read_bytes(), name
