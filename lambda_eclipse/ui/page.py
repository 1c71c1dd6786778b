"""The page: header, status line, the views, events across views, launching."""

import warnings
from html import escape
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from lambda_eclipse.ui.browser import scripts
from lambda_eclipse.ui.compose.handlers import ComposeActions
from lambda_eclipse.ui.compose.view import Compose, compose_view
from lambda_eclipse.ui.compose.view import update_costs as update_compose_costs
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.events import HEAVY, PRIVATE, stop_with
from lambda_eclipse.ui.explore.view import Explore, explore_view
from lambda_eclipse.ui.explore.view import update_costs as update_explore_costs
from lambda_eclipse.ui.explore_form import FROM_PICTURES
from lambda_eclipse.ui.file_urls import resolve_own_url
from lambda_eclipse.ui.html import status_html
from lambda_eclipse.ui.i18n import LazyText, language, localize, t
from lambda_eclipse.ui.keep.view import keep_view, wire_keep
from lambda_eclipse.ui.loading import LoadingRow, loading_row, updates, wire
from lambda_eclipse.ui.results.handlers import ResultsActions
from lambda_eclipse.ui.teach.view import teach_panel
from lambda_eclipse.ui.theme import STYLE, theme
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.examples import SUBJECTS
from lambda_eclipse.ui.widgets.language_menu import language_chooser

POLL_S = 1.0
SAME = "(value) => value"
CACHE_S = (600, 3600)  # every ten minutes delete files older than an hour
# Kept in the visitor's browser only; not secret, so neither is its key.
SETTINGS: dict[str, str] = {"storage_key": "lambda-eclipse-settings", "secret": "not-a-secret-key"}


class Page(gr.Blocks):
    """Blocks served in the language of each request.

    Gradio's own gr.I18n translates neither HTML, nor placeholders of pictures, nor messages of the
    server, only follows the browser's language, and writes its markers into the endpoints' labels.
    """

    server_port: int | None = None  # set by launch

    @property
    def config(self) -> dict[str, Any]:
        """The description of the page for a browser, in the current language."""
        return localize(self._built)

    @config.setter
    def config(self, built: dict[str, Any]) -> None:
        self._built = built

    async def preprocess_data(self, block_fn: Any, inputs: list, *more: Any, **options: Any) -> Any:
        """The arguments of a handler from the values of a request."""
        inputs = [resolve_own_url(value, self.server_port) for value in inputs]
        return await super().preprocess_data(block_fn, inputs, *more, **options)

    def get_api_info(self, *arguments: Any, **options: Any) -> Any:
        """The endpoints, always in English: Gradio caches the first answer."""
        with language.override(language.DEFAULT):
            return super().get_api_info(*arguments, **options)


def _title() -> str:
    title, subtitle = (
        t("λ-ECLIPSE Studio"),
        t("Generate pictures of your own subjects and interpolate between them."),
    )
    return f"<h1>{escape(title)}</h1><p>{escape(subtitle)}</p>"


def build(engine: Engine) -> Page:
    """The page over an engine. Builds no model and starts no loading."""
    with Page(
        title=t("λ-ECLIPSE Studio"), analytics_enabled=False, delete_cache=CACHE_S, fill_width=True
    ) as demo:
        visit = gr.State(Visit(), delete_callback=Visit.delete)
        with gr.Row(elem_classes="le-header"):
            gr.HTML(LazyText(_title), elem_id="title")
            with gr.Row(elem_classes="le-header-end"):
                language_chooser()
                status = gr.HTML(
                    LazyText(lambda: status_html(engine.status())),
                    elem_id="status",
                    elem_classes="le-news",
                )
        loading = loading_row(engine)
        with gr.Tabs(elem_id="views") as tabs:
            with gr.Tab(t("Compose"), id="compose", elem_id="view-compose"):
                compose = compose_view(engine, visit)
                lessons = teach_panel(engine, visit)
            with gr.Tab(t("Explore"), id="explore", elem_id="view-explore"):
                explore = explore_view(engine, visit)
            with gr.Tab(t("Keep"), id="keep", elem_id="view-keep") as keep_tab:
                keep = keep_view(engine, visit, compose)
        _wire_corners(engine, visit, compose, explore, tabs)
        for restored in keep.restored:
            restored.success(
                lambda: gr.Tabs(selected="compose"), None, tabs, queue=False, **PRIVATE
            )
        wire_keep(engine, visit, keep, keep_tab, [*compose.running, *explore.running, *lessons])
        _wire_start(demo, engine, visit, status, loading, compose, explore)
    return demo


