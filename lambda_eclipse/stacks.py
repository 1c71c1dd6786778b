"""The stacks: which CLIP, prior and decoder belong together, and where they are read from.

Each stack is a row of one table. A source is a folder or a hub repository; the environment
variables LAMBDA_ECLIPSE_<STACK>_CLIP, _PRIOR and _DECODER replace those of a row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from lambda_eclipse import devices, paper
from lambda_eclipse.messages import StudioError

if TYPE_CHECKING:
    import torch

ASSETS = Path(__file__).resolve().parent.parent / "assets"

Part = Literal["clip", "prior", "decoder"]
PARTS: tuple[Part, ...] = get_args(Part)

# Commits at which repositories are read. Recorded by projects that pin the same repositories:
# not verified here. λ-ECLIPSE's own has no recorded one.
PINS = {
    "kandinsky-community/kandinsky-2-2-prior": "9fc51ad5732afc5d031724219d22e6c42179c5a8",
    "kandinsky-community/kandinsky-2-2-decoder": "9ae140d347fed8ce6e8bb3005dcc1f48543bb8e3",
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k": "743c27bd53dfe508a0ade0f50698f99b39d03bec",
}


@dataclass(frozen=True)
class Finetuning:
    """Settings of concept finetuning (`lambda_eclipse.finetune`).

    rate: AdamW's learning rate, constant. batch: pictures per step. steps: number of steps; the
    paper states neither. last: share of examples at the last time step, pure noise; the others
    are uniform. cut_out: learn the subject alone on white. on_page: fast enough for the page.
    lora: rank of LoRA adapters; 0: learn the weights. checkpointing: gradient checkpointing.
    """

    rate: float
    batch: int
    steps: int
    last: float
    cut_out: bool
    on_page: bool
    lora: int = 0
    checkpointing: bool = False


@dataclass(frozen=True)
class Stack:
    """One row of the table.

    clip, prior, decoder: sources. half_clip: a smaller source of the same CLIP, exact in half
    precision. manifest: checksums of shipped sources, or None.
    edges_px: side at which edges are found, in training and in painting, less in smaller pictures;
    CLIP's preparation then brings the map to its size.
    margin: white on each side of a subject, as a share of its longer side, in training and in
    painting.
    steps, guidance: defaults of a request. draft_steps: steps of a draft. batch_size: pictures
    per batch; it changes pictures in their last bits, so it is equal on all devices.
    min_cuda_gib: smallest CUDA card; resident_cuda_gib: smallest card that holds all networks at
    once; on smaller ones each network is moved there while it runs. nouns: the vocabulary
    (`insight.nouns`) that CLIP knows. pass_teraflop, rest_teraflop: 10¹²
    operations of a pass of the U-Net, and of MOVQ; 0 where too few to matter. likeness: module of
    `subject_cosines(scene, subjects)`, for an image tower that encodes the subjects of a scene
    separately; None: cosine of embeddings.
    """

    name: str
    title: str
    clip: str
    prior: str
    decoder: str
    manifest: Path | None
    edges_px: int
    margin: float
    steps: int
    draft_steps: int
    guidance: float
    batch_size: int
    min_cuda_gib: float
    resident_cuda_gib: float
    finetuning: Finetuning
    half_clip: str | None = None
    pass_teraflop: float = 0.0
    rest_teraflop: float = 0.0
    nouns: Literal["stickers", "photographs"] = "photographs"
    likeness: str | None = None

    @property
    def picture_teraflop(self) -> float:
        """Operations of a picture of the default steps with guidance, 10¹²."""
        return 2 * self.steps * self.pass_teraflop + self.rest_teraflop


STACKS: dict[str, Stack] = {
    "pocket": Stack(
        name="pocket",
        title="Pocket (128 px, sticker world)",
        clip=str(ASSETS / "pocket" / "clip"),
        prior=str(ASSETS / "pocket" / "prior"),
        decoder=str(ASSETS / "pocket" / "decoder"),
        manifest=ASSETS / "pocket" / "manifest.json",
        edges_px=128,  # of the scenes that it was trained on
        margin=0.08,  # of the views that it was trained on: 110 of 128 px (train.world.looks)
        steps=1,
        draft_steps=1,
        guidance=1.0,
        batch_size=8,
        min_cuda_gib=1.0,
        resident_cuda_gib=1.0,
        finetuning=Finetuning(rate=1e-4, batch=8, steps=100, last=0.7, cut_out=True, on_page=True),
        nouns="stickers",
        likeness="lambda_eclipse.pocket.tower",
    ),
    "kandinsky": Stack(
        name="kandinsky",
        title="Kandinsky 2.2 (512 px)",
        clip="laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        half_clip="kandinsky-community/kandinsky-2-2-prior",
        # By torch.utils.flop_counter on the meta device, for 64 × 64 latents.
        pass_teraflop=0.856,
        rest_teraflop=2.0,
        prior="ECLIPSE-Community/Lambda-ECLIPSE-Prior-v1.0",
        decoder="kandinsky-community/kandinsky-2-2-decoder",
        manifest=None,
        # The published script finds edges at the picture's full resolution, whatever that is;
        # training pictures have 1024 px (Sec. 3.2). Larger ones are reduced to that: the edges of a
        # photograph of 4000 px would be grey noise at CLIP's size.
        edges_px=paper.MIN_IMAGE_SIZE_PX,
        # The authors' margin is unknown. Ours leaves 15 of CLIP's 224 px white on each side, a
        # little more than one of its patches (14 px): no outer patch shows the subject.
        margin=0.08,
        steps=paper.DDIM_STEPS,
        draft_steps=10,
        guidance=paper.GUIDANCE,
        batch_size=4,
        # In half precision: CLIP 5.1 GB, U-Net 2.5 GB, MOVQ and prior 0.2 GB, then activations.
        # A card sold as 8 GB reports a little less.
        min_cuda_gib=7.5,
        resident_cuda_gib=11.5,
        finetuning=Finetuning(
            rate=paper.FINETUNE_LEARNING_RATE,
            batch=4,
            steps=400,
            last=0.0,
            cut_out=False,
            on_page=False,
        ),
    ),
}


SMALL = STACKS["pocket"]  # runs everywhere, without a download


def choose(name: str = "auto", device: str = "auto") -> tuple[Stack, torch.device]:
    """The stack and the device for the names, on this machine.

    "auto" takes Kandinsky only on a CUDA card that can hold it, else the pocket stack. Raises
    StudioError for unknown names, absent devices and cards that are too small.
    """
    check_name(name)
    devices.check_name(device)
    if name == "auto":
        large = STACKS["kandinsky"]
        on_card = device == "auto" or device.startswith("cuda")
        fits = on_card and devices.cuda_fits(device, large.min_cuda_gib)
        stack = large if fits else SMALL
    else:
        stack = STACKS[name]
    return stack, devices.find(device, stack.min_cuda_gib)


def check_name(name: str) -> None:
    """Raise StudioError unless `name` is "auto" or that of a stack."""
    if name not in ("auto", *STACKS):
        raise StudioError(
            'There is no stack "{stack}": choose auto, {stacks}.',
            stack=name,
            stacks=", ".join(STACKS),
        )


def source_of(stack: Stack, part: Part, sources: Mapping[str, str] | None = None) -> str:
    """The source of a part: from `sources`, the environment, or the table, in this order."""
    replaced = (sources or {}).get(part) or os.environ.get(variable(stack, part))
    return str(replaced or getattr(stack, part))


def sources_of(
    stack: Stack, part: Part, sources: Mapping[str, str] | None = None, half: bool = False
) -> tuple[str, ...]:
    """The sources of a part, the best first: `source_of`, and the smaller one of the same CLIP.

    half: the weights will be in half precision.
    """
    first = source_of(stack, part, sources)
    if part != "clip" or stack.half_clip is None or first != stack.clip:
        return (first,)
    return (stack.half_clip, first) if half else (first, stack.half_clip)


def manifest_of(stack: Stack, part: Part, sources: Mapping[str, str] | None = None) -> Path | None:
    """The manifest with the checksums of a part; None if its source is not the shipped one."""
    shipped = source_of(stack, part, sources) == getattr(stack, part)
    return stack.manifest if shipped else None


def variable(stack: Stack, part: Part) -> str:
    """The environment variable that replaces the source of a part."""
    return f"LAMBDA_ECLIPSE_{stack.name}_{part}".upper()
