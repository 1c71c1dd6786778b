"""Texts that remember how they were made, so that a page built once is served in any language."""

from collections.abc import Callable
from typing import Any


class Spoken(str):
    """A text in the language that was current when it was made; `make()` makes it anew."""

    make: Callable[[], str]

    def __new__(cls, make: Callable[[], str]) -> "Spoken":
        """The text that `make()` gives now."""
        text = super().__new__(cls, make())
        text.make = make
        return text

    def __str__(self) -> str:
        """Itself: buttons keep what this gives."""
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Copied or sent to another process, it is the plain text."""
        return str, (str.__str__(self),)


def again(value: Any) -> Any:
    """The same value with every Spoken text in it made anew, in the current language."""
    if isinstance(value, Spoken):
        return value.make()
    if isinstance(value, dict):
        return {key: again(one) for key, one in value.items()}
    if isinstance(value, list):
        return [again(one) for one in value]
    if isinstance(value, tuple):
        return tuple(again(one) for one in value)
    return value
