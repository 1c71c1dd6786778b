"""The pocket stack's image tower: semantic numbers, layout and appearance of a picture.

- **Semantic**: the first `SEMANTIC` numbers say what is shown, background included. A frozen
  ImageNet trunk (EfficientNet-Lite0) gives a 4 × 4 grid of features, because global pooling would
  lose the layout, and class probabilities, which bring a photograph close to drawings of the same
  thing. A small transformer combines both; it is trained against captions.
- **Layout and appearance** (`lambda_eclipse.pocket.embedding`): a trunk trained to name things
  loses outlines and colours, and a decoder cannot repaint what its condition has lost. So a small
  network, the matte, removes the background, a second one finds the subjects, and a third one
  encodes the frame around each (`lambda_eclipse.pocket.codec`).

Importing this module registers `pocket_grid_tower` with timm, so that an OpenCLIP model
configuration can name it.
"""

import timm
import torch
import torch.nn.functional as F
from timm.models import register_model
from torch import Tensor, nn

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket import embedding
from lambda_eclipse.pocket.codec import SubjectEncoder
from lambda_eclipse.pocket.embedding import (
    APPEARANCE,
    LAYOUT,
    WHITE,
    crop,
    pack,
    surround,
    unpack,
    write_codes,
)

SEMANTIC = 64
SEMANTIC_SCALE = 4.0  # their root mean square; that of the other numbers is about 1
GRID = 4  # tokens per side at 128 px
TAPS = ((4, 112, 2), (6, 320, 1))  # (trunk stage, channels, fold) to reach 4 × 4
CHANNELS = sum(channels * fold * fold for _, channels, fold in TAPS)  # 768
CLASSES = 1000
NEAR_PX = 8.0  # tolerated distance between the spot found and the box of all that is there


class Matte(nn.Module):
    """Pictures (B, 3, H, W), normalised → share of foreground in each pixel (B, 1, H, W)."""

    def __init__(self, fine: int = 20, middle: int = 32, coarse: int = 48):
        super().__init__()
        self.fine = nn.Conv2d(3, fine, 4, stride=2, padding=1)
        self.middle = nn.Conv2d(fine, middle, 4, stride=2, padding=1)
        self.coarse = nn.Conv2d(middle, coarse, 4, stride=2, padding=1)
        self.deep = nn.Sequential(
            *(nn.Conv2d(coarse, coarse, 3, padding=d, dilation=d) for d in (1, 2, 4))
        )
        self.up_middle = nn.Conv2d(coarse + middle, middle, 3, padding=1)
        self.up_fine = nn.Conv2d(middle + fine, fine, 3, padding=1)
        self.out = nn.Conv2d(fine, 4, 3, padding=1)
        self.to(memory_format=torch.channels_last)  # twice as fast on CPUs

    def forward(self, pictures: Tensor) -> Tensor:
        pictures = pictures.to(memory_format=torch.channels_last)
        fine = F.silu(self.fine(pictures))  # (B, ·, H/2, W/2)
        middle = F.silu(self.middle(fine))
        x = F.silu(self.coarse(middle))
        for layer in self.deep:
            x = x + F.silu(layer(x))
        x = F.silu(self.up_middle(torch.cat([F.interpolate(x, scale_factor=2.0), middle], 1)))
        x = F.silu(self.up_fine(torch.cat([F.interpolate(x, scale_factor=2.0), fine], 1)))
        return F.pixel_shuffle(self.out(x), 2).sigmoid()


def on_white(pictures: Tensor, matte: Tensor) -> Tensor:
    """Pictures (B, 3, H, W), normalised, composed over white by `matte` (B, 1, H, W)."""
    return WHITE + (pictures - WHITE) * matte


class Layout(nn.Module):
    """Finds subjects: trunk features (B, 16, 768) and pictures on white → layout (B, `LAYOUT`).

    The first numbers are logits of the count of subjects, the others their spots in the units of
    `embedding.pack`.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 48, 64, 96), hidden: int = 128) -> None:
        super().__init__()
        first, *others = widths
        layers: list[nn.Module] = [nn.Conv2d(3, first, 4, stride=4), nn.SiLU()]
        for before, after in zip(widths, others, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.SiLU()]
        self.seen = nn.Sequential(*layers)  # (B, 96, 4, 4)
        self.norm = nn.LayerNorm(CHANNELS)
        self.known = nn.Linear(CHANNELS, widths[-1])
        self.out = nn.Sequential(
            nn.Linear(2 * widths[-1] * GRID**2, hidden), nn.SiLU(), nn.Linear(hidden, LAYOUT)
        )

    def forward(self, grid: Tensor, pictures: Tensor) -> Tensor:
        seen = self.seen(pictures).flatten(1)
        known = F.silu(self.known(self.norm(grid))).flatten(1)
        return self.out(torch.cat([seen, known], 1))

    def find(self, grid: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Count of subjects (B,), 1-4, and their spots (B, 4, 3).

        A single subject gets the box of all that is there, if that is near the spot found.
        """
        found = self(grid, pictures)
        count, spots = found[:, :MAX_SUBJECTS].argmax(1) + 1, unpack(found)[1]
        box = surround(pictures)
        near = (count == 1) & ((box - spots[:, 0]).abs() < NEAR_PX).all(1)
        spots[:, 0] = torch.where(near[:, None], box, spots[:, 0])
        return count, spots


