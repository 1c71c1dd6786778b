"""The state of the studio behind the page, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lambda_eclipse.messages import Text
from lambda_eclipse.ui.i18n import localize, mark, t

if TYPE_CHECKING:
    from lambda_eclipse.models import Models

# Messages of the core while a stack loads, marked for translation.
LOADING = (
    mark("reading CLIP"),
    mark("reading the prior"),
    mark("reading the decoder"),
    mark("warming up"),
)

State = Literal["idle", "loading", "ready", "failed"]


class EngineError(RuntimeError):
    """The studio could not be opened; the message names the reason."""


@dataclass(frozen=True)
class Status:
    """The state of the studio, and a sentence about it.

    notice: why another stack than the wanted one is ready, or how a new attempt goes on. can_retry,
    can_stop: whether `retry` and `stop_loading` do something now.
    """

    state: State
    text: str
    notice: str = ""
    can_retry: bool = False
    can_stop: bool = False


def ready_text(models: Models) -> str:
    """The stack that is ready, and where it runs."""
    devices = {"cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}
    where = devices.get(str(models.device).split(":")[0], str(models.device))
    return t("{title} · {where} · ready", title=models.stack.title, where=where)


def loading_text(message: str | Text, seconds: float) -> str:
    """What is being loaded, and for how long."""
    return t("Loading: {message} · {seconds} s", message=localize(message), seconds=round(seconds))
