"""The Compose view: up to four subjects, a prompt, a layout from edges, pictures."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from lambda_eclipse.request import MAX_SEED
from lambda_eclipse.ui.common import (
    HEAVY,
    PRIVATE,
    QUIET,
    Sampling,
    recipe_switch,
    sampling_panel,
    stop_with,
    waiting,
)
from lambda_eclipse.ui.compose.handlers import MAX_COUNT, ComposeActions
from lambda_eclipse.ui.compose.result_handlers import ResultsActions
from lambda_eclipse.ui.compose.subject_handlers import SlotActions
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.widgets.bench import Bench, bench_panel
from lambda_eclipse.ui.widgets.edges import Edges, EdgesActions, edges_panel, wire_edges
from lambda_eclipse.ui.widgets.example_cards import example_cards
from lambda_eclipse.ui.widgets.examples import COMPOSE
from lambda_eclipse.ui.widgets.results import Results, results_panel
from lambda_eclipse.ui.widgets.slot import Slot, slot_row, wire_slots
from lambda_eclipse.ui.widgets.strip import strip_component


@dataclass(frozen=True)
class Compose:
    """The widgets of the view, for what is wired across views."""

    prompt: gr.Textbox
    strip: gr.HTML
    slots: list[Slot]
    bench: Bench
    risk: gr.HTML
    go: gr.Button
    stop: gr.Button
    cost: gr.HTML
    count: gr.Slider
    seed: gr.Number
    randomize: gr.Checkbox
    recipe: gr.Checkbox
    draft: gr.Button
    best: gr.Button
    edges: Edges
    sampling: Sampling
    results: Results
    cards: gr.HTML
    running: list[Any] = field(default_factory=list)  # the events that paint

    @property
    def everything(self) -> list[gr.components.Component]:
        """The five values of every slot."""
        return [widget for slot in self.slots for widget in slot.form]

    @property
    def form(self) -> list[gr.components.Component]:
        """What a picture depends on, in the order of `generate`, but for the recipe's switch."""
        tuning = [self.count, self.sampling.steps, self.sampling.guidance]
        chance = [self.seed, self.randomize]
        return [self.prompt, *self.everything, *self.edges.form, *tuning, *chance]


def compose_view(engine: Engine, visit: gr.State) -> Compose:
    """Lay out the view and wire it."""
    with gr.Row(elem_classes="le-main"):
        with gr.Column(scale=6, min_width=320):
            prompt = gr.Textbox(
                label=t("Prompt"),
                placeholder=t("a cat wearing a hat on the beach"),
                lines=2,
                max_lines=4,
                elem_id="prompt",
            )
            strip = strip_component("strip")
            slots = slot_row()
            risk = gr.HTML(elem_id="risk")
            bench = bench_panel()
            with gr.Row(elem_classes="le-actions", elem_id="go-or-stop"):
                go = gr.Button(t("Generate"), variant="primary", scale=3, elem_id="generate")
                stop = gr.Button(t("Stop"), variant="stop", scale=1, min_width=90, elem_id="stop")
            cost = gr.HTML(
                t("How long it takes is known after the first picture."),
                elem_id="cost",
                elem_classes="le-cost",
            )
            with gr.Row():
                count = gr.Slider(
                    1, MAX_COUNT, 2, step=1, label=t("Number of pictures"), elem_id="count"
                )
                with gr.Column(min_width=200):
                    seed = gr.Number(
                        label=t("Seed"), value=0, precision=0, minimum=0, maximum=MAX_SEED,
                        elem_id="seed",
                    )  # fmt: skip
                    randomize = gr.Checkbox(
                        label=t("A new seed each time"), value=True, elem_id="randomize"
                    )
            with gr.Row(elem_classes="le-actions"):
                draft = gr.Button(t("Draft: one, quickly"), size="sm", elem_id="preset-draft")
                best = gr.Button(t("Best: four, with care"), size="sm", elem_id="preset-best")
            sampling = sampling_panel()
            edges = edges_panel()
            recipe = recipe_switch("with-recipe")
        with gr.Column(scale=5, min_width=320):
            results = results_panel()
            cards = example_cards(COMPOSE, mark("Examples: one click paints them"), "examples")
    view = Compose(
        prompt, strip, slots, bench, risk, go, stop, cost, count, seed, randomize, recipe, draft,
        best, edges, sampling, results, cards,
    )  # fmt: skip
    _wire(engine, visit, view)
    return view


