"""Messages to people: an English template and its fields, so that a page can translate them.

The template is the key of the translation; the core itself speaks English only.
"""

from __future__ import annotations

from collections.abc import Callable


class Text:
    """A phrase: an English `template` with {fields}, which may be Texts themselves."""

    def __init__(self, template: str, **fields: object) -> None:
        self.template = template
        self.fields = fields

    def __str__(self) -> str:
        return self.template.format(**self.fields)


Report = Callable[[str | Text], None]  # takes a sentence of progress; raising stops what reports


class StudioError(ValueError):
    """Input that cannot be used; the message says what is wrong, with which value, what to do.

    Raised with a template and its fields: `PictureError("The {what} is empty.", what=what)`.
    """

    def __init__(self, template: str, **fields: object) -> None:
        self.text = Text(template, **fields)
        super().__init__(str(self.text))


class Stopped(StudioError):
    """Somebody stopped the loading of a stack."""
