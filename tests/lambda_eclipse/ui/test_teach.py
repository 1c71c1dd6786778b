"""Lessons on the page: learned for one visit, stopped within a step, used, forgotten."""

import pickle
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from browser import leave
from browser import visit as open_page
from fakes import FakeStudio
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, expect
from small_stack import write_stack

import app
from lambda_eclipse import finetune
from lambda_eclipse.keep import recipe as recipes
from lambda_eclipse.keep.reproduction import check
from lambda_eclipse.models import load
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.stacks import STACKS, Finetuning
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.compose.handlers import ComposeActions
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.form import ComposeForm
from lambda_eclipse.ui.page import build, launch
from lambda_eclipse.ui.run import Pace
from lambda_eclipse.ui.teach import jobs as teach_jobs
from lambda_eclipse.ui.teach.handlers import TeachActions
from lambda_eclipse.ui.visit import Visit

HOW = Finetuning(rate=1e-2, batch=1, steps=10, last=0.5, cut_out=True, on_page=True)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    sources = write_stack(tmp_path_factory.mktemp("stack"))
    stack = replace(STACKS["kandinsky"], **sources, steps=2, finetuning=HOW)
    found = Engine(lambda progress: Studio(load(stack, "cpu")), warm_up=jobs.warm_up)
    found.load()
    assert found.status().state == "ready"
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    paths = [tmp_path_factory.mktemp("photos") / f"{colour}.png" for colour in ("orange", "navy")]
    for path in paths:
        image = Image.new("RGB", (120, 80), "white")
        ImageDraw.Draw(image).ellipse((20, 10, 70, 70), fill=path.stem)
        image.save(path)
    return [str(path) for path in paths]


def painted(engine: Engine, visit: Visit) -> str:
    form = ComposeForm("a boat", count=1, steps=2, guidance=4, seed=7, randomize=False)
    [*_, (gallery, *_)] = ComposeActions(engine).generate(visit, *form.to_values())
    return gallery[0][0]


def pixels(path: str) -> bytes:
    return Image.open(path).tobytes()


def test_a_lesson_is_for_one_visit(engine: Engine, visit: Visit, photos: list[str]) -> None:
    actions, other = TeachActions(engine), Visit()
    asked = painted(engine, visit)
    unet = engine.studio.models.decoder.pipeline.unet
    shared = finetune.digest(unet)
    began, *_, last = actions.teach(visit, photos, "cat", "a cat on the beach", 10)
    assert began[:3] == ([], None, None)
    _, _, after, progress, state = last
    assert "Fine-tuned for 10 steps" in progress and "In use: original decoder" in state
    before = next(Path(after).parent.parent.rglob("before.png"))
    assert pixels(str(before)) != pixels(after)
    assert len(list(Path(after).parent.parent.rglob("seen.png"))) == len(photos)

    assert pixels(painted(engine, visit)) == pixels(asked)  # not used before it is asked for
    assert "fine-tuned for 10 steps" in actions.use(visit)
    mine = painted(engine, visit)
    assert pixels(mine) != pixels(asked)
    assert pixels(painted(engine, other)) == pixels(asked)
    assert finetune.digest(unet) == shared and other.finetuned is None
    job = pickle.loads(pickle.dumps(visit.job(jobs.paint)))  # as on hosts that lend a GPU
    form = ComposeForm("a boat", count=1, steps=2, guidance=4, seed=7, randomize=False)
    [same] = engine.result(job, form)
    assert same.picture.image.tobytes() != pixels(asked)
    recipe = recipes.read(mine)
    assert check(recipe, visit.studio(engine.studio).models) == []
    assert any("decoder" in str(line) for line in check(recipe, engine.studio.models))

    *_, state = actions.forget(visit)
    assert "original decoder" in state and visit.finetuned is None
    assert pixels(painted(engine, visit)) == pixels(asked)
    with pytest.raises(gr.Error, match="is not fine-tuned"):
        actions.use(visit)
    other.delete()


def test_a_stop_keeps_what_was_learned(engine: Engine, visit: Visit, photos: list[str]) -> None:
    actions = TeachActions(engine)
    running = actions.teach(visit, photos[:1], "cat", "", 400)
    for *_, progress, _ in running:
        if "step 3 of 400" in str(progress):
            break
    running.close()
    done = visit.lesson.lesson.done
    assert 3 <= done <= 5
    *_, (_, _, after, progress, _) = actions.finish(visit)  # the worker is free by then
    assert done <= visit.finetuned.steps <= done + 1 and visit.lesson is None
    assert f"Fine-tuned for {visit.finetuned.steps} steps" in progress and Path(after).is_file()
    assert next(iter(actions.finish(visit))) == (gr.skip(),) * 5
    visit.delete()
    assert visit.finetuned is None and not Path(after).exists()


