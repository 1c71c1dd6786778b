"""Fig. 9 on sticker world: what finetuning the decoder does to concepts and to composition.

    python -m train.measure.finetuning_curve --out assets/readme/finetuning.svg

As on Dreambench: `CONCEPTS` subjects of held-out concepts, `PICTURES` pictures of each at as many
places, all of them learned together in one model (`lambda_eclipse.finetune`), and after some steps
the whole path, sentence and subject to picture, painted at other places and beside other things.

- concept: likeness of the painted subject and the rendered one, the cosine of the judge's features
  about their mean (in the place of the paper's DINO score), and how often it is named right among
  all subjects taught;
- composition: place and relation as the oracle reads them off the picture (in the place of CLIP-T);
- others: likeness of known subjects that were not taught: what would fall if they were forgotten.

The judge and the oracle took part in no training. Writes the plot, and a table beside it (.md,
.json). About five minutes of one core.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lambda_eclipse import finetune
from lambda_eclipse.decoder import Decoder
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.weights import write_json, write_whole
from train.measure.judge import ALONE, BESIDE, Judge, cut, scene_of
from train.measure.oracle import Oracle, train_oracle
from train.measure.painted import embed, predict
from train.world.places import PLACES, Place
from train.world.render import render, subject_view
from train.world.scenes import RELATIONS, Relation, Scene
from train.world.split import load_split
from train.world.sprites import Sprite, load

CONCEPTS, OTHERS, PICTURES = 20, 20, 4
STEPS = (0, 20, 60, 120, 240)
LOOKING = next(relation for relation in RELATIONS if relation.name == "looking")
PROMPTS: tuple[Relation, ...] = (ALONE, ALONE, BESIDE, LOOKING)  # each at a place of its own
ORACLE_SCENES = 1200
LINES = {  # what is drawn: colour and words
    "likeness": ("#c2410c", "concept: likeness"),
    "named": ("#e08a5b", "concept: named right"),
    "place": ("#1d4ed8", "composition: place"),
    "relation": ("#6b93e8", "composition: relation"),
    "others": ("#6b7280", "likeness of others, not taught"),
}


@dataclass(frozen=True)
class Asked:
    """Scenes to be painted by the whole path: their embeddings by the prior, and their truth.

    kinds: number of the prompt that each scene came from. truth (N, F): the judge's features of
    the first subject as rendered.
    """

    scenes: tuple[Scene, ...]
    kinds: Tensor
    embeddings: Tensor
    truth: Tensor


def choose() -> tuple[list[Sprite], list[Sprite], list[Place]]:
    """Subjects of held-out concepts, known others, and the places in the order of their use."""
    rng = random.Random("finetuning")
    split = load_split()
    held = [s for s in load()[0] if s.noun in split.concepts]
    known = [s for s in load()[0] if s.name not in split.sprites]
    return rng.sample(held, CONCEPTS), rng.sample(known, OTHERS), rng.sample(PLACES, len(PLACES))


def pictures_of(subjects: Sequence[Sprite], places: Sequence[Place]) -> list[Image.Image]:
    """Each subject alone at each place."""
    return [
        render(scene_of([one], place, f"taught-{one.name}-{place.name}"))
        for one in subjects
        for place in places
    ]


def ask(
    studio: Studio,
    judge: Judge,
    subjects: Sequence[Sprite],
    companions: Sequence[Sprite],
    prompts: Sequence[tuple[Relation, Place]],
) -> Asked:
    """Every prompt of every subject; where it names another thing, that is of `companions`."""
    scenes, kinds = [], []
    for number, (relation, place) in enumerate(prompts):
        for i, one in enumerate(subjects):
            others = [s for s in companions if s.noun != one.noun]
            cast = [one, others[(i + number) % len(others)]][: len(relation.spots)]
            scenes.append(scene_of(cast, place, f"asked-{one.name}-{number}", relation))
            kinds.append(number)
    shown = [(i, k) for i, scene in enumerate(scenes) for k in range(len(scene.nouns))]
    views = embed(studio, [subject_view(scenes[i], k) for i, k in shown])
    given = dict(zip(shown, views, strict=True))
    rows = [predict(studio, scene, i, given) for i, scene in enumerate(scenes)]
    truth = judge.features([_subject(render(scene), scene) for scene in scenes])
    return Asked(tuple(scenes), torch.tensor(kinds), torch.stack(rows), truth)


def measure(
    paint: Callable[[Tensor], list[Image.Image]],
    judge: Judge,
    oracle: Oracle,
    taught: Asked,
    others: Asked,
) -> dict[str, float]:
    """Shares and mean cosines in [−1, 1], as said above."""
    pictures = paint(taught.embeddings)
    seen = judge.features(list(map(_subject, pictures, taught.scenes)))
    read = oracle.right(judge.maps(pictures), taught.scenes)
    known = judge.features(list(map(_subject, paint(others.embeddings), others.scenes)))
    return {
        "likeness": float(likenesses(seen, taught).diagonal().mean()),
        "named": _named(seen, taught),
        "place": read["place"],
        "relation": read["relation"],
        "others": float(likenesses(known, others).diagonal().mean()),
    }


def likenesses(seen: Tensor, asked: Asked) -> Tensor:
    """(N, N) cosines of painted and rendered subjects, about the mean of the rendered ones."""
    mean = asked.truth.mean(0)
    return F.normalize(seen - mean, dim=1) @ F.normalize(asked.truth - mean, dim=1).T


def _named(seen: Tensor, asked: Asked) -> float:
    """Share of pictures that are most like their own subject of all those of their prompt."""
    same = asked.kinds[:, None] == asked.kinds
    cosines = likenesses(seen, asked).masked_fill(~same, -2)
    return float((cosines.argmax(1) == torch.arange(len(seen))).float().mean())


def _subject(picture: Image.Image, scene: Scene) -> Image.Image:
    return cut(picture, scene.spots[0])


def curve(studio: Studio, judge: Judge) -> list[dict[str, float]]:
    """The measures after each of `STEPS`; learned with the stack's own settings."""
    oracle, _ = train_oracle(judge, ORACLE_SCENES)
    subjects, known, places = choose()
    learned_at, asked_at = places[:PICTURES], places[PICTURES:]
    prompts = list(zip(PROMPTS, asked_at, strict=False))
    taught = ask(studio, judge, subjects, known, prompts)
    others = ask(studio, judge, known, known, prompts[:2])
    models = studio.models
    how = models.stack.finetuning
    concepts = finetune.read_concepts(models, pictures_of(subjects, learned_at), cut_out=False)
    lesson = finetune.begin(models.decoder, concepts, how)
    rows = []
    for steps in STEPS:
        for _ in finetune.learn(lesson, steps):
            pass
        decoder = models.decoder.with_unet(finetune.finished(lesson))
        found = measure(_painter(studio, decoder), judge, oracle, taught, others)
        rows.append({"steps": steps, **{name: round(value, 4) for name, value in found.items()}})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _painter(studio: Studio, decoder: Decoder) -> Callable[[Tensor], list[Image.Image]]:
    """Embeddings (N, D) → pictures; picture i has seed i."""
    stack, negative = studio.models.stack, studio.models.clip.null_image()
    return lambda embeddings: decoder.paint(
        embeddings,
        negative,
        seeds=range(len(embeddings)),
        steps=stack.steps,
        guidance=stack.guidance,
        batch_size=stack.batch_size,
    )


