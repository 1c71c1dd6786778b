"""Loading a stack's networks on a device, and the loaded networks together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from lambda_eclipse import devices, locations, memory
from lambda_eclipse.clip import Clip
from lambda_eclipse.decoder import Decoder
from lambda_eclipse.locations import Place
from lambda_eclipse.messages import Report, Text
from lambda_eclipse.prior import Prior
from lambda_eclipse.stacks import Part, Stack, manifest_of, source_of
from lambda_eclipse.weights import WeightsError

T = TypeVar("T")


@dataclass(frozen=True)
class Models:
    """The loaded networks of a stack, frozen, in evaluation mode.

    offload: encoders stay in main memory, so use them within `encoders()`; the decoder moves its
    own networks. sources: replacements of the row's sources. instead: why it is not the stack that
    was wanted. digests: checksums of parts without a source, such as a finetuned decoder.
    """

    clip: Clip
    prior: Prior
    decoder: Decoder
    stack: Stack
    device: torch.device
    offload: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)
    instead: Text | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def encoders(self) -> Iterator[tuple[Clip, Prior]]:
        """CLIP and the prior, on the device until the outermost such block ends."""
        if not self.offload or self.clip.device.type == self.device.type:
            yield self.clip, self.prior
            return
        try:
            yield self.clip.to(self.device), self.prior.to(self.device)
        finally:
            self.clip.to("cpu")
            self.prior.to("cpu")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def subject_cosines(self, scene: Tensor, subjects: Tensor) -> Tensor:
        """Cosines (K,) of a scene's embedding (D,) with those of K single subjects (K, D)."""
        scene, subjects = scene.float().cpu(), subjects.float().cpu()
        if self.stack.likeness is None:
            return torch.cosine_similarity(scene[None], subjects, dim=1)
        cosines: Tensor = import_module(self.stack.likeness).subject_cosines(scene, subjects)
        return cosines


def load(
    stack: Stack,
    device: torch.device | str,
    progress: Report | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    newest: bool = False,
) -> Models:
    """Load a stack's networks: half precision on CUDA, single on the CPU and on MPS.

    sources: replacements of the row's ("clip", "prior", "decoder"). progress: called with a
    sentence before each part and while one is downloaded; what it raises stops the loading.
    newest: ask the hub for newer files. Raises WeightsError for a missing, damaged or unfitting
    part.
    """
    report = progress or (lambda message: None)
    device = torch.device(device)
    # Half precision gives black pictures on MPS and is emulated on CPUs.
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    offload = device.type == "cuda" and devices.cuda_gib(device) < stack.resident_cuda_gib
    home = torch.device("cpu") if offload else device
    places = locations.folders(stack, sources, dtype == torch.float16, report, newest)
    if home.type == "cpu":
        memory.check(stack, {part: place.folder for part, place in places.items()}, dtype)
    used = {**(sources or {}), **_chosen(stack, places, sources)}

    def read(part: Part, title: str, reader: Callable[[Path, Path | None], T]) -> T:
        report(f"reading {title}")
        return reader(places[part].folder, manifest_of(stack, part, used))

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
    models = Models(clip, prior, decoder, stack, device, offload, used)
    report("warming up")
    with models.encoders() as (encoder, _), torch.no_grad():
        encoder.null_image()  # computed once, for all requests
    return models


def _chosen(
    stack: Stack, places: Mapping[Part, Place], sources: Mapping[str, str] | None
) -> dict[str, str]:
    """The sources that are not those of `source_of`."""
    return {
        part: place.source
        for part, place in places.items()
        if place.source != source_of(stack, part, sources)
    }


def _check_width(part: Part, width: int, clip: Clip) -> None:
    if width != clip.embed_dim:
        raise WeightsError(
            "The {part} is for embeddings of width {width}, but CLIP gives {clip}: use the two "
            "that belong together.",
            part=part,
            width=width,
            clip=clip.embed_dim,
        )
