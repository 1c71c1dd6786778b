"""The token strip: the prompt's tokens, the subjects bound to them, and warnings.

Other mentions of a subject's noun are buttons that bind the subject to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse.messages import StudioError
from lambda_eclipse.ui.form import ALL_MENTIONS, FIRST_MENTION, SlotForm
from lambda_eclipse.ui.i18n import t, translate

# One listener on the component: its content is replaced with every typed letter.
SCRIPT = """
element.addEventListener('click', (event) => {
  const chip = event.target.closest('button[data-subject]');
  if (chip) trigger('click', {
    subject: Number(chip.dataset.subject), mention: Number(chip.dataset.mention),
  });
});
"""


@dataclass(frozen=True)
class Chip:
    """One token, or a button behind all tokens. owner: the subject bound to it. choice: (subject,
    mention) that a click binds, label: what that does, if not the usual.

    Subjects count from 0, mentions from 1, or `ALL_MENTIONS`. cut: beyond the context length.
    """

    text: str
    owner: int | None = None
    choice: tuple[int, int] | None = None
    cut: bool = False
    label: str | None = None


def read(
    tokenizer: Any,
    prompt: str,
    nouns: Sequence[str],
    mentions: Sequence[int],
    slots: Sequence[int],
) -> tuple[list[Chip], list[str]]:
    """The chips of a prompt, and warnings: nouns missing, used twice, repeated, or cut off.

    mentions: the mention that each noun is bound to, from 1; 0 for the first free one;
    `ALL_MENTIONS`. Behind the tokens stand buttons that bind a noun to all its mentions, or to one.
    slots: the index of each subject's slot.
    """
    from lambda_eclipse.mentions import places  # imports torch, which the page starts without

    pieces = tokenizer.pieces(prompt)
    warnings: list[str] = []
    limit = tokenizer.context_length - 2
    owners: dict[int, int] = {}
    choices: dict[int, tuple[int, int]] = {}
    bound = [SlotForm(mention=mention).occurrence for mention in mentions]
    buttons: list[Chip] = []
    spans: dict[int, list[tuple[int, int]]] = {}
    try:
        spans = dict(enumerate(places(tokenizer, prompt, nouns, bound)))
    except StudioError as error:
        warnings.append(translate(error.text))
        for index, noun in enumerate(nouns):  # what can be bound is shown all the same
            try:
                spans[index] = places(tokenizer, prompt, [noun], [bound[index]])[0]
            except StudioError as other:
                line = translate(other.text)
                warnings += [line] * (line not in warnings)
    for index, own in spans.items():
        found = tokenizer.occurrences(prompt, nouns[index])
        for mention, (start, end) in enumerate(found, start=1):
            choices.update((at, (slots[index], mention)) for at in range(start, end))
        owners.update((at, slots[index]) for span in own for at in range(*span))
        same = sum(other.strip().lower() == nouns[index].strip().lower() for other in nouns)
        if len(found) > same and not mentions[index]:
            warnings.append(
                t(
                    "“{noun}” occurs {count} times. The first is used; click another to use it.",
                    noun=nouns[index],
                    count=len(found),
                )
            )
        if len(found) > same == 1:
            buttons.append(_switch(nouns[index], slots[index], mentions[index]))
        words = dict.fromkeys(tokenizer.words_at(prompt, span) for span in own)
        for word in [one for one in words if _letters(one) != _letters(nouns[index])]:
            warnings.append(
                t(
                    "“{noun}” is plural in the prompt (“{word}”): all instances look alike.",
                    noun=nouns[index],
                    word=word,
                )
            )
    if len(pieces) > limit:
        rest = " ".join(pieces[limit:])
        warnings.append(
            t(
                "Prompt too long: only the first {limit} tokens are used. Ignored: {rest}",
                limit=limit,
                rest=rest,
            )
        )
    chips = []
    for at, text in enumerate(pieces, start=1):  # position 0 is the start-of-text token
        owner = owners.get(at)
        choice = choices.get(at) if owner is None else None
        chips.append(Chip(text, owner, choice, at > limit))
    return chips + buttons, warnings


def _switch(noun: str, slot: int, mention: int) -> Chip:
    """The button that binds a subject to all mentions of its noun, or back to the first."""
    if mention == ALL_MENTIONS:
        label = t("Use only one “{word}” as subject {number}", word=noun, number=slot + 1)
        return Chip(t("only one “{word}”", word=noun), choice=(slot, FIRST_MENTION), label=label)
    label = t("Use every “{word}” as subject {number}", word=noun, number=slot + 1)
    return Chip(t("all “{word}”", word=noun), choice=(slot, ALL_MENTIONS), label=label)


def strip_html(chips: Sequence[Chip], warnings: Sequence[str] = ()) -> str:
    """The strip and its warnings; each subject has a number besides its colour."""
    drawn = "".join(_chip(chip) for chip in chips)
    lines = "".join(f"<li>{escape(line)}</li>" for line in warnings)
    below = f'<ul class="le-warn">{lines}</ul>' if lines else ""
    label = escape(t("Tokens of the prompt"), quote=True)
    row = f'<div class="le-strip" role="group" aria-label="{label}">{drawn}</div>' if drawn else ""
    return row + below


def strip_component(elem_id: str) -> gr.HTML:
    """The strip; its click event carries `subject` and `mention`."""
    return gr.HTML(
        js_on_load=SCRIPT, apply_default_css=False, elem_id=elem_id, elem_classes="le-news"
    )


def _chip(chip: Chip) -> str:
    text = escape(chip.text)
    if chip.owner is not None:
        title = t("Subject {number}", number=chip.owner + 1)
        return (
            f'<span class="le-chip le-s{chip.owner}" title="{title}">{text}'
            f"<sub>{chip.owner + 1}</sub></span>"
        )
    if chip.choice is not None:
        subject, mention = chip.choice
        usual = t("Use this “{word}” as subject {number}", number=subject + 1, word=chip.text)
        label = escape(chip.label or usual, quote=True)
        return (
            f'<button type="button" class="le-chip le-bind le-b{subject}" title="{label}" '
            f'aria-label="{label}" data-subject="{subject}" data-mention="{mention}">{text}'
            f"</button>"
        )
    if chip.cut:
        title = t("Beyond the token limit: ignored")
        return f'<s class="le-chip le-cut" title="{title}">{text}</s>'
    return f'<span class="le-chip">{text}</span>'


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
