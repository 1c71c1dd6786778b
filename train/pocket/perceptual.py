"""How different two pictures look: distances of a frozen ImageNet trunk's features.

As LPIPS without its learned weights (Zhang et al., 2018, arXiv 1801.03924). The trunk is the one
inside the pocket CLIP, EfficientNet-Lite0, not the judge's. Only training uses it.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.pocket.tower import GridTower
from train.pocket.trunk import load_trunk

STAGES = (0, 1, 2, 4)  # of the trunk: 64 × 64 to 8 × 8 at 128 px


class Perceptual(nn.Module):
    """Pictures (B, 3, H, W) in [−1, 1], twice → distances (B,), 0 when equal."""

    def __init__(self, cache: Path) -> None:
        super().__init__()
        tower = GridTower()
        load_trunk(tower, cache)
        self.trunk = tower.trunk.eval().requires_grad_(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Of each stage, channels at unit length (B, C, h, w)."""
        x = self.trunk.bn1(self.trunk.conv_stem((127.5 * pictures + 0.5) / 128))
        found = []
        for stage, block in enumerate(self.trunk.blocks[: STAGES[-1] + 1]):
            x = block(x)
            if stage in STAGES:
                found.append(F.normalize(x, dim=1, eps=1e-3))
        return found

    def forward(self, pictures: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.features(truth)
        pairs = zip(self.features(pictures), wanted, strict=True)
        return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).mean(0)
