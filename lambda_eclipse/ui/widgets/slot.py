"""The subject slots: picture, word, strength, mask, and what the model sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.common import HEAVY, PRIVATE, upload
from lambda_eclipse.ui.compose.subject_handlers import SlotActions
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.widgets.bench import Bench

HINTS = ("cat", "hat", "dog", "guitar")
MAX_STRENGTH = 1.5
TOOL_LABELS: dict[str, str] = {
    "left": mark("Move subject {number} to the left"),
    "right": mark("Move subject {number} to the right"),
    "edit": mark("Mask and words of subject {number}"),
    "remove": mark("Remove subject {number}"),
}

# Done in the browser: nothing is sent anywhere. The five values of a slot, as in `Slot.form`.
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
    seen: gr.Image
    note: gr.HTML
    left: gr.Button | None
    right: gr.Button | None
    edit: gr.Button
    remove: gr.Button

    @property
    def form(self) -> list[gr.components.Component]:
        """Its part of the form, in the order of `form.PART`."""
        return [self.noun, self.picture, self.mask, self.strength, self.mention]


def _view(label: str, elem_id: str) -> gr.Image:
    return gr.Image(
        label=label, interactive=False, format="png", height=110, min_width=60,
        buttons=["fullscreen"], elem_id=elem_id, elem_classes="le-seen",
    )  # fmt: skip


def _button(kind: str, number: int) -> gr.Button:
    # A sign to see, drawn by the style, and a sentence to hear, which is the text.
    return gr.Button(
        t(TOOL_LABELS[kind], number=number), size="sm", min_width=36, elem_id=f"{kind}-{number}",
        elem_classes=["le-tool", f"le-{kind}"],
    )  # fmt: skip


def _slot(number: int) -> Slot:
    last = number == paper.MAX_SUBJECTS
    with gr.Column(min_width=140, elem_classes=["le-slot", f"le-slot{number - 1}"]):
        picture = upload(t("Subject {number}", number=number), 160, f"picture-{number}")
        noun = gr.Textbox(
            label=t("Word in prompt"), placeholder=HINTS[number - 1], max_lines=1,
            elem_id=f"noun-{number}",
        )  # fmt: skip
        with gr.Column(elem_classes="le-when-filled", min_width=100):
            with gr.Row(elem_classes="le-tools"):
                left = _button("left", number) if number > 1 else None
                right = None if last else _button("right", number)
                edit, remove = _button("edit", number), _button("remove", number)
            with gr.Row(elem_classes="le-views"):
                overlay = _view(t("Mask of subject {number}", number=number), f"overlay-{number}")
                seen = _view(
                    t("What the model sees of subject {number}", number=number), f"seen-{number}"
                )
            note = gr.HTML(elem_id=f"seen-note-{number}", elem_classes=["le-note", "le-news"])
            strength = gr.Slider(
                0, MAX_STRENGTH, 1, step=0.05, label=t("Strength"),
                elem_id=f"strength-{number}",
            )  # fmt: skip
        mask = gr.Image(
            label=t("Mask chosen for subject {number}", number=number),
            type="filepath",
            image_mode=None,
            visible="hidden",
            elem_id=f"mask-{number}",
        )
        mention = gr.Number(
            0,
            label=t("Mention of subject {number}, 0 for the first", number=number),
            precision=0,
            minimum=0,
            visible="hidden",
            elem_id=f"mention-{number}",
        )
    return Slot(
        noun, picture, mask, strength, mention, overlay, seen, note, left, right, edit, remove
    )  # fmt: skip


def slot_row() -> list[Slot]:
    """All the slots, side by side."""
    with gr.Row(elem_classes="le-slots"):
        return [_slot(number) for number in range(1, paper.MAX_SUBJECTS + 1)]


def wire_slots(
    actions: SlotActions, slots: Sequence[Slot], bench: Bench, prompt: gr.Textbox, visit: gr.State
) -> None:
    """Show at once what the model sees, and let the buttons of each slot do their work."""
    quiet: dict[str, Any] = {**PRIVATE, "queue": False}
    everything = [widget for slot in slots for widget in slot.form]
    masks = [slot.mask for slot in slots]
    for index, slot in enumerate(slots):
        # They all do the same, so only the first one is an endpoint.
        named = {"api_name": "mask"} if index == 0 else {"api_visibility": "private"}
        gr.on([slot.picture.input, slot.picture.clear], None, None, [slot.mask, slot.mention],
              js=NEW_PICTURE, **quiet)  # fmt: skip
        gr.on(
            [slot.picture.change, slot.mask.change], actions.mask, [visit, slot.picture, slot.mask],
            [slot.seen, slot.note, slot.overlay], show_progress="minimal",
            trigger_mode="always_last", concurrency_id="mask", concurrency_limit=1, **named,
        )  # fmt: skip
        slot.picture.upload(actions.noun_of_card, [slot.picture, slot.noun], slot.noun, **PRIVATE)
        slot.remove.click(None, None, slot.form, js=EMPTY, **quiet)
        for button, other in ((slot.left, index - 1), (slot.right, index + 1)):
            if button is not None:
                both = [*slot.form, *slots[other].form]
                button.click(None, both, both, js=EXCHANGE, **quiet)
        opened = slot.edit.click(
            actions.open_bench, [gr.State(index + 1), *everything], 
            [bench.panel, bench.number, bench.easel],
            **quiet,
        )  # fmt: skip
        _load(actions, bench, opened.then, visit, everything)
    bench.panel.collapse(actions.close_bench, visit, bench.easel, **quiet)
    bench.panel.expand(actions.show_easel, None, bench.easel, **quiet)
    for event in (bench.number.input, bench.panel.expand):
        _load(actions, bench, event, visit, everything)
    bench.candidates.select(
        actions.take_candidate, [visit, bench.number], [*masks, bench.editor], **PRIVATE
    )
    bench.apply.click(
        actions.take_brush, [visit, bench.number, bench.editor, *everything], masks, **PRIVATE
    )
    bench.automatic.click(actions.automatic, bench.number, masks, **quiet)
    bench.words.input(
        actions.take_word, [bench.number, bench.words, prompt],
        [*[slot.noun for slot in slots], prompt], **quiet,
    )  # fmt: skip
    bench.card.click(
        actions.card, [visit, bench.number, *everything], bench.card_file, **PRIVATE, **HEAVY
    )


def _load(
    actions: SlotActions, bench: Bench, event: Any, visit: gr.State, everything: list
) -> None:
    """Fill the bench with the chosen subject: masks first, then words, which need the networks."""
    form = [visit, bench.number, *everything]
    loaded = event(actions.candidates_of, form, [bench.candidates, bench.editor], **PRIVATE)
    loaded.then(actions.words_of, form, bench.words, **PRIVATE, **HEAVY)
