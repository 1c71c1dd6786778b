"""The pocket stack's picture autoencoder: 128 × 128 RGB ↔ latents 12 × 16 × 16.

From random weights, a convolutional autoencoder learns too slowly on two CPU cores. This one starts
as a principal component analysis of 8 × 8 patches (`start_from_pca`), the optimal linear code, and
learns what that misses. It has the interface that `diffusers.KandinskyV22Pipeline` needs of `movq`.
"""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from lambda_eclipse.pocket.linear_fits import principal_patches


def zero(layer: nn.Module) -> None:
    """Starts a layer at zero, so that its branch adds nothing at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside an identity; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        zero(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class PocketMOVQ(ModelMixin, ConfigMixin):
    """Patch PCA with learned residual encoder and decoder.

    `block_out_channels` has four entries because the pipeline reads the factor 8 = 2^(4 − 1) off
    its length; the entries are the widths at 16 × 16, 32 × 32, 32 × 32 and full resolution.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 12,
        block_out_channels: tuple[int, ...] = (128, 64, 64, 16),
        layers_per_block: int = 3,
        patch: int = 8,
    ) -> None:
        super().__init__()
        coarse, fine, encoder, last = block_out_channels
        pixels = 3 * patch * patch
        self.patch_encode = nn.Conv2d(3, latent_channels, patch, stride=patch)
        self.patch_decode = nn.Conv2d(latent_channels, pixels, 1)
        self.encode_in = nn.Conv2d(3, encoder, patch // 2, stride=patch // 2)
        self.encode_fine = Residual(encoder)
        self.encode_down = nn.Conv2d(encoder, coarse, 2, stride=2)
        self.encode_blocks = nn.Sequential(*(Residual(coarse) for _ in range(layers_per_block - 1)))
        self.encode_out = nn.Conv2d(coarse, latent_channels, 3, padding=1)
        self.decode_in = nn.Conv2d(latent_channels, coarse, 3, padding=1)
        self.decode_blocks = nn.Sequential(*(Residual(coarse) for _ in range(layers_per_block)))
        self.decode_up = nn.Conv2d(coarse, fine * 4, 1)
        self.decode_fine = nn.Sequential(*(Residual(fine) for _ in range(layers_per_block - 1)))
        self.decode_out = nn.Conv2d(fine, last * (patch // 2) ** 2, 1)
        self.refine1 = nn.Conv2d(last + 3, last, 3, padding=1)
        self.refine2 = nn.Conv2d(last, 3, 3, padding=1)
        for layer in (self.encode_out, self.refine2):  # start as the plain PCA
            zero(layer)

    @torch.no_grad()
    def start_from_pca(self, pictures: Tensor, whitening: float = 0.5) -> None:
        """Sets the linear path to the PCA of the patches of `pictures` ((B, 3, H, W), [−1, 1]).

        `whitening` 0 keeps the variances of the components, 1 makes them all equal; 1/2 leaves the
        important ones larger without drowning the others. Latents then have mean square 1 in all.
        """
        principal_patches(self.patch_encode, pictures, self.patch_decode, whitening)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [−1, 1] → latents (B, C, H/8, W/8)."""
        x = self.encode_down(self.encode_fine(self.encode_in(pictures)))  # (B, C, H/8, W/8)
        return self.patch_encode(pictures) + self.encode_out(F.silu(self.encode_blocks(x)))

    def decode(
        self, latents: Tensor, force_not_quantize: bool = True, return_dict: bool = True
    ) -> dict[str, Tensor] | tuple[Tensor]:
        """Latents (B, C, h, w) → pictures (B, 3, 8h, 8w), about [−1, 1].

        The latents are continuous: `force_not_quantize` is the pipeline's and must be true.
        """
        if not force_not_quantize:
            raise ValueError("PocketMOVQ has no codebook: pass force_not_quantize=True")
        patch = self.config.patch
        base = F.pixel_shuffle(self.patch_decode(latents), patch)  # (B, 3, H, W)
        x = self.decode_blocks(self.decode_in(latents))  # (B, C, h, w)
        x = self.decode_fine(F.pixel_shuffle(self.decode_up(x), 2))  # (B, c, 2h, 2w)
        x = F.pixel_shuffle(self.decode_out(F.silu(x)), patch // 2)  # (B, last, H, W)
        x = self.refine2(F.silu(self.refine1(torch.cat([x, base], 1))))  # (B, 3, H, W)
        sample = base + x
        return {"sample": sample} if return_dict else (sample,)
