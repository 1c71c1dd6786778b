"""Codec of a subject's looks: frames (N, 3, 96, 96) ↔ ordered codes (N, `APPEARANCE`).

A code can be cut after any number and filled up with zeros, so several subjects can share an
embedding (`lambda_eclipse.pocket.embedding`). Encoder and decoder start as a principal component
analysis, the optimal linear code, and learn what it misses.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.pocket.embedding import APPEARANCE, FRAME_PX
from lambda_eclipse.pocket.linear_fits import principal, principal_patches
from lambda_eclipse.pocket.movq import Residual, zero

PATCH, CHANNELS = 8, 12
SIDE = FRAME_PX // PATCH
PATCHES = CHANNELS * SIDE**2  # 1728


class SubjectEncoder(nn.Module):
    """Frames (N, 3, 96, 96), normalised → codes (N, `APPEARANCE`)."""

    def __init__(self, fine: int = 32, coarse: int = 96) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, CHANNELS, PATCH, stride=PATCH)
        self.deep = nn.Sequential(
            nn.Conv2d(3, fine, PATCH // 2, stride=PATCH // 2),
            Residual(fine),
            nn.Conv2d(fine, coarse, 2, stride=2),
            Residual(coarse),
            Residual(coarse),
            nn.Conv2d(coarse, CHANNELS, 3, padding=1),
        )
        self.code = nn.Linear(PATCHES, APPEARANCE)
        zero(self.deep[-1])

    def forward(self, frames: Tensor) -> Tensor:
        return self.code((self.patches(frames) + self.deep(frames)).flatten(1))


class SubjectDecoder(nn.Module):
    """Codes (N, `APPEARANCE`) → frames (N, 3, 96, 96)."""

    def __init__(self, fine: int = 48, coarse: int = 96) -> None:
        super().__init__()
        self.code = nn.Linear(APPEARANCE, PATCHES)
        self.patches = nn.Conv2d(CHANNELS, 3 * PATCH**2, 1)
        self.deep = nn.Sequential(
            nn.Conv2d(CHANNELS, coarse, 3, padding=1),
            Residual(coarse),
            Residual(coarse),
            Residual(coarse),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            Residual(fine),
            Residual(fine),
            nn.Conv2d(fine, 3 * (PATCH // 2) ** 2, 3, padding=1),
            nn.PixelShuffle(PATCH // 2),
        )
        zero(self.deep[-2])

    def forward(self, codes: Tensor) -> Tensor:
        x = self.code(codes).unflatten(1, (CHANNELS, SIDE, SIDE))
        return F.pixel_shuffle(self.patches(x), PATCH) + self.deep(x)


@torch.no_grad()
def start_from_pca(
    encoder: SubjectEncoder, decoder: SubjectDecoder, frames: Tensor, whitening: float = 0.5
) -> None:
    """Sets both to the PCA of `frames` (N, 3, 96, 96), N > 1728; codes get mean square 1.

    `whitening` as in `principal`.
    """
    principal_patches(encoder.patches, frames[:4096], decoder.patches, whitening)
    patches = torch.cat([encoder.patches(piece).flatten(1) for piece in frames.split(512)])
    mean, basis, scale = principal(patches, APPEARANCE, whitening)
    encoder.code.weight.copy_((basis * scale).T)
    encoder.code.bias.copy_(-encoder.code.weight @ mean)
    decoder.code.weight.copy_(basis / scale)
    decoder.code.bias.copy_(mean)