def test_others_paint_between_the_steps_of_a_lesson(engine: Engine, photos: list[str]) -> None:
    order = teach_jobs.LessonForm((photos[0],), "cat", "a cat", 400)
    lesson = engine.run(teach_jobs.teach, order)
    begun = next(update.payload for update in lesson if update.payload)
    finished = threading.Event()

    def paint() -> None:
        list(engine.run(jobs.paint, ComposeForm("a boat", steps=2)))
        finished.set()

    threading.Thread(target=paint, daemon=True).start()
    while not finished.wait(0.05):
        next(lesson)
    assert begun.lesson.done < 400
    lesson.close()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ((None, "cat", "", 10), "pictures are missing"),
        ((["a.png"] * 21, "cat", "", 10), "at most"),
        ((["a.png"], " ", "", 10), "noun is missing"),
        ((["a.png"], "cat", "", 4000), "choose 10 to 400"),
        ((["a.png"], "cat", "a dog", 10), "not a file"),
    ],
)
def test_what_cannot_be_learned_is_said(
    engine: Engine, visit: Visit, form: tuple, message: str
) -> None:
    with pytest.raises(gr.Error, match=message):
        list(TeachActions(engine).teach(visit, *form))


def test_the_noun_must_be_in_the_prompt(engine: Engine, visit: Visit, photos: list[str]) -> None:
    with pytest.raises(gr.Error, match="does not mention"):
        list(TeachActions(engine).teach(visit, photos, "cat", "a dog", 10))


def test_large_stacks_learn_elsewhere(visit: Visit, photos: list[str]) -> None:
    studio = FakeStudio()
    row = replace(studio.models.stack, finetuning=STACKS["kandinsky"].finetuning)
    studio.models = replace(studio.models, stack=row)
    engine = Engine(lambda progress: studio)
    assert "time estimate" in TeachActions(engine).cost(100)
    engine.load()
    assert "too large to fine-tune here" in TeachActions(engine).cost(100)
    with pytest.raises(gr.Error, match="too large to fine-tune here"):
        list(TeachActions(engine).teach(visit, photos, "cat", "", 10))


def test_the_app_takes_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = {}
    monkeypatch.setattr("sys.argv", ["app.py", "--stack", "pocket", "--decoder", "mine"])
    monkeypatch.setattr(Studio, "open", lambda *given: opened.update(sources=given[3]))
    monkeypatch.setattr(
        app, "Engine", lambda opens, **_: SimpleNamespace(start=lambda: opens(print))
    )
    monkeypatch.setattr(app, "build", lambda engine: None)
    monkeypatch.setattr(app, "launch", lambda *_, **__: None)
    app.main()
    assert opened["sources"] == {"decoder": "mine"}


def test_the_cost_is_told_before() -> None:
    pace = Pace()
    assert pace.training_seconds(100, 8) is None
    pace.note_step(0.01)
    assert pace.training_seconds(100, 8) == pytest.approx(8)
    pace.note_training_step(0.5)
    assert pace.training_seconds(100, 8) == pytest.approx(50)


def test_the_panel_in_a_browser(engine: Engine, chrome: Browser, photos: list[str]) -> None:
    demo = build(engine)
    launch(demo, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    page, _, errors = open_page(chrome, demo.local_url, viewport={"width": 360, "height": 740})
    page.locator("#teach-panel > button").click()
    expect(page.locator("#teach-cost")).to_contain_text("on this machine")
    page.locator("#teach-pictures input[type=file]").set_input_files(photos)
    page.get_by_label("Noun in prompt").last.fill("cat")
    page.locator("#teach-steps input[type=number]").fill("400")
    page.locator("#teach").click()
    expect(page.locator("#teach-progress")).to_contain_text("of 400")
    expect(page.locator("#teach-before img")).to_be_visible()
    page.locator("#teach-stop").click()
    expect(page.locator("#teach-after img")).to_be_visible()
    expect(page.locator("#teach-progress")).to_contain_text("Fine-tuned for")
    page.locator("#teach-use").click()
    expect(page.locator("#teach-state")).to_contain_text("In use: decoder fine-tuned")
    page.locator("#teach-forget").click()
    expect(page.locator("#teach-state")).to_contain_text("original decoder")
    expect(page.locator("#teach-after img")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not errors
    leave(page)
    demo.close()
