"""A studio that draws something at once: the page's tests need no weights."""

import re
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from PIL import Image, ImageDraw


class FakeCancelled(Exception):
    """Raised when a step callback answers False, as the decoder does."""


class FakeTokenizer:
    """One token per word."""

    def pieces(self, prompt: str) -> list[str]:
        return re.findall(r"\w+", prompt)

    def assign(self, prompt: str, nouns: list[str]) -> list[tuple[int, int]]:
        words = self.pieces(prompt.lower())
        for noun in nouns:
            if noun.lower() not in words:
                raise ValueError(f"“{noun}” is not a word of the prompt. Add it to the prompt.")
        return [(1 + words.index(noun.lower()), 2 + words.index(noun.lower())) for noun in nouns]


@dataclass
class FakeStudio:
    """Same signatures as pipeline.Studio. `step_s` is the time of one step."""

    step_s: float = 0.0
    steps_taken: list[int] = field(default_factory=list)
    squares: int = 0

    def __post_init__(self) -> None:
        self.models = SimpleNamespace(
            stack=SimpleNamespace(title="Pocket stack", steps=20, guidance=4.0),
            device="cpu",
            clip=SimpleNamespace(tokenizer=FakeTokenizer()),
        )

    def prepare(self, subject: Any) -> Any:
        picture = Image.open(subject.picture).convert("RGB").resize((224, 224))
        return SimpleNamespace(picture=picture, overlay=picture, method="rembg")

    def generate(self, request: Any, on_step: Any = None) -> list:
        self.models.clip.tokenizer.assign(request.prompt, [s.noun for s in request.subjects])
        self._work(request.steps or 20, on_step)
        return [self._picture(request.seed + i, i * 40) for i in range(request.count)]

    def square(self, prompt: str, a: tuple, b: tuple, seed: int) -> list:
        self.models.clip.tokenizer.assign(prompt, [a[0].noun, b[0].noun])
        self.squares += 1
        return [0, 85, 170, 255]

    def at(
        self, corners: list, x: float, y: float, mode: str = "slerp", seed: int = 0,
        steps: int | None = None, guidance: float | None = None, on_step: Any = None,
    ) -> Any:  # fmt: skip
        self._work(steps or 20, on_step)
        return self._picture(seed, int(200 * x), int(200 * y))

    def _work(self, steps: int, on_step: Any) -> None:
        for step in range(1, steps + 1):
            time.sleep(self.step_s)
            self.steps_taken.append(step)
            info = SimpleNamespace(
                step=step, steps=steps, index_of_batch_start=0, count=1, total=1,
                preview=lambda: [Image.new("RGB", (128, 128), "gray")],
            )  # fmt: skip
            if on_step is not None and on_step(info) is False:
                raise FakeCancelled

    def _picture(self, seed: int, red: int, green: int = 90) -> Any:
        image = Image.new("RGB", (128, 128), (red % 256, green % 256, 120))
        ImageDraw.Draw(image).ellipse((24, 24, 104, 104), fill=(250, green % 256, red % 256))
        return SimpleNamespace(image=image, seed=seed, seconds=0.1, embedding=None)
