"""Samplers: how the decoder steps from noise to latents, with the noise schedule of a stack's file.

- DDIM (Song et al. 2021, Eq. 12; 50 steps in the paper, Sec. 3.2), the default. A step takes the
  noise ε that the U-Net predicts and the latents x₀ that follow from it, so that always
  x_t = √ᾱ_t · x₀ + √(1 − ᾱ_t) · ε. Clipping x₀ breaks this unless ε is computed again from the
  clipped x₀ (diffusers says so of `use_clipped_model_output`, Glide does it). Here nothing is
  clipped: the decoder's latents leave [−1, 1]. Times are those of the DDIM paper: they end at 0,
  with ᾱ = 1 behind it. The scheduler files of the hub say otherwise (`clip_sample`,
  `steps_offset`, `set_alpha_to_one`), because they are made for another sampler.
- DDPM (Ho et al. 2020, Eq. 7), all as the file says: what `DiffusionPipeline` loads in the
  published inference script. It adds noise in each step, with the variance that the U-Net predicts
  where the file says "learned_range". Its mean needs x₀ only, so that clipping is consistent.

Letters: B pictures of a batch, C latent channels, S latent side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from lambda_eclipse.request import Sampler

# What a scheduler file may say of another sampler, and what DDIM does instead.
_DDIM_STEPS = {
    "clip_sample": False,
    "thresholding": False,
    "set_alpha_to_one": True,
    "steps_offset": 0,
}


class _Estimating:
    """What both samplers add to diffusers' own: the estimate x₀ of the finished latents."""

    estimate: Tensor | None = None  # (B, C, S, S)
    timesteps: Tensor

    def set_timesteps(self, steps: int, device: torch.device | str | None = None) -> None:
        super().set_timesteps(steps, device)  # type: ignore[misc]
        # With "trailing" spacing and some numbers (61, say) rounding adds a step at time -1.
        self.timesteps = self.timesteps[:steps]

    def step(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        kwargs["return_dict"] = False
        latents, self.estimate = super().step(*args, **kwargs)  # type: ignore[misc]
        return latents, self.estimate


class _Ddim(_Estimating, DDIMScheduler):
    pass


class _Ddpm(_Estimating, DDPMScheduler):
    pass


def samplers(config: Mapping[str, Any]) -> dict[Sampler, _Ddim | _Ddpm]:
    """The samplers of a scheduler's configuration, as in diffusers' scheduler_config.json.

    Noise schedule, spacing of the times and kind of prediction are the file's in both.
    """
    # The U-Net predicts noise and variance (2·C channels). With a "variance_type" the pipeline
    # passes both on, but DDIM does not use the variance.
    ddim = {key: value for key, value in config.items() if key != "variance_type"}
    return {
        "ddim": _Ddim.from_config(ddim | _DDIM_STEPS),
        "ddpm": _Ddpm.from_config(dict(config)),
    }
