"""Command line: python -m lambda_eclipse generate | grid | verify.

Prints one line of JSON per picture to stdout, or an error as one line to stderr, exit code 2.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_args

from lambda_eclipse import doctor, terminal
from lambda_eclipse.mark import command, marking
from lambda_eclipse.messages import Text
from lambda_eclipse.options import UsageError, add_stack_options, sources
from lambda_eclipse.request import (
    GRID_SIDES,
    GUIDANCE,
    MAX_SEED,
    MODE,
    SAMPLER,
    STEPS,
    Mode,
    Request,
    Sampler,
    Sampling,
    random_seed,
)
from lambda_eclipse.subject_options import MENTION_HELP, check_mentions, pair, picture, subject

if TYPE_CHECKING:
    from PIL import Image

    from lambda_eclipse.decoder import StepInfo
    from lambda_eclipse.pipeline import Studio

PROGRAM = "python -m lambda_eclipse"
ERROR = 2
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError("{message} (see {program} --help)", message=message, program=self.prog)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return options.run(options) or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        # ValueError: request, pictures or weights. Others: disk, memory, installation.
        print("error: " + (" ".join(str(error).split()) or type(error).__name__), file=sys.stderr)
        return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="λ-ECLIPSE: pictures of a prompt with your own subjects in it.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    generate = commands.add_parser(
        "generate",
        help="paint pictures of a prompt, with up to four subjects",
        description="Paint pictures of a prompt. Each subject takes the place of a noun in it.",
        epilog=f"example: {PROGRAM} generate --prompt 'a cat wearing a hat' "
        "--subject cat=cat.jpg --subject hat=hat.png --count 4 --out pictures",
    )
    add = generate.add_argument
    add("--prompt", required=True, metavar="TEXT", help="what to paint")
    add(
        "--subject",
        action="append",
        default=[],
        metavar="NOUN=PATH",
        help="a noun of the prompt and a picture of what it looks like; up to four times"
        + MENTION_HELP,
    )
    add("--canny", type=Path, metavar="PATH", help="a picture whose edges guide the composition")
    add("--count", type=int, default=1, metavar="N", help="number of pictures, seeds rising (1)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the PNG files")
    generate.set_defaults(run=_generate)

    grid = commands.add_parser(
        "grid",
        help="paint a square between two pairs of subjects",
        description="Paint a square of pictures: subject A changes from its first picture to its "
        "second from left to right, subject B from top to bottom (the paper's Fig. 7).",
        epilog=f"example: {PROGRAM} grid --prompt 'a dog wearing a hat' "
        "--a dog=dog1.jpg,dog2.jpg --b hat=hat1.jpg,hat2.jpg --out square.png",
    )
    add = grid.add_argument
    add("--prompt", required=True, metavar="TEXT", help="what to paint")
    versions = f"a noun of the prompt and two pictures{MENTION_HELP}"
    add("--a", required=True, metavar="NOUN=PATH,PATH", help=f"subject A: {versions}")
    add("--b", required=True, metavar="NOUN=PATH,PATH", help=f"subject B: {versions}")
    low, high = GRID_SIDES
    add("--size", type=int, default=5, metavar="N", help=f"pictures per side, {low} to {high} (5)")
    add("--mode", choices=get_args(Mode), default=MODE, help=f"straight line or arc ({MODE})")
    add("--out", type=Path, required=True, metavar="FILE", help="the PNG file")
    grid.set_defaults(run=_grid)

    command.add_verify(commands, PROGRAM)
    doctor.add_doctor(commands, PROGRAM)
    for painting in (generate, grid):
        add_stack_options(painting)
        add = painting.add_argument
        add("--seed", type=int, metavar="N", help=f"0 to {MAX_SEED}; equal seeds paint the same")
        steps, guidance = ("{} to {:g} (of the stack)".format(*of) for of in (STEPS, GUIDANCE))
        add("--steps", type=int, metavar="N", help=f"denoising steps, {steps}")
        add("--guidance", type=float, metavar="G", help=f"guidance scale, {guidance}")
        told = f"ddim, or ddpm as in the published script ({SAMPLER})"
        add("--sampler", choices=get_args(Sampler), default=SAMPLER, help=told)
    return parser


def _generate(options: argparse.Namespace) -> None:
    subjects = tuple(subject(text) for text in options.subject)
    request = Request(
        prompt=options.prompt,
        subjects=subjects,
        canny=options.canny and picture(options.canny, Text("edge picture")),
        seed=random_seed() if options.seed is None else options.seed,
        count=options.count,
        sampling=Sampling(options.steps, options.guidance, options.sampler),
    )
    request.check()  # before the models are read, which takes long
    check_mentions(request.prompt, request.subjects)
    if options.out.exists() and not options.out.is_dir():
        raise UsageError("--out {path} is a file: use a folder.", path=options.out)
    pictures = _open(options).generate(request, on_step=_show_step)
    options.out.mkdir(parents=True, exist_ok=True)
    paths = [options.out / f"{painted.seed}.png" for painted in pictures]
    _save([painted.image for painted in pictures], paths)
    for painted, path in zip(pictures, paths, strict=True):
        _print_json(path, painted.seed, painted.seconds)


def _grid(options: argparse.Namespace) -> None:
    from lambda_eclipse.explore.contact_sheet import contact_sheet

    a, b = pair(options.a, "--a"), pair(options.b, "--b")
    seed = random_seed() if options.seed is None else options.seed
    sampling = Sampling(options.steps, options.guidance, options.sampler)
    for both in zip(a, b, strict=True):
        Request(options.prompt, both, seed=seed, sampling=sampling).check()
    check_mentions(options.prompt, (a[0], b[0]))
    if not GRID_SIDES[0] <= options.size <= GRID_SIDES[1]:
        low, high = GRID_SIDES
        raise UsageError(
            "--size {size}: use {low} to {high}.", size=options.size, low=low, high=high
        )
    if options.out.suffix.lower() != ".png" or options.out.is_dir():
        raise UsageError("--out {path}: use the name of a .png file.", path=options.out)
    studio = _open(options)
    began = time.perf_counter()
    corners = studio.square(options.prompt, a, b, seed)
    rows = studio.grid(corners, options.size, options.mode, seed, sampling, _show_step)
    sheet = contact_sheet([cell.image for row in rows for cell in row], options.size)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    _save([sheet], [options.out])
    _print_json(options.out, seed, time.perf_counter() - began)


def _open(options: argparse.Namespace) -> Studio:
    from lambda_eclipse.pipeline import Studio

    marking.start(not options.no_mark)
    return Studio.open(
        options.stack, options.device, terminal.show_line, sources(options), options.newest
    )


def _save(images: Sequence[Image.Image], paths: Sequence[Path]) -> None:
    """Write marked PNG files: all of them, each whole, or none."""
    from lambda_eclipse.keep.recipe import write
    from lambda_eclipse.weights import write_all

    pairs = zip(images, paths, strict=True)
    write_all({path: partial(Path.write_bytes, data=write(image, None)) for image, path in pairs})


def _print_json(path: Path, seed: int, seconds: float) -> None:
    line = {"path": str(path), "seed": seed, "seconds": round(seconds, 3)}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def _show_step(info: StepInfo) -> None:
    first = info.index_of_batch_start + 1
    last = first + info.count - 1
    end = "\n" if last == info.total and info.step == info.steps else ""
    line = f"picture {first} to {last} of {info.total}, step {info.step} of {info.steps}"
    terminal.show(line, end)


def _quiet_libraries() -> None:
    """Silence warnings of libraries: stderr is for the one line of an error."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    _quiet_libraries()
    sys.exit(main())
