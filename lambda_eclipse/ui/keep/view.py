"""The Keep view: restore from a PNG, the shelf of subjects, the history, and deleting it all."""

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.common import HEAVY, PRIVATE, QUIET, stop_with
from lambda_eclipse.ui.compose.result_handlers import ResultsActions
from lambda_eclipse.ui.compose.view import Compose, tell_costs_of_chosen
from lambda_eclipse.ui.engine import HEARTBEAT_S, Engine
from lambda_eclipse.ui.i18n import LazyText, mark, t
from lambda_eclipse.ui.keep.handlers import KeepActions
from lambda_eclipse.ui.text import section_html
from lambda_eclipse.ui.widgets.language_menu import FORGET

# A new page is a new visit, so nothing of the old one can be left on the screen.
RELOAD = f"() => {{ window.localStorage.clear(); {FORGET} window.location.reload(); }}"


@dataclass(frozen=True)
class Keep:
    """What the page wires: widgets, and the events after which a form is back."""

    history: gr.Gallery
    shelf: gr.Gallery
    delete: gr.Button
    filled: list[Any]


def _section(head: str, about: str, elem_id: str) -> gr.HTML:
    return gr.HTML(LazyText(lambda: section_html(head, about)), elem_id=elem_id)


def keep_view(engine: Engine, visit: gr.State, compose: Compose) -> Keep:
    """Lay out the view and wire it to the form of Compose."""
    actions = KeepActions(engine)
    with gr.Row(elem_classes="le-main"):
        with gr.Column(min_width=320):
            _section(
                mark("Restore"),
                mark(
                    "A PNG painted here carries its recipe: drop it anywhere on this page, and "
                    "the form comes back and the picture is painted again."
                ),
                "restore-about",
            )
            file = gr.File(
                label=t("PNG with a recipe"), file_types=[".png"], type="filepath", height=120,
                elem_id="restore-file",
            )  # fmt: skip
            found = gr.HTML(elem_id="restore-found", elem_classes="le-news")
            _section(
                mark("Shelf"),
                mark(
                    "Your concept cards of this visit, and the subjects that come with the "
                    "program. A click puts one into a slot."
                ),
                "shelf-about",
            )
            slots = list(range(1, paper.MAX_SUBJECTS + 1))
            number = gr.Radio(slots, value=1, label=t("Into slot"), elem_id="shelf-slot")
            shelf = gr.Gallery(
                label=t("Subjects"), columns=5, height="auto", object_fit="contain", buttons=[],
                allow_preview=False, interactive=False, elem_id="shelf",
            )  # fmt: skip
            loaded = gr.HTML(elem_id="shelf-note", elem_classes="le-news")
            card = gr.File(
                label=t("Concept card from a file"),
                file_types=[".png"],
                type="filepath",
                height=120,
                elem_id="shelf-file",
            )
        with gr.Column(min_width=320):
            _section(
                mark("History"),
                mark("The pictures of this visit. Nobody else sees them."),
                "history-about",
            )
            history = gr.Gallery(
                label=t("Pictures of this visit"), columns=4, height="auto", object_fit="contain",
                format="png", buttons=["download", "download_all", "fullscreen"],
                interactive=False, elem_id="history",
            )  # fmt: skip
            chosen = gr.HTML(
                t("Click a picture to choose it."), elem_id="history-chosen", elem_classes="le-news"
            )
            back = gr.Button(t("Bring back its form"), elem_id="history-restore")
            _section(
                mark("Your data"),
                mark(
                    "Uploads and pictures are deleted an hour after they came, and at once by "
                    "this button: everything of this visit, on the server and in this browser."
                ),
                "delete-about",
            )
            delete = gr.Button(t("Delete everything of mine"), variant="stop", elem_id="delete")
    results = compose.results
    shown = [results.gallery, results.progress, results.bars]
    filled = file.upload(actions.restore, [visit, file], [*compose.form, found], **PRIVATE)
    again = filled.success(
        actions.reproduce, [visit, file], shown, api_name="reproduce", **QUIET, **HEAVY
    )
    again.then(actions.history, visit, history, **PRIVATE)
    for event in (again.then, filled.failure):  # the place is free for the next one
        event(None, None, file, js="() => null", queue=False, **PRIVATE)
    picked = history.select(actions.choose, visit, chosen, queue=False, **PRIVATE)
    picked.then(ResultsActions(engine).chosen, visit, [results.chosen, results.compare], **PRIVATE)
    tell_costs_of_chosen(engine, visit, results, picked.then)
    brought = back.click(actions.bring_back, visit, compose.form, **PRIVATE)
    shelf.select(
        actions.take, [visit, number], [*compose.everything, loaded], queue=False, **PRIVATE
    )
    card.upload(actions.shelve, [visit, card], shelf, **PRIVATE)
    stop_with(compose.stop, [again], results.progress)
    compose.running.append(again)
    return Keep(history, shelf, delete, [filled, brought])


def wire_keep(engine: Engine, visit: gr.State, keep: Keep, tab: gr.Tab, running: list[Any]) -> None:
    """Show what there is when the view is opened; delete what `running` events may still write."""
    actions = KeepActions(engine)
    tab.select(actions.history, visit, keep.history, queue=False, **PRIVATE)
    tab.select(actions.shelf, visit, keep.shelf, queue=False, **PRIVATE)

    def delete(visit: Any) -> None:
        time.sleep(2 * HEARTBEAT_S)  # what was stopped writes down what it had finished
        actions.delete(visit)

    stopped = keep.delete.click(None, None, None, cancels=running)
    deleted = stopped.then(delete, visit, None, queue=False, **PRIVATE)
    deleted.then(None, None, None, js=RELOAD)