def table(rows: Sequence[dict[str, float]]) -> str:
    """Markdown, a row for each number of steps."""
    lines = ["| steps | " + " | ".join(words for _, words in LINES.values()) + " |"]
    lines.append("|---" * (len(LINES) + 1) + "|")
    lines += [
        f"| {row['steps']} | " + " | ".join(f"{row[name]:.2f}" for name in LINES) + " |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def plot(rows: Sequence[dict[str, float]]) -> str:
    """SVG: the measures over the steps."""
    left, top, width, height = 50, 36, 380, 250
    most = max(rows[-1]["steps"], 1)

    def at(steps: float, value: float) -> str:
        return f"{left + width * steps / most:.1f},{top + height * (1 - value):.1f}"

    marks = [
        f'<path d="M{at(0, v / 5)} L{at(most, v / 5)}" stroke="#ddd"/>'
        f'<text x="{left - 8}" y="{top + height * (1 - v / 5) + 4:.1f}" text-anchor="end">'
        f"{v / 5:.1f}</text>"
        for v in range(6)
    ]
    marks += [
        f'<text x="{left + width * row["steps"] / most:.1f}" y="{top + height + 18}" '
        f'text-anchor="middle">{row["steps"]}</text>'
        for row in rows
    ]
    for i, (name, (colour, words)) in enumerate(LINES.items()):
        points = " ".join(at(row["steps"], row[name]) for row in rows)
        marks.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            + "".join(
                f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="{colour}"/>'
                for p in points.split()
            )
            + f'<rect x="{left + width + 20}" y="{top + 24 * i}" width="14" height="14" '
            f'fill="{colour}"/><text x="{left + width + 42}" y="{top + 24 * i + 12}">{words}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{top + height + 44}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{left}" y="20" font-size="14">{CONCEPTS} held-out concepts taught together'
        f'</text><text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle">'
        f"steps of finetuning</text>" + "\n".join(marks) + "</svg>\n"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What finetuning does, over its steps.")
    parser.add_argument("--out", type=Path, required=True, help="the plot, an .svg file")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "lambda-eclipse",
        help="where the judge's published weights are kept",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    if arguments.out.suffix != ".svg":
        parser.error(f"--out {arguments.out}: give the name of an .svg file.")
    torch.set_num_threads(arguments.threads)
    rows = curve(Studio.open("pocket", "cpu"), Judge(arguments.cache))
    write_json({"concepts": CONCEPTS, "pictures": PICTURES, "rows": rows},
        arguments.out.with_suffix(".json"))  # fmt: skip
    for suffix, text in ((".md", table(rows)), (".svg", plot(rows))):
        path = arguments.out.with_suffix(suffix)
        write_whole(path, lambda part, text=text: part.write_text(text, "utf-8"))
    print(table(rows), end="")


if __name__ == "__main__":
    main()
