"""Command line: python -m lambda_eclipse generate | grid.

Results go to stdout as one line of JSON per picture; an error is one line on stderr, exit code 2.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from PIL import Image

    from lambda_eclipse.pipeline import Studio
    from lambda_eclipse.request import Subject

PROGRAM = "python -m lambda_eclipse"
ERROR = 2
INTERRUPTED = 130


class UsageError(ValueError):
    """Arguments that cannot be understood."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        # ValueError: the request, its pictures or its weights; the others: disk, memory, install.
        print("error: " + (" ".join(str(error).split()) or type(error).__name__), file=sys.stderr)
        return ERROR
    return 0


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
    generate.add_argument("--prompt", required=True, metavar="TEXT", help="what to paint")
    generate.add_argument(
        "--subject",
        action="append",
        default=[],
        metavar="NOUN=PATH",
        help="a noun of the prompt and a picture of what it looks like; up to four times",
    )
    generate.add_argument(
        "--canny", type=Path, metavar="PATH", help="a picture whose edges guide the composition"
    )
    generate.add_argument(
        "--count",
        type=int,
        default=1,
        metavar="N",
        help="number of pictures, each with the next seed (1)",
    )
    generate.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the PNG files"
    )
    generate.set_defaults(run=_generate)

    grid = commands.add_parser(
        "grid",
        help="paint a square between two pairs of subjects",
        description="Paint a square of pictures: subject A changes from its first picture to its "
        "second from left to right, subject B from top to bottom (the paper's Fig. 7).",
        epilog=f"example: {PROGRAM} grid --prompt 'a dog wearing a hat' "
        "--a dog=dog1.jpg,dog2.jpg --b hat=hat1.jpg,hat2.jpg --out square.png",
    )
    grid.add_argument("--prompt", required=True, metavar="TEXT", help="what to paint")
    for name in ("a", "b"):
        grid.add_argument(
            f"--{name}",
            required=True,
            metavar="NOUN=PATH,PATH",
            help=f"subject {name.upper()}: a noun of the prompt and two pictures",
        )
    grid.add_argument(
        "--size", type=int, default=5, metavar="N", help="pictures along a side, 2 to 9 (5)"
    )
    grid.add_argument(
        "--mode", choices=("slerp", "lerp"), default="slerp", help="arc or straight line (slerp)"
    )
    grid.add_argument("--out", type=Path, required=True, metavar="FILE", help="the PNG file")
    grid.set_defaults(run=_grid)

    for command in (generate, grid):
        command.add_argument(
            "--stack",
            default="auto",
            metavar="S",
            help="auto, pocket (shipped, 128 px) or kandinsky (published weights, 512 px) (auto)",
        )
        command.add_argument(
            "--device", default="auto", metavar="D", help="auto, cpu, cuda or mps (auto)"
        )
        command.add_argument(
            "--decoder", metavar="FOLDER", help="a decoder to use instead of the stack's own"
        )
        command.add_argument(
            "--prior", metavar="PATH", help="folder of a prior to use instead of the stack's"
        )
        command.add_argument(
            "--seed", type=int, metavar="N", help="0 to 2147483647; the same seed paints the same"
        )
        command.add_argument(
            "--steps", type=int, metavar="N", help="denoising steps, 1 to 250 (of the stack)"
        )
        command.add_argument(
            "--guidance", type=float, metavar="G", help="guidance scale, 0 to 20 (of the stack)"
        )
    return parser


def _generate(options: argparse.Namespace) -> None:
    from lambda_eclipse.request import Request, Sampling, random_seed

    subjects = tuple(_subject(*_noun_and_path(text)) for text in options.subject)
    request = Request(
        prompt=options.prompt,
        subjects=subjects,
        canny=options.canny and _picture(options.canny, "edge picture"),
        seed=random_seed() if options.seed is None else options.seed,
        count=options.count,
        sampling=Sampling(options.steps, options.guidance),
    )
    request.check()  # before the models are read, which takes long
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"--out {options.out} is a file: give a folder.")
    pictures = _open(options).generate(request, on_step=_show_step)
    options.out.mkdir(parents=True, exist_ok=True)
    paths = [options.out / f"{picture.seed}.png" for picture in pictures]
    _save([picture.image for picture in pictures], paths)
    for picture, path in zip(pictures, paths, strict=True):
        _print_json(path, picture.seed, picture.seconds)


