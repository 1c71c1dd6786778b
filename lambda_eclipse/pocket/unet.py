"""The pocket stack's U-Net: Kandinsky 2.2's architecture with a hint.

The hint (`lambda_eclipse.pocket.hint`) is a coarse drawing of the embedding; the network corrects
and sharpens it. It is concatenated to the noisy latents, as in Kandinsky 2.2's ControlNet variant
(`addition_embed_type="image_hint"` in diffusers), but computed inside, from the embedding.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import ImageProjection
from torch import Tensor, nn

from lambda_eclipse.pocket.hint import Hint

LAST_TIME = 999  # all noise
IMAGE_TOKENS = 4  # for cross-attention to the embedding; the hint already says most of it
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
        self.hint = Hint(in_channels, sample_size)
        channels = in_channels + self.hint.channels
        self.conv_in = nn.Conv2d(channels, block_out_channels[0], 3, padding=1)
        self.encoder_hid_proj = ImageProjection(encoder_hid_dim, cross_attention_dim, IMAGE_TOKENS)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        encoder_hidden_states: Tensor | None,
        added_cond_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """As in diffusers, with `image_embeds` (B, D), and their `hint` if it is at hand."""
        given = added_cond_kwargs or {}
        if "image_embeds" not in given:
            raise ValueError("PocketUNet needs added_cond_kwargs={'image_embeds': (B, D)}")
        hint = given["hint"] if "hint" in given else self.hint(given["image_embeds"])[0]
        return super().forward(
            torch.cat([sample, hint], 1),
            timestep,
            encoder_hidden_states,
            added_cond_kwargs={"image_embeds": given["image_embeds"]},
            **options,
        )