def _wire_corners(
    engine: Engine, visit: gr.State, compose: Compose, explore: Explore, tabs: gr.Tabs
) -> None:
    """Corners of the square from the Compose form, and from the chosen picture."""
    painted = explore.sources.send.click(
        ComposeActions(engine).corner,
        [visit, explore.sources.corner, compose.recipe, *compose.form],
        [*explore.corners, explore.progress],
        **PRIVATE,
        **HEAVY,
    )
    stop_with(explore.stop, [painted], explore.progress)
    explore.running.append(painted)
    chosen = compose.results.chosen
    sent = chosen.to_corner.click(
        ResultsActions(engine).to_corner, [visit, chosen.corner], explore.corners, **PRIVATE
    )
    sent.success(
        lambda: (FROM_PICTURES, gr.Tabs(selected="explore")),
        None,
        [explore.sources.widgets["corners_from"], tabs],
        queue=False,
        **PRIVATE,
    )


def _wire_start(
    demo: gr.Blocks,
    engine: Engine,
    visit: gr.State,
    status: gr.HTML,
    loading: LoadingRow,
    compose: Compose,
    explore: Explore,
) -> None:
    """The status line, the stack's defaults once it is loaded, and the visitor's settings."""
    settings = gr.BrowserState({}, **SETTINGS)
    timer = gr.Timer(POLL_S)
    widgets = {
        "steps": compose.sampling.steps,
        "guidance": compose.sampling.guidance,
        "explore_steps": explore.sampling.steps,
        "explore_guidance": explore.sampling.guidance,
        "count": compose.count,
        "randomize": compose.randomize,
        "recipe": compose.recipe,
    }

    def tick(kept: Any) -> list[Any]:
        current = engine.status()
        shown = [status_html(current), *updates(current)]
        # After a failure the next request loads again, so the timer goes on.
        if current.state != "ready" or engine.studio is None or engine.retrying:
            return [*shown, gr.skip(), *[gr.skip()] * len(widgets)]
        stack = engine.studio.models.stack
        values = {
            "steps": stack.steps,
            "guidance": stack.guidance,
            "explore_steps": stack.steps,
            "explore_guidance": stack.guidance,
        }
        if isinstance(kept, dict):
            values |= {name: kept[name] for name in widgets if name in kept}
        changes = [values.get(name, gr.skip()) for name in widgets]
        return [*shown, gr.Timer(active=False), *changes]

    unqueued: dict[str, Any] = {**PRIVATE, "queue": False}
    started = gr.on(
        [demo.load, timer.tick],
        tick,
        settings,
        [status, *loading.parts, timer, *widgets.values()],
        **unqueued,
    )
    wire(engine, loading, timer)
    update_compose_costs(engine, visit, compose, started)
    update_explore_costs(engine, visit, explore, started)
    # One switch in two views.
    compose.recipe.change(None, compose.recipe, explore.recipe, js=SAME, **unqueued)
    switched = explore.recipe.input(None, explore.recipe, compose.recipe, js=SAME, **unqueued)
    # Kept in the browser, and only when a visitor changes them.
    names, values = ", ".join(widgets), list(widgets.values())
    keep: dict[str, Any] = {"js": f"({names}) => ({{{names}}})", **unqueued}
    gr.on([widget.input for widget in values], None, values, settings, **keep)
    switched.then(None, values, settings, **keep)


def launch(demo: gr.Blocks, host: str | None, port: int | None, share: bool, **more: Any) -> Any:
    """Serve the page. It loads nothing from other hosts; the browser keeps no history of runs."""
    # Raised by mcp_server=True; no tool depends on an earlier call.
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
        allowed_paths=[str(SUBJECTS)],  # whatever the working directory
        show_error=True,
        **more,
    )
