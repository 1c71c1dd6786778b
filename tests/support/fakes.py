"""A studio that draws something at once: the page's tests need no weights.

Its CLIP sees average colours and its prior mixes them, so that what it paints depends on what it
was asked for; everything else is the real pipeline.
"""

import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lambda_eclipse import stacks
from lambda_eclipse.images import flatten
from lambda_eclipse.mentions import subject_places
from lambda_eclipse.models import Models
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Picture, Request, Sampling
from lambda_eclipse.tokens import Tokenizer

DIM = 16
SIDE_PX = 128
BATCH = 2


class FakeCancelled(Exception):
    """Raised when a step callback answers False, as the decoder does."""


def numbers(text: str) -> Tensor:
    """(D,) numbers that are always the same for a text."""
    return torch.randn(DIM, generator=torch.Generator().manual_seed(zlib.crc32(text.encode())))


class FakeClip:
    """Pictures become their colours, texts become numbers."""

    embed_dim, image_size = DIM, 64

    def __init__(self) -> None:
        self.tokenizer = Tokenizer()
        self.model = SimpleNamespace(logit_scale=torch.tensor(2.0))
        self.device = torch.device("cpu")

    def image(self, images: Sequence[Image.Image]) -> Tensor:
        small = [flatten(image).resize((4, 4)).convert("L") for image in images]
        return torch.stack([torch.from_numpy(np.array(i)).flatten() / 64 - 2 for i in small])

    def text(self, prompts: Sequence[str]) -> Any:
        return SimpleNamespace(pooled=torch.stack([numbers(prompt) for prompt in prompts]))

    def null_image(self) -> Tensor:
        return torch.zeros(1, DIM)


class FakeStudio(Studio):
    """The real Studio but for what the networks do.

    step_s: time of a step. tires_after: so many steps later, a step takes twenty times as long, so
    that a stop comes in time on any machine.
    """

    def __init__(self, step_s: float = 0.0, tires_after: float = float("inf")) -> None:
        stack = replace(
            stacks.STACKS["pocket"],
            title="Pocket stack",
            steps=20,
            draft_steps=4,
            guidance=4.0,
            batch_size=BATCH,
            likeness=None,
        )
        clip: Any = FakeClip()
        prior: Any = None
        decoder: Any = SimpleNamespace(native_size_px=SIDE_PX)
        models = Models(clip, prior, decoder, stack, torch.device("cpu"))
        super().__init__(models)
        self.step_s, self.tires_after = step_s, tires_after
        self.steps_taken: list[int] = []
        self.squares = 0
        self.requests: list[Request] = []

    def embed(self, request: Request, prior_seed: int | None = None) -> Tensor:
        request.check()
        self.requests.append(request)
        spans = subject_places(self.models.clip.tokenizer, request)
        mixed = numbers(f"{request.prompt}{spans}")
        for subject in request.subjects:
            mixed = mixed + subject.strength * self.subject_embedding(subject)
        return torch.stack([mixed + 0.1 * numbers(f"seed {s}") for s in request.seeds])

    def square(self, *arguments: Any, **options: Any) -> Tensor:
        self.squares += 1
        return super().square(*arguments, **options)

    def paint(
        self,
        embeddings: Tensor,
        seeds: Sequence[int],
        sampling: Sampling = Sampling(),
        on_step: Any = None,
        began: float | None = None,
    ) -> list[Picture]:
        steps = sampling.steps or self.models.stack.steps
        for step in range(1, steps + 1):
            tired = len(self.steps_taken) > self.tires_after
            time.sleep(20 * self.step_s if tired else self.step_s)
            self.steps_taken.append(step)
            info = SimpleNamespace(
                step=step,
                steps=steps,
                index_of_batch_start=0,
                count=len(seeds),
                total=len(seeds),
                preview=lambda: [Image.new("RGB", (SIDE_PX, SIDE_PX), "gray")],
            )
            if on_step is not None and on_step(info) is False:
                raise FakeCancelled
        found = zip(embeddings, seeds, strict=True)
        return [Picture(drawn(point), seed, 0.1, point) for point, seed in found]


def drawn(point: Tensor) -> Image.Image:
    """A picture of an embedding."""
    red, green, blue, *more = (int(value) for value in (point.sigmoid() * 255))
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), (red, green, blue))
    ImageDraw.Draw(image).ellipse((24, 24, 104, 104), fill=tuple(more[:3]))
    return image
