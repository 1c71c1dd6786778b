"""The page over a fake studio: what it asks for, what it refuses, how it stops."""

import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from fakes import FakeStudio
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from repository import ROOT

import app
from lambda_eclipse.explore.atlas import place
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import MAX_SEED
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.compose.view import compose_view
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.explore import jobs as explore_jobs
from lambda_eclipse.ui.explore.cell_pictures import backdrop
from lambda_eclipse.ui.explore.view import explore_view
from lambda_eclipse.ui.explore_form import SquareForm
from lambda_eclipse.ui.form import (
    STACK_DEFAULT,
    ComposeForm,
    SlotForm,
    SlotsForm,
    fresh_seed,
    read_seed,
)
from lambda_eclipse.ui.html import meter_html, progress_html
from lambda_eclipse.ui.page import Page, build, launch
from lambda_eclipse.ui.run import Pace, Update
from lambda_eclipse.ui.status import EngineError
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.examples import COMPOSE, EXPLORE
from lambda_eclipse.ui.widgets.square_pad import SquarePad
from lambda_eclipse.ui.widgets.token_strip import Chip, strip_html


def ready(studio: FakeStudio) -> Engine:
    engine = Engine(lambda progress: studio)
    engine.load()
    return engine


@pytest.fixture(scope="module")
def studio() -> FakeStudio:
    return FakeStudio(step_s=0.01)


