"""The subject slots: picture, noun, strength, mask, and the cut-out that the model sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.events import HEAVY, PRIVATE
from lambda_eclipse.ui.form import ALL_MENTIONS, SlotForm
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.subjects.editor import SubjectEditor
from lambda_eclipse.ui.subjects.handlers import SubjectActions
from lambda_eclipse.ui.widgets.pictures import upload

HINTS = ("cat", "hat", "dog", "guitar")
MAX_STRENGTH = 1.5
TOOL_LABELS: dict[str, str] = {
    "left": mark("Move subject {number} to the left"),
    "right": mark("Move subject {number} to the right"),
    "edit": mark("Edit mask and noun of subject {number}"),
    "remove": mark("Remove subject {number}"),
}

# JavaScript on the values of a slot, in the order of `SlotForm`: nothing is sent to the server.
EMPTY = "() => ['', null, null, 1, 0]"
EXCHANGE = "(...v) => [...v.slice(5), ...v.slice(0, 5)]"
NEW_PICTURE = "() => [null, 0]"


@dataclass(frozen=True)
class Slot:
    """The widgets of one subject. mask and mention are hidden: other widgets set them."""

    noun: gr.Textbox
    picture: gr.Image
    mask: gr.Image
    strength: gr.Slider
    mention: gr.Number
    overlay: gr.Image
    cutout: gr.Image
    note: gr.HTML
    left: gr.Button | None
    right: gr.Button | None
    edit: gr.Button
    remove: gr.Button

    @property
    def form(self) -> list[gr.components.Component]:
        """The widgets of its `SlotForm`."""
        return SlotForm.widgets(vars(self))


def slot_row() -> list[Slot]:
    """All slots, side by side."""
    with gr.Row(elem_classes="le-slots"):
        return [_slot(number) for number in range(1, paper.MAX_SUBJECTS + 1)]


def _slot(number: int) -> Slot:
    with gr.Column(min_width=140, elem_classes=["le-slot", f"le-slot{number - 1}"]):
        picture = upload(t("Subject {number}", number=number), 160, f"picture-{number}")
        noun = gr.Textbox(
            label=t("Noun in prompt"),
            placeholder=HINTS[number - 1],
            max_lines=1,
            elem_id=f"noun-{number}",
        )
        with gr.Column(elem_classes="le-when-filled", min_width=100):
            with gr.Row(elem_classes="le-tools"):
                left = _button("left", number) if number > 1 else None
                right = _button("right", number) if number < paper.MAX_SUBJECTS else None
                edit, remove = _button("edit", number), _button("remove", number)
            with gr.Row(elem_classes="le-views"):
                overlay = _view(t("Mask of subject {number}", number=number), f"overlay-{number}")
                cutout = _view(
                    t("Model input for subject {number}", number=number), f"seen-{number}"
                )
            note = gr.HTML(elem_id=f"seen-note-{number}", elem_classes=["le-note", "le-news"])
            strength = gr.Slider(
                0,
                MAX_STRENGTH,
                1,
                step=0.05,
                label=t("Strength"),
                elem_id=f"strength-{number}",
            )
        mask = gr.Image(
            label=t("Selected mask of subject {number}", number=number),
            type="filepath",
            image_mode=None,
            visible="hidden",
            elem_id=f"mask-{number}",
        )
        mention = gr.Number(
            0,
            label=t(
                "Occurrence of subject {number} in the prompt, 0 for the first, −1 for all",
                number=number,
            ),
            precision=0,
            minimum=ALL_MENTIONS,
            visible="hidden",
            elem_id=f"mention-{number}",
        )
    return Slot(
        noun, picture, mask, strength, mention, overlay, cutout, note, left, right, edit, remove
    )


def _view(label: str, elem_id: str) -> gr.Image:
    return gr.Image(
        label=label,
        interactive=False,
        format="png",
        height=110,
        min_width=60,
        buttons=["fullscreen"],
        elem_id=elem_id,
        elem_classes="le-seen",
    )


def _button(kind: str, number: int) -> gr.Button:
    # The style draws an icon; the text is the accessible name.
    return gr.Button(
        t(TOOL_LABELS[kind], number=number),
        size="sm",
        min_width=36,
        elem_id=f"{kind}-{number}",
        elem_classes=["le-tool", f"le-{kind}"],
    )


def wire_slots(
    actions: SubjectActions,
    slots: Sequence[Slot],
    editor: SubjectEditor,
    prompt: gr.Textbox,
    visit: gr.State,
) -> None:
    """Show cut-outs at once; wire the slots' buttons and the editor."""
    unqueued: dict[str, Any] = {**PRIVATE, "queue": False}
    form = [widget for slot in slots for widget in slot.form]
    for index, slot in enumerate(slots):
        changed = [slot.picture.input, slot.picture.clear]
        gr.on(changed, None, None, [slot.mask, slot.mention], js=NEW_PICTURE, **unqueued)
        gr.on(
            [slot.picture.change, slot.mask.change],
            actions.mask,
            [visit, slot.picture, slot.mask],
            [slot.cutout, slot.note, slot.overlay],
            show_progress="minimal",
            trigger_mode="always_last",
            concurrency_id="mask",
            concurrency_limit=1,
            # The slots share one handler: only the first one is an endpoint.
            **({"api_name": "mask"} if index == 0 else {"api_visibility": "private"}),
        )
        slot.picture.upload(actions.noun_of_card, [slot.picture, slot.noun], slot.noun, **PRIVATE)
        slot.remove.click(None, None, slot.form, js=EMPTY, **unqueued)
        for button, other in ((slot.left, index - 1), (slot.right, index + 1)):
            if button is not None:
                both = [*slot.form, *slots[other].form]
                button.click(None, both, both, js=EXCHANGE, **unqueued)
        opened = slot.edit.click(
            actions.open_editor,
            gr.State(index + 1),
            [editor.panel, editor.number, editor.canvas_column],
            **unqueued,
        )
        _fill_editor(actions, editor, opened.then, visit, form)
    _wire_editor(actions, slots, editor, prompt, visit)


