"""The engine and its row while another stack stands in: why, a new attempt, a stopped download."""

import threading
from dataclasses import replace

from browser import leave, visit
from fakes import FakeStudio
from playwright.sync_api import Browser, expect

from lambda_eclipse.messages import StudioError, Text
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.i18n import language
from lambda_eclipse.ui.loading import updates
from lambda_eclipse.ui.page import build, launch
from lambda_eclipse.ui.status import Status

WHY = Text("{title} was not loaded. {reason}", title="Kandinsky", reason=Text("damaged"))


def small() -> FakeStudio:
    studio = FakeStudio()
    studio.models = replace(studio.models, instead=WHY)
    return studio


def test_the_small_studio_serves_while_the_other_is_tried_again() -> None:
    go, attempts = threading.Event(), []

    def open_studio(progress):
        attempts.append(1)
        if len(attempts) == 1:
            return small()
        progress(Text("downloading {file}: {done} of {total} GB", file="unet", done=1, total=5))
        go.wait(10)
        return FakeStudio()

    engine = Engine(open_studio)
    engine.load()
    status = engine.status()
    assert (status.state, status.notice) == ("ready", "Kandinsky was not loaded. damaged")
    assert status.can_retry and not status.can_stop
    engine.retry()
    while "unet" not in engine.status().notice:
        pass
    status = engine.status()
    assert status.state == "ready" and status.can_stop and not status.can_retry
    assert engine.result(lambda studio, run: studio.models.instead) is WHY, "it still serves"
    go.set()
    while engine.retrying:
        pass
    assert engine.status().notice == "" and not engine.status().can_retry
    assert engine.result(lambda studio, run: studio.models.instead) is None


def test_a_new_attempt_that_fails_changes_nothing() -> None:
    attempts = []

    def open_studio(progress):
        attempts.append(1)
        if len(attempts) > 1:
            raise StudioError("still damaged")
        return small()

    engine = Engine(open_studio)
    engine.load()
    engine.retry()
    while engine.retrying:
        pass
    assert len(attempts) == 2
    assert engine.status().state == "ready" and engine.result(lambda studio, run: 3) == 3


def test_a_download_is_stopped_at_its_next_report() -> None:
    stopped = threading.Event()

    def open_studio(progress):
        progress("reading CLIP")
        assert not engine.status().can_stop
        progress(Text("downloading {file}", file="unet"))
        assert engine.status().can_stop
        engine.stop_loading()
        stopped.set()
        progress(Text("downloading {file}", file="unet"))

    engine = Engine(open_studio)
    engine.load()
    assert stopped.is_set()
    status = engine.status()
    assert status.state == "failed" and status.can_retry
    assert "What is downloaded stays" in status.text
    with language.override("de"):
        assert "What is downloaded stays" not in engine.status().text


def test_the_row_shows_what_can_be_done() -> None:
    row, notice, again, stop = updates(Status("ready", "ready", "why <b>", can_retry=True))
    assert row.visible and again.visible and not stop.visible and notice == "why &lt;b&gt;"
    row, _, again, stop = updates(Status("loading", "loading", can_stop=True))
    assert row.visible and stop.visible and not again.visible
    assert not updates(Status("ready", "ready"))[0].visible


def test_the_page_says_why_and_tries_again(chrome: Browser) -> None:
    go, attempts = threading.Event(), []

    def open_studio(progress):
        attempts.append(1)
        if len(attempts) > 1:
            progress(Text("downloading {file}: {done} of {total} GB", file="unet", done=1, total=5))
            go.wait(60)
        return small() if len(attempts) == 1 else FakeStudio()

    engine = Engine(open_studio)
    engine.load()
    served = build(engine)
    launch(served, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    page, _, errors = visit(chrome, str(served.local_url))
    expect(page.locator("#notice")).to_contain_text("Kandinsky was not loaded. damaged")
    expect(page.locator("#load-stop")).to_be_hidden()
    page.locator("#load-again").click()
    expect(page.locator("#notice")).to_contain_text("downloading unet: 1 of 5 GB")
    expect(page.locator("#load-stop")).to_be_visible()
    go.set()
    expect(page.locator("#loading")).to_be_hidden()
    expect(page.locator("#status")).to_contain_text("ready")
    assert not errors
    leave(page)
    served.close()
