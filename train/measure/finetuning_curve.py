"""Fig. 9 on sticker world: effect of finetuning the decoder on concepts and on composition.

    python -m train.measure.finetuning_curve --out assets/readme/finetuning.svg

As on Dreambench: `CONCEPTS` subjects of held-out concepts, `PICTURES` pictures of each at different
places, all learned together in one model (`lambda_eclipse.finetune`). After some steps the whole
path, caption and subject to picture, paints them at other places and beside other things.

- concept: likeness of the painted and the rendered subject, the cosine of the judge's features
  about their mean (in place of the paper's DINO score), and the share named right among all
  subjects learned;
- composition: place and relation as the oracle reads them (in place of CLIP-T);
- others: likeness of known subjects that were not learned, a measure of forgetting.

The judge and the oracle took part in no training. Writes the plot, and the figures beside it (.md,
.json). About five minutes of one core.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lambda_eclipse import finetune
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.weights import write_json, write_whole
from train.measure.composition import Oracle, train_oracle
from train.measure.finetuning_plot import plot, table
from train.measure.judge import ALONE, BESIDE, CACHE, Judge, cut, scene_of
from train.measure.painting import paint, predict
from train.world.places import PLACES, Place
from train.world.relations import RELATIONS, Relation
from train.world.render import render
from train.world.scenes import Scene
from train.world.split import load_split
from train.world.sprites import Sprite, load

CONCEPTS, OTHERS, PICTURES = 20, 20, 4
STEPS = (0, 20, 60, 120, 240)
LOOKING = next(relation for relation in RELATIONS if relation.name == "looking")
PROMPTS: tuple[Relation, ...] = (ALONE, ALONE, BESIDE, LOOKING)  # each at a different place
ORACLE_SCENES = 1200


@dataclass(frozen=True)
class Queries:
    """Scenes for the whole path to paint, and the truth.

    prompts (N,): index of each scene's prompt. embeddings (N, D): the prior's. truth (N, F): the
    judge's features of the first subject as rendered.
    """

    scenes: tuple[Scene, ...]
    prompts: Tensor
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
        render(scene_of([sprite], place, f"taught-{sprite.name}-{place.name}"))
        for sprite in subjects
        for place in places
    ]


def query(
    studio: Studio,
    judge: Judge,
    subjects: Sequence[Sprite],
    companions: Sequence[Sprite],
    prompts: Sequence[tuple[Relation, Place]],
) -> Queries:
    """Every prompt of every subject; second subjects come from `companions`."""
    scenes = []
    for number, (relation, place) in enumerate(prompts):
        for i, sprite in enumerate(subjects):
            others = [s for s in companions if s.noun != sprite.noun]
            cast = [sprite, others[(i + number) % len(others)]][: len(relation.spots)]
            scenes.append(scene_of(cast, place, f"asked-{sprite.name}-{number}", relation))
    truth = judge.features([_first_subject(render(scene), scene) for scene in scenes])
    numbers = torch.arange(len(prompts)).repeat_interleave(len(subjects))
    return Queries(tuple(scenes), numbers, predict(studio, scenes), truth)


def measure(
    paint: Callable[[Tensor], list[Image.Image]],
    judge: Judge,
    oracle: Oracle,
    taught: Queries,
    others: Queries,
) -> dict[str, float]:
    """The measures of this module's head: shares, and mean cosines in [−1, 1]."""
    pictures = paint(taught.embeddings)
    features = judge.features(list(map(_first_subject, pictures, taught.scenes)))
    accuracy = oracle.accuracy(judge.maps(pictures), taught.scenes)
    known = judge.features(list(map(_first_subject, paint(others.embeddings), others.scenes)))
    return {
        "likeness": float(likenesses(features, taught).diagonal().mean()),
        "named": _named(features, taught),
        "place": accuracy["place"],
        "relation": accuracy["relation"],
        "others": float(likenesses(known, others).diagonal().mean()),
    }


def likenesses(features: Tensor, queries: Queries) -> Tensor:
    """Cosines (N, N) of painted and rendered subjects, about the mean of the rendered ones."""
    mean = queries.truth.mean(0)
    return F.normalize(features - mean, dim=1) @ F.normalize(queries.truth - mean, dim=1).T


def _named(features: Tensor, queries: Queries) -> float:
    """Share of pictures most like their own subject among all subjects of their prompt."""
    other = queries.prompts[:, None] != queries.prompts
    nearest = likenesses(features, queries).masked_fill(other, -torch.inf).argmax(1)
    return float((nearest == torch.arange(len(features))).float().mean())


def _first_subject(picture: Image.Image, scene: Scene) -> Image.Image:
    return cut(picture, scene.spots[0])


def curve(studio: Studio, judge: Judge) -> list[dict[str, float]]:
    """The measures after each of `STEPS`, learned with the stack's own settings."""
    oracle, _ = train_oracle(judge, ORACLE_SCENES)
    subjects, known, places = choose()
    prompts = list(zip(PROMPTS, places[PICTURES:], strict=False))
    taught = query(studio, judge, subjects, known, prompts)
    others = query(studio, judge, known, known, prompts[:2])
    models = studio.models
    pictures = pictures_of(subjects, places[:PICTURES])
    concepts = finetune.read_concepts(models, pictures, cut_out=False)
    lesson = finetune.begin(models.decoder, concepts, models.stack.finetuning)
    rows = []
    for steps in STEPS:
        for _ in finetune.learn(lesson, steps):
            pass
        decoder = models.decoder.with_unet(finetune.finished(lesson))
        measures = measure(partial(paint, studio, decoder=decoder), judge, oracle, taught, others)
        rows.append({"steps": steps, **{name: round(v, 4) for name, v in measures.items()}})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure finetuning over its steps.")
    parser.add_argument("--out", type=Path, required=True, help="the plot, an .svg file")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the judge's published weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    if arguments.out.suffix != ".svg":
        parser.error(f"--out {arguments.out}: give the name of an .svg file.")
    torch.set_num_threads(arguments.threads)
    rows = curve(Studio.open("pocket", "cpu"), Judge(arguments.cache))
    content = {"concepts": CONCEPTS, "pictures": PICTURES, "rows": rows}
    write_json(content, arguments.out.with_suffix(".json"))
    title = f"{CONCEPTS} held-out concepts taught together"
    for suffix, text in ((".md", table(rows)), (".svg", plot(rows, title))):
        path = arguments.out.with_suffix(suffix)
        write_whole(path, partial(Path.write_text, data=text, encoding="utf-8"))
    print(table(rows), end="")


if __name__ == "__main__":
    main()