def _wire_editor(
    actions: SubjectActions,
    slots: Sequence[Slot],
    editor: SubjectEditor,
    prompt: gr.Textbox,
    visit: gr.State,
) -> None:
    unqueued: dict[str, Any] = {**PRIVATE, "queue": False}
    form = [widget for slot in slots for widget in slot.form]
    masks = [slot.mask for slot in slots]
    nouns = [slot.noun for slot in slots]
    editor.panel.collapse(actions.close_editor, visit, editor.canvas_column, **unqueued)
    editor.panel.expand(actions.show_canvas, None, editor.canvas_column, **unqueued)
    for event in (editor.number.input, editor.panel.expand):
        _fill_editor(actions, editor, event, visit, form)
    editor.candidates.select(
        actions.choose_candidate, [visit, editor.number], [*masks, editor.canvas], **PRIVATE
    )
    editor.apply.click(
        actions.apply_canvas, [visit, editor.number, editor.canvas, *form], masks, **PRIVATE
    )
    editor.automatic.click(actions.use_automatic_mask, editor.number, masks, **unqueued)
    editor.nouns.input(
        actions.choose_noun, [editor.number, editor.nouns, prompt], [*nouns, prompt], **unqueued
    )
    editor.card.click(
        actions.save_card, [visit, editor.number, *form], editor.card_file, **PRIVATE, **HEAVY
    )


def _fill_editor(
    actions: SubjectActions, editor: SubjectEditor, event: Any, visit: gr.State, form: list
) -> None:
    """Show the chosen subject at an event: masks first, then nouns, which need the networks."""
    inputs = [visit, editor.number, *form]
    filled = event(actions.candidates, inputs, [editor.candidates, editor.canvas], **PRIVATE)
    filled.then(actions.propose_nouns, inputs, editor.nouns, **PRIVATE, **HEAVY)
