"""Finetunes a stack's decoder on pictures of your own concepts (Sec. 3.3, Appendix D, Eq. 2).

    python -m train.finetune --concepts DIR [DIR ...] --out FOLDER [--stack kandinsky --device cuda]

Each folder holds pictures of one concept; all of them are learned together, in one model. Only the
U-Net learns: `lambda_eclipse.finetune` says what and how. The folder gets `decoder/`, which
`app.py --decoder` and `python -m lambda_eclipse --decoder` take; `log.jsonl`, the mean error of
every `REPORT_EVERY` steps; and `checkpoint.pt`. Run again, it goes on where it stopped, bit for bit
on a CPU, and with more --steps from where it ended.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lambda_eclipse import stacks
from lambda_eclipse.finetune import Lesson, begin, finished, learn, read_concepts, restore, state
from lambda_eclipse.images import open_picture
from lambda_eclipse.keep.checksums import checksums
from lambda_eclipse.models import load
from lambda_eclipse.stacks import PATTERNS, STACKS, Finetuning
from lambda_eclipse.weights import resolve, write_whole
from train.loop.checkpoints import CHECKPOINT
from train.loop.export import save_module

REPORT_EVERY = 10
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def picture_files(folders: Sequence[Path]) -> list[Path]:
    """The pictures of the concepts' folders; ValueError for a folder that has none."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"--concepts {folder} is no folder: give one for each concept.")
        own = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not own:
            raise ValueError(
                f"--concepts {folder} holds no pictures ({', '.join(SUFFIXES)}): put a few of one "
                f"concept there."
            )
        found += own
    return found


def read_pictures(paths: Sequence[Path]) -> list[Image.Image]:
    """All of them; PictureError names the first that can't be used."""
    return [open_picture(path, f"picture {path}") for path in paths]


def train(lesson: Lesson, out: Path, steps: int, save_every: int, plan: dict[str, Any]) -> None:
    """Learn until `steps` are done, or go on from the checkpoint in `out`.

    `plan`: what the result depends on; ValueError where a checkpoint was made with another.
    """
    out.mkdir(parents=True, exist_ok=True)
    _resume(lesson, out / CHECKPOINT, plan)
    if lesson.done > steps:
        raise ValueError(f"{out} has learned for {lesson.done} steps: give --steps above that.")
    began, errors = time.perf_counter(), []
    first = lesson.done
    for error in learn(lesson, steps):
        errors.append(error)
        done = lesson.done
        if done % REPORT_EVERY == 0 or done == steps:
            pace = (time.perf_counter() - began) / (done - first)
            line = {
                "step": done,
                "error": round(sum(errors) / len(errors), 6),
                "seconds_per_step": round(pace, 3),
                "minutes_left": round(pace * (steps - done) / 60, 1),
            }
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            errors.clear()
        if done % save_every == 0 or done == steps:
            content = {"plan": plan, **state(lesson)}
            write_whole(out / CHECKPOINT, partial(torch.save, content))


def _resume(lesson: Lesson, path: Path, plan: dict[str, Any]) -> None:
    if not path.exists():
        return
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        other = content["plan"]
    except Exception as error:  # unpickling raises nearly anything
        raise ValueError(f"{path} can't be read ({error}): delete it to start again.") from error
    differing = [name for name in plan if plan[name] != other.get(name)]
    if differing:
        raise ValueError(
            f"{path} was made with other {', '.join(differing)}: give what it was made with, or "
            f"another --out."
        )
    restore(lesson, content)


def export(lesson: Lesson, source: Path, target: Path) -> None:
    """The decoder with what was learned, in the hub's layout, whole or not at all.

    `source`: the folder of the decoder that it came from, whose other files are copied.
    """
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    save_module(finished(lesson).cpu(), part / "unet")
    for name in PATTERNS["decoder"]:
        if not name.startswith("unet/"):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, part / name)
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)


def _checksum(paths: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def run(options: argparse.Namespace) -> None:
    """What the command does; errors as in the functions above and in `models.load`."""
    paths = picture_files(options.concepts)
    pictures = read_pictures(paths)
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"--out {options.out} is a file: give a folder.")
    row, device = stacks.choose(options.stack, options.device)
    how = _how(row.finetuning, options)
    sources = {"decoder": options.decoder} if options.decoder else {}
    source = resolve(stacks.source_of(row, "decoder", sources), patterns=PATTERNS["decoder"])
    models = load(row, device, lambda message: print(f"{message} ..."), sources=sources)
    concepts = read_concepts(models, pictures, how.cut_out)
    lesson = begin(models.decoder, concepts, how, options.seed)
    del models  # all but the lesson
    learning = sum(weight.numel() for weight in lesson.unet.parameters() if weight.requires_grad)
    print(f"{len(options.concepts)} concepts, {len(paths)} pictures, {learning:,} weights learn")
    plan = {name: getattr(how, name) for name in ("rate", "batch", "last", "cut_out", "lora")}
    plan |= {"seed": options.seed, "stack": row.name, "pictures": _checksum(paths)}
    plan["decoder"] = checksums(row, sources)["decoder"]
    train(lesson, options.out, how.steps, options.save_every, plan)
    export(lesson, source, options.out / "decoder")
    print(f"finished: --decoder {options.out / 'decoder'}")


def _how(default: Finetuning, options: argparse.Namespace) -> Finetuning:
    given = {name: getattr(options, name) for name in ("rate", "batch", "steps", "cut_out")}
    return dataclasses.replace(
        default,
        lora=options.lora,
        checkpointing=options.checkpointing,
        **{name: value for name, value in given.items() if value is not None},
    )


def _positive(kind: type) -> Any:
    def read(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} must be above 0")
        return value

    return read


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole, rows = _positive(int), STACKS.values()

    def defaults(name: str) -> str:
        return ", ".join(f"{row.name} {getattr(row.finetuning, name):g}" for row in rows)

    found = argparse.ArgumentParser(description="Finetune a decoder on your own concepts.")
    found.add_argument("--concepts", type=Path, nargs="+", required=True, metavar="DIR",
        help="a folder of pictures for each concept")  # fmt: skip
    found.add_argument("--out", type=Path, required=True, help="folder of the result")
    found.add_argument("--stack", choices=tuple(STACKS), default="pocket")
    found.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    found.add_argument("--decoder", metavar="FOLDER", help="start from this one")
    found.add_argument("--steps", type=whole, help=f"in all ({defaults('steps')})")
    found.add_argument("--batch", type=whole, help=f"pictures a step ({defaults('batch')})")
    found.add_argument("--rate", type=_positive(float), help=f"of AdamW ({defaults('rate')})")
    found.add_argument("--lora", type=whole, default=0, metavar="RANK",
        help="learn adapters of this rank instead of all weights; needs peft")  # fmt: skip
    found.add_argument("--checkpointing", action="store_true",
        help="less memory, a third more time")  # fmt: skip
    found.add_argument("--cut-out", action=argparse.BooleanOptionalAction,
        help="learn the subject alone on white (pocket), or the whole picture (kandinsky)",
    )  # fmt: skip
    found.add_argument("--save-every", type=whole, default=50, metavar="STEPS")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--threads", type=whole, help="default: what torch takes")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        run(options)
    except (ValueError, OSError, ImportError) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
