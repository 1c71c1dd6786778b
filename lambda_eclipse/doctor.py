"""The command `python -m lambda_eclipse doctor`: this installation in a text for a bug report.

It names no user and no password: the home folder is "~", and what stands before "@" in the address
of a proxy is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from lambda_eclipse import __version__, stacks
from lambda_eclipse.messages import StudioError
from lambda_eclipse.stacks import PARTS, Part, Stack

PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "timm",
    "accelerate",
    "safetensors",
    "huggingface_hub",
    "gradio",
    "numpy",
    "pillow",
)
VARIABLES = re.compile(
    r"(?i)^(https?_proxy|all_proxy|no_proxy|HF_(HOME|ENDPOINT|HUB_\w+)"
    r"|CUDA_VISIBLE_DEVICES|OMP_NUM_THREADS|LAMBDA_ECLIPSE_\w+)$"
)
PROMPT, SEED = "a cat on the beach", 0


def add_doctor(commands: Any, program: str) -> None:
    """Add the command to the subparsers of the command line."""
    doctor = commands.add_parser(
        "doctor",
        help="describe this installation, for a bug report",
        description="Print versions, devices, memory, disk, network settings, which weights are "
        "here and whole, and paint a picture with each stack that can run.",
        epilog=f"example: {program} doctor > doctor.txt",
    )
    doctor.add_argument("--no-pictures", action="store_true", help="paint nothing")
    doctor.add_argument(
        "--all", action="store_true", help="paint with large stacks on the CPU, too: slow"
    )
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    for line in report(not options.no_pictures, options.all):
        print(tidy(line), flush=True)
    return 0


def report(pictures: bool = True, everything: bool = False) -> Iterator[str]:
    """The lines of the text, as they are found out."""
    yield f"λ-ECLIPSE Studio {__version__}, Python {platform.python_version()}"
    yield f"{platform.platform()}, {processor()}, {os.cpu_count()} cores"
    yield from section("packages", (f"{name} {version(name)}" for name in PACKAGES))
    yield from section("devices and memory", _devices())
    yield from section("disk", _disk())
    yield from section("settings", _settings())
    for stack in stacks.STACKS.values():
        yield from section(f"stack {stack.name}", _stack(stack, pictures, everything))


def section(title: str, lines: Iterator[str]) -> Iterator[str]:
    """A title and its lines; a section that fails says so, and the others follow."""
    yield f"\n{title}"
    try:
        for line in lines:
            yield f"  {line}"
    except Exception as error:  # whatever is wrong here is what the text is for
        yield f"  failed: {type(error).__name__}: {error}"


def version(package: str) -> str:
    """The version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    cpus = Path("/proc/cpuinfo")
    found = cpus.is_file() and re.search(r"model name\s*: (.+)", cpus.read_text())
    return found[1] if found else platform.processor() or platform.machine()


def tidy(line: str) -> str:
    """A line without the user's name and without passwords."""
    line = re.sub(r"://[^/@\s]+@", "://", line)
    home = str(Path.home())
    return line.replace(home, "~") if len(home) > 1 else line


def _devices() -> Iterator[str]:
    import psutil
    import torch

    from lambda_eclipse import memory

    total = psutil.virtual_memory().total
    yield f"memory: {memory.free_bytes() / 1e9:.1f} of {total / 1e9:.1f} GB free"
    for index in range(torch.cuda.device_count()):
        free, whole = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield f"cuda:{index}: {name}, {free / 2**30:.1f} of {whole / 2**30:.1f} GiB free"
    if torch.backends.mps.is_available():
        yield "mps: Apple GPU"
    if not torch.cuda.is_available():
        yield f"no CUDA card (PyTorch is built for {torch.version.cuda or 'none'})"


def _disk() -> Iterator[str]:
    from lambda_eclipse import hub

    cache = hub.cache()
    existing = next(one for one in (cache, *cache.parents) if one.exists())
    yield f"cache of the hub: {cache}, {shutil.disk_usage(existing).free / 1e9:.1f} GB free"


def _settings() -> Iterator[str]:
    found = sorted(name for name in os.environ if VARIABLES.match(name))
    yield from (f"{name}={os.environ[name]}" for name in found)
    if not found:
        yield "none: no proxy, the hub's own address and cache"


def _stack(stack: Stack, pictures: bool, everything: bool) -> Iterator[str]:
    try:
        _, device = stacks.choose(stack.name)
    except StudioError as error:
        yield str(error)
        return
    whole = True
    for part in PARTS:
        here, line = _part(stack, part, half=device.type == "cuda")
        whole = whole and here
        yield f"{part}: {line}"
    yield from _estimate(stack, str(device))
    if not pictures or not whole:
        yield "picture: none, " + ("as asked" if whole else "weights are missing")
    elif stack is not stacks.SMALL and device.type == "cpu" and not everything:
        yield "picture: none on a CPU without --all"
    else:
        yield f"picture: {_paint(stack, str(device))}"


def _part(stack: Stack, part: Part, half: bool) -> tuple[bool, str]:
    """Whether a part is here and whole, and a line about it."""
    from lambda_eclipse import hub, layouts, locations
    from lambda_eclipse.manifest import verify

    for source in stacks.sources_of(stack, part, half=half):
        try:
            place = locations.here(source, partial(layouts.choose, part, half=half))
            if place is None:
                continue
            names = layouts.files_in(place, part, half)
            size = sum((place / name).stat().st_size for name in names)
            line = f"{source}: {len(names)} files, {size / 1e9:.2f} GB in {place}"
            manifest = stacks.manifest_of(stack, part)
            if manifest is not None:
                verify(manifest, place)
                line += ", checksums right"
            elif hub.is_repository(source):
                line += f", commit {place.name[:7]}"
        except StudioError as error:
            return False, str(error)
        return True, line
    return False, f"{stacks.source_of(stack, part)} is not here"


def _estimate(stack: Stack, device: str) -> Iterator[str]:
    """What a picture costs on a CPU, where the stack is large."""
    if stack.pass_teraflop and device == "cpu":
        from lambda_eclipse import devices

        minutes = stack.picture_teraflop / devices.cpu_teraflops() / 60
        yield f"on this CPU a picture of {stack.steps} steps takes about {minutes:.0f} min"


def _paint(stack: Stack, device: str) -> str:
    from lambda_eclipse.pipeline import Studio
    from lambda_eclipse.request import Request

    began = time.perf_counter()
    try:
        studio = Studio.open(stack.name, device)
        loaded = time.perf_counter()
        [picture] = studio.generate(Request(PROMPT, seed=SEED))
    except (StudioError, OSError, RuntimeError, MemoryError) as error:
        return f"failed: {type(error).__name__}: {' '.join(str(error).split())}"
    digest = hashlib.sha256(picture.image.tobytes()).hexdigest()
    width, height = picture.image.size
    return (
        f"{width} × {height} px on {device}, loaded in {loaded - began:.1f} s, painted in "
        f"{picture.seconds:.2f} s, pixels {digest[:16]}"
    )
