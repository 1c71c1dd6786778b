"""How similar a result is to each subject and to the prompt, by CLIP.

Letters: D embedding width, K subjects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image

from lambda_eclipse.images import flatten

if TYPE_CHECKING:
    from lambda_eclipse.pipeline import Studio
    from lambda_eclipse.request import Request


@dataclass(frozen=True)
class Score:
    """A cosine similarity in [-1, 1], to what `label` names; `fraction`: of its bar, in [0, 1]."""

    label: str
    cosine: float

    @property
    def fraction(self) -> float:
        return max(self.cosine, 0.0)


@dataclass(frozen=True)
class Likeness:
    """Similarities of a result to each subject, in the request's order, and to the prompt."""

    subjects: tuple[Score, ...]
    text: Score


@torch.no_grad()
def likeness(studio: Studio, image: Image.Image, request: Request) -> Likeness:
    """Similarities of a result, RGB, to the subjects and the prompt of its request.

    The image tower reads the finished picture. Raises the errors of `Studio.subject_embedding`.
    """
    with studio.models.encoders() as (clip, _):
        result = clip.image([flatten(image)])[0].float().cpu()  # (D,)
        text = clip.text([request.prompt]).pooled.float().cpu()  # (1, D)
        subjects = [studio.subject_embedding(subject) for subject in request.subjects]  # (D,) each
    embeddings = torch.stack(subjects) if subjects else torch.empty(0, len(result))  # (K, D)
    cosines = studio.models.subject_cosines(result, embeddings).clamp(-1, 1).tolist()  # K
    named = zip(request.subjects, cosines, strict=True)
    to_text = torch.cosine_similarity(result[None], text, dim=1).clamp(-1, 1)  # (1,)
    return Likeness(
        tuple(Score(subject.noun, cosine) for subject, cosine in named),
        Score(request.prompt, float(to_text)),
    )
