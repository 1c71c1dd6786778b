"""The endpoints as MCP tools, over a fake studio and the real protocol."""

import asyncio
import base64
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import httpx
import pytest
from fakes import FakeStudio
from gradio_client import Client
from jsonschema import Draft202012Validator
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolResult, Tool

import app
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.file_urls import path_of_url
from lambda_eclipse.ui.i18n import language, t
from lambda_eclipse.ui.page import build, launch
from lambda_eclipse.ui.widgets.examples import SUBJECTS


@pytest.fixture(scope="module")
def demo() -> Iterator[gr.Blocks]:
    engine = Engine(lambda progress: FakeStudio())
    engine.load()
    page = build(engine)
    launch(
        page, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True, mcp_server=True
    )
    yield page
    page.close()


def asked(demo: gr.Blocks, language: str, *call: Any) -> tuple[list[Tool], CallToolResult]:
    """The tools that an agent finds, and the result of one call."""

    async def talk() -> tuple[list[Tool], CallToolResult]:
        address, headers = f"{demo.local_url}gradio_api/mcp/", {"Accept-Language": language}
        async with (
            streamablehttp_client(address, headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools, await session.call_tool(*call)

    with ThreadPoolExecutor(1) as thread:  # the browser's tests keep a loop in this one
        return thread.submit(asyncio.run, talk()).result()


def text(result: CallToolResult) -> str:
    return " ".join(one.text for one in result.content if one.type == "text")


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def test_the_tools_are_the_endpoints(demo: gr.Blocks) -> None:
    tools, _ = asked(demo, "en", "generate", {"prompt": "a boat", "count": 1, "steps": 2})
    endpoints = Client(demo.local_url, verbose=False).view_api(return_format="dict")
    assert {f"/{tool.name}" for tool in tools} == set(endpoints["named_endpoints"])
    for tool in tools:
        Draft202012Validator.check_schema(tool.inputSchema)
        parameters = tool.inputSchema["properties"]
        assert tool.description and "visit" not in parameters
        assert all(one["type"] for one in parameters.values())
        assert any(one["description"] for one in parameters.values())


def test_an_agent_paints(demo: gr.Blocks) -> None:
    cat = data_uri(SUBJECTS / "cat-1.png")
    form = {"prompt": "a cat", "noun_1": "cat", "picture_1": cat, "count": 1, "steps": 2, "seed": 3}
    _, result = asked(demo, "en", "generate", {**form, "randomize": False})
    assert not result.isError and "seed 3" in text(result)
    [url] = set(re.findall(r"http://[^']+\.png", text(result)))
    assert httpx.get(url).content.startswith(b"\x89PNG")
    _, result = asked(demo, "en", "reproduce", {"file": url})
    assert not result.isError and "seed 3, reproduced" in text(result)


def test_an_agent_names_what_was_uploaded_here_and_nothing_else(
    demo: gr.Blocks, tmp_path: Path
) -> None:
    route = f"{demo.local_url}gradio_api/"
    with (SUBJECTS / "cat-1.png").open("rb") as file:
        [path] = httpx.post(f"{route}upload", files={"files": file}).json()
    _, result = asked(demo, "en", "mask", {"picture": f"{route}file={quote(path)}"})
    assert not result.isError and "Mask from transparency" in text(result)
    secret = tmp_path / "secret.png"
    secret.write_bytes((SUBJECTS / "cat-1.png").read_bytes())
    for refused in (f"file={secret}", f"file={path}/../../../../{secret}", "info"):
        _, result = asked(demo, "en", "mask", {"picture": route + refused})
        assert result.isError and "Traceback" not in text(result)


def test_only_addresses_of_files_here_are_paths() -> None:
    assert path_of_url("http://localhost:80/gradio_api/file=/a/b%20c.png", 80) == "/a/b c.png"
    for other in (
        "http://localhost:81/gradio_api/file=/a.png",
        "http://a.org:80/gradio_api/file=/a.png",
        "http://localhost:80/x/gradio_api/file=/a.png",
        "http://[",
        "http://localhost:x/",
        "/a.png",
    ):
        assert path_of_url(other, 80) is None


@pytest.mark.parametrize("code", ["en", "de"])
def test_an_agent_is_told_what_is_wrong(demo: gr.Blocks, code: str) -> None:
    _, result = asked(demo, code, "generate", {"prompt": ""})
    with language.override(code):
        expected = t("The prompt is empty: describe the picture in a few words.")
    assert result.isError and text(result) == expected


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.options(["--mcp"]).mcp and not app.options([]).mcp
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        app.options(["--mcp"])
    assert 'pip install "gradio[mcp]"' in capsys.readouterr().err
    assert not app.options([]).mcp
