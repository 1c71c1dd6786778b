"""Command-line options of the page and of `python -m lambda_eclipse`: stack, device, sources."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from lambda_eclipse import devices, stacks
from lambda_eclipse.messages import StudioError


class UsageError(StudioError):
    """Wrong arguments."""


def add_stack_options(parser: argparse.ArgumentParser) -> None:
    """Add --stack, --device, --prior, --decoder, --newest and --no-mark."""
    titles = " or ".join(f"{name}: {stack.title}" for name, stack in stacks.STACKS.items())
    parser.add_argument(
        "--stack",
        type=_checked(stacks.check_name),
        default="auto",
        metavar="STACK",
        help=f"auto, or {titles} (auto)",
    )
    parser.add_argument(
        "--device",
        type=_checked(devices.check_name),
        default="auto",
        metavar="DEVICE",
        help="auto, cpu, cuda or mps (auto)",
    )
    parser.add_argument("--prior", metavar="FOLDER", help="use this prior instead of the stack's")
    parser.add_argument("--decoder", metavar="FOLDER", help="use this decoder instead")
    parser.add_argument(
        "--newest", action="store_true", help="ask the hub for newer weights than the pinned ones"
    )
    parser.add_argument("--no-mark", action="store_true", help="do not mark pictures as generated")


def sources(options: argparse.Namespace) -> dict[str, str]:
    """The `sources` of `models.load` from parsed options."""
    return {part: path for part in ("prior", "decoder") if (path := getattr(options, part))}


def _checked(check: Callable[[str], None]) -> Callable[[str], str]:
    """An argparse type: the name itself, once it passes the check."""

    def name(text: str) -> str:
        try:
            check(text)
        except StudioError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return name
