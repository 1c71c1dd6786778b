"""Appendix B's statistics of a folder of shards, beside the paper's: a table and a plot.

    python -m train.data.caption_pipeline.statistics --shards SHARDS

Writes `statistics.json`, `statistics.md` and `statistics.svg` there, as the commands that write
interleaved shards do at their end.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from lambda_eclipse.paper import IMAGES_BY_SUBJECTS, MAX_SUBJECTS, UNIQUE_SUBJECTS
from lambda_eclipse.weights import write_json, write_whole
from train.data.caption_pipeline.report import Report, merge
from train.data.interleaved_shards import Example, finished

COMMONEST = 15  # subjects listed by name


@dataclass(frozen=True)
class Statistics:
    """Counts over all shards: pictures by number of subjects and by split, subjects by name."""

    subjects: dict[int, int]
    splits: dict[str, int]
    names: Counter[str]
    report: Report

    @property
    def pictures(self) -> int:
        """All pictures in the shards."""
        return sum(self.subjects.values())


def counts(examples: Sequence[Example]) -> dict[str, Any]:
    """Counts of one shard, kept in its `.json` and summed by `gather`."""
    names = Counter(e.nouns[s.noun].name for e in examples for s in e.subjects)
    return {
        "subjects": dict(Counter(str(len(example.subjects)) for example in examples)),
        "splits": dict(Counter(example.split for example in examples)),
        "names": dict(names),
    }


def gather(dones: Sequence[Mapping[str, Any]]) -> Statistics:
    """The sum of the shards' counts."""
    subjects: Counter[int] = Counter()
    splits: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for done in dones:
        subjects.update({int(number): images for number, images in done["subjects"].items()})
        splits.update(done["splits"])
        names.update(done["names"])
    by_number = {number: subjects[number] for number in range(1, MAX_SUBJECTS + 1)}
    by_split = {split: splits[split] for split in ("train", "validation")}
    return Statistics(by_number, by_split, names, merge(dones))


def write(folder: Path, statistics: Statistics) -> None:
    """Write the three files."""
    content = {
        "pictures": statistics.pictures,
        "pictures_by_subjects": {str(n): count for n, count in statistics.subjects.items()},
        "unique_subjects": len(statistics.names),
        "splits": statistics.splits,
        "commonest": dict(_commonest(statistics)),
        **statistics.report.to_json(),
    }
    write_json(content, folder / "statistics.json")
    for name, text in (("md", table(statistics)), ("svg", plot(statistics))):
        write_whole(
            folder / f"statistics.{name}", partial(Path.write_text, data=text, encoding="utf-8")
        )


def table(statistics: Statistics) -> str:
    """Markdown: counts and shares beside the paper's, and what was dropped by cause."""
    paper = sum(IMAGES_BY_SUBJECTS.values())
    rows = ["| pictures with | here | share | the paper's | share |", "|---|---|---|---|---|"]
    for number, pictures in statistics.subjects.items():
        theirs = IMAGES_BY_SUBJECTS[number]
        rows.append(
            f"| {number} subject{'s' * (number > 1)} | {pictures:,} | "
            f"{_share(pictures, statistics.pictures)} | {theirs:,} | {_share(theirs, paper)} |"
        )
    rows.append(f"| all | {statistics.pictures:,} | | {paper:,} | |")
    rows.append(f"| unique subjects | {len(statistics.names):,} | | {UNIQUE_SUBJECTS:,} | |")
    for split, pictures in statistics.splits.items():
        share = _share(pictures, statistics.pictures)
        paper_share = "80 %" if split == "train" else "20 %"
        rows.append(f"| of all: {split} | {pictures:,} | {share} | | {paper_share} |")
    report = statistics.report
    rows += ["", f"Of {report.seen:,} entries {statistics.pictures:,} were kept.", ""]
    if report.dropped:
        rows += ["| pictures dropped | | first of them |", "|---|---|---|"]
        rows += [
            f"| {cause} | {report.dropped[cause]:,} | {', '.join(report.first[cause])} |"
            for cause in report.to_json()["dropped"]
        ]
        rows.append("")
    if report.boxes:
        rows += ["| boxes dropped | |", "|---|---|"]
        rows += [f"| {cause} | {boxes:,} |" for cause, boxes in report.to_json()["boxes"].items()]
        rows.append("")
    rows += ["Commonest subjects: " + ", ".join(f"{n} ({c:,})" for n, c in _commonest(statistics))]
    return "\n".join(rows) + "\n"


def plot(statistics: Statistics) -> str:
    """SVG: shares of pictures by number of subjects, ours and the paper's; commonest subjects."""
    paper = sum(IMAGES_BY_SUBJECTS.values())
    bars = []
    for number, pictures in statistics.subjects.items():
        label = f"{number} subject{'s' * (number > 1)}"
        ours = pictures / max(statistics.pictures, 1)
        theirs = IMAGES_BY_SUBJECTS[number] / paper
        bars.append((label, ours, "#2f6db5", f"{ours:.1%} ({pictures:,})"))
        bars.append(("the paper’s", theirs, "#b9c4d0", f"{theirs:.1%}"))
    common = _commonest(statistics)
    most = max((number for _, number in common), default=1)
    bars += [(name, number / most, "#4b9a6a", f"{number:,}") for name, number in common]
    lines = []
    for i, (label, share, colour, value) in enumerate(bars):
        y = 34 + 20 * i + 14 * (i >= 2 * MAX_SUBJECTS)
        width = 340 * share
        lines.append(
            f'<text x="140" y="{y + 11}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="148" y="{y}" width="{width:.1f}" height="14" fill="{colour}"/>'
            f'<text x="{154 + width:.1f}" y="{y + 11}">{value}</text>'
        )
    title = f"{statistics.pictures:,} pictures, {len(statistics.names):,} unique subjects"
    height = 34 + 20 * len(bars) + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="620" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="148" y="20" font-size="14">{title}</text>' + "\n".join(lines) + "</svg>\n"
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


def _commonest(statistics: Statistics) -> list[tuple[str, int]]:
    """Names and counts; equal counts in alphabetical order."""
    return sorted(statistics.names.items(), key=lambda item: (-item[1], item[0]))[:COMMONEST]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Count what is in a folder of shards.")
    parser.add_argument("--shards", type=Path, required=True)
    folder = parser.parse_args().shards
    dones = finished(folder)
    if not dones:
        parser.error(f"{folder} holds no finished shards: check --shards.")
    statistics = gather(dones)
    write(folder, statistics)
    print(table(statistics), end="")


if __name__ == "__main__":
    main()
