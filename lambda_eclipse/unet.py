"""The pocket stack's U-Net: Kandinsky 2.2's form with a coarse picture as a hint.

An embedding determines nearly all of a sticker-world picture, and most of that linearly: a ridge
regression (`set_hint`) gives a slightly blurred picture before any training. That is the hint,
concatenated to the noisy latents as Kandinsky 2.2's ControlNet variant concatenates its own
(`addition_embed_type="image_hint"` in diffusers), but computed from the embedding inside, so that
the pipeline needs nothing else.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import ImageProjection
from torch import Tensor, nn

IMAGE_TOKENS = 8  # that the embedding is attended to as; the hint says most of it already
_FORM = {
    "down_block_types": (
        "ResnetDownsampleBlock2D",
        "SimpleCrossAttnDownBlock2D",
        "SimpleCrossAttnDownBlock2D",
    ),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": (
        "SimpleCrossAttnUpBlock2D",
        "SimpleCrossAttnUpBlock2D",
        "ResnetUpsampleBlock2D",
    ),
    "encoder_hid_dim_type": "image_proj",
    "addition_embed_type": "image",
    "resnet_time_scale_shift": "scale_shift",
}


class PocketUNet(UNet2DConditionModel):
    """Denoises latents (B, C, S, S) given image embeddings; predicts 2 · C channels.

    The second C channels are the variance that Kandinsky's U-Net also predicts and the pipeline
    drops.
    """

    @register_to_config
    def __init__(
        self,
        sample_size: int = 16,
        in_channels: int = 12,
        out_channels: int = 24,
        block_out_channels: tuple[int, ...] = (96, 96, 96),
        layers_per_block: int = 1,
        cross_attention_dim: int = 96,
        encoder_hid_dim: int = 640,
        attention_head_dim: int = 32,
    ) -> None:
        super().__init__(
            sample_size=sample_size,
            in_channels=in_channels,
            out_channels=out_channels,
            block_out_channels=block_out_channels,
            layers_per_block=layers_per_block,
            cross_attention_dim=cross_attention_dim,
            encoder_hid_dim=encoder_hid_dim,
            attention_head_dim=attention_head_dim,
            **_FORM,
        )
        self.conv_in = nn.Conv2d(2 * in_channels, block_out_channels[0], 3, padding=1)
        self.encoder_hid_proj = ImageProjection(encoder_hid_dim, cross_attention_dim, IMAGE_TOKENS)
        size = in_channels * sample_size**2
        self.hint = nn.Linear(encoder_hid_dim, size)

    @torch.no_grad()
    def set_hint(self, image_embeds: Tensor, latents: Tensor, ridge: float = 10.0) -> None:
        """Sets the hint by ridge regression of latents (N, C, S, S) on embeddings (N, D)."""
        x, y = image_embeds, latents.flatten(1)
        x_mean, y_mean = x.mean(0), y.mean(0)
        gram = (x - x_mean).T @ (x - x_mean) + ridge * torch.eye(x.shape[1])
        weight = torch.linalg.solve(gram, (x - x_mean).T @ (y - y_mean)).T  # (C · S², D)
        self.hint.weight.copy_(weight)
        self.hint.bias.copy_(y_mean - weight @ x_mean)

    def draw_hint(self, image_embeds: Tensor) -> Tensor:
        """Embeddings (B, D) → coarse latents (B, C, S, S)."""
        channels, side = self.config.in_channels, self.config.sample_size
        return self.hint(image_embeds).view(-1, channels, side, side)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        encoder_hidden_states: Tensor | None,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        **options: Any,
    ) -> Any:
        if added_cond_kwargs is None or "image_embeds" not in added_cond_kwargs:
            raise ValueError("PocketUNet needs added_cond_kwargs={'image_embeds': (B, D)}")
        hint = self.draw_hint(added_cond_kwargs["image_embeds"])
        return super().forward(
            torch.cat([sample, hint], 1),  # (B, 2 C, S, S)
            timestep,
            encoder_hidden_states,
            added_cond_kwargs=added_cond_kwargs,
            **options,
        )
