"""The Keep view: restoring from a PNG, the shelf of subjects, the history, deleting."""

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.compose.view import Compose, update_chosen_costs
from lambda_eclipse.ui.engine import HEARTBEAT_S, Engine
from lambda_eclipse.ui.events import HEAVY, PRIVATE, QUIET, stop_with
from lambda_eclipse.ui.html import section_html
from lambda_eclipse.ui.i18n import LazyText, mark, t
from lambda_eclipse.ui.keep.handlers import KeepActions
from lambda_eclipse.ui.results.handlers import ResultsActions
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.language_menu import DELETE_COOKIE
from lambda_eclipse.ui.widgets.pictures import choices, gallery

# A new page is a new visit and shows nothing of the old one.
RELOAD = f"() => {{ window.localStorage.clear(); {DELETE_COOKIE} window.location.reload(); }}"


@dataclass(frozen=True)
class Keep:
    """The widgets for events across views. restored: the events that restore a form."""

    history: gr.Gallery
    shelf: gr.Gallery
    delete: gr.Button
    restored: list[Any]


def keep_view(engine: Engine, visit: gr.State, compose: Compose) -> Keep:
    """Lay out the view and wire it to the form of Compose."""
    actions = KeepActions(engine)
    with gr.Row(elem_classes="le-main"):
        with gr.Column(min_width=320):
            _section(
                mark("Restore"),
                mark(
                    "A generated PNG contains its recipe: drop it anywhere on this page to "
                    "restore the settings and reproduce the picture."
                ),
                "restore-about",
            )
            file = _png_file(t("PNG with a recipe"), "restore-file")
            differences = gr.HTML(elem_id="restore-found", elem_classes="le-news")
            _section(
                mark("Subject library"),
                mark(
                    "Your concept cards of this session and the built-in subjects. Click one "
                    "to load it into a slot."
                ),
                "shelf-about",
            )
            slots = list(range(1, paper.MAX_SUBJECTS + 1))
            number = gr.Radio(slots, value=1, label=t("Slot"), elem_id="shelf-slot")
            shelf = choices(t("Subjects"), 5, "shelf")
            loaded = gr.HTML(elem_id="shelf-note", elem_classes="le-news")
            card = _png_file(t("Load concept card"), "shelf-file")
        with gr.Column(min_width=320):
            _section(
                mark("History"),
                mark("Pictures of this session. Only you can see them."),
                "history-about",
            )
            buttons = ["download", "download_all", "fullscreen"]
            history = gallery(t("Pictures of this session"), 4, "history", buttons=buttons)
            chosen = gr.HTML(
                t("Select a picture first."), elem_id="history-chosen", elem_classes="le-news"
            )
            restore = gr.Button(t("Restore settings"), elem_id="history-restore")
            _section(
                mark("Your data"),
                mark(
                    "Uploads and pictures are deleted after one hour. This button deletes all "
                    "data of this session now, on the server and in this browser."
                ),
                "delete-about",
            )
            delete = gr.Button(t("Delete my data"), variant="stop", elem_id="delete")
    results = compose.results
    restored = file.upload(actions.restore, [visit, file], [*compose.form, differences], **PRIVATE)
    reproduced = restored.success(
        actions.reproduce,
        [visit, file],
        results.outputs,
        api_name="reproduce",
        **QUIET,
        **HEAVY,
    )
    reproduced.then(actions.history, visit, history, **PRIVATE)
    for event in (reproduced.then, restored.failure):  # ready for the next file
        event(None, None, file, js="() => null", queue=False, **PRIVATE)
    selected = history.select(actions.choose, visit, chosen, queue=False, **PRIVATE)
    panel = [results.chosen.text, results.chosen.compare]
    selected.then(ResultsActions(engine).chosen, visit, panel, **PRIVATE)
    update_chosen_costs(engine, visit, results, selected.then)
    chosen_restored = restore.click(actions.restore_chosen, visit, compose.form, **PRIVATE)
    shelf.select(
        actions.load, [visit, number], [*compose.slot_widgets, loaded], queue=False, **PRIVATE
    )
    card.upload(actions.shelve, [visit, card], shelf, **PRIVATE)
    stop_with(compose.stop, [reproduced], results.progress)
    compose.running.append(reproduced)
    return Keep(history, shelf, delete, [restored, chosen_restored])


def _section(heading: str, about: str, elem_id: str) -> gr.HTML:
    """A heading and a paragraph, from two marked texts."""
    return gr.HTML(LazyText(lambda: section_html(heading, about)), elem_id=elem_id)


def _png_file(label: str, elem_id: str) -> gr.File:
    return gr.File(label=label, file_types=[".png"], type="filepath", height=120, elem_id=elem_id)


def wire_keep(engine: Engine, visit: gr.State, keep: Keep, tab: gr.Tab, running: list[Any]) -> None:
    """Fill the view when it is opened; delete the visit after stopping the `running` events."""
    actions = KeepActions(engine)
    tab.select(actions.history, visit, keep.history, queue=False, **PRIVATE)
    tab.select(actions.shelf, visit, keep.shelf, queue=False, **PRIVATE)

    def delete(visit: Visit) -> None:
        time.sleep(2 * HEARTBEAT_S)  # stopped jobs save what they had finished
        actions.delete(visit)

    stopped = keep.delete.click(None, None, None, cancels=running)
    deleted = stopped.then(delete, visit, None, queue=False, **PRIVATE)
    deleted.then(None, None, None, js=RELOAD)
