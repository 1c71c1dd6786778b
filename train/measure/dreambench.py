"""Identity on Dreambench's photographs: is what is painted nearest to photographs of its subject?

    python -m train.measure.dreambench --photos DREAMBENCH --out results.json --sheet sheet.jpg

Dreambench (DreamBooth, CC-BY 4.0) is a folder of 30 subjects with 158 photographs and
prompts_and_classes.txt; it is read for evaluation only. The first photograph of each subject is its
reference. The app cuts it out, and cuts out what is painted the same way. By the judge's pooled
features, centred on their mean over the candidates, the nearest of all other photographs (128,
cut out as well) must show the same subject. The rate of the references themselves is the
ceiling. Nothing is picked: request i of a table has seed `--seed` + i.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lambda_eclipse.explore.contact_sheet import contact_sheet
from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.masking import prepare_subject
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from lambda_eclipse.stacks import STACKS
from lambda_eclipse.weights import write_json
from train.measure.judge import CACHE, Judge

SIDE_PX = 256
LIVE = ("cat", "dog")  # classes with the prompts for live subjects
SHEET_PROMPTS = ("a {}", "a {} on the beach")


@dataclass(frozen=True)
class Photographed:
    """A subject of Dreambench: name of its folder, class, reference, further photographs."""

    name: str
    noun: str
    reference: Path
    others: tuple[Path, ...]


@dataclass(frozen=True)
class Dreambench:
    """Subjects, and the prompt templates for objects and for live subjects (25 each, with {})."""

    subjects: tuple[Photographed, ...]
    object_prompts: tuple[str, ...]
    live_prompts: tuple[str, ...]

    def prompts(self, subject: Photographed) -> tuple[str, ...]:
        return self.live_prompts if subject.noun in LIVE else self.object_prompts


def read_dreambench(folder: Path) -> Dreambench:
    """The benchmark as its authors publish it; ValueError when the folder holds something else."""
    table = folder / "prompts_and_classes.txt"
    if not table.is_file():
        raise ValueError(f"{folder} has no prompts_and_classes.txt: give Dreambench's own folder.")
    text = table.read_text(encoding="utf-8")
    nouns = dict(re.findall(r"^(\w+),([\w ]+?)\s*$", text, re.MULTILINE))
    lists = re.findall(r"prompt_list = \[(.*?)\n\]", text, re.DOTALL)
    objects, live = (
        tuple(p.replace("{0} {1}", "{}") for p in re.findall(r"'([^']+)'", part)) for part in lists
    )
    subjects = []
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        first, *others = sorted(path.glob("*.jpg"))
        subjects.append(Photographed(path.name, nouns[path.name], first, tuple(others)))
    return Dreambench(tuple(subjects), objects, live)


def cut_out(picture: Image.Image) -> Image.Image:
    """RGB on white, as the app cuts a subject out."""
    return prepare_subject(picture, None, SIDE_PX, margin=STACKS["pocket"].margin).picture


class Identity:
    """The nearest photograph of each picture, among all that are no reference."""

    def __init__(self, judge: Judge, bench: Dreambench) -> None:
        pairs = [(s.name, path) for s in bench.subjects for path in s.others]
        features = judge.features([cut_out(open_picture(path)) for _, path in pairs])
        self.judge = judge
        self.names = [name for name, _ in pairs]
        self.mean = features.mean(0)
        self.candidates = F.normalize(features - self.mean, dim=1)  # (128, C)

    def right(self, pictures: Sequence[Image.Image], names: Sequence[str]) -> list[bool]:
        """Whether picture i, cut out on white, is nearest to a photograph of subject `names[i]`."""
        features = F.normalize(self.judge.features(pictures) - self.mean, dim=1)
        nearest = (features @ self.candidates.T).argmax(1).tolist()
        return [self.names[at] == name for at, name in zip(nearest, names, strict=True)]


def share(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


def painted_alone(
    studio: Studio, bench: Dreambench, template: Callable[[Photographed], str], seed: int
) -> list[Image.Image]:
    """One picture of each subject by its own template."""
    pictures = []
    for i, one in enumerate(bench.subjects):
        prompt = template(one).format(one.noun)
        request = Request(prompt, (Subject(one.noun, one.reference),), seed=seed + i)
        pictures.append(studio.generate(request)[0].image)
    return pictures


def painted_from_cut_outs(studio: Studio, references: Sequence[Image.Image], seed: int) -> list:
    """Pictures from the embeddings of the cut-out references: what the decoder can do."""
    with torch.no_grad(), studio.models.encoders() as (clip, _):
        embeddings: Tensor = clip.image(list(references)).float().cpu()
    painted = studio.paint(embeddings, [seed + i for i in range(len(references))])
    return [picture.image for picture in painted]


def both_right(studio: Studio, bench: Dreambench, identity: Identity, seed: int) -> list[bool]:
    """Subject i beside subject i + 7 (of another class): are the left and the right half right?"""
    count, found = len(bench.subjects), []
    for i, first in enumerate(bench.subjects):
        second = next(
            s for k in range(7, count) if (s := bench.subjects[(i + k) % count]).noun != first.noun
        )
        subjects = tuple(Subject(s.noun, s.reference) for s in (first, second))
        prompt = f"a {first.noun} next to a {second.noun}"
        [picture] = studio.generate(Request(prompt, subjects, seed=seed + i))
        width, height = picture.image.size
        halves = [(0, 0, width // 2, height), (width - width // 2, 0, width, height)]
        cut = [cut_out(picture.image.crop(box)) for box in halves]
        found.append(all(identity.right(cut, [first.name, second.name])))
    return found


def _always(template: str, _: Photographed) -> str:
    return template


def _numbered(bench: Dreambench, number: int, subject: Photographed) -> str:
    return bench.prompts(subject)[number]


def measure(studio: Studio, bench: Dreambench, seed: int, all_prompts: bool) -> tuple[dict, list]:
    """The table by name, and the sheet's pictures: reference, then one for each sheet prompt."""
    identity = Identity(Judge(CACHE), bench)
    names = [s.name for s in bench.subjects]
    references = [cut_out(open_picture(s.reference)) for s in bench.subjects]

    def rate(pictures: Sequence[Image.Image]) -> float:
        return share(identity.right([cut_out(picture) for picture in pictures], names))

    table = {"the photographs themselves": share(identity.right(references, names))}
    columns = [references]
    table["from true embeddings"] = rate(painted_from_cut_outs(studio, references, seed))
    for template in SHEET_PROMPTS:
        columns.append(painted_alone(studio, bench, partial(_always, template), seed))
        table[template.format("…")] = rate(columns[-1])
    table["two subjects, both"] = share(both_right(studio, bench, identity, seed))
    if all_prompts:
        rates = [
            rate(painted_alone(studio, bench, partial(_numbered, bench, n), seed))
            for n in range(len(bench.object_prompts))
        ]
        table["all 25 prompts, mean"] = sum(rates) / len(rates)
    cells = [
        flatten(row).resize((SIDE_PX // 2,) * 2)
        for rows in zip(*columns, strict=True)
        for row in rows
    ]
    return table, cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="Dreambench's folder")
    parser.add_argument("--stack", default="pocket")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-prompts", action="store_true", help="the mean over all 25, too")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    parser.add_argument("--sheet", type=Path, help="write references and pictures, unpicked")
    args = parser.parse_args()
    studio = Studio.open(args.stack)
    table, cells = measure(studio, read_dreambench(args.photos), args.seed, args.all_prompts)
    print(json.dumps(table, indent=1, ensure_ascii=False))
    if args.out:
        write_json(table, args.out)
    if args.sheet:
        contact_sheet(cells, 6 * (1 + len(SHEET_PROMPTS))).save(args.sheet, quality=85)


if __name__ == "__main__":
    main()