@pytest.fixture(scope="module")
def demo(studio: FakeStudio) -> Iterator[gr.Blocks]:
    page = build(ready(studio))
    launch(page, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    yield page
    page.close()


@pytest.fixture(scope="module")
def client(demo: gr.Blocks) -> Client:
    return Client(demo.local_url, verbose=False)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    pixels = np.full((96, 128, 3), 255, np.uint8)
    pixels[20:80, 40:90] = np.random.default_rng(0).integers(0, 200, (60, 50, 3), np.uint8)
    path = tmp_path_factory.mktemp("photos") / "cat.png"
    Image.fromarray(pixels).save(path)
    return str(path)


def square(photo: str) -> dict:
    picture = handle_file(photo)
    return {
        "corners_from": "subjects",
        "prompt": "a cat wearing a hat",
        "noun_a": "cat",
        "picture_a1": picture,
        "picture_a2": picture,
        "noun_b": "hat",
        "picture_b1": picture,
        "picture_b2": picture,
        "steps": 5,
    }


# The page as a whole


def test_the_page_is_up_before_the_models_are() -> None:
    code = (
        "import sys, app; "
        "print(sorted({'torch', 'diffusers', 'open_clip', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_page_leaves_steps_to_the_stack_until_it_is_known(demo: gr.Blocks) -> None:
    sliders = [b for b in demo.blocks.values() if b.elem_id in ("steps", "explore-steps")]
    assert [slider.value for slider in sliders] == [STACK_DEFAULT] * 2


def test_options() -> None:
    chosen = app.options([])
    assert (chosen.stack, chosen.device, chosen.share) == ("auto", "auto", False)
    chosen = app.options(["--stack", "pocket", "--device", "cpu", "--port", "80", "--share"])
    assert (chosen.stack, chosen.device, chosen.port, chosen.share) == ("pocket", "cpu", 80, True)
    with pytest.raises(SystemExit):
        app.options(["--device", "toaster"])


def test_every_widget_can_be_addressed(demo: gr.Blocks) -> None:
    widgets = [
        block
        for block in demo.blocks.values()
        if isinstance(block, gr.components.Component)
        and type(block).__name__ not in ("Api", "Timer", "State", "BrowserState")  # nothing to see
    ]
    assert not [block for block in widgets if not block.elem_id]
    names = [block.elem_id for block in widgets]
    assert len(names) == len(set(names))


def test_the_browser_knows_every_widget(demo: gr.Blocks) -> None:
    known = {name.lower() for name in dir(gr)} | {"form", "tabitem"}
    assert {block["type"] for block in demo.config["components"]} <= known


def test_public_endpoints_and_their_parameters(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {
        "/generate",
        "/mask",
        "/edges",
        "/at",
        "/grid",
        "/path",
        "/reproduce",
    }
    names = [p["parameter_name"] for p in endpoints["/generate"]["parameters"]]
    assert names[:4] == ["prompt", "noun_1", "picture_1", "mask_1"] and "seed" in names
    assert "visit" not in names
    assert all(endpoint["description"] for endpoint in endpoints.values())


def test_one_heavy_request_at_a_time(demo: gr.Blocks) -> None:
    heavy = [f for f in demo.fns.values() if f.concurrency_id == "studio"]
    assert len(heavy) > 10
    assert {f.concurrency_limit for f in heavy} == {1}


def test_fake_and_real_studio_agree() -> None:
    for name in ("embed", "paint"):
        real = list(inspect.signature(getattr(Studio, name)).parameters)
        fake = list(inspect.signature(getattr(FakeStudio, name)).parameters)
        assert fake == real, name


@pytest.mark.parametrize("example", [*COMPOSE, *EXPLORE], ids=lambda example: example.prompt)
def test_examples_are_complete(example) -> None:
    missing = [path.name for path in example.files() if not path.is_file()]
    assert not missing, f"assets/subjects lacks {missing}"
    assert 0 <= example.seed <= MAX_SEED
    for noun, _ in example.subjects:
        assert noun in example.prompt.split()
    if example in EXPLORE:
        nouns = [noun for noun, _ in example.subjects]
        assert len(nouns) == 4 and nouns[0] == nouns[1] and nouns[2] == nouns[3]


# Reading the form


def test_slots_become_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda message, title: warnings.append(message))
    slot = SlotForm(" cat ", "a.png", None, 0.5, 2)
    form = ComposeForm("a cat", SlotsForm.filled([SlotForm(), slot]).slots)
    assert form.checked().subjects == (SlotForm("cat", "a.png", None, 0.5, 2),)
    assert not warnings
    words = SlotsForm.filled([SlotForm("<b>cat</b>"), SlotForm("hat")])
    assert ComposeForm("a cat", words.slots).checked().subjects == ()
    assert "“&lt;b&gt;cat&lt;/b&gt;”" in warnings[0] and len(warnings) == 2
    with pytest.raises(gr.Error, match="Subject 2 has a picture but no noun"):
        ComposeForm("a cat", SlotsForm.filled([slot, SlotForm(" ", "b.png")]).slots).checked()


def test_seeds() -> None:
    assert read_seed(MAX_SEED) == MAX_SEED == 2**31 - 1
    assert read_seed(7.0) == 7
    assert 0 <= fresh_seed() <= MAX_SEED - 16
    for wrong in (None, -1, 2**31):
        with pytest.raises(gr.Error, match="2147483647"):
            read_seed(wrong)


def test_typed_text_is_escaped() -> None:
    evil = "<img src=x onerror=alert(1)>"
    for html in (
        progress_html(Update(evil, 0.5)),
        progress_html(note=evil),
        strip_html([Chip(evil, 0), Chip(evil), Chip(evil, None, (1, 2)), Chip(evil, cut=True)]),
        strip_html([], [evil]),
        meter_html([(evil, 0.5, evil)], evil),
    ):
        assert "<img" not in html


def test_the_pad_takes_only_points() -> None:
    pad = SquarePad(render=False)
    assert pad.preprocess({"x": 0.25, "y": 1}) == (0.25, 1.0)
    assert pad.preprocess({"x": -3, "y": 9}) == (0.0, 1.0)
    assert pad.preprocess("<script>") == pad.preprocess(None) == (0.5, 0.5)
    assert pad.postprocess((0.1, 0.9)) == {"x": 0.1, "y": 0.9}


def test_backdrop_is_a_picture(photo: str) -> None:
    cells = {place(0, 0, 2): photo, place(1, 1, 2): photo}
    assert backdrop(cells, 2).startswith("data:image/jpeg;base64,")


# The engine


def test_early_requests_wait_and_say_so() -> None:
    go = threading.Event()

    def open_studio(progress):
        progress("reading the prior")
        go.wait(10)
        return FakeStudio()

    engine = Engine(open_studio)
    updates = engine.run(lambda studio, run: "painted")
    first = next(updates)
    assert "reading the prior" in first.text and "queued" in first.text
    assert engine.status().state == "loading"
    go.set()
    assert [u.result for u in updates if u.done] == ["painted"]
    assert engine.status().state == "ready" and "CPU" in engine.status().text


def test_a_failed_start_is_told_and_tried_again() -> None:
    attempts = []

    def open_studio(progress):
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("the prior's file is damaged")
        return FakeStudio()

    engine = Engine(open_studio)
    engine.load()
    assert engine.status().state == "failed" and "damaged" in engine.status().text
    assert engine.result(lambda studio, run: 3) == 3


def test_requests_fail_while_loading_fails() -> None:
    def open_studio(progress):
        raise OSError("no weights here")

    with pytest.raises(EngineError, match="no weights here"):
        Engine(open_studio).result(lambda studio, run: 3)
    with pytest.raises(EngineError, match="no weights here"):
        Engine(open_studio).wait()


def test_closing_the_stream_frees_the_worker_within_one_step() -> None:
    studio = FakeStudio(step_s=0.05)
    engine = ready(studio)
    order = ComposeForm("a cat", steps=200)
    updates = engine.run(jobs.paint, order)
    while "step" not in next(updates).text:
        pass
    updates.close()
    steps = len(studio.steps_taken)
    began = time.monotonic()
    assert engine.result(lambda studio, run: "free") == "free"
    assert time.monotonic() - began < 0.5
    assert len(studio.steps_taken) <= steps + 2


def test_jobs_run_one_after_another() -> None:
    engine = ready(FakeStudio())
    inside: list[int] = []

    def job(studio, run):
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.05)
        inside.pop()

    threads = [threading.Thread(target=engine.result, args=(job,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside


def test_long_runs_show_pictures_taking_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_eclipse.ui.run.PREVIEW_EVERY_S", 0.05)
    engine = ready(FakeStudio(step_s=0.02))
    updates = list(engine.run(jobs.paint, ComposeForm("a cat", steps=20)))
    assert any(update.previews for update in updates)
    fractions = [u.fraction for u in updates if u.fraction is not None]
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_the_pace_is_learned_from_what_is_painted() -> None:
    engine = Engine(lambda progress: FakeStudio(step_s=0.02), warm_up=jobs.warm_up)
    engine.load()
    assert 0.19 < engine.pace.seconds(1, 10) < 2
    engine.pace.note_picture(5.0, 10)  # one that took long for another reason than its steps
    assert 0.5 < engine.pace.rest_s < 2
    assert engine.pace.seconds(2, 10) == pytest.approx(2 * engine.pace.seconds(1, 10))
    assert Pace().seconds(1, 1) is None


def test_corners_are_embedded_once(photo: str) -> None:
    studio = FakeStudio()
    engine = ready(studio)
    form = SquareForm(
        "subjects",
        "a cat and a cat",
        *("cat", photo, photo),
        *("cat", photo, photo),
        steps=5,
        guidance=3.0,
        seed=1,
    )
    for x in (0.0, 0.5):
        engine.result(explore_jobs.paint_point, form, x, 0.5)
    assert studio.squares == 1


# The endpoints


def test_generate(client: Client, photo: str) -> None:
    pictures, seed, note, meters = client.predict(
        prompt="a cat on the beach",
        noun_1="cat",
        picture_1=handle_file(photo),
        count=2,
        steps=5,
        seed=11,
        randomize=False,
        api_name="/generate",
    )
    assert seed == 11 and "11, 12" in note
    assert "cat" in meters and "<meter" in meters
    assert [p["caption"] for p in pictures] == ["seed 11", "seed 12"]
    assert [Path(p["image"]).suffix for p in pictures] == [".png", ".png"]
    assert Path(pictures[0]["image"]).name == "lambda-eclipse-11.png"


@pytest.mark.parametrize(
    ("view", "others"), [(compose_view, {"/at", "/reproduce"}), (explore_view, {"/generate"})]
)
def test_a_tab_runs_alone(studio: FakeStudio, photo: str, view, others: set[str]) -> None:
    engine = ready(studio)
    with Page() as alone:
        view(engine, gr.State(Visit(), delete_callback=Visit.delete))
    launch(alone, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    try:
        client = Client(alone.local_url, verbose=False)
        assert others.isdisjoint(client.view_api(return_format="dict")["named_endpoints"])
        if view is compose_view:
            pictures, *_ = client.predict(prompt="a boat", count=1, api_name="/generate")
            assert len(pictures) == 1
        else:
            picture, note = client.predict(**square(photo), x=0.5, y=0.5, api_name="/at")
            assert Path(picture).suffix == ".png" and "(0.50, 0.50)" in note
    finally:
        alone.close()


def test_randomize_reports_the_seed_it_drew(client: Client) -> None:
    pictures, seed, *_ = client.predict(
        prompt="a boat", count=1, steps=2, seed=3, randomize=True, api_name="/generate"
    )
    assert seed != 3 and pictures[0]["caption"] == f"seed {seed}"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": "a dog", "noun_1": "cat", "picture_1": "photo"}, "does not mention"),
        ({"prompt": "a dog", "noun_1": "", "picture_1": "photo"}, "no noun"),
        ({"prompt": "a dog", "seed": -4, "randomize": False}, "seed|minimum"),
    ],
)
def test_refusals_are_readable(client: Client, photo: str, form: dict, message: str) -> None:
    if "picture_1" in form:
        form = {**form, "picture_1": handle_file(photo)}
    with pytest.raises(AppError, match=message) as caught:
        client.predict(**form, api_name="/generate")
    assert "Traceback" not in str(caught.value)


def test_mask_and_edges(client: Client, photo: str) -> None:
    seen, method, overlay = client.predict(handle_file(photo), api_name="/mask")
    assert Image.open(seen).size == (64, 64) and method == "Mask from plain background"
    assert Image.open(overlay).size == Image.open(photo).size
    edges = client.predict(handle_file(photo), 50, 150, api_name="/edges")
    assert len(Image.open(edges).convert("L").getcolors()) <= 256
    with pytest.raises(AppError, match="[Tt]hreshold"):
        client.predict(handle_file(photo), 300, 100, api_name="/edges")


def test_a_file_that_is_no_picture(client: Client, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(broken), 100, 200, api_name="/edges")
    assert "broken" in str(caught.value) or "picture" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_at_and_grid(client: Client, photo: str) -> None:
    form = square(photo)
    picture, note = client.predict(**form, x=0.25, y=1.0, seed=4, api_name="/at")
    assert Image.open(picture).size == (128, 128) and "(0.25, 1.00)" in note
    cells, note = client.predict(**form, size=3, seed=4, api_name="/grid")
    names = [Path(cell["image"]).name for cell in cells]
    assert len(names) == 9 and names[5] == "row-2-column-3-seed-4.png" and "3 × 3" in note
    with pytest.raises(AppError, match="picture 2 of subject B"):
        client.predict(**{**form, "picture_b2": None}, api_name="/at")
    with pytest.raises(AppError, match="A noun is missing"):
        client.predict(**{**form, "noun_a": ""}, api_name="/grid")


def test_cancelling_a_request_frees_the_queue(client: Client, studio: FakeStudio) -> None:
    studio.step_s = 0.05
    try:
        running = client.submit(prompt="a boat", steps=100, count=1, api_name="/generate")
        before = len(studio.steps_taken)
        while len(studio.steps_taken) < before + 3:
            time.sleep(0.05)
        running.cancel()
        began = time.monotonic()
        client.predict(prompt="a boat", steps=1, count=1, api_name="/generate")
        assert time.monotonic() - began < 3
    finally:
        studio.step_s = 0.01
