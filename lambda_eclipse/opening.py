"""Opening a stack by name: what "auto" takes, and what it falls back to where that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lambda_eclipse import stacks
from lambda_eclipse.messages import Report, StudioError, Text
from lambda_eclipse.models import Models, load


def load_stack(
    name: str = "auto",
    device: str = "auto",
    progress: Report | None = None,
    sources: Mapping[str, str] | None = None,
    newest: bool = False,
) -> Models:
    """The networks of a stack; `sources`, `newest` and errors as in `models.load`.

    Where "auto" chooses a stack that cannot be loaded (no hub, no space, not enough memory, a
    damaged file), the small one is loaded instead, from its own sources, and `Models.instead` says
    why. A stack that is named is the one that is loaded: its errors are raised as a StudioError.
    """
    stack, on = stacks.choose(name, device)
    try:
        return load(stack, on, progress, sources=sources, newest=newest)
    except (StudioError, OSError, MemoryError, RuntimeError) as error:
        reason = _reason(error)
        if name != "auto" or stack is stacks.SMALL:
            if isinstance(error, StudioError):
                raise
            raise StudioError(reason.template, **reason.fields) from error
    # Outside of the handler: its traceback would keep networks in memory that were half loaded.
    models = load(*stacks.choose(stacks.SMALL.name, device), progress)
    told = Text("{title} was not loaded. {reason}", title=stack.title, reason=reason)
    return replace(models, instead=told)


def _reason(error: Exception) -> Text:
    """Why loading failed, in a sentence."""
    if isinstance(error, StudioError):
        return error.text
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return Text("There is not enough memory: close other programs, or use another stack.")
    said = " ".join(str(error).split()) or type(error).__name__
    return Text("Loading failed ({error}).", error=said)
