"""The real page: app.py with the pocket stack, through its endpoints and in a real browser."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from browser import PATIENCE_MS, leave, name, put, settle, upload, visit
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from repository import ROOT
from skimage import data


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = [sys.executable, "app.py", "--stack", "pocket", "--device", "cpu"]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 240
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            break
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                pytest.fail(f"app.py did not come up:\n{log.read_text()}")
            time.sleep(0.2)
    yield address
    server.terminate()
    server.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("photos")
    for noun, pixels in (("cat", data.chelsea()), ("coffee", data.coffee())):
        Image.fromarray(pixels).save(folder / f"{noun}.png")
    return str(folder / "cat.png"), str(folder / "coffee.png")


def wait_until_ready(page: Page) -> None:
    loaded = page.locator("#status .le-ready, #status .le-failed")
    loaded.wait_for(timeout=PATIENCE_MS)
    expect(loaded).to_contain_text("ready", timeout=1000)


def test_endpoints(url: str, photos: tuple[str, str]) -> None:
    client = Client(url, verbose=False)
    cat, coffee = map(handle_file, photos)
    form = {"prompt": "a cat on the beach", "noun_1": "cat", "picture_1": cat, "count": 2}
    run = {**form, "steps": 4, "seed": 5, "randomize": False, "api_name": "/generate"}
    first, again = (client.predict(**run)[0] for _ in range(2))
    assert len(first) == 2
    for one, other in zip(first, again, strict=True):
        assert Image.open(one["image"]).tobytes() == Image.open(other["image"]).tobytes()
    seen, *_ = client.predict(cat, api_name="/mask")
    assert Image.open(seen).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    picture, _ = client.predict(
        corners_from="subjects",
        prompt="a cat and coffee",
        noun_a="cat",
        picture_a1=cat,
        picture_a2=cat,
        noun_b="coffee",
        picture_b1=coffee,
        picture_b2=coffee,
        x=0.2,
        y=0.8,
        steps=3,
        api_name="/at",
    )
    assert Image.open(picture).size == Image.open(first[0]["image"]).size
    with pytest.raises(Exception, match="(?i)hat"):
        client.predict(prompt="a cat", noun_1="hat", picture_1=cat, api_name="/generate")


def test_compose_in_a_browser(url: str, chrome: Browser, photos: tuple[str, str]) -> None:
    page, hosts, errors = visit(chrome, url)
    wait_until_ready(page)
    expect(page.locator("#status")).to_contain_text("CPU")

    page.locator("#prompt textarea").fill("a cat on the beach")
    upload(page, "#picture-1", photos[0])
    expect(page.locator("#seen-1 img")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("#generate").click()
    expect(page.locator(".toast-wrap")).to_contain_text("Subject 1 has a picture but no noun")
    expect(page.locator("#progress .le-progress")).to_have_text("")  # waits no more
    name(page, 1, "cat")
    expect(page.locator("#strip .le-s0")).to_contain_text("cat")

    page.locator("#generate").click()
    expect(page.locator("#progress")).to_contain_text("Finished", timeout=PATIENCE_MS)
    expect(page.locator("#gallery img")).to_have_count(2)
    page.wait_for_function(
        "[...document.querySelectorAll('#gallery img')].every(i => i.complete && i.naturalWidth)"
    )
    used = page.locator("#seed input").input_value()
    assert f"seeds {used}" in page.locator("#progress").inner_text()
    assert hosts <= {"127.0.0.1", "inline"}, hosts
    assert not errors
    leave(page)


def test_stop_in_a_browser(url: str, chrome: Browser) -> None:
    page, _, _ = visit(chrome, url)
    wait_until_ready(page)
    page.locator("#sampling-panel button").first.click()
    put(page, "#steps", 100)
    page.locator("#prompt textarea").fill("a boat")
    settle(page)  # the estimate of the time has followed the steps
    page.locator("#generate").click()
    expect(page.locator("#progress")).to_contain_text(re.compile(r"step \d+ of 100"))
    page.locator("#stop").click()
    expect(page.locator("#progress")).to_contain_text("Stopped")
    settle(page)
    expect(page.locator("#progress")).to_contain_text("Stopped")
    leave(page)


def test_square_in_a_browser(url: str, chrome: Browser, photos: tuple[str, str]) -> None:
    page, hosts, errors = visit(chrome, url, viewport={"width": 1280, "height": 900})
    wait_until_ready(page)
    page.get_by_role("tab", name="Explore").click()
    page.locator("#explore-prompt textarea").fill("a cat and coffee")
    for letter, noun, photo in (("a", "cat", photos[0]), ("b", "coffee", photos[1])):
        name(page, letter, noun)
        for number in (1, 2):
            upload(page, f"#corner-{letter}{number}", photo)
    expect(page.locator(".le-br")).to_have_text("cat 2 + coffee 2")

    pad = page.locator(".le-square")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    for step in range(1, 11):
        across, down = 0.5 + 0.025 * step, 0.5 - 0.03 * step
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    page.mouse.up()
    expect(page.locator("#x input[type=number]")).to_have_value("0.75")
    expect(page.locator("#y input[type=number]")).to_have_value("0.2")
    expect(page.locator("#point img")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#explore-progress")).to_contain_text(
        re.compile(r"\(0\.75, 0\.20\) .* steps"), timeout=PATIENCE_MS
    )

    handle = page.locator(".le-handle")
    handle.focus()
    handle.press("ArrowLeft")
    expect(page.locator("#x input[type=number]")).to_have_value("0.7")
    y = page.locator("#y input[type=number]")
    y.fill("0.9")
    y.press("Enter")
    expect(handle).to_have_attribute("aria-valuetext", "70 percent across, 90 percent down")
    assert hosts <= {"127.0.0.1", "inline"}, hosts
    assert not errors
    leave(page)


def test_narrow_screens_need_no_sideways_scrolling(url: str, chrome: Browser) -> None:
    page, _, _ = visit(chrome, url, viewport={"width": 360, "height": 740})
    for view in ("Explore", "Keep", "Compose"):
        page.get_by_role("tab", name=view).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    leave(page)
