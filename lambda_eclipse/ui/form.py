"""The Compose form: its fields, and what makes it complete."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.request import (
    ALL,
    CANNY_HIGH,
    CANNY_LOW,
    MAX_COUNT,
    MAX_SEED,
    SAMPLER,
    Occurrence,
    Sampling,
)
from lambda_eclipse.ui.endpoint import Form, parameter, repeated
from lambda_eclipse.ui.i18n import t

EDGES_OFF, EDGES_FROM_PICTURE, EDGES_DRAWN = "off", "picture", "drawing"
FIRST_MENTION, ALL_MENTIONS = 0, -1  # of a noun in the prompt, in place of a number from 1
STACK_DEFAULT = 0  # steps of a form that leaves steps and guidance to the stack

STEPS_HELP = (
    "Denoising steps, from 1 to 100; more take longer. 0: as many as are best for the stack, "
    "with its own guidance."
)
SAMPLER_HELP = '"ddim", or "ddpm", which adds noise in each step.'
GUIDANCE_HELP = "How closely to follow the embedding, from 0 to 20."


@dataclass(frozen=True)
class SlotForm(Form):
    """The values of one subject slot. picture and mask are paths."""

    noun: str | None = parameter(
        'The word of the prompt that subject {number} is, such as "cat".', None
    )
    picture: str | None = parameter(
        "A photo, a drawing or a concept card of subject {number}.", None
    )
    mask: str | None = parameter(
        "A picture that is bright where subject {number} is; without one it is found.", None
    )
    strength: float = parameter("From 0 to 1.5, how far the noun becomes the subject.", 1)
    mention: float = parameter(
        "Which mention of the noun in the prompt it is, from 1; 0: the first, -1: all of them.", 0
    )

    @property
    def path(self) -> str:
        """The picture's path; ValueError in an empty slot."""
        if not self.picture:
            raise ValueError("The slot is empty: add a picture.")
        return self.picture

    @property
    def occurrence(self) -> Occurrence:
        """The mention as in `Subject`."""
        mention = int(self.mention or FIRST_MENTION)
        if mention == ALL_MENTIONS:
            return ALL
        return None if mention == FIRST_MENTION else mention - 1

    def cleaned(self) -> "SlotForm | None":
        """The slot with the values that a subject needs; None without a picture."""
        if not self.picture:
            return None
        strength = 1.0 if self.strength is None else float(self.strength)
        noun = (self.noun or "").strip()
        return SlotForm(noun, self.picture, self.mask or None, strength, int(self.mention or 0))


def mention_of(occurrence: Occurrence) -> int:
    """The form's mention of a `Subject`'s occurrence."""
    if occurrence == ALL:
        return ALL_MENTIONS
    return FIRST_MENTION if occurrence is None else int(occurrence) + 1


EMPTY_SLOT = SlotForm("", None, None, 1.0, 0)


@dataclass(frozen=True)
class SlotsForm(Form):
    """All subject slots."""

    slots: tuple[SlotForm, ...] = repeated(SlotForm, paper.MAX_SUBJECTS)

    def subjects(self) -> dict[int, SlotForm]:
        """The slots with a picture, by their number from 1."""
        cleaned = {number: slot.cleaned() for number, slot in enumerate(self.slots, start=1)}
        return {number: slot for number, slot in cleaned.items() if slot}

    @classmethod
    def filled(cls, subjects: Sequence[SlotForm]) -> "SlotsForm":
        """These subjects in the first slots; the rest is empty."""
        return cls((*subjects, *[EMPTY_SLOT] * (paper.MAX_SUBJECTS - len(subjects))))


