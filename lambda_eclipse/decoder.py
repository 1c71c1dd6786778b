"""Image embeddings → pictures: Kandinsky 2.2's diffusion decoder (Sec. 3, h_φ) with DDIM.

Letters: N pictures, D embedding width, C latent channels, S latent side, P = 8·S pixels.

The result is a function of (embedding, negative, seed, steps, guidance, size) and of how many
pictures are painted in one go: floating point sums differ in their last bits with the shape of
a batch. So the split into batches depends on N and `batch_size` only, and the same call gives
the same pictures bit for bit. Nothing else of a batch reaches a picture: its starting noise
comes from a generator of its own, on the CPU, so that devices agree too.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, KandinskyV22Pipeline
from diffusers.utils import logging as diffusers_logging
from PIL import Image

from lambda_eclipse.images import to_pil, to_tensor
from lambda_eclipse.weights import WeightsError, read_json, verify

# "_class_name" of config.json → where the class lives. The published stack uses diffusers' own.
CLASSES = {
    "UNet2DConditionModel": "diffusers",
    "VQModel": "diffusers",
    "PocketUNet": "lambda_eclipse.pocket.unet",
    "PocketMOVQ": "lambda_eclipse.pocket.movq",
}


class Cancelled(Exception):
    """Painting was stopped by the caller; nothing was returned."""


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


class _DDIM(DDIMScheduler):
    """DDIM that keeps its estimate of the finished latents, for previews."""

    estimate: torch.Tensor | None = None  # (B, C, S, S)

    def set_timesteps(self, steps: int, device: torch.device | str | None = None) -> None:
        super().set_timesteps(steps, device)
        # With "trailing" spacing and some numbers (61, say) rounding adds a step at time -1.
        self.timesteps = self.timesteps[:steps]

    def step(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        kwargs["return_dict"] = False
        latents, self.estimate = super().step(*args, **kwargs)
        return latents, self.estimate


class Decoder:
    """U-Net, MOVQ and scheduler in `diffusers.KandinskyV22Pipeline`; one paint at a time."""

    def __init__(
        self,
        unet: torch.nn.Module,
        movq: torch.nn.Module,
        scheduler: dict[str, Any],
        device: torch.device | str = "cpu",
        offload: bool = False,
    ) -> None:
        """`scheduler`: the config of any diffusers scheduler with DDIM's parameters.

        `offload`: keep the networks in main memory and move each to `device` while it runs.
        """
        # The U-Net predicts noise and variance (2·C channels). DDIM has no use for the variance,
        # but carries a foreign "variance_type" along in its config, and the pipeline would
        # take that as "the scheduler wants it" and pass all 2·C channels on.
        config = {key: value for key, value in scheduler.items() if key != "variance_type"}
        self.pipeline = KandinskyV22Pipeline(unet, _DDIM.from_config(config), movq)
        self.pipeline.set_progress_bar_config(disable=True)
        unet.eval().requires_grad_(False)
        movq.eval().requires_grad_(False)
        self.device = torch.device(device)
        if offload:
            self.pipeline.enable_model_cpu_offload(device=self.device)
        else:
            self.pipeline.to(self.device)
        self._one_at_a_time = threading.Lock()  # a scheduler holds the state of its run

    @classmethod
    def from_folder(
        cls,
        path: Path | str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        manifest: Path | None = None,
        offload: bool = False,
    ) -> Decoder:
        """Read `<path>/{unet,movq,scheduler}` in the hub's layout.

        With `manifest`, the files are checked against it first. Raises WeightsError naming the
        file that is missing, damaged or does not fit its config.
        """
        root = Path(path)
        if manifest is not None:
            verify(manifest, root)
        scheduler = read_json(root / "scheduler" / "scheduler_config.json")
        unet, movq = read_model(root / "unet", dtype), read_model(root / "movq", dtype)
        return cls(unet, movq, scheduler, device, offload)

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
        size_px: int | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """Paint one picture for each embedding.

        `embeds`: (N, D), `negative`: (1, D), the embedding guidance leads away from. `seeds`:
        one per picture, of its starting noise. `guidance`: weight of classifier-free guidance;
        1 or less paints without it, in half the time. `size_px`: side, native if None.
        `on_step` is called after each step; when it returns False, Cancelled is raised.
        Returns N square RGB pictures. Raises ValueError for unfitting shapes and sizes.
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
        latents = self.starting_noise(seeds, size_px).to(self.device, dtype)
        try:
            return self.pipeline(
                image_embeds=embeds.to(self.device, dtype),
                negative_image_embeds=negative.to(self.device, dtype).expand(len(embeds), -1),
                latents=latents,
                num_inference_steps=steps,
                guidance_scale=guidance,
                height=size_px,
                width=size_px,
                callback_on_step_end=report,
            ).images
        finally:
            # After a cancel the pipeline has not taken offloaded networks off the device.
            self.pipeline.maybe_free_model_hooks()

    @torch.no_grad()
    def encode(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """(N, C, S, S) float32 latents, on the CPU, of N square RGB pictures of one size."""
        movq = self.pipeline.movq
        pixels = (2 * to_tensor(pictures) - 1).to(self.device, movq.dtype)
        found = movq.encode(pixels)
        return getattr(found, "latents", found).float().cpu()

    def with_unet(self, unet: torch.nn.Module) -> Decoder:
        """A decoder with another U-Net of the same form; the image decoder is shared."""
        movq, scheduler = self.pipeline.movq, self.pipeline.scheduler.config
        return Decoder(unet, movq, dict(scheduler), self.device)

    def starting_noise(self, seeds: Sequence[int], size_px: int) -> torch.Tensor:
        """(len(seeds), C, S, S) float32 on the CPU; a row depends on its own seed only."""
        side = size_px // self.factor
        shape = (1, self.pipeline.unet.config.in_channels, side, side)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
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


def model_class(name: str) -> type[torch.nn.Module]:
    """The class of a config's "_class_name"; WeightsError for one we do not know."""
    if name not in CLASSES:
        raise WeightsError(f"unknown network class {name!r}: known are {', '.join(CLASSES)}.")
    return getattr(importlib.import_module(CLASSES[name]), name)


def read_model(folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """Read a U-Net or an autoencoder strictly, from its folder in the hub's layout.

    Diffusers by itself would fill missing tensors at random. WeightsError names the file.
    """
    name = str(read_json(folder / "config.json").get("_class_name"))
    weights = folder / "diffusion_pytorch_model.safetensors"
    if not weights.is_file():
        raise WeightsError(f"{weights} is missing: fetch the decoder again.")
    # What matters of diffusers' warnings about a file is raised below instead.
    verbosity = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity(logging.CRITICAL)
    try:
        model, info = model_class(name).from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except WeightsError:
        raise
    except Exception as error:  # each library below has its own kinds for a bad file
        reason = str(error).split(". ")[0]  # diffusers goes on with advice for programmers
        raise WeightsError(f"{weights} does not fit its config or is damaged: {reason}.") from error
    finally:
        diffusers_logging.set_verbosity(verbosity)
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    wrong = [
        f"{len(info[kind])} {kind.split('_')[0]} ({info[kind][0]})" for kind in kinds if info[kind]
    ]
    if wrong:
        raise WeightsError(f"{weights} does not fit its config: tensors {', '.join(wrong)}.")
    for tensor in (*model.parameters(), *model.buffers()):
        # Out of the mapped file into aligned memory: kernels sum in another order otherwise, and
        # the same weights would give other bits depending on how they were loaded.
        tensor.data = tensor.data.clone()
    return model
