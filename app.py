"""Serve λ-ECLIPSE Studio: on a laptop (`python app.py`) or as a Hugging Face Space."""

import argparse
import os
from importlib.util import find_spec
from typing import Any

try:  # Spaces that lend a GPU per call need this before anything imports torch.
    import spaces
except ImportError:
    spaces = None

from lambda_eclipse import terminal
from lambda_eclipse.mark import marking
from lambda_eclipse.mark.keys import MarkError
from lambda_eclipse.messages import Report, Text
from lambda_eclipse.options import add_stack_options, sources
from lambda_eclipse.ui import lent_gpu
from lambda_eclipse.ui.compose.jobs import warm_up
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.page import build, launch


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_stack_options(parser)
    parser.add_argument("--host", help="address to listen on; default: this machine only")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="make a public link (off by default)")
    parser.add_argument("--mcp", action="store_true", help="serve the endpoints as MCP tools, too")
    chosen = parser.parse_args(arguments)
    if chosen.mcp and find_spec("mcp") is None:
        parser.error('--mcp needs one package more: pip install "gradio[mcp]"')
    try:
        marking.start(not chosen.no_mark)
    except MarkError as error:
        parser.error(str(error))
    return chosen


def main() -> None:
    """Start loading the stack, and serve the page meanwhile."""
    chosen = options()

    def open_studio(progress: Report) -> Any:
        from lambda_eclipse.pipeline import Studio

        def report(message: str | Text) -> None:
            terminal.show_line(message)
            progress(message)

        return Studio.open(chosen.stack, chosen.device, report, sources(chosen), chosen.newest)

    lends_gpu = bool(spaces and os.environ.get("SPACES_ZERO_GPU"))
    engine = Engine(
        open_studio,
        wrap=spaces.GPU(duration=lent_gpu.seconds) if lends_gpu else lambda function: function,
        warm_up=None if lends_gpu else warm_up,
    )
    if lends_gpu:
        engine.load()  # there the models have to be in place before the page is served
    else:
        engine.start()
    launch(build(engine), chosen.host, chosen.port, chosen.share, mcp_server=chosen.mcp)


if __name__ == "__main__":
    main()
