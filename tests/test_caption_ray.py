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

from train.caption_pipeline.engines import run_local, run_ray
from train.caption_pipeline.options import Options
from train.caption_pipeline.run import run

# Ray and Arrow take more than 400 MB, so that tests/run.sh does not install them.
ray = pytest.importorskip("ray", reason='Ray is optional: pip install "ray[data]"')

SHARDS = 12


def kill_an_annotator(out: Path, killed: list[int], deadline_s: float = 120) -> None:
    """Kills one of this test's annotators (SIGKILL) as soon as a first shard is written."""
    limit = time.monotonic() + deadline_s
    while time.monotonic() < limit and not list(out.glob("interleaved-*.json")):
        time.sleep(0.01)
    for process in psutil.Process().children(recursive=True):
        command = " ".join(process.cmdline())
        if command.startswith("ray::") and "_Annotate" in command:
            if len(list(out.glob("interleaved-*.json"))) < SHARDS:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
            return


def test_two_workers_one_of_them_killed_write_the_shards_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One thread everywhere: Ray gives its workers one each, and sums depend on their number.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    source = synthetic_pictures.write_folder(tmp_path / "pictures", SHARDS)
    options = Options(
        **small_annotators.build(tmp_path / "models"), caption_tokens=1, per_shard=1, batch=1
    )
    out, local = tmp_path / "ray", tmp_path / "local"
    killed: list[int] = []
    killer = threading.Thread(target=kill_an_annotator, args=(out, killed), daemon=True)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        killer.start()
        numbers = []

        def engine(tasks):
            for number in run_ray(tasks, options, out, workers=2):
                numbers.append(number)
                yield number

        run(source, out, options, engine)
        killer.join()
    finally:
        ray.shutdown()
    assert killed, "the run was over before a worker could be killed"
    assert sorted(numbers) == list(range(SHARDS))

    run(source, local, options, lambda tasks: run_local(tasks, options, local))
    names = sorted(path.name for path in local.iterdir())
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        assert (out / name).read_bytes() == (local / name).read_bytes(), name
