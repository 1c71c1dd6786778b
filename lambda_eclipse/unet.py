"""The pocket stack's U-Net: Kandinsky 2.2's form with two coarse pictures as a hint.

An embedding says who stands where and what each looks like (`lambda_eclipse.slots`), and which
ground is behind them by its other numbers. So the subjects are drawn on white from the embedding
alone, by the decoder of their codes, and the empty ground by a ridge regression; what is left to
the network is to put the one before the other and to sharpen it. The hint is concatenated to the
noisy latents as Kandinsky 2.2's ControlNet variant concatenates its own
(`addition_embed_type="image_hint"` in diffusers), but computed from the embedding inside, so that
the pipeline needs nothing else.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import ImageProjection
from torch import Tensor, nn

from lambda_eclipse.linear import principal_patches, ridge
from lambda_eclipse.slots import FRAME_PX, LAYOUT, place, read_codes, unpack
from lambda_eclipse.subject_codec import PATCH, SubjectDecoder
from lambda_eclipse.tower import SEMANTIC

DRAWN = 36  # channels that the drawn subjects are given as
ABSENT = 0.02  # who is there by less is not drawn
IMAGE_TOKENS = 4  # that the embedding is attended to as; the hint says most of it already
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
        channels = 2 * in_channels + DRAWN
        self.conv_in = nn.Conv2d(channels, block_out_channels[0], 3, padding=1)
        self.encoder_hid_proj = ImageProjection(encoder_hid_dim, cross_attention_dim, IMAGE_TOKENS)
        self.subjects = SubjectDecoder()
        self.seen = nn.Conv2d(3, DRAWN, PATCH, stride=PATCH)
        self.ground = nn.Linear(SEMANTIC, in_channels * sample_size**2)

    @torch.no_grad()
    def set_hint(self, image_embeds: Tensor, grounds: Tensor, strength: float = 10.0) -> None:
        """Sets what reads the drawn subjects, by a PCA, and the grounds, by a ridge regression.

        image_embeds (N, D) and latents of the pictures without their subjects (N, C, S, S).
        """
        drawn = torch.cat([self.draw_subjects(piece) for piece in image_embeds[:512].split(64)])
        principal_patches(self.seen, drawn)
        said = image_embeds[:, :SEMANTIC]
        weight, bias = ridge(said, grounds.flatten(1), strength)
        self.ground.weight.copy_(weight)
        self.ground.bias.copy_(bias)

    def draw_subjects(self, image_embeds: Tensor) -> Tensor:
        """Embeddings (B, D) → subjects on white (B, 3, 128, 128)."""
        layout, numbers = image_embeds[:, SEMANTIC:].tensor_split([LAYOUT], 1)
        shares, spots = unpack(layout)
        codes, there = read_codes(numbers, shares)
        drawn = there > ABSENT
        frames = codes.new_zeros(*codes.shape[:2], 3, FRAME_PX, FRAME_PX)
        frames[drawn] = self.subjects(codes[drawn])
        return place(frames, spots, there * drawn)

    def draw_hint(self, image_embeds: Tensor) -> Tensor:
        """Embeddings (B, D) → subjects on white, patch by patch, and grounds (B, ·, S, S)."""
        side = self.config.sample_size
        grounds = self.ground(image_embeds[:, :SEMANTIC]).unflatten(1, (-1, side, side))
        return torch.cat([self.seen(self.draw_subjects(image_embeds)), grounds], 1)

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
            torch.cat([sample, hint], 1),
            timestep,
            encoder_hidden_states,
            added_cond_kwargs=added_cond_kwargs,
            **options,
        )
