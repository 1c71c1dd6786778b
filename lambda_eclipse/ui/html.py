"""Small pieces of HTML; what a visitor typed is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import chain, repeat

from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.jobs import Painted
from lambda_eclipse.ui.run import Pace, Update
from lambda_eclipse.ui.status import Status

MAX_NOUN = 40  # letters of a noun beside its bar


def status_html(status: Status) -> str:
    """The status line: a coloured dot and a sentence."""
    busy = " le-busy" * (status.state == "loading")
    return (
        f'<div class="le-status le-{status.state}{busy}">'
        f'<i class="le-dot"></i><span>{escape(status.text)}</span></div>'
    )


def progress_html(update: Update | None = None, note: str = "") -> str:
    """A bar with the step; only `note` when nothing runs."""
    if update is None:
        return f'<div class="le-progress"><span>{escape(note)}</span></div>'
    if update.fraction is None:
        bar = '<i class="le-wait"></i>'
    else:
        bar = f'<i style="width:{100 * min(max(update.fraction, 0), 1):.1f}%"></i>'
    return (
        f'<div class="le-progress le-busy"><div class="le-bar">{bar}</div>'
        f"<span>{escape(update.text)}</span></div>"
    )


def meter_html(
    rows: Iterable[tuple[str, float, str]], title: str, marks: Iterable[str] = ()
) -> str:
    """Bars with a name, a share in [0, 1] and the same in words; `marks` colours them by class."""
    lines = "".join(
        f'<li class="le-{mark}"><span>{escape(name)}</span>'
        f'<meter min="0" max="1" value="{share:.3f}" aria-label="{escape(name, quote=True)}">'
        f"</meter><b>{escape(word)}</b></li>"
        for (name, share, word), mark in zip(rows, chain(marks, repeat("plain")), strict=False)
    )
    return f'<h3>{escape(title)}</h3><ul class="le-meters">{lines}</ul>' if lines else ""


def likeness_html(finished: Sequence[Painted]) -> str:
    """For each picture, how like each subject and the prompt it is."""
    blocks = []
    for one in finished:
        if one.likeness is None:
            continue
        scores = [(_short(score.label), score) for score in one.likeness.subjects]
        scores.append((t("full prompt"), one.likeness.text))
        rows = [(name, score.fraction, f"{score.cosine:.2f}") for name, score in scores]
        blocks.append(f"<div>{meter_html(rows, one.label)}</div>")
    if not blocks:
        return ""
    head = escape(t("CLIP similarity to subjects and prompt"))
    return f'<h2>{head}</h2><div class="le-likeness">{"".join(blocks)}</div>'


def section_html(heading: str, about: str) -> str:
    """A heading and a paragraph, from two marked texts."""
    return f"<h3>{escape(t(heading))}</h3><p>{escape(t(about))}</p>"


def cost_text(pace: Pace, pictures: int, steps: int) -> str:
    """How long so many pictures take at the pace of this machine."""
    return duration_text(pace.seconds(pictures, steps))


def duration_text(seconds: float | None) -> str:
    """How long something takes, before it is begun."""
    if seconds is None:
        return t("A time estimate appears after the first picture.")
    if seconds < 1:
        return t("Takes less than a second on this machine.")
    if seconds < 90:
        return t("Takes about {seconds} s on this machine.", seconds=round(seconds))
    return t("Takes about {minutes} min on this machine.", minutes=round(seconds / 60, 1))


def _short(text: str) -> str:
    return text if len(text) <= MAX_NOUN else text[: MAX_NOUN - 1] + "…"
