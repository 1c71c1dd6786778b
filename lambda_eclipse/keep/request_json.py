"""A request as JSON, the largest part of a recipe (see `recipe`).

Reading checks the types of all entries, with ValueError; `Request.check` looks at their values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lambda_eclipse.keep.png import (
    FIRST_FORMAT,
    FORMAT,
    edges_of,
    edges_text,
    field,
    floats,
    floats_text,
    number,
    string,
)
from lambda_eclipse.request import ALL, SAMPLER, Request, Sampling, Subject


def request_content(request: Request) -> dict[str, Any]:
    """The entries of a request whose subjects have embeddings, and the format that they need."""
    # What older programs would paint differently, or not read.
    is_new = request.sampling.sampler != SAMPLER
    is_new |= any(subject.occurrence == ALL for subject in request.subjects)
    control = None
    if request.edges is not None:
        low, high = request.canny_low, request.canny_high
        control = {"edges": edges_text(request.edges), "low": low, "high": high}
    return {
        "format": FORMAT if is_new else FIRST_FORMAT,
        "prompt": request.prompt,
        "subjects": [
            {
                "noun": subject.noun,
                "strength": subject.strength,
                "occurrence": subject.occurrence,
                "embedding": floats_text(subject.embedding),
            }
            for subject in request.subjects
            if subject.embedding is not None  # each has one
        ],
        "canny": control,
        "seed": request.seed,
        "count": request.count,
        "steps": request.sampling.steps,
        "guidance": request.sampling.guidance,
        "sampler": request.sampling.sampler,
    }


def request_of(content: dict[str, Any]) -> Request:
    """The request of `request_content`'s entries."""
    request = Request(
        string(content, "prompt"),
        tuple(_subject(one) for one in field(content, "subjects", list)),
        seed=field(content, "seed", int),
        count=field(content, "count", int),
        sampling=_sampling(content),
    )
    control = content.get("canny")
    if control is None:
        return request
    low, high = number(control, "low"), number(control, "high")
    edges = edges_of(string(control, "edges"))
    return replace(request, canny_low=low, canny_high=high, edges=edges)


def _sampling(content: Any) -> Sampling:
    """Steps, guidance and sampler; recipes of the first format may name no sampler."""
    sampler: Any = string(content, "sampler") if "sampler" in content else SAMPLER
    return Sampling(field(content, "steps", int), number(content, "guidance"), sampler)


def _subject(content: Any) -> Subject:
    embedding = floats(string(content, "embedding"))
    noun, strength = string(content, "noun"), number(content, "strength")
    occurrence = content.get("occurrence")
    if occurrence not in (None, ALL):
        occurrence = field(content, "occurrence", int)
    return Subject(noun, strength=strength, embedding=embedding, occurrence=occurrence)
