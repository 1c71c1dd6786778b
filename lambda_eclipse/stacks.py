"""The stacks: which CLIP, prior and decoder belong together, and loading them on a device.

Each stack is a row of one table. A source is a folder or a hub repository; the environment
variables LAMBDA_ECLIPSE_<STACK>_CLIP, _PRIOR and _DECODER replace those of a row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from lambda_eclipse import devices, paper
from lambda_eclipse.messages import StudioError
from lambda_eclipse.request import Sampling
from lambda_eclipse.weights import WeightsError, resolve

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lambda_eclipse.clip import Clip
    from lambda_eclipse.decoder import Decoder
    from lambda_eclipse.prior import Prior

ASSETS = Path(__file__).resolve().parent.parent / "assets"

Part = Literal["clip", "prior", "decoder"]
# Files to read of each source; hubs hold the same weights in other formats, too.
PATTERNS: dict[Part, tuple[str, ...]] = {
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

    clip, prior, decoder: sources. manifest: checksums of shipped sources, or None.
    steps, guidance: defaults of a request. draft_steps: steps of a draft. batch_size: pictures
    per batch; it changes pictures in their last bits, so it is equal on all devices.
    min_cuda_gib: smallest CUDA card; resident_cuda_gib: smallest card that holds all networks at
    once; on smaller ones each network is moved there while it runs. nouns: the vocabulary
    (`insight.nouns`) that CLIP knows. likeness: module of `subject_cosines(scene, subjects)`, for
    an image tower that encodes the subjects of a scene separately; None: cosine of embeddings.
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
    nouns: Literal["stickers", "photographs"] = "photographs"
    likeness: str | None = None

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
        nouns="stickers",
        likeness="lambda_eclipse.pocket.tower",
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


T = TypeVar("T")


@dataclass(frozen=True)
class Models:
    """The loaded networks of a stack, frozen, in evaluation mode.

    offload: encoders stay in main memory, so use them within `encoders()`; the decoder moves its
    own networks. sources: replacements of the row's sources. digests: checksums of parts without
    a source, such as a finetuned decoder.
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
        """CLIP and the prior, on the device until the outermost such block ends."""
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

    def subject_cosines(self, scene: Tensor, subjects: Tensor) -> Tensor:
        """Cosines (K,) of a scene's embedding (D,) with those of K single subjects (K, D)."""
        import torch

        scene, subjects = scene.float().cpu(), subjects.float().cpu()
        if self.stack.likeness is None:
            return torch.cosine_similarity(scene[None], subjects, dim=1)
        cosines: Tensor = import_module(self.stack.likeness).subject_cosines(scene, subjects)
        return cosines


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
        stack = large if fits else STACKS["pocket"]
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


def load(
    stack: Stack,
    device: torch.device | str,
    progress: Callable[[str], None] | None = None,
    *,
    sources: Mapping[str, str] | None = None,
) -> Models:
    """Load a stack's networks: half precision on CUDA, single on the CPU and on MPS.

    sources: replacements of the row's ("clip", "prior", "decoder"). progress: called with a
    sentence before each part. Raises WeightsError for a missing, damaged or unfitting part.
    """
    import torch

    from lambda_eclipse.clip import Clip
    from lambda_eclipse.decoder import Decoder
    from lambda_eclipse.prior import Prior

    report = progress or (lambda message: None)
    device = torch.device(device)
    # Half precision gives black pictures on MPS and is emulated on CPUs.
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    offload = device.type == "cuda" and devices.cuda_gib(device) < stack.resident_cuda_gib
    home = torch.device("cpu") if offload else device

    def read(part: Part, title: str, reader: Callable[[Path, Path | None], T]) -> T:
        report(f"reading {title}")
        return reader(_folder(stack, part, sources), manifest_of(stack, part, sources))

    clip = read("clip", "CLIP", lambda *of: Clip.from_folder(of[0], home, dtype, of[1]))
    prior = read("prior", "the prior", lambda *of: Prior.from_folder(of[0], home, dtype, of[1]))
    prior.requires_grad_(False)
    _check_width("prior", prior.config.embedding_dim, clip)
    decoder = read(
        "decoder",
        "the decoder",
        lambda *of: Decoder.from_folder(of[0], device, dtype, of[1], offload=offload),
    )
    _check_width("decoder", decoder.embed_dim, clip)
    models = Models(clip, prior, decoder, stack, device, offload, dict(sources or {}))
    report("warming up")
    with models.encoders() as (encoder, _), torch.no_grad():
        encoder.null_image()  # computed once, for all requests
    return models


def source_of(stack: Stack, part: Part, sources: Mapping[str, str] | None = None) -> str:
    """The source of a part: from `sources`, the environment, or the table, in this order."""
    replaced = (sources or {}).get(part) or os.environ.get(_variable(stack, part))
    return str(replaced or getattr(stack, part))


def manifest_of(stack: Stack, part: Part, sources: Mapping[str, str] | None = None) -> Path | None:
    """The manifest with the checksums of a part; None if its source is not the shipped one."""
    shipped = source_of(stack, part, sources) == getattr(stack, part)
    return stack.manifest if shipped else None


def _folder(stack: Stack, part: Part, sources: Mapping[str, str] | None) -> Path:
    try:
        return resolve(source_of(stack, part, sources), patterns=PATTERNS[part])
    except WeightsError as error:
        raise WeightsError(
            "The {part} of the {stack} stack was not found. {error} Set {variable} to use another "
            "folder.",
            part=part,
            stack=stack.name,
            error=error.text,
            variable=_variable(stack, part),
        ) from error


def _check_width(part: Part, width: int, clip: Clip) -> None:
    if width != clip.embed_dim:
        raise WeightsError(
            "The {part} is for embeddings of width {width}, but CLIP gives {clip}: use the two "
            "that belong together.",
            part=part,
            width=width,
            clip=clip.embed_dim,
        )


def _variable(stack: Stack, part: Part) -> str:
    return f"LAMBDA_ECLIPSE_{stack.name}_{part}".upper()
