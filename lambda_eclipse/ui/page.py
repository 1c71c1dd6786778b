"""The page: header, status line, the views, what is wired across them, and how it is launched."""

import warnings
from html import escape
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from lambda_eclipse.ui.browser import scripts
from lambda_eclipse.ui.common import HEAVY, PRIVATE, stop_with
from lambda_eclipse.ui.compose.handlers import ComposeActions
from lambda_eclipse.ui.compose.result_handlers import ResultsActions
from lambda_eclipse.ui.compose.view import Compose, compose_view, tell_cost
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.explore.form import PICTURES
from lambda_eclipse.ui.explore.view import Explore, explore_view, tell_costs
from lambda_eclipse.ui.i18n import LazyText, language, localize, t
from lambda_eclipse.ui.keep.view import keep_view, wire_keep
from lambda_eclipse.ui.own_files import with_own_path
from lambda_eclipse.ui.teach.view import teach_panel
from lambda_eclipse.ui.text import status_html
from lambda_eclipse.ui.theme import STYLE, theme
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.examples import SUBJECTS
from lambda_eclipse.ui.widgets.language_menu import language_chooser

POLL_S = 1.0
SAME = "(value) => value"
CACHE_S = (600, 3600)  # look every ten minutes, delete files older than an hour
# Kept in the visitor's browser, nowhere else; it is no secret, so neither is its key.
SETTINGS: dict[str, str] = {"storage_key": "lambda-eclipse-settings", "secret": "not-a-secret-key"}


class Page(gr.Blocks):
    """Blocks that are served in the language of each request, as what they hold is made anew.

    Gradio's own translation, gr.I18n, leaves out HTML, placeholders of pictures and whatever the
    server says, knows no choice but the browser's, and puts its marks into the endpoints' labels.
    """

    server_port: int | None = None  # set by launch

    @property
    def config(self) -> dict[str, Any]:
        """All that a browser is told about the page, in the current language."""
        return localize(self._built)

    @config.setter
    def config(self, built: dict[str, Any]) -> None:
        self._built = built

    async def preprocess_data(self, block_fn: Any, inputs: list, *more: Any, **options: Any) -> Any:
        """What a handler gets of what a request holds."""
        inputs = [with_own_path(value, self.server_port) for value in inputs]
        return await super().preprocess_data(block_fn, inputs, *more, **options)

    def get_api_info(self, *arguments: Any, **options: Any) -> Any:
        """The endpoints, in English whoever asks: Gradio keeps the first answer for all."""
        with language.override(language.DEFAULT):
            return super().get_api_info(*arguments, **options)


def _title() -> str:
    title, subtitle = (
        t("λ-ECLIPSE Studio"),
        t("Put your own subjects into a new picture, and wander between them."),
    )
    return f"<h1>{escape(title)}</h1><p>{escape(subtitle)}</p>"


def build(engine: Engine) -> gr.Blocks:
    """The page over an engine. Builds no model and starts no loading."""

    with Page(
        title=t("λ-ECLIPSE Studio"), analytics_enabled=False, delete_cache=CACHE_S, fill_width=True
    ) as demo:
        visit = gr.State(Visit(), delete_callback=Visit.delete)
        with gr.Row(elem_classes="le-header"):
            gr.HTML(LazyText(_title), elem_id="title")
            with gr.Row(elem_classes="le-header-end"):
                language_chooser()
                status = gr.HTML(LazyText(lambda: status_html(engine.status())), elem_id="status",
                    elem_classes="le-news",
                )  # fmt: skip
        with gr.Tabs(elem_id="views") as tabs:
            with gr.Tab(t("Compose"), id="compose", elem_id="view-compose"):
                compose = compose_view(engine, visit)
                lessons = teach_panel(engine, visit)
            with gr.Tab(t("Explore"), id="explore", elem_id="view-explore"):
                explore = explore_view(engine, visit)
            with gr.Tab(t("Keep"), id="keep", elem_id="view-keep") as keep_tab:
                keep = keep_view(engine, visit, compose)
        sent = explore.send.click(
            ComposeActions(engine).corner,
            [visit, explore.where, compose.recipe, *compose.form],
            [*explore.corners, explore.progress], **PRIVATE, **HEAVY,
        )  # fmt: skip
        stop_with(explore.stop, [sent], explore.progress)
        explore.running.append(sent)
        for filled in keep.filled:
            filled.success(lambda: gr.Tabs(selected="compose"), None, tabs, queue=False, **PRIVATE)
        wire_keep(engine, visit, keep, keep_tab, [*compose.running, *explore.running, *lessons])
        compose.results.to_corner.click(
            ResultsActions(engine).to_corner, [visit, compose.results.corner], explore.corners,
            **PRIVATE,
        ).success(
            lambda: (PICTURES, gr.Tabs(selected="explore")), None, [explore.source, tabs],
            queue=False, **PRIVATE,
        )  # fmt: skip
        _wire_start(demo, engine, visit, status, compose, explore)
    return demo


