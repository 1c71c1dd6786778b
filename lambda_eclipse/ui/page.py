"""The page: header, status line, the two views, and how it is launched."""

from pathlib import Path
from typing import Any

import gradio as gr

from lambda_eclipse.ui.compose import compose_view
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.explore import explore_view
from lambda_eclipse.ui.text import status_html

STYLE = Path(__file__).with_name("style.css")
POLL_S = 1.0
CACHE_S = (3600, 24 * 3600)  # look hourly, delete files older than a day

TITLE = """
# λ-ECLIPSE Studio
Put your own subjects into a new picture, and wander between them.
"""


def build(engine: Engine) -> gr.Blocks:
    """The page over an engine. Builds no model and starts no loading."""

    with gr.Blocks(
        title="λ-ECLIPSE Studio", analytics_enabled=False, delete_cache=CACHE_S, fill_width=True
    ) as demo:
        with gr.Row(elem_classes="le-header"):
            gr.Markdown(TITLE, elem_id="title")
            status = gr.HTML(status_html(engine.status()), elem_id="status")
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Compose", id="compose", elem_id="view-compose"):
                compose = compose_view(engine)
            with gr.Tab("Explore", id="explore", elem_id="view-explore"):
                explore = explore_view(engine)

        clock = gr.Timer(POLL_S)
        tuned = [compose.steps, compose.guidance, explore.steps, explore.guidance]

        def tick() -> list[Any]:
            now = engine.status()
            if now.state != "ready":  # after a failure the next request tries again: keep looking
                return [status_html(now), *[gr.skip()] * (1 + len(tuned))]
            stack = engine.studio.models.stack
            return [status_html(now), gr.Timer(active=False), *[stack.steps, stack.guidance] * 2]

        quiet: dict[str, Any] = {
            "show_progress": "hidden", "queue": False, "api_visibility": "private",
        }  # fmt: skip
        gr.on([demo.load, clock.tick], tick, None, [status, clock, *tuned], **quiet)
    return demo


def launch(demo: gr.Blocks, host: str | None, port: int | None, share: bool, **more: Any) -> Any:
    """Serve the page: nothing is fetched from elsewhere, no run is kept in a visitor's browser."""
    fonts = ("system-ui", "sans-serif")
    theme = gr.themes.Soft(
        primary_hue="orange",
        secondary_hue="indigo",
        neutral_hue="slate",
        font=fonts,
        font_mono=("ui-monospace", "monospace"),
    ).set(
        block_title_background_fill="transparent",
        block_title_padding="0",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_text_weight="600",
        block_label_background_fill="*block_background_fill",
        block_label_background_fill_dark="*block_background_fill",
        block_label_text_color="*body_text_color",
        block_label_text_color_dark="*body_text_color",
        block_label_text_weight="600",
        block_border_width="1px",
        block_shadow="none",
    )
    demo.queue(default_concurrency_limit=4, max_size=64)
    return demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        theme=theme,
        css_paths=STYLE,
        ssr_mode=False,
        run_history=False,
        footer_links=["api", "settings"],
        max_file_size="32mb",
        show_error=True,
        **more,
    )
