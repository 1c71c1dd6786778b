"""Counts of the pictures seen and dropped, by cause."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SHOWN = 5  # names listed for each cause


class Cause(StrEnum):
    """Why a picture is not in the shards."""

    NO_PICTURE = "no picture in the entry"
    UNREADABLE = "file could not be read"
    DAMAGED = "damaged, too large, or not a picture"
    ARCHIVE = "rest of a damaged archive (one for each archive)"
    SMALL = "too few pixels"
    NO_NOUNS = "no nouns in the caption"
    NO_BOXES = "no box found"
    MANY_BOXES = "more than 8 boxes"
    IDENTICAL = "more than 6 identical objects"
    WHITE = "white ground"
    NO_SUBJECTS = "no subject left by the filters"
    MANY_SUBJECTS = "more than 4 subjects"


class BoxCause(StrEnum):
    """Why a box of a picture is not used."""

    RATIO = "width-height ratio"
    LOGIT = "logit"
    MASK = "mask too small for its box"


@dataclass
class Report:
    """Counts of one or many shards.

    seen: entries of the input, unreadable ones included. dropped: pictures by cause; boxes: boxes
    by cause. first: names of the first few pictures of each cause.
    """

    seen: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, cause: Cause, name: str) -> None:
        """Count a dropped picture."""
        self.dropped[cause.value] += 1
        shown = self.first.setdefault(cause.value, [])
        if len(shown) < SHOWN:
            shown.append(name)

    def to_json(self) -> dict[str, Any]:
        """Content of a shard's `.json`; causes in the order of their enumeration."""
        return {
            "seen": self.seen,
            "dropped": {c.value: self.dropped[c] for c in Cause if self.dropped[c]},
            "boxes": {c.value: self.boxes[c] for c in BoxCause if self.boxes[c]},
            "first": {c.value: self.first[c] for c in Cause if c in self.first},
        }


def merge(rows: Iterable[Mapping[str, Any]]) -> Report:
    """The sum of several `to_json`."""
    total = Report()
    for row in rows:
        total.seen += row["seen"]
        total.dropped.update(row["dropped"])
        total.boxes.update(row["boxes"])
        for cause, names in row["first"].items():
            shown = total.first.setdefault(cause, [])
            shown.extend(names[: SHOWN - len(shown)])
    return total
