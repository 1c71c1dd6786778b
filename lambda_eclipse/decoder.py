"""Image embeddings → pictures: Kandinsky 2.2's diffusion decoder (Sec. 3, h_φ).

Letters: N pictures, D embedding width, C latent channels, S latent side, P = 8·S pixels.

The result is a function of (embedding, negative, seed, sampler, steps, guidance,
size) and of the number
of pictures in a batch: floating point sums differ in their last bits with the shape of a batch.
So the split into batches depends on N and `batch_size` only, and the same call gives the same
pictures bit for bit. Nothing else of a batch influences a picture: its starting noise comes from
its own generator, on the CPU, so that devices agree too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import KandinskyV22Pipeline
from PIL import Image

from lambda_eclipse.images import to_pil, to_tensor
from lambda_eclipse.manifest import verify
from lambda_eclipse.networks import read_model
from lambda_eclipse.request import SAMPLER, Sampler
from lambda_eclipse.samplers import samplers
from lambda_eclipse.weights import read_json


class Cancelled(Exception):
    """The caller stopped painting."""


@dataclass(frozen=True)
class StepInfo:
    """One finished denoising step of one batch.

    step: 1..steps; index_of_batch_start: index of the batch's first picture among all;
    count: pictures in this batch; total: pictures in all batches; preview: paints the current
    estimate of this batch's finished pictures (costs one pass of the image decoder).
    """

    step: int
    steps: int
    index_of_batch_start: int
    count: int
    total: int
    preview: Callable[[], list[Image.Image]]


OnStep = Callable[[StepInfo], bool | None]


class Decoder:
    """U-Net, MOVQ and sampler in `diffusers.KandinskyV22Pipeline`; one paint at a time."""

    def __init__(
        self,
        unet: Any,
        movq: Any,
        scheduler: dict[str, Any],
        device: torch.device | str = "cpu",
        offload: bool = False,
    ) -> None:
        """`scheduler`: the content of its scheduler_config.json, see `samplers`.

        `offload`: keep the networks in main memory and move each to `device` while it runs.
        """
        self.scheduler = scheduler
        self.samplers = samplers(scheduler)
        self.pipeline = KandinskyV22Pipeline(unet, self.samplers[SAMPLER], movq)
        self.pipeline.set_progress_bar_config(disable=True)
        for network in (unet, movq):
            network.eval().requires_grad_(False)
        self.device = torch.device(device)
        if offload:
            self.pipeline.enable_model_cpu_offload(device=self.device)
        else:
            self.pipeline.to(self.device)
        self._one_at_a_time = threading.Lock()  # a sampler holds the state of its run

    @classmethod
    def from_folder(
        cls,
        path: Path | str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        manifest: Path | None = None,
        offload: bool = False,
    ) -> Decoder:
        """Read `<path>/{unet,movq,scheduler}`, verified by `manifest`; raises WeightsError."""
        root = Path(path)
        if manifest is not None:
            verify(manifest, root)
        home = "cpu" if offload else device
        unet, movq = (read_model(root / name, dtype, home) for name in ("unet", "movq"))
        scheduler = read_json(root / "scheduler" / "scheduler_config.json")
        return cls(unet, movq, scheduler, device, offload)

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock, which cannot go to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_one_at_a_time"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _one_at_a_time=threading.Lock())

    @property
    def factor(self) -> int:
        """Pixels per latent."""
        return self.pipeline.movq_scale_factor

    @property
    def native_size_px(self) -> int:
        """Side of the pictures that the U-Net was trained for."""
        return self.pipeline.unet.config.sample_size * self.factor

    @property
    def embed_dim(self) -> int:
        """Width D of the embeddings that the U-Net was trained for."""
        return self.pipeline.unet.config.encoder_hid_dim

    def paint(
        self,
        embeds: torch.Tensor,
        negative: torch.Tensor,
        *,
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        batch_size: int,
        sampler: Sampler = SAMPLER,
        size_px: int | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """Paint one picture for each embedding.

        embeds: (N, D). negative: (1, D), the negative condition of guidance. seeds: one per
        picture, of its starting noise and the noise of its steps. guidance: weight of
        classifier-free guidance; at 1 or less it is off, in half the time. size_px: side; None:
        native. on_step: called after each step; if it returns False, Cancelled is raised. Returns N
        square RGB pictures. Raises ValueError for unfitting shapes and sizes.
        """
        size_px = size_px or self.native_size_px
        if embeds.ndim != 2 or negative.shape != (1, embeds.shape[1]):
            raise ValueError(f"embeds {tuple(embeds.shape)}, negative {tuple(negative.shape)}")
        if len(seeds) != len(embeds) or batch_size < 1:
            raise ValueError(f"{len(seeds)} seeds, {len(embeds)} pictures, batches of {batch_size}")
        if size_px % self.factor**2:
            raise ValueError(f"size {size_px} px is no multiple of {self.factor**2}")
        pictures: list[Image.Image] = []
        with self._one_at_a_time:
            self.pipeline.scheduler = self.samplers[sampler]
            for start in range(0, len(embeds), batch_size):
                stop = start + batch_size
                report = self._reporter(on_step, start, len(embeds)) if on_step else None
                pictures += self._batch(
                    embeds[start:stop],
                    negative,
                    seeds[start:stop],
                    steps,
                    guidance,
                    size_px,
                    report,
                )
        return pictures

    def _batch(
        self,
        embeds: torch.Tensor,
        negative: torch.Tensor,
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        size_px: int,
        report: Callable[..., dict[str, Any]] | None,
    ) -> list[Image.Image]:
        dtype = self.pipeline.unet.dtype
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        latents = self._noise(generators, size_px).to(self.device, dtype)
        try:
            return self.pipeline(
                image_embeds=embeds.to(self.device, dtype),
                negative_image_embeds=negative.to(self.device, dtype).expand(len(embeds), -1),
                latents=latents,
                generator=generators,  # goes on after the starting noise
                num_inference_steps=steps,
                guidance_scale=guidance,
                height=size_px,
                width=size_px,
                callback_on_step_end=report,
            ).images
        finally:
            # After a cancel offloaded networks are still on the device.
            self.pipeline.maybe_free_model_hooks()

    @torch.no_grad()
    def encode(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """(N, C, S, S) float32 latents, on the CPU, of N square RGB pictures of one size."""
        movq = self.pipeline.movq
        pixels = (2 * to_tensor(pictures) - 1).to(self.device, movq.dtype)
        encoded = movq.encode(pixels)
        latents: torch.Tensor = getattr(encoded, "latents", encoded)
        return latents.float().cpu()

    def with_unet(self, unet: Any) -> Decoder:
        """A decoder with another U-Net of the same architecture; it shares the image decoder."""
        return Decoder(unet, self.pipeline.movq, self.scheduler, self.device)

    def starting_noise(self, seeds: Sequence[int], size_px: int) -> torch.Tensor:
        """(len(seeds), C, S, S) float32 on the CPU; a row depends on its own seed only."""
        return self._noise([torch.Generator("cpu").manual_seed(seed) for seed in seeds], size_px)

    def _noise(self, generators: Sequence[torch.Generator], size_px: int) -> torch.Tensor:
        side = size_px // self.factor
        shape = (1, self.pipeline.unet.config.in_channels, side, side)
        return torch.cat([torch.randn(shape, generator=one) for one in generators])

    def _reporter(self, on_step: OnStep, start: int, total: int) -> Callable[..., dict[str, Any]]:
        """The pipeline's callback for the batch that begins with picture `start`."""

        def report(
            pipeline: KandinskyV22Pipeline, index: int, timestep: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            estimate = pipeline.scheduler.estimate
            info = StepInfo(
                step=index + 1,
                steps=pipeline.num_timesteps,
                index_of_batch_start=start,
                count=len(estimate),
                total=total,
                preview=lambda: self._to_pictures(estimate),
            )
            if on_step(info) is False:
                raise Cancelled("Stopped.")
            return tensors

        return report

    @torch.no_grad()
    def _to_pictures(self, latents: torch.Tensor) -> list[Image.Image]:
        """(B, C, S, S) → B pictures, P × P."""
        pixels = self.pipeline.movq.decode(latents, force_not_quantize=True)["sample"]
        return to_pil(pixels * 0.5 + 0.5)  # the networks' [-1, 1] → [0, 1]