class GridTower(nn.Module):
    """Pictures (B, 3, 128, 128), normalised → embeddings (B, 640)."""

    def __init__(self, width: int = 256, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.num_features = SEMANTIC + LAYOUT + APPEARANCE
        self.trunk = timm.create_model("tf_efficientnet_lite0")
        self.norms = nn.ModuleList(nn.LayerNorm(c * fold * fold) for _, c, fold in TAPS)
        self.token_in = nn.Linear(CHANNELS, width)
        self.class_in = nn.Linear(CLASSES, width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.positions = nn.Parameter(torch.randn(GRID * GRID + 1, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.token_out = nn.Linear(width, 64)
        self.head = nn.Linear(GRID * GRID * 64 + width, SEMANTIC)
        self.matte = Matte()
        self.layout = Layout()
        self.subjects = SubjectEncoder()

    def appearance(
        self, pictures: Tensor, grid: Tensor, known: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Layout and appearance numbers (B, 576) of pictures (B, 3, 128, 128) and their grid.

        `known`: count of subjects (B,) and spots (B, 4, 3); without it they are found.
        """
        cut = on_white(pictures, self.matte(pictures))
        count, spots = self.layout.find(grid, cut) if known is None else known
        there = torch.arange(MAX_SUBJECTS, device=count.device) < count[:, None]  # (B, 4)
        rows = there.nonzero()[:, 0]
        codes = cut.new_zeros(len(cut), MAX_SUBJECTS, APPEARANCE)
        codes[there] = self.subjects(crop(cut[rows], spots[there]))
        return torch.cat([pack(count, spots), write_codes(codes, count)], 1)

    def features(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the frozen trunk: grid (B, 16, 768) and class logits (B, 1000)."""
        trunk = self.trunk
        x = trunk.bn1(trunk.conv_stem(pictures))
        grids = []
        for stage, block in enumerate(trunk.blocks):
            x = block(x)
            for tap, _, fold in TAPS:
                if stage == tap:
                    grids.append(F.pixel_unshuffle(x, fold).flatten(2).transpose(1, 2))
        return torch.cat(grids, -1), trunk.forward_head(trunk.bn2(trunk.conv_head(x)))

    def semantic(self, grid: Tensor, logits: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Trunk features → semantic numbers (B, SEMANTIC).

        hidden: (B,) bool, in training only; hides all but the classes, so that the class token
        alone learns to say what a photograph shows.
        """
        groups = grid.split([c * fold * fold for _, c, fold in TAPS], -1)
        normed = [norm(group) for norm, group in zip(self.norms, groups, strict=True)]
        tokens = self.token_in(torch.cat(normed, -1))  # (B, 16, W)
        if hidden is not None:
            tokens = torch.where(hidden[:, None, None], self.mask_token, tokens)
        named = self.class_in(logits.softmax(-1).sqrt())[:, None]  # (B, 1, W)
        x = self.blocks(torch.cat([named, tokens], 1) + self.positions)  # (B, 17, W)
        x = self.norm(x)
        flat = torch.cat([x[:, 0], self.token_out(x[:, 1:]).flatten(1)], 1)  # (B, W + 1024)
        return SEMANTIC_SCALE * F.layer_norm(self.head(flat), (SEMANTIC,))

    def embed(self, grid: Tensor, logits: Tensor, appearance: Tensor) -> Tensor:
        """Trunk features, layout and appearance (B, 576) → embedding (B, 640)."""
        return torch.cat([self.semantic(grid, logits), appearance], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        grid, logits = self.features(pictures)
        return self.embed(grid, logits, self.appearance(pictures, grid))


def subject_cosines(scene: Tensor, subjects: Tensor) -> Tensor:
    """Cosines (K,) of single subjects (K, D) with the most similar subject of a scene (D,)."""
    return embedding.subject_cosines(scene[SEMANTIC:], subjects[:, SEMANTIC:])


@register_model
def pocket_grid_tower(pretrained: bool = False, **options: object) -> GridTower:
    """Builds the tower for timm; its weights come with the OpenCLIP state dict.

    ValueError for pretrained weights, or another width than its own.
    """
    if pretrained:
        raise ValueError("pocket_grid_tower has no weights of its own: load the CLIP's state dict")
    tower = GridTower()
    if options.get("num_classes", tower.num_features) != tower.num_features:
        raise ValueError(f"pocket_grid_tower gives {tower.num_features} numbers: set embed_dim so")
    return tower
