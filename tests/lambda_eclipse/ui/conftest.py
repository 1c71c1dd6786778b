"""What tests of the page share beside the browser."""

from collections.abc import Iterator

import gradio as gr
import pytest


@pytest.fixture(scope="session", autouse=True)
def no_patience_check() -> Iterator[None]:
    """Serve without Gradio's check of its address, which gives a busy machine three seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gr.networking, "url_ok", lambda url: True)
        yield
