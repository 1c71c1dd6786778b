"""Perceptual distance of two pictures, by a frozen ImageNet trunk's features.

As LPIPS without its learned weights (Zhang et al., 2018, arXiv 1801.03924). The trunk is the one
inside the pocket CLIP, EfficientNet-Lite0, not the judge's. Only training uses it.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.pocket.tower import GridTower
from train.pocket.pretrained import load_trunk

STAGES = (0, 1, 2, 4)  # of the trunk: 64 × 64 to 8 × 8 at 128 px


class Perceptual(nn.Module):
    """Two batches of pictures (B, 3, H, W) in [−1, 1] → distances (B,), 0 for equal ones."""

    def __init__(self, cache: Path) -> None:
        super().__init__()
        tower = GridTower()
        load_trunk(tower, cache)
        self.trunk = tower.trunk.eval().requires_grad_(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Features of each stage (B, C, h, w), channels at unit length."""
        x = self.trunk.bn1(self.trunk.conv_stem((127.5 * pictures + 0.5) / 128))
        features = []
        for stage, block in enumerate(self.trunk.blocks[: STAGES[-1] + 1]):
            x = block(x)
            if stage in STAGES:
                features.append(F.normalize(x, dim=1, eps=1e-3))
        return features

    def forward(self, pictures: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            target = self.features(truth)
        pairs = zip(self.features(pictures), target, strict=True)
        return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).mean(0)