def _grid(options: argparse.Namespace) -> None:
    from lambda_eclipse.images import contact_sheet
    from lambda_eclipse.request import GRID_SIDES, Request, Sampling, random_seed

    a, b = _pair(options.a, "--a"), _pair(options.b, "--b")
    seed = random_seed() if options.seed is None else options.seed
    sampling = Sampling(options.steps, options.guidance)
    for pair in zip(a, b, strict=True):
        Request(options.prompt, pair, seed=seed, sampling=sampling).check()
    if not GRID_SIDES[0] <= options.size <= GRID_SIDES[1]:
        raise UsageError(f"--size {options.size}: give {GRID_SIDES[0]} to {GRID_SIDES[1]}.")
    if options.out.suffix.lower() != ".png" or options.out.is_dir():
        raise UsageError(f"--out {options.out}: give the name of a .png file.")
    studio = _open(options)
    began = time.perf_counter()
    corners = studio.square(options.prompt, a, b, seed)
    rows = studio.grid(corners, options.size, options.mode, seed, sampling, _show_step)
    sheet = contact_sheet([picture.image for row in rows for picture in row], options.size)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    _save([sheet], [options.out])
    _print_json(options.out, seed, time.perf_counter() - began)


def _open(options: argparse.Namespace) -> Studio:
    from lambda_eclipse.pipeline import Studio

    sources = {part: path for part in ("prior", "decoder") if (path := getattr(options, part))}
    return Studio.open(
        options.stack, options.device, lambda message: _show(f"{message} ..."), sources
    )


def _noun_and_path(text: str) -> tuple[str, str]:
    noun, separator, path = text.partition("=")
    if not separator or not noun.strip() or not path.strip():
        raise UsageError(f"--subject {text}: give NOUN=PATH, such as cat=my_cat.jpg.")
    return noun.strip(), path.strip()


def _pair(text: str, option: str) -> tuple[Subject, Subject]:
    noun, separator, paths = text.partition("=")
    parts = [path.strip() for path in paths.split(",")]
    if not separator or not noun.strip() or len(parts) != 2 or not all(parts):
        raise UsageError(f"{option} {text}: give NOUN=PATH,PATH, such as dog=dog1.jpg,dog2.jpg.")
    first, second = (_subject(noun.strip(), path) for path in parts)
    return first, second


def _subject(noun: str, path: str) -> Subject:
    from lambda_eclipse.request import Subject

    return Subject(noun, _picture(path, f'picture of "{noun}"'))


def _picture(path: str | Path, what: str) -> Image.Image:
    from lambda_eclipse.images import open_picture

    return open_picture(Path(path).expanduser(), what)


def _save(images: Sequence[Image.Image], paths: Sequence[Path]) -> None:
    """Write PNGs next to their places and rename them: all of them, each whole, or none."""
    temporary: list[Path] = []
    try:
        for image, path in zip(images, paths, strict=True):
            handle, name = tempfile.mkstemp(
                dir=path.parent, prefix=f".{path.stem}.", suffix=".part"
            )
            temporary.append(Path(name))
            with os.fdopen(handle, "wb") as file:
                image.save(file, "PNG")
            temporary[-1].chmod(0o644)  # mkstemp makes files private
        for source, path in zip(temporary, paths, strict=True):
            source.replace(path)
    finally:
        for source in temporary:
            source.unlink(missing_ok=True)


def _print_json(path: Path, seed: int, seconds: float) -> None:
    line = {"path": str(path), "seed": seed, "seconds": round(seconds, 3)}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def _show(message: str) -> None:
    """Progress, for people only: nothing where stderr is read by a program."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{message}", end="", file=sys.stderr, flush=True)


def _show_step(info: object) -> None:
    first = info.index_of_batch_start + 1
    last = first + info.count - 1
    end = "\n" if last == info.total and info.step == info.steps else ""
    _show(f"picture {first} to {last} of {info.total}, step {info.step} of {info.steps}{end}")


def _quiet_libraries() -> None:
    """Their warnings are for programmers; stderr is for the one line of an error."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    _quiet_libraries()
    sys.exit(main())
