"""Opening a stack by name: "auto" falls back and says why; a named stack fails in one sentence."""

from types import SimpleNamespace

import pytest
import torch

from lambda_eclipse import opening, stacks
from lambda_eclipse.messages import Stopped, StudioError
from lambda_eclipse.models import Models
from lambda_eclipse.weights import WeightsError

CARD = SimpleNamespace(total_memory=24 * 2**30)


@pytest.fixture
def card(monkeypatch):
    """A large CUDA card, seen from the calls: there may be none here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: CARD)


@pytest.fixture
def broken(card, monkeypatch):
    """Loading the large stack raises `broken.error`; the small one is loaded."""
    found = SimpleNamespace(error=None, asked=[])

    def load(stack, device, progress, *, sources=None, newest=False):
        found.asked.append((stack.name, dict(sources or {}), newest))
        if stack is not stacks.SMALL:
            raise found.error
        return Models(None, None, None, stack, torch.device("cpu"))

    monkeypatch.setattr(opening, "load", load)
    return found


ERRORS = [
    (WeightsError("Could not download {source}.", source="owner/name"), "Could not download owner"),
    (Stopped("The loading was stopped."), "The loading was stopped"),
    (OSError("no space left on device"), "Loading failed (no space left on device)."),
    (MemoryError(), "There is not enough memory"),
    (RuntimeError("CUDA out of memory. Tried to allocate"), "There is not enough memory"),
]


@pytest.mark.parametrize("error, reason", ERRORS)
def test_auto_falls_back_and_says_why(broken, error, reason):
    broken.error = error
    models = opening.load_stack(sources={"prior": "/mine"}, newest=True)
    assert models.stack is stacks.SMALL
    assert str(models.instead).startswith(f"Kandinsky 2.2 (512 px) was not loaded. {reason}")
    assert broken.asked == [
        ("kandinsky", {"prior": "/mine"}, True),
        (stacks.SMALL.name, {}, False),
    ]


@pytest.mark.parametrize("error, reason", ERRORS)
def test_a_named_stack_fails_in_one_sentence(broken, error, reason):
    broken.error = error
    with pytest.raises(StudioError) as raised:
        opening.load_stack("kandinsky")
    assert str(raised.value).startswith(reason) and "\n" not in str(raised.value)
    assert len(broken.asked) == 1


def test_what_nobody_expects_is_not_hidden(broken):
    broken.error = KeyError("a mistake in the program")
    with pytest.raises(KeyError):
        opening.load_stack()


def test_auto_does_not_fall_back_from_the_small_stack(monkeypatch):
    def load(*arguments, **options):
        raise WeightsError("damaged")

    monkeypatch.setattr(opening, "load", load)
    with pytest.raises(WeightsError, match="damaged"):
        opening.load_stack("auto", "cpu")
