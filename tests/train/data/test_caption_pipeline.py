"""The whole pipeline on a handful of pictures, by small random models of the real classes."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_annotators
import synthetic_pictures
from PIL import Image
from repository import ROOT

from train.data.caption_pipeline.annotator import Annotator, cut_out
from train.data.caption_pipeline.filters import Detection
from train.data.caption_pipeline.nouns import NounFinder
from train.data.caption_pipeline.options import Options
from train.data.caption_pipeline.run import run
from train.data.caption_pipeline.sources import Chunk, Task, read
from train.data.caption_pipeline.steps import work
from train.data.engines import run_local
from train.data.interleaved_shards import InterleavedShards, split_of

PICTURES, PER_SHARD = 14, 2


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return small_annotators.build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = synthetic_pictures.write_folder(tmp_path_factory.mktemp("in") / "pictures", PICTURES)
    synthetic_pictures.spoil(folder)
    return folder


@pytest.fixture(scope="module")
def options(models: dict[str, str]) -> Options:
    # The boxes of random networks nearly fill the picture.
    return Options(**models, caption_tokens=1, per_shard=PER_SHARD, batch=2, box_ratio="aspect")


def run_here(source: Path, out: Path, options: Options):
    return run(source, out, options, lambda tasks: run_local(tasks, work(options, out)))


@pytest.fixture(scope="module")
def finished(source: Path, options: Options, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    run_here(source, out, options)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def command(source: Path, out: Path, models: dict[str, str], *more: str) -> list[str]:
    folders = [x for k, v in models.items() for x in (f"--{k.replace('_', '-')}", v)]
    return [
        *(sys.executable, "-m", "train.data.caption_pipeline", "--input", str(source)),
        *("--out", str(out), "--caption-tokens", "1", "--per-shard", str(PER_SHARD)),
        *("--batch", "2", "--box-ratio", "aspect", *folders, *more),
    ]


def test_every_picture_is_kept_or_counted(finished: Path) -> None:
    statistics = json.loads((finished / "statistics.json").read_text())
    examples = list(InterleavedShards(finished))
    assert statistics["seen"] == PICTURES + 5
    assert len(examples) == statistics["pictures"] >= 5
    assert len(examples) + sum(statistics["dropped"].values()) == statistics["seen"]
    assert statistics["dropped"]["damaged, too large, or not a picture"] == 3
    assert statistics["dropped"]["no nouns in the caption"] >= 1
    by_subjects = {str(n): 0 for n in range(1, 5)}
    for example in examples:
        by_subjects[str(len(example.subjects))] += 1
    assert statistics["pictures_by_subjects"] == by_subjects
    names = {e.nouns[s.noun].name for e in examples for s in e.subjects}
    assert statistics["unique_subjects"] == len(names)
    assert statistics["splits"] == {
        split: sum(e.split == split for e in examples) for split in ("train", "validation")
    }


def test_examples_are_what_the_format_says(finished: Path, source: Path) -> None:
    for example in InterleavedShards(finished):
        assert example.caption in small_annotators.CAPTIONS
        image = example.image()
        assert image.size == (1024, 1536)
        original = np.asarray(Image.open(source / example.source), dtype=int)
        assert np.abs(np.asarray(image) - original).max() < 9  # a JPEG of a JPEG
        assert example.split == split_of(example.sha256)
        for subject, cutout in zip(example.subjects, example.cutouts(), strict=True):
            left, top, right, bottom = subject.box
            assert 0 <= left < right <= 1024 and 0 <= top < bottom <= 1536
            assert 0.08 <= (right - left) / (bottom - top) <= 0.7
            assert 0.3 <= subject.score <= 1
            assert 0.4 <= subject.mask_share <= 1
            assert cutout.size == (224, 224)
            pixels = np.asarray(cutout)
            assert (pixels[0] == 255).all() and (pixels[:, 0] == 255).all()  # the margin
            assert 0.02 < (pixels < 250).any(axis=2).mean() < 0.9


def test_tables_and_plots(finished: Path) -> None:
    table = (finished / "statistics.md").read_text()
    kept = json.loads((finished / "statistics.json").read_text())["pictures"]
    assert f"Of {PICTURES + 5} entries {kept} were kept." in table
    assert "| 1,479,785 | 74.4 % |" in table
    assert "not a picture | 3 | bad-cut.jpg, bad-empty.jpg, bad-text.png |" in table
    plot = (finished / "statistics.svg").read_text()
    assert plot.startswith("<svg") and f"{kept} pictures" in plot


def test_a_killed_run_goes_on_to_equal_bytes(
    source: Path, models: dict[str, str], options: Options, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    started = subprocess.Popen(command(source, out, models), cwd=ROOT, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 600
    while not list(out.glob("interleaved-*.json")) and time.monotonic() < limit:
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    shards = -(-(PICTURES + 5) // PER_SHARD)
    done = sorted(out.glob("interleaved-*.json"))
    assert 0 < len(done) < shards and not (out / "manifest.json").exists()
    written = {path: path.stat().st_mtime_ns for path in done}
    (out / ".interleaved-000007.tar.part").write_bytes(b"half of a shard")

    numbers = []

    def engine(tasks):
        for number in run_local(tasks, work(options, out)):
            numbers.append(number)
            yield number

    run(source, out, options, engine)
    assert len(numbers) == shards - len(done)
    assert {path: path.stat().st_mtime_ns for path in done} == written
    assert content(out) == content(finished)

    # Once more: nothing is left to do; a shard that was lost is made again.
    numbers.clear()
    run(source, out, options, engine)
    assert not numbers
    lost = max(out.glob("*.tar"))
    lost.unlink()
    run(source, out, options, engine)
    assert [f"interleaved-{number:06d}.tar" for number in numbers] == [lost.name]
    assert content(out) == content(finished)


def test_other_settings_or_pictures_do_not_mix_into_a_run(
    source: Path, models: dict[str, str], options: Options, finished: Path, tmp_path: Path
) -> None:
    other = Options(**models, caption_tokens=1, per_shard=PER_SHARD, box_ratio="sides")
    with pytest.raises(ValueError, match="box_ratio is 'sides', was 'aspect'.*--out"):
        run_here(source, finished, other)
    with pytest.raises(ValueError, match="outside"):
        run_here(source, source / "shards", options)
    fewer = synthetic_pictures.write_folder(tmp_path / "fewer", 2)
    with pytest.raises(ValueError, match="input is"):
        run_here(fewer, finished, options)


def test_the_batch_changes_nothing(
    source: Path, models: dict[str, str], finished: Path, tmp_path: Path
) -> None:
    one = Options(**models, caption_tokens=1, per_shard=PER_SHARD, batch=1, box_ratio="aspect")
    run_here(source, tmp_path, one)
    ours, theirs = list(InterleavedShards(tmp_path)), list(InterleavedShards(finished))
    assert [e.caption for e in ours] == [e.caption for e in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert [s.box for s in a.subjects] == [s.box for s in b.subjects]


def test_the_command_reports_and_refuses(source: Path, models: dict[str, str], tmp_path: Path):
    done = subprocess.run(
        command(tmp_path / "nowhere", tmp_path / "out", models),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "nowhere holds neither pictures" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


class Scripted:
    """Stands for the models: one caption for all, given boxes, masks of given shares."""

    def __init__(self, caption: str, boxes: list[Detection], share: float = 1.0) -> None:
        self.options = Options()
        self.nouns = NounFinder(self.options)
        self.caption = lambda images: [caption] * len(images)
        self.boxes = lambda images, named: [boxes] * len(images)
        self.share = share

    def masks(self, images, boxes):
        return [
            [self._mask(image, box) for box in mine]
            for image, mine in zip(images, boxes, strict=True)
        ]

    def _mask(self, image: Image.Image, box) -> np.ndarray:
        mask = np.zeros((image.height, image.width), dtype=bool)
        left, top, right, bottom = box
        mask[top : top + round(self.share * (bottom - top)), left:right] = True
        return mask


def annotate(tmp_path: Path, scripted: Scripted, white_rows: int = 0):
    image = synthetic_pictures.picture(0)
    image.paste("white", (0, 0, 1024, white_rows))
    image.save(tmp_path / "a.png")
    pictures, report = read(Task(0, str(tmp_path), ("a.png",)), 1024)
    ours = object.__new__(Annotator)
    ours.__dict__.update(vars(scripted), masks=scripted.masks)
    chunk = ours(Chunk(0, pictures, report))
    return chunk.items, dict(chunk.report.dropped), dict(chunk.report.boxes)


def box(name: str, left: int = 0, score: float = 0.5, size=(100, 150)) -> Detection:
    return Detection(name, name, (left, 1000, left + size[0], 1000 + size[1]), score)


SENTENCE = "a cat, a dog, a hat, a boat and a vase"
FIVE = [box(name, 100 * i) for i, name in enumerate("cat dog hat boat vase".split())]


@pytest.mark.parametrize(
    ("caption", "boxes", "more", "dropped", "subjects"),
    [
        (SENTENCE, FIVE[:4], {}, {}, ["cat", "dog", "hat", "boat"]),
        (SENTENCE, FIVE, {}, {"more than 4 subjects": 1}, None),
        (SENTENCE, [], {}, {"no box found": 1}, None),
        ("it is raining", FIVE, {}, {"no nouns in the caption": 1}, None),
        ("a cat " + "and a cat " * 6, FIVE, {}, {"more than 6 identical objects": 1}, None),
        (SENTENCE, FIVE[:2] * 4, {}, {}, ["cat", "dog"]),
        (SENTENCE, [*FIVE[:2] * 4, FIVE[2]], {}, {"more than 8 boxes": 1}, None),
        (SENTENCE, FIVE[:1] * 7, {}, {"more than 6 identical objects": 1}, None),
        (SENTENCE, [box("cat", score=0.29)], {}, {"no subject left by the filters": 1}, None),
        (SENTENCE, [box("cat", size=(71, 150)), FIVE[1]], {}, {}, ["dog"]),
        (SENTENCE, FIVE[:1], {"share": 0.39}, {"no subject left by the filters": 1}, None),
        (SENTENCE, FIVE[:1], {"white_rows": 152}, {}, ["cat"]),
        (SENTENCE, FIVE[:1], {"white_rows": 160}, {"white ground": 1}, None),
    ],
)
def test_each_filter_is_at_its_place(
    tmp_path: Path, caption: str, boxes: list, more: dict, dropped: dict, subjects: list | None
) -> None:
    scripted = Scripted(caption, boxes, more.get("share", 1.0))
    examples, causes, _ = annotate(tmp_path, scripted, more.get("white_rows", 0))
    assert causes == dropped
    if subjects is None:
        assert not examples
    else:
        [example] = examples
        assert [example.nouns[s.noun].text for s in example.subjects] == subjects


def test_boxes_are_counted_by_cause(tmp_path: Path) -> None:
    boxes = [box("cat", score=0.29), box("dog", size=(7, 100)), box("hat", 300)]
    _, _, counted = annotate(tmp_path, Scripted(SENTENCE, boxes, share=0.3))
    assert counted == {"logit": 1, "width-height ratio": 1, "mask too small for its box": 1}


def test_cut_outs_keep_aspect_colours_and_only_the_mask() -> None:
    image = Image.new("RGB", (400, 400), (0, 90, 0))
    image.paste((200, 30, 30), (100, 50, 200, 250))  # 100 × 200 px, red
    mask = np.zeros((400, 400), dtype=bool)
    mask[50:250, 100:200] = True
    mask[300:, :] = True  # of something else, outside of the box
    found = Image.open(io.BytesIO(cut_out(image, mask, (90, 40, 210, 260), Options())))
    pixels = np.asarray(found).astype(int)
    red = np.abs(pixels - (200, 30, 30)).max(axis=2) < 9
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert len(rows) / len(columns) == pytest.approx(2, rel=0.05)
    assert abs((columns[0] + columns[-1]) / 2 - 111.5) < 2
    assert abs((rows[0] + rows[-1]) / 2 - 111.5) < 2
    white = (pixels == 255).all(axis=2)
    assert (red | white).mean() > 0.95  # edges aside, and nothing of the ground
