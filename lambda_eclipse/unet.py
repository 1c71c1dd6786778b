"""The pocket stack's U-Net: Kandinsky 2.2's form with two coarse pictures as a hint.

An embedding says what stands before the ground by numbers that are linear in its pixels, and
which ground it is by the others (`lambda_eclipse.tower`). So two ridge regressions (`set_hint`)
draw, from the embedding alone, the subjects on white and the empty ground; what is left to the
network is to put the one before the other and to sharpen it. The hint is concatenated to the noisy
latents as Kandinsky 2.2's ControlNet variant concatenates its own
(`addition_embed_type="image_hint"` in diffusers), but computed from the embedding inside, so that
the pipeline needs nothing else.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import ImageProjection
from torch import Tensor, nn

from lambda_eclipse.tower import SEMANTIC

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
        self.conv_in = nn.Conv2d(3 * in_channels, block_out_channels[0], 3, padding=1)
        self.encoder_hid_proj = ImageProjection(encoder_hid_dim, cross_attention_dim, IMAGE_TOKENS)
        size = in_channels * sample_size**2
        self.hint = nn.Linear(encoder_hid_dim - SEMANTIC, size)
        self.ground = nn.Linear(SEMANTIC, size)

    @torch.no_grad()
    def set_hint(
        self, image_embeds: Tensor, subjects: Tensor, grounds: Tensor, strength: float = 10.0
    ) -> None:
        """Sets the hint by ridge regression on embeddings (N, D).

        subjects, grounds (N, C, S, S): latents of what stands in each picture, on white, and of the
        picture without it.
        """
        said, seen = image_embeds.split([SEMANTIC, image_embeds.shape[1] - SEMANTIC], 1)
        _set_ridge(self.hint, seen, subjects.flatten(1), strength)
        _set_ridge(self.ground, said, grounds.flatten(1), strength)

    def draw_hint(self, image_embeds: Tensor) -> Tensor:
        """Embeddings (B, D) → coarse latents of subjects on white and of grounds (B, 2 C, S, S)."""
        said, seen = image_embeds.split([SEMANTIC, image_embeds.shape[1] - SEMANTIC], 1)
        side = self.config.sample_size
        return torch.cat([self.hint(seen), self.ground(said)], 1).unflatten(1, (-1, side, side))

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
            torch.cat([sample, hint], 1),  # (B, 3 C, S, S)
            timestep,
            encoder_hidden_states,
            added_cond_kwargs=added_cond_kwargs,
            **options,
        )


def _set_ridge(layer: nn.Linear, x: Tensor, y: Tensor, strength: float) -> None:
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram = (x - x_mean).T @ (x - x_mean) + strength * torch.eye(x.shape[1])
    weight = torch.linalg.solve(gram, (x - x_mean).T @ (y - y_mean)).T
    layer.weight.copy_(weight)
    layer.bias.copy_(y_mean - weight @ x_mean)
