"""Reading the Compose form: subjects and seeds out of what widgets hold."""

import random
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse.request import MAX_SEED
from lambda_eclipse.ui.compose.jobs import Part
from lambda_eclipse.ui.i18n import t

# The values of one slot, in this order.
PART = ("noun", "picture", "mask", "strength", "mention")
EMPTY: tuple[Any, ...] = ("", None, None, 1.0, 0)

STACKS_OWN = 0  # steps of a form that leaves them, and the guidance, to the stack

# The last pictures of a batch use seed + 1, seed + 2 …, so a drawn seed leaves room for them.
SEED_ROOM = 16


def slots_of(values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The flat values of all slots, slot by slot."""
    for start in range(0, len(values), len(PART)):
        yield tuple(values[start : start + len(PART)])


def part_of(values: Sequence[Any]) -> Part | None:
    """One slot as it is; None where it has no picture."""
    noun, picture, mask, strength, mention = values
    if not picture:
        return None
    weight = 1.0 if strength is None else float(strength)
    return Part((noun or "").strip(), picture, mask or None, weight, int(mention or 0))


def read_subjects(values: Sequence[Any]) -> tuple[Part, ...]:
    """The filled slots; gr.Error for a picture without a noun.

    A noun without a picture is only a word of the prompt, which is said as a warning.
    """
    subjects = []
    for number, slot in enumerate(slots_of(values), start=1):
        part = part_of(slot)
        if part is None:
            if (slot[0] or "").strip():
                noun = escape(slot[0].strip(), quote=False)
                message = t(
                    "Subject {number} (“{noun}”) has no picture and is left to the prompt.",
                    number=number,
                    noun=noun,
                )
                gr.Warning(message, title=t("Please note"))
            continue
        if not part.noun:
            raise gr.Error(
                t(
                    "Subject {number} has a picture but no word. Name it with a word of the "
                    "prompt, such as “cat”, or remove the picture.",
                    number=number,
                ),
                title=t("A subject has no name"),
                print_exception=False,
            )
        subjects.append(part)
    return tuple(subjects)


def values_of(parts: Sequence[Part], slots: int) -> list[Any]:
    """The flat values of all slots that show these subjects; the rest is empty."""
    filled = [(one.noun, one.picture, one.mask, one.strength, one.mention) for one in parts]
    return [value for slot in [*filled, *[EMPTY] * (slots - len(filled))] for value in slot]


def read_sampling(steps: float, guidance: float) -> dict[str, Any]:
    """Steps and guidance by their names; None, the stack's own, where no steps are set."""
    if steps == STACKS_OWN:
        return {"steps": None, "guidance": None}
    return {"steps": int(steps), "guidance": float(guidance)}


def fresh_seed() -> int:
    """A seed for the next picture."""
    return random.randint(0, MAX_SEED - SEED_ROOM)


def read_seed(value: float | None, randomize: bool = False) -> int:
    """The seed of a form: drawn, or the number given; gr.Error when that is out of range."""
    if randomize:
        return fresh_seed()
    if value is None or not 0 <= value <= MAX_SEED:
        raise gr.Error(
            t("The seed must be a whole number from 0 to {max}.", max=MAX_SEED),
            title=t("Seed"),
            print_exception=False,
        )
    return int(value)
