"""Finetune a stack's decoder on pictures of your concepts (Sec. 3.3, Appendix D, Eq. 2).

    python -m train.finetune --concepts DIR [DIR ...] --out FOLDER [--stack kandinsky --device cuda]

Each folder holds pictures of one concept; one model learns all of them. Only the U-Net is trained,
see `lambda_eclipse.finetune`. Writes `decoder/` for the option --decoder of `app.py` and
`python -m lambda_eclipse`; `log.jsonl`, the mean error of every `REPORT_EVERY` steps; and
`checkpoint.pt`. The same command resumes, bit for bit on a CPU; more --steps extend a finished run.
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
from lambda_eclipse.keep.weight_checksums import checksums
from lambda_eclipse.layouts import files_in
from lambda_eclipse.locations import resolve
from lambda_eclipse.models import load
from lambda_eclipse.stacks import STACKS, Finetuning
from lambda_eclipse.weights import write_whole
from train.loop.checkpoints import CHECKPOINT
from train.loop.export import save_module

REPORT_EVERY = 10
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def picture_files(folders: Sequence[Path]) -> list[Path]:
    """Paths of the pictures in the concepts' folders; ValueError for a folder without any."""
    files: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"--concepts {folder} is not a folder: give one folder per concept.")
        pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not pictures:
            raise ValueError(
                f"--concepts {folder} holds no pictures ({', '.join(SUFFIXES)}): add some of "
                f"one concept."
            )
        files += pictures
    return files


def read_pictures(paths: Sequence[Path]) -> list[Image.Image]:
    """The decoded pictures; PictureError names the first unusable one."""
    return [open_picture(path, f"picture {path}") for path in paths]


def train(lesson: Lesson, out: Path, steps: int, save_every: int, plan: dict[str, Any]) -> None:
    """Train up to `steps` steps, from the checkpoint in `out` if there is one.

    plan: everything that the result depends on; ValueError if the checkpoint has another plan.
    """
    out.mkdir(parents=True, exist_ok=True)
    _resume(lesson, out / CHECKPOINT, plan)
    if lesson.done > steps:
        raise ValueError(f"{out} has {lesson.done} steps already: give more --steps.")
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
        raise ValueError(f"{path} cannot be read ({error}): delete it to start again.") from error
    differing = [name for name in plan if plan[name] != other.get(name)]
    if differing:
        raise ValueError(
            f"{path} was made with other {', '.join(differing)}: use the same ones, or "
            f"another --out."
        )
    restore(lesson, content)


def export(lesson: Lesson, source: Path, target: Path) -> None:
    """Write the finetuned decoder in the hub's layout, whole or not at all.

    source: folder of the original decoder; its other files are copied.
    """
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    save_module(finished(lesson).cpu(), part / "unet")
    for name in files_in(source, "decoder"):
        if not name.startswith("unet/"):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, part / name)
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)


def _checksum(paths: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def run(options: argparse.Namespace) -> None:
    """Run the command; errors as in the functions above and in `models.load`."""
    paths = picture_files(options.concepts)
    pictures = read_pictures(paths)
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"--out {options.out} is a file: give a folder.")
    row, device = stacks.choose(options.stack, options.device)
    settings = _settings(row.finetuning, options)
    sources = {"decoder": options.decoder} if options.decoder else {}
    source = resolve(stacks.source_of(row, "decoder", sources), "decoder")
    models = load(row, device, lambda message: print(f"{message} ..."), sources=sources)
    concepts = read_concepts(models, pictures, settings.cut_out)
    lesson = begin(models.decoder, concepts, settings, options.seed)
    del models  # free CLIP and the prior
    trained = sum(weight.numel() for weight in lesson.unet.parameters() if weight.requires_grad)
    print(f"{len(options.concepts)} concepts, {len(paths)} pictures, {trained:,} trained weights")
    plan = {name: getattr(settings, name) for name in ("rate", "batch", "last", "cut_out", "lora")}
    plan |= {"seed": options.seed, "stack": row.name, "pictures": _checksum(paths)}
    plan["decoder"] = checksums(row, sources)["decoder"]
    train(lesson, options.out, settings.steps, options.save_every, plan)
    export(lesson, source, options.out / "decoder")
    print(f"finished: --decoder {options.out / 'decoder'}")


def _settings(default: Finetuning, options: argparse.Namespace) -> Finetuning:
    chosen = {name: getattr(options, name) for name in ("rate", "batch", "steps", "cut_out")}
    return dataclasses.replace(
        default,
        lora=options.lora,
        checkpointing=options.checkpointing,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def _positive(kind: type) -> Any:
    def read(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} must be positive")
        return value

    return read


def parser() -> argparse.ArgumentParser:
    """The command-line parser."""
    whole, rows = _positive(int), STACKS.values()

    def defaults(name: str) -> str:
        return ", ".join(f"{row.name} {getattr(row.finetuning, name):g}" for row in rows)

    options = argparse.ArgumentParser(description="Finetune a decoder on your own concepts.")
    options.add_argument(
        "--concepts",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="a folder of pictures for each concept",
    )
    options.add_argument("--out", type=Path, required=True, help="folder of the result")
    options.add_argument("--stack", choices=tuple(STACKS), default="pocket")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options.add_argument("--decoder", metavar="FOLDER", help="decoder to start from")
    options.add_argument("--steps", type=whole, help=f"number of steps ({defaults('steps')})")
    options.add_argument("--batch", type=whole, help=f"pictures per step ({defaults('batch')})")
    options.add_argument(
        "--rate", type=_positive(float), help=f"learning rate of AdamW ({defaults('rate')})"
    )
    options.add_argument(
        "--lora",
        type=whole,
        default=0,
        metavar="RANK",
        help="train LoRA adapters of this rank instead of all weights; needs peft",
    )
    options.add_argument(
        "--checkpointing",
        action="store_true",
        help="gradient checkpointing: less memory, a third more time",
    )
    options.add_argument(
        "--cut-out",
        action=argparse.BooleanOptionalAction,
        help="train on the cut-out subject (pocket) or the whole picture (kandinsky)",
    )
    options.add_argument("--save-every", type=whole, default=50, metavar="STEPS")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=whole, help="CPU threads (torch's default)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
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
