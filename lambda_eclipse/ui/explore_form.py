"""The Explore form: its fields, and what makes it complete."""

from dataclasses import dataclass, replace

from lambda_eclipse import paper
from lambda_eclipse.request import MODE, SAMPLER, Sampling
from lambda_eclipse.ui.endpoint import Form, parameter
from lambda_eclipse.ui.form import (
    GUIDANCE_HELP,
    SAMPLER_HELP,
    STACK_DEFAULT,
    STEPS_HELP,
    SlotForm,
    read_sampling,
    read_seed,
)
from lambda_eclipse.ui.i18n import mark, t

FROM_SUBJECTS, FROM_PICTURES = "subjects", "pictures"
CORNER_LABELS: dict[str, str] = {  # in the order of `Studio.square`
    "top_left": mark("top left"),
    "top_right": mark("top right"),
    "bottom_left": mark("bottom left"),
    "bottom_right": mark("bottom right"),
}
CORNER_NAMES = tuple(CORNER_LABELS)
VERSIONS = ("picture_a1", "picture_a2", "picture_b1", "picture_b2")


@dataclass(frozen=True)
class SquareForm(Form):
    """The Explore form, in the order of the parameters of `/at`, `/grid` and `/path`.

    A square lies between two versions each of two subjects, or between four pictures.
    """

    corners_from: str = parameter(
        '"subjects" for two versions each of A and B, "pictures" for four pictures.'
    )
    prompt: str | None = parameter("For subjects: a short English sentence that names both.", None)
    noun_a: str | None = parameter("The word of the prompt that subject A is.", None)
    picture_a1: str | None = parameter("The first version of A.", None)
    picture_a2: str | None = parameter("The second version of A.", None)
    noun_b: str | None = parameter("The word of the prompt that subject B is.", None)
    picture_b1: str | None = parameter("The first version of B.", None)
    picture_b2: str | None = parameter("The second version of B.", None)
    top_left: str | None = parameter(
        "For pictures: one with a recipe counts as what it was painted from.", None
    )
    top_right: str | None = parameter("As top_left.", None)
    bottom_left: str | None = parameter("As top_left.", None)
    bottom_right: str | None = parameter("As top_left.", None)
    mode: str = parameter('"lerp" straight, or "slerp" along the sphere of embeddings.', MODE)
    steps: float = parameter(STEPS_HELP, STACK_DEFAULT)
    guidance: float = parameter(GUIDANCE_HELP, paper.GUIDANCE)
    sampler: str = parameter(SAMPLER_HELP, SAMPLER)
    seed: float = parameter("A whole number; equal seeds give equal pictures.", 0)

    def checked(self) -> "SquareForm":
        """The form reduced to what its pictures depend on; ValueError names what is missing."""
        by_stack = self.steps == STACK_DEFAULT
        form = SquareForm(
            self.corners_from,
            (self.prompt or "").strip(),
            mode=self.mode,
            steps=int(self.steps),
            guidance=0.0 if by_stack else float(self.guidance),
            sampler=self.sampler,
            seed=read_seed(self.seed),
        )
        if self.corners_from == FROM_PICTURES:
            paths = {name: getattr(self, name) for name in CORNER_NAMES}
            missing = [t(CORNER_LABELS[name]) for name, path in paths.items() if not path]
            if missing:
                raise ValueError(
                    t(
                        "The square needs four corners. Still missing: {missing}.",
                        missing=", ".join(missing),
                    )
                )
            return replace(form, **paths)
        paths = {name: getattr(self, name) for name in VERSIONS}
        missing = [
            t("picture {number} of subject {letter}", number=name[-1], letter=name[-2].upper())
            for name, path in paths.items()
            if not path
        ]
        if missing:
            raise ValueError(
                t(
                    "The square needs four pictures. Still missing: {missing}.",
                    missing=", ".join(missing),
                )
            )
        if not form.prompt:
            raise ValueError(t("The prompt is empty: mention both subjects in a short sentence."))
        a, b = ((noun or "").strip() for noun in (self.noun_a, self.noun_b))
        if not a or not b:
            raise ValueError(t("A noun is missing: enter a noun of the prompt for both subjects."))
        return replace(form, noun_a=a, noun_b=b, **paths)

    @property
    def complete(self) -> bool:
        """Whether no picture and no word is missing."""
        needed = (
            CORNER_NAMES
            if self.corners_from == FROM_PICTURES
            else ("prompt", "noun_a", "noun_b", *VERSIONS)
        )
        return all(getattr(self, name) for name in needed)

    @property
    def corners(self) -> tuple[str, ...]:
        """The paths of the four pictures; a missing one is left out."""
        paths = (self.top_left, self.top_right, self.bottom_left, self.bottom_right)
        return tuple(path for path in paths if path)

    @property
    def versions(self) -> tuple[tuple[SlotForm, SlotForm], tuple[SlotForm, SlotForm]]:
        """The two versions of subject A, and of subject B."""
        return (
            (SlotForm(self.noun_a, self.picture_a1), SlotForm(self.noun_a, self.picture_a2)),
            (SlotForm(self.noun_b, self.picture_b1), SlotForm(self.noun_b, self.picture_b2)),
        )

    @property
    def sampling(self) -> Sampling:
        """Steps, guidance and sampler."""
        return read_sampling(self.steps, self.guidance, self.sampler)

    @property
    def files(self) -> list[str]:
        """The paths of all pictures."""
        pictures = [slot.picture for pair in self.versions for slot in pair]
        return [path for path in (*pictures, *self.corners) if path]