def _wire_start(
    demo: gr.Blocks,
    engine: Engine,
    visit: gr.State,
    status: gr.HTML,
    compose: Compose,
    explore: Explore,
) -> None:
    """The status line, the stack's defaults when it is known, and the visitor's own settings."""
    settings = gr.BrowserState({}, **SETTINGS)
    clock = gr.Timer(POLL_S)
    tuned = {
        "steps": compose.sampling.steps, "guidance": compose.sampling.guidance,
        "explore_steps": explore.sampling.steps, "explore_guidance": explore.sampling.guidance,
        "count": compose.count, "randomize": compose.randomize, "recipe": compose.recipe,
    }  # fmt: skip

    def tick(kept: Any) -> list[Any]:
        now = engine.status()
        if now.state != "ready":  # after a failure the next request tries again: keep looking
            return [status_html(now), gr.skip(), *[gr.skip()] * len(tuned)]
        stack = engine.studio.models.stack
        values = {
            "steps": stack.steps, "guidance": stack.guidance,
            "explore_steps": stack.steps, "explore_guidance": stack.guidance,
        }  # fmt: skip
        if isinstance(kept, dict):
            values |= {name: kept[name] for name in tuned if name in kept}
        return [
            status_html(now), gr.Timer(active=False),
            *[values.get(name, gr.skip()) for name in tuned],
        ]  # fmt: skip

    quiet: dict[str, Any] = {**PRIVATE, "queue": False}
    started = gr.on(
        [demo.load, clock.tick], tick, settings, [status, clock, *tuned.values()], **quiet
    )
    tell_cost(engine, visit, compose, started)
    tell_costs(engine, visit, explore, started)
    # One switch in two places.
    compose.recipe.change(None, compose.recipe, explore.recipe, js=SAME, **quiet)
    switched = explore.recipe.input(None, explore.recipe, compose.recipe, js=SAME, **quiet)
    # Only what a visitor sets is kept, and it never leaves the browser but with a request.
    names, values = ", ".join(tuned), list(tuned.values())
    keep: dict[str, Any] = {"js": f"({names}) => ({{{names}}})", **quiet}
    gr.on([widget.input for widget in values], None, values, settings, **keep)
    switched.then(None, values, settings, **keep)


def launch(demo: gr.Blocks, host: str | None, port: int | None, share: bool, **more: Any) -> Any:
    """Serve the page: nothing is fetched from elsewhere, no run is kept in a visitor's browser."""
    # Told to whoever starts it with mcp_server=True; no tool needs anything of an earlier call.
    warnings.filterwarnings("ignore", "This MCP server includes a tool that has a gr.State")
    demo.queue(default_concurrency_limit=4, max_size=64)
    return demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        theme=theme(),
        css_paths=STYLE,
        js=scripts.script(),
        app_kwargs={"middleware": [Middleware(language.LanguageMiddleware)]},
        ssr_mode=False,
        run_history=False,
        footer_links=["api", "settings"],
        max_file_size="32mb",
        allowed_paths=[str(SUBJECTS)],  # from whatever folder it is started
        show_error=True,
        **more,
    )
