"""The Compose view: up to four subjects, a prompt, a layout from edges, pictures."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from lambda_eclipse.ui.compose.handlers import MAX_COUNT, ComposeActions
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.events import HEAVY, PRIVATE, QUIET, show_waiting, stop_with
from lambda_eclipse.ui.form import ComposeForm, SlotForm
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.results.handlers import ResultsActions
from lambda_eclipse.ui.results.view import Results, results_panel
from lambda_eclipse.ui.subjects.editor import SubjectEditor, subject_editor
from lambda_eclipse.ui.subjects.handlers import SubjectActions
from lambda_eclipse.ui.subjects.view import Slot, slot_row, wire_slots
from lambda_eclipse.ui.widgets.edges import Edges, EdgesActions, edges_panel, wire_edges
from lambda_eclipse.ui.widgets.example_list import example_list
from lambda_eclipse.ui.widgets.examples import COMPOSE
from lambda_eclipse.ui.widgets.settings import (
    SamplingPanel,
    recipe_switch,
    sampling_panel,
    seed_input,
)
from lambda_eclipse.ui.widgets.token_strip import strip_component


@dataclass(frozen=True)
class Compose:
    """The widgets of the view, for events across views."""

    prompt: gr.Textbox
    strip: gr.HTML
    slots: list[Slot]
    editor: SubjectEditor
    risk: gr.HTML
    go: gr.Button
    stop: gr.Button
    cost: gr.HTML
    count: gr.Slider
    seed: gr.Number
    randomize: gr.Checkbox
    draft: gr.Button
    best: gr.Button
    sampling: SamplingPanel
    edges: Edges
    recipe: gr.Checkbox
    results: Results
    examples: gr.HTML
    running: list[Any] = field(default_factory=list)  # the events that paint

    @property
    def slot_widgets(self) -> list[gr.components.Component]:
        """The widgets of all slots."""
        return [widget for slot in self.slots for widget in slot.form]

    @property
    def form(self) -> list[gr.components.Component]:
        """The widgets of the form."""
        slots = {
            f"{name}_{number}": getattr(slot, name)
            for number, slot in enumerate(self.slots, start=1)
            for name in SlotForm.names()
        }
        return ComposeForm.widgets(vars(self) | vars(self.sampling) | self.edges.form | slots)


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
            editor = subject_editor()
            with gr.Row(elem_classes="le-actions", elem_id="go-or-stop"):
                go = gr.Button(t("Generate"), variant="primary", scale=3, elem_id="generate")
                stop = gr.Button(t("Stop"), variant="stop", scale=1, min_width=90, elem_id="stop")
            cost = gr.HTML(
                t("A time estimate appears after the first picture."),
                elem_id="cost",
                elem_classes="le-cost",
            )
            with gr.Row():
                count = gr.Slider(
                    1, MAX_COUNT, 2, step=1, label=t("Number of pictures"), elem_id="count"
                )
                with gr.Column(min_width=200):
                    seed = seed_input("seed")
                    randomize = gr.Checkbox(label=t("Random seed"), value=True, elem_id="randomize")
            with gr.Row(elem_classes="le-actions"):
                draft = gr.Button(t("Draft: 1 picture, fast"), size="sm", elem_id="preset-draft")
                best = gr.Button(t("Best: 4 pictures, slow"), size="sm", elem_id="preset-best")
            sampling = sampling_panel()
            edges = edges_panel()
            recipe = recipe_switch("with-recipe")
        with gr.Column(scale=5, min_width=320):
            results = results_panel()
            examples = example_list(COMPOSE, mark("Examples: click to generate"), "examples")
    view = Compose(
        prompt,
        strip,
        slots,
        editor,
        risk,
        go,
        stop,
        cost,
        count,
        seed,
        randomize,
        draft,
        best,
        sampling,
        edges,
        recipe,
        results,
        examples,
    )
    _wire(engine, visit, view)
    return view


def _wire(engine: Engine, visit: gr.State, view: Compose) -> None:
    actions = ComposeActions(engine)
    wire_slots(SubjectActions(engine), view.slots, view.editor, view.prompt, visit)
    wire_edges(EdgesActions(engine), view.edges, visit)
    _wire_hints(actions, view)
    form, results = [visit, *view.form, view.recipe], view.results
    outputs = [results.gallery, view.seed, results.progress, results.likeness]
    starts = [view.go.click, view.prompt.submit]
    chosen = results.chosen
    clicks = [*starts, view.examples.click, chosen.vary.click, chosen.leave_one_out.click]
    gr.on(clicks, None, None, results.progress, js=show_waiting("gallery"), **PRIVATE)
    painted = gr.on(starts, actions.generate, form, outputs, api_name="generate", **QUIET, **HEAVY)
    edges = view.edges
    filled = view.examples.click(
        actions.fill,
        None,
        [
            view.prompt,
            *view.slot_widgets,
            edges.layout,
            edges.picture,
            edges.panel,
            view.seed,
            view.randomize,
        ],
        queue=False,
        **PRIVATE,
    )
    example = filled.then(actions.generate, form, outputs, **PRIVATE, **HEAVY)
    view.running.extend([painted, example, *_wire_chosen(engine, visit, view)])
    for event in view.running:
        update_costs(engine, visit, view, event)
    stop_with(view.stop, view.running, results.progress)


def update_costs(engine: Engine, visit: gr.State, view: Compose, event: Any) -> None:
    """Update the estimated times after an event that may change them."""
    timed = [view.count, view.sampling.steps]
    event.then(ComposeActions(engine).cost, timed, view.cost, queue=False, **PRIVATE)
    update_chosen_costs(engine, visit, view.results, event.then)


def update_chosen_costs(engine: Engine, visit: gr.State, results: Results, event: Any) -> None:
    """Update, at an event, the estimated times of painting from the chosen picture."""
    chosen = results.chosen
    costs = [chosen.vary_cost, chosen.leave_one_out_cost]
    event(ResultsActions(engine).costs, [visit, chosen.number], costs, queue=False, **PRIVATE)


def _wire_hints(actions: ComposeActions, view: Compose) -> None:
    """Hints before painting: tokens and warnings, the risk of blending, the estimated time."""
    latest: dict[str, Any] = {**PRIVATE, "trigger_mode": "always_last"}
    named = [widget for slot in view.slots for widget in (slot.noun, slot.picture, slot.mention)]
    gr.on(
        [view.prompt.change, *[widget.change for widget in named]],
        actions.read_prompt,
        [view.prompt, *view.slot_widgets],
        view.strip,
        **latest,
    )
    mentions = [slot.mention for slot in view.slots]
    view.strip.click(actions.bind, None, mentions, queue=False, **PRIVATE)
    pictured = [widget for slot in view.slots for widget in (slot.noun, slot.picture, slot.mask)]
    changes = [widget.change for widget in pictured]
    gr.on(changes, actions.risk, view.slot_widgets, view.risk, **latest, **HEAVY)
    timed = [view.count, view.sampling.steps]
    gr.on([widget.change for widget in timed], actions.cost, timed, view.cost, **latest)
    preset = [view.sampling.steps, view.sampling.guidance, view.count]
    view.draft.click(actions.draft, None, preset, **PRIVATE)
    view.best.click(actions.best, None, preset, **PRIVATE)


def _wire_chosen(engine: Engine, visit: gr.State, view: Compose) -> list[Any]:
    """The panel of the chosen picture; returns the events that paint."""
    actions, results, chosen = ResultsActions(engine), view.results, view.results.chosen
    selected = results.gallery.select(
        actions.choose, visit, [chosen.text, chosen.compare, chosen.panel], **PRIVATE
    )
    for event in (selected.then, chosen.number.change):
        update_chosen_costs(engine, visit, results, event)
    chosen.to_slot.click(actions.to_slot, [visit, chosen.slot], view.slot_widgets, **PRIVATE)
    chosen.restore.click(actions.restore, visit, view.form, **PRIVATE)
    outputs = results.outputs
    varied = chosen.vary.click(
        actions.vary, [visit, chosen.angle, chosen.number, view.recipe], outputs, **PRIVATE, **HEAVY
    )
    left_out = chosen.leave_one_out.click(
        actions.leave_one_out, [visit, view.recipe], outputs, **PRIVATE, **HEAVY
    )
    return [varied, left_out]