@dataclass(frozen=True)
class ComposeForm(Form):
    """The Compose form, in the order of the parameters of `/generate`."""

    prompt: str = parameter('The scene in a short English sentence, such as "a cat wearing a hat".')
    slots: tuple[SlotForm, ...] = repeated(SlotForm, paper.MAX_SUBJECTS)
    layout: str = parameter(
        '"off", "picture" for the edges of edges_from, "drawing" for edge_map as it is.', EDGES_OFF
    )
    edges_from: str | None = parameter("A picture whose edges fix the layout.", None)
    edges_low: float = parameter("The lower Canny threshold, from 0 to 500.", CANNY_LOW)
    edges_high: float = parameter("The upper Canny threshold, from 0 to 500.", CANNY_HIGH)
    edge_map: str | None = parameter("Edges as they are, white on black.", None)
    count: float = parameter("How many pictures, from 1 to 8.", 2)
    steps: float = parameter(STEPS_HELP, STACK_DEFAULT)
    guidance: float = parameter(GUIDANCE_HELP, paper.GUIDANCE)
    sampler: str = parameter(SAMPLER_HELP, SAMPLER)
    seed: float = parameter(
        "Of the first picture, a whole number; equal seeds give equal pictures.", 0
    )
    randomize: bool = parameter("Draw a new seed instead.", True)

    def checked(self) -> "ComposeForm":
        """The form without gaps and with its seed drawn.

        ValueError without a prompt; gr.Error for a picture without a noun, and for a wrong seed.
        """
        if not (self.prompt or "").strip():
            raise ValueError(t("The prompt is empty: describe the picture in a few words."))
        return replace(
            self,
            prompt=self.prompt.strip(),
            slots=SlotsForm.filled(_checked_subjects(self.slots)).slots,
            edges_from=self.edges_from if self.layout == EDGES_FROM_PICTURE else None,
            edges_low=int(self.edges_low),
            edges_high=int(self.edges_high),
            edge_map=self.edge_map if self.layout == EDGES_DRAWN else None,
            count=int(self.count),
            seed=fresh_seed() if self.randomize else read_seed(self.seed),
            randomize=False,
        )

    @property
    def subjects(self) -> tuple[SlotForm, ...]:
        """The slots with a picture."""
        return tuple(SlotsForm(self.slots).subjects().values())

    @property
    def sampling(self) -> Sampling:
        """Steps, guidance and sampler."""
        return read_sampling(self.steps, self.guidance, self.sampler)

    @property
    def files(self) -> list[str]:
        """The paths of all pictures."""
        paths = [path for slot in self.slots for path in (slot.picture, slot.mask)]
        return [path for path in (*paths, self.edges_from, self.edge_map) if path]


def read_sampling(steps: float, guidance: float, sampler: Any) -> Sampling:
    """The sampling; steps and guidance are left to the stack where no steps are set."""
    if steps == STACK_DEFAULT:
        return Sampling(sampler=sampler)
    return Sampling(int(steps), float(guidance), sampler)


def fresh_seed() -> int:
    """A random seed that leaves room for those of the other pictures of a batch."""
    return random.randint(0, MAX_SEED - MAX_COUNT)


def read_seed(value: float | None) -> int:
    """The seed in a field; gr.Error when it is out of range."""
    if value is None or not 0 <= value <= MAX_SEED:
        raise gr.Error(
            t("The seed must be a whole number from 0 to {max}.", max=MAX_SEED),
            title=t("Seed"),
            print_exception=False,
        )
    return int(value)


def _checked_subjects(slots: Sequence[SlotForm]) -> list[SlotForm]:
    """The slots with a picture; gr.Error for one without a noun.

    A noun without a picture is only a word of the prompt: a warning says so.
    """
    subjects = []
    for number, slot in enumerate(slots, start=1):
        cleaned, noun = slot.cleaned(), (slot.noun or "").strip()
        if cleaned is None:
            if noun:
                message = t(
                    "Subject {number} (“{noun}”) has no picture: only the prompt describes it.",
                    number=number,
                    noun=escape(noun, quote=False),
                )
                gr.Warning(message, title=t("Note"))
            continue
        if not noun:
            raise gr.Error(
                t(
                    "Subject {number} has a picture but no noun: enter a noun of the prompt, "
                    "such as “cat”, or remove the picture.",
                    number=number,
                ),
                title=t("Noun missing"),
                print_exception=False,
            )
        subjects.append(cleaned)
    return subjects


def at_slot(number: int, value: Any) -> list[Any]:
    """`value` for the slot with this number, no change for the others."""
    slots = range(1, paper.MAX_SUBJECTS + 1)
    return [value if slot == int(number) else gr.skip() for slot in slots]


def slot_values(number: int, slot: SlotForm) -> list[Any]:
    """The values of all slots: `slot` at this number, no change for the others."""
    columns = [at_slot(number, value) for value in slot.to_values()]
    return [value for row in zip(*columns, strict=True) for value in row]
