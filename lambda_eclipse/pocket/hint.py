"""The hint: a coarse drawing of an embedding, from which the pocket U-Net starts.

The codec's decoder draws the subjects on white, at the spots that the embedding names
(`lambda_eclipse.pocket.embedding`). A small network predicts their outline, because white parts of
a subject look like background. A linear layer draws the background from the semantic numbers. The
subjects are then composed over it, patch by patch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.pocket.codec import PATCH, SubjectDecoder
from lambda_eclipse.pocket.embedding import FRAME_PX, LAYOUT, place, read_codes, unpack
from lambda_eclipse.pocket.linear_fits import principal_patches, ridge
from lambda_eclipse.pocket.tower import SEMANTIC, Matte

ABSENT = 0.02  # subjects below this opacity are not drawn


class Hint(nn.Module):
    """Embeddings (B, D) → hints (B, `channels`, S, S), one vector per patch."""

    def __init__(self, latent_channels: int, side: int, seen: int = 84) -> None:
        super().__init__()
        self.side, self.channels = side, seen + 2 * latent_channels
        self.subjects = SubjectDecoder()
        self.outline = Matte(12, 20, 32)
        self.ground = nn.Linear(SEMANTIC, latent_channels * side**2)
        self.patches = nn.Conv2d(3, latent_channels, PATCH, stride=PATCH)
        self.seen = nn.Conv2d(4, seen, PATCH, stride=PATCH)

    @torch.no_grad()
    def start(
        self, embeds: Tensor, grounds: Tensor, patches: nn.Conv2d, strength: float = 10.0
    ) -> None:
        """Sets the linear layers.

        `ground` becomes a ridge regression from embeds (N, D) to grounds (N, C, S, S), the latents
        of the pictures without subjects. `patches` is copied from the autoencoder's linear encoder;
        `seen` becomes a PCA of the drawn subjects.
        """
        weight, bias = ridge(embeds[:, :SEMANTIC], grounds.flatten(1), strength)
        self.ground.weight.copy_(weight)
        self.ground.bias.copy_(bias)
        self.patches.load_state_dict(patches.state_dict())
        pieces = [self.draw_subjects(piece) for piece in embeds[:512].split(64)]
        drawn = [torch.cat([piece, self.outline(piece)], 1) for piece in pieces]
        principal_patches(self.seen, torch.cat(drawn))

    def draw_subjects(self, embeds: Tensor) -> Tensor:
        """Embeddings (B, D) → subjects on white (B, 3, 128, 128)."""
        layout, numbers = embeds[:, SEMANTIC:].tensor_split([LAYOUT], 1)
        shares, spots = unpack(layout)
        codes, there = read_codes(numbers, shares)
        drawn = there > ABSENT
        frames = codes.new_zeros(*codes.shape[:2], 3, FRAME_PX, FRAME_PX)
        frames[drawn] = self.subjects(codes[drawn])
        return place(frames, spots, there * drawn)

    def draw_ground(self, embeds: Tensor) -> Tensor:
        """Embeddings (B, D) → latents of their backgrounds (B, C, S, S)."""
        return self.ground(embeds[:, :SEMANTIC]).unflatten(1, (-1, self.side, self.side))

    def forward(self, embeds: Tensor) -> tuple[Tensor, Tensor]:
        """Hints (B, `channels`, S, S) and the outline (B, 1, 128, 128): coverage by subjects."""
        drawn, ground = self.draw_subjects(embeds), self.draw_ground(embeds)
        outline = self.outline(drawn)
        front = F.avg_pool2d(outline, PATCH)  # (B, 1, S, S)
        both = ground + front * (self.patches(drawn) - ground)
        return torch.cat([self.seen(torch.cat([drawn, outline], 1)), ground, both], 1), outline
