"""The stacks: which CLIP, prior and decoder belong together, and loading them on a device.

Every stack is a row of one table and goes through the same code. A source is a folder of this
repository, any other folder, or a hub repository; the environment variables
LAMBDA_ECLIPSE_<STACK>_CLIP, _PRIOR and _DECODER replace those of a row.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_eclipse import paper
from lambda_eclipse.request import Sampling
from lambda_eclipse.weights import WeightsError, resolve

if TYPE_CHECKING:
    import torch

    from lambda_eclipse.clip import Clip
    from lambda_eclipse.decoder import Decoder
    from lambda_eclipse.prior import Prior

ASSETS = Path(__file__).resolve().parent.parent / "assets"

DEVICES = ("auto", "cpu", "cuda", "mps")

# What is read of each source: hubs also hold the same weights in other formats.
PATTERNS = {
    "clip": ("open_clip_config.json", "open_clip_model.safetensors", "merges.txt.gz"),
    "prior": ("config.json", "diffusion_pytorch_model.safetensors"),
    "decoder": (
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "movq/config.json",
        "movq/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
    ),
}


@dataclass(frozen=True)
class Finetuning:
    """How a stack's U-Net learns concepts (`lambda_eclipse.finetune`).

    rate: AdamW's, from the first step to the last. batch: pictures in a step; steps: in all; the
    paper tells neither. last: share of the times that are the last one, pure noise; the others are
    uniform. cut_out: pictures are learned as their subject alone on white. on_page: small enough
    to be done for a visitor. lora: rank of the adapters that learn in place of the weights, 0 for
    the weights. checkpointing: keep fewer activations and compute them twice.
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

    clip, prior, decoder: sources. manifest: checksums of shipped sources, or None.
    steps, guidance: defaults of a request; draft_steps: of a quick look. batch_size: pictures
    painted in one go; part of what a seed means, so it is the same on every device. min_cuda_gib:
    smallest card it runs on; resident_cuda_gib: smallest card that holds all networks at once; on
    smaller ones each is moved there while it runs.
    """

    name: str
    title: str
    clip: str
    prior: str
    decoder: str
    manifest: Path | None
    steps: int
    draft_steps: int
    guidance: float
    batch_size: int
    min_cuda_gib: float
    resident_cuda_gib: float
    finetuning: Finetuning

    @property
    def sampling(self) -> Sampling:
        """The default sampling of a request."""
        return Sampling(self.steps, self.guidance)


STACKS: dict[str, Stack] = {
    "pocket": Stack(
        name="pocket",
        title="Pocket (128 px, sticker world)",
        clip=str(ASSETS / "pocket" / "clip"),
        prior=str(ASSETS / "pocket" / "prior"),
        decoder=str(ASSETS / "pocket" / "decoder"),
        manifest=ASSETS / "pocket" / "manifest.json",
        steps=1,
        draft_steps=1,
        guidance=1.0,
        batch_size=8,
        min_cuda_gib=1.0,
        resident_cuda_gib=1.0,
        finetuning=Finetuning(rate=1e-4, batch=8, steps=100, last=0.7, cut_out=True, on_page=True),
    ),
    "kandinsky": Stack(
        name="kandinsky",
        title="Kandinsky 2.2 (512 px)",
        clip="laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        prior="ECLIPSE-Community/Lambda-ECLIPSE-Prior-v1.0",
        decoder="kandinsky-community/kandinsky-2-2-decoder",
        manifest=None,
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


@dataclass(frozen=True)
class Models:
    """The loaded networks of a stack, frozen, in evaluation mode.

    With `offload` the encoders wait in main memory and must be used within `encoders()`; the
    decoder then moves its own networks. sources: those that replace the row's. digests: checksums
    of parts that come from no source, such as a decoder that has learned a concept.
    """

    clip: Clip
    prior: Prior
    decoder: Decoder
    stack: Stack
    device: torch.device
    offload: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def encoders(self) -> Iterator[tuple[Clip, Prior]]:
        """CLIP and the prior on the device for as long as the outermost such block runs."""
        if not self.offload or self.clip.device.type == self.device.type:
            yield self.clip, self.prior
            return
        import torch

        try:
            yield self.clip.to(self.device), self.prior.to(self.device)
        finally:
            self.clip.to("cpu")
            self.prior.to("cpu")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()


def choose(name: str = "auto", device: str = "auto") -> tuple[Stack, torch.device]:
    """The stack and the device for what was asked and what this machine has.

    "auto" takes Kandinsky only where a CUDA card can hold it, else the pocket stack. Raises
    ValueError for unknown names, absent devices and cards that are too small.
    """
    if name not in ("auto", *STACKS):
        raise ValueError(f"There is no stack {name!r}: choose auto, {', '.join(STACKS)}.")
    kind = str(device)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", kind):
        raise ValueError(f"There is no device {kind!r}: choose {', '.join(DEVICES)}.")
    if name == "auto":
        kandinsky = STACKS["kandinsky"]
        on_card = kind.split(":")[0] in ("auto", "cuda")
        stack = kandinsky if on_card and _cuda_fits(kandinsky, kind) else STACKS["pocket"]
    else:
        stack = STACKS[name]
    return stack, _device(stack, kind)


def load(
    stack: Stack,
    device: torch.device | str,
    progress: Callable[[str], None] | None = None,
    *,
    sources: Mapping[str, str] | None = None,
) -> Models:
    """Load a stack's networks: half precision on CUDA, single on the CPU and on MPS.

    `sources` replaces those of the row ("clip", "prior", "decoder"). `progress` gets a sentence
    before each part. Raises WeightsError naming what is missing or damaged and what to do.
    """
    import torch

    from lambda_eclipse.clip import Clip
    from lambda_eclipse.decoder import Decoder
    from lambda_eclipse.prior import Prior

    say = progress or (lambda message: None)
    device = torch.device(device)
    # Half precision gives black pictures on MPS and is emulated on CPUs.
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    offload = device.type == "cuda" and _cuda_gib(device) < stack.resident_cuda_gib
    home = torch.device("cpu") if offload else device

    def folder(part: str) -> tuple[Path, Path | None]:
        own = getattr(stack, part)
        source = source_of(stack, part, sources)
        patterns = PATTERNS[part]
        try:
            path = resolve(source, patterns=patterns)
        except WeightsError as error:
            variable = _variable(stack, part)
            raise WeightsError(
                f"The {part} of the {stack.name} stack is not here. {error} "
                f"A folder can be given in {variable}."
            ) from error
        return path, stack.manifest if source == own else None

    say("reading CLIP")
    path, manifest = folder("clip")
    clip = Clip.from_folder(path, home, dtype, manifest)
    say("reading the prior")
    path, manifest = folder("prior")
    prior = Prior.from_folder(path, home, dtype, manifest).requires_grad_(False)
    if prior.config.embedding_dim != clip.embed_dim:
        raise WeightsError(
            f"The prior is for embeddings of width {prior.config.embedding_dim}, but CLIP gives "
            f"{clip.embed_dim}: use the two that belong together."
        )
    say("reading the decoder")
    path, manifest = folder("decoder")
    decoder = Decoder.from_folder(path, device, dtype, manifest, offload=offload)
    if decoder.embed_dim != clip.embed_dim:
        raise WeightsError(
            f"The decoder is for embeddings of width {decoder.embed_dim}, but CLIP gives "
            f"{clip.embed_dim}: use the two that belong together."
        )
    models = Models(clip, prior, decoder, stack, device, offload, dict(sources or {}))
    say("warming up")
    with models.encoders() as (encoder, _), torch.no_grad():
        encoder.null_image()  # a constant of every request
    return models


def source_of(stack: Stack, part: str, sources: Mapping[str, str] | None = None) -> str:
    """Where "clip", "prior" or "decoder" comes from: argument, environment, then the table."""
    given = (sources or {}).get(part) or os.environ.get(_variable(stack, part))
    return str(given or getattr(stack, part))


def _variable(stack: Stack, part: str) -> str:
    return f"LAMBDA_ECLIPSE_{stack.name}_{part}".upper()


def _device(stack: Stack, kind: str) -> torch.device:
    import torch

    if kind == "auto":
        if _cuda_fits(stack, kind):
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError("This machine has no Apple GPU for --device mps: use auto or cpu.")
    if kind.startswith("cuda"):
        if not _cuda_available(kind):
            raise ValueError(f"This machine has no CUDA card for --device {kind}: use auto or cpu.")
        if not _cuda_fits(stack, kind):
            raise ValueError(
                f"The {stack.name} stack needs a CUDA card with {stack.min_cuda_gib:g} GiB, this "
                f"one has {_cuda_gib(kind):.1f}: use --device cpu or --stack pocket."
            )
    return torch.device(kind)


def _cuda_fits(stack: Stack, kind: str) -> bool:
    return _cuda_available(kind) and _cuda_gib(kind) >= stack.min_cuda_gib


def _cuda_available(kind: str) -> bool:
    import torch

    index = int(kind.partition(":")[2] or 0)
    return torch.cuda.is_available() and index < torch.cuda.device_count()


def _cuda_gib(device: torch.device | str) -> float:
    """Memory of a CUDA card."""
    import torch

    index = int(str(device).partition(":")[2] or 0)
    return torch.cuda.get_device_properties(index).total_memory / 2**30
