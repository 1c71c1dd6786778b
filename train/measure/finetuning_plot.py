"""The finetuning curve as a Markdown table and as an SVG plot."""

from collections.abc import Sequence

# measure → colour and label
LINES = {
    "likeness": ("#c2410c", "concept: likeness"),
    "named": ("#e08a5b", "concept: named right"),
    "place": ("#1d4ed8", "composition: place"),
    "relation": ("#6b93e8", "composition: relation"),
    "others": ("#6b7280", "likeness of others, not taught"),
}


def table(rows: Sequence[dict[str, float]]) -> str:
    """Markdown, a row for each number of steps."""
    lines = ["| steps | " + " | ".join(label for _, label in LINES.values()) + " |"]
    lines.append("|---" * (len(LINES) + 1) + "|")
    lines += [
        f"| {row['steps']} | " + " | ".join(f"{row[name]:.2f}" for name in LINES) + " |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def plot(rows: Sequence[dict[str, float]], title: str) -> str:
    """SVG: the measures over the steps."""
    left, top, width, height = 50, 36, 380, 250
    last = max(rows[-1]["steps"], 1)

    def at(steps: float, value: float) -> str:
        return f"{left + width * steps / last:.1f},{top + height * (1 - value):.1f}"

    marks = [
        f'<path d="M{at(0, v / 5)} L{at(last, v / 5)}" stroke="#ddd"/>'
        f'<text x="{left - 8}" y="{top + height * (1 - v / 5) + 4:.1f}" text-anchor="end">'
        f"{v / 5:.1f}</text>"
        for v in range(6)
    ]
    marks += [
        f'<text x="{left + width * row["steps"] / last:.1f}" y="{top + height + 18}" '
        f'text-anchor="middle">{row["steps"]}</text>'
        for row in rows
    ]
    for i, (name, (colour, label)) in enumerate(LINES.items()):
        points = " ".join(at(row["steps"], row[name]) for row in rows)
        marks.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            + "".join(
                f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="{colour}"/>'
                for p in points.split()
            )
            + f'<rect x="{left + width + 20}" y="{top + 24 * i}" width="14" height="14" '
            f'fill="{colour}"/><text x="{left + width + 42}" y="{top + 24 * i + 12}">{label}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{top + height + 44}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{left}" y="20" font-size="14">{title}</text>'
        f'<text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle">'
        f"steps of finetuning</text>" + "\n".join(marks) + "</svg>\n"
    )