def _wire(engine: Engine, visit: gr.State, view: Compose) -> None:
    actions = ComposeActions(engine)
    wire_slots(SlotActions(engine), view.slots, view.bench, view.prompt, visit)
    wire_edges(EdgesActions(engine), view.edges, visit)
    _watch_form(actions, view)
    form, results = [visit, *view.form, view.recipe], view.results
    shown = [results.gallery, view.seed, results.progress, results.bars]
    starts = [view.go.click, view.prompt.submit]
    clicks = [*starts, view.cards.click, results.vary.click, results.without.click]
    gr.on(clicks, None, None, results.progress, js=waiting("gallery"), **PRIVATE)
    painted = gr.on(starts, actions.generate, form, shown, api_name="generate", **QUIET, **HEAVY)
    edges = view.edges
    filled = view.cards.click(
        actions.fill, None,
        [view.prompt, *view.everything, edges.layout, edges.picture, edges.panel, view.seed,
         view.randomize],
        queue=False, **PRIVATE,
    )  # fmt: skip
    example = filled.then(actions.generate, form, shown, **PRIVATE, **HEAVY)
    view.running.extend([painted, example, *_wire_results(engine, visit, view)])
    for event in view.running:
        tell_cost(engine, visit, view, event)
    stop_with(view.stop, view.running, results.progress)


def tell_cost(engine: Engine, visit: gr.State, view: Compose, event: Any) -> None:
    """Tell the costs anew after an event that may change what is known of them."""
    timed = [view.count, view.sampling.steps]
    event.then(ComposeActions(engine).cost, timed, view.cost, queue=False, **PRIVATE)
    tell_costs_of_chosen(engine, visit, view.results, event.then)


def tell_costs_of_chosen(engine: Engine, visit: gr.State, results: Results, event: Any) -> None:
    """Tell, at an event, what it costs to paint more of the chosen picture."""
    costs = [results.vary_cost, results.without_cost]
    event(ResultsActions(engine).costs, [visit, results.number], costs, queue=False, **PRIVATE)


def _watch_form(actions: ComposeActions, view: Compose) -> None:
    """What is told before the click: tokens and warnings, the risk of blending, the time."""
    quiet: dict[str, Any] = {**PRIVATE, "trigger_mode": "always_last"}
    named = [widget for slot in view.slots for widget in (slot.noun, slot.picture, slot.mention)]
    gr.on(
        [view.prompt.change, *[widget.change for widget in named]], actions.read_prompt,
        [view.prompt, *view.everything], view.strip, **quiet,
    )  # fmt: skip
    view.strip.click(
        actions.bind, None, [slot.mention for slot in view.slots], queue=False, **PRIVATE
    )
    pictured = [widget for slot in view.slots for widget in (slot.noun, slot.picture, slot.mask)]
    gr.on(
        [widget.change for widget in pictured], actions.risk, view.everything, view.risk, **quiet,
        **HEAVY,
    )  # fmt: skip
    timed = [view.count, view.sampling.steps]
    gr.on([widget.change for widget in timed], actions.cost, timed, view.cost, **quiet)
    preset = [view.sampling.steps, view.sampling.guidance, view.count]
    view.draft.click(actions.draft, None, preset, **PRIVATE)
    view.best.click(actions.best, None, preset, **PRIVATE)


def _wire_results(engine: Engine, visit: gr.State, view: Compose) -> list[Any]:
    """The chosen picture's tools; the events that paint."""
    actions, results = ResultsActions(engine), view.results
    chosen = results.gallery.select(
        actions.choose, visit, [results.chosen, results.compare, results.panel], **PRIVATE
    )
    for event in (chosen.then, results.number.change):
        tell_costs_of_chosen(engine, visit, results, event)
    results.to_slot.click(actions.to_slot, [visit, results.slot], view.everything, **PRIVATE)
    results.restore.click(actions.restore, visit, view.form, **PRIVATE)
    shown = [results.gallery, results.progress, results.bars]
    varied = results.vary.click(
        actions.vary, [visit, results.angle, results.number, view.recipe], shown,
        **PRIVATE, **HEAVY,
    )  # fmt: skip
    apart = results.without.click(actions.without, [visit, view.recipe], shown, **PRIVATE, **HEAVY)
    return [varied, apart]
