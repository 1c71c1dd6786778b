"""The command `python -m lambda_eclipse verify`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

UNMARKED = 1


def add_verify(commands: Any, program: str) -> None:
    """Add the command to the subparsers of the command line."""
    verify = commands.add_parser(
        "verify",
        help="tell whether pictures are marked as generated",
        description="Read Content Credentials, IPTC's source type and the watermark of pictures. "
        "Exit code 0: all are marked; 1: one is not, or was changed after it had been signed.",
        epilog=f"example: {program} verify pictures/7.png",
    )
    verify.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="a file")
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from lambda_eclipse.mark.verify import verify

    code = 0
    for path in options.pictures:
        found = verify(path.expanduser())
        if found.tampered or not found.generated:
            code = UNMARKED
        line = {"path": str(path), **found.content()}
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return code
