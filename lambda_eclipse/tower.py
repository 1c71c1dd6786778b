"""The pocket stack's image tower: what a picture shows and what it looks like, side by side.

The first `SEMANTIC` numbers of an embedding say what is shown. A frozen ImageNet trunk
(EfficientNet-Lite0) gives a 4 × 4 grid of features, since global pooling would throw the layout
away, and class probabilities, which put a photograph next to drawings of the same thing; a small
transformer makes the numbers of both, trained against captions.

The other numbers say what it looks like: they are linear in the pixels of what stands before the
ground, a principal component analysis over 8 × 8 patches. A trunk trained to name things forgets
outlines and colours, and no decoder can repaint what its condition has lost. A small network, the
matte, takes the ground away first, because hiding a ground is not linear while adding a subject to
white is: so a subject adds to the embedding of a scene a linear function of its own, which is what
makes the former predictable from the latter. What the ground is, the first numbers say.

Importing this module registers `pocket_grid_tower` with timm, so that an OpenCLIP model
configuration can name it.
"""

import timm
import torch
import torch.nn.functional as F
from timm.models import register_model
from torch import Tensor, nn

SEMANTIC = 64
SEMANTIC_SCALE = 2.0  # root mean square of those numbers; the others' is about 1
GRID = 4  # tokens per side at 128 px
TAPS = ((4, 112, 2), (6, 320, 1))  # (trunk stage, channels, fold) to reach 4 × 4
CHANNELS = sum(channels * fold * fold for _, channels, fold in TAPS)  # 768
CLASSES = 1000
PATCH, PATCH_CHANNELS, SIZE_PX = 8, 12, 128
PATCHES = PATCH_CHANNELS * (SIZE_PX // PATCH) ** 2  # 3072
WHITE = 1.0  # of normalised pictures


class Matte(nn.Module):
    """Pictures (B, 3, H, W), normalised → how much of each pixel is not ground (B, 1, H, W)."""

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
    """Pictures (B, 3, H, W), normalised, whose ground by `matte` (B, 1, H, W) becomes white."""
    return WHITE + (pictures - WHITE) * matte


class GridTower(nn.Module):
    """Pictures (B, 3, 128, 128), normalised → embeddings (B, D), D = SEMANTIC + appearance."""

    def __init__(self, num_classes: int = 640, width: int = 256, layers: int = 2, heads: int = 4):
        super().__init__()
        self.num_features = num_classes
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
        self.patches = nn.Conv2d(3, PATCH_CHANNELS, PATCH, stride=PATCH)
        self.detail = nn.Linear(PATCHES, num_classes - SEMANTIC)

    @torch.no_grad()
    def set_detail(self, patches: Tensor, whitening: float = 0.5) -> None:
        """Sets the linear path to the PCA of `patches` (N, 3072), N > 3072; mean square 1.

        `whitening` as in `PocketMOVQ.start_from_pca`.
        """
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        count = self.detail.out_features
        values, basis = values.flip(0)[:count], vectors.flip(1)[:, :count]  # (3072, D)
        scale = values.clamp(min=1e-6).pow(-whitening / 2)
        scale = scale / (values * scale**2).mean().sqrt()
        self.detail.weight.copy_((basis * scale).T)
        self.detail.bias.copy_(-self.detail.weight @ mean)

    def cut(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, 128, 128), normalised → patches of what is not ground (B, 3072)."""
        return self.patches(on_white(pictures, self.matte(pictures))).flatten(1)

    def features(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """What the frozen trunk gives: grid (B, 16, 768) and class logits (B, 1000)."""
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
        """Trunk features → what is shown (B, SEMANTIC).

        `hidden` (B,) bool hides all but the classes (training only: it teaches the class token
        alone to say what a photograph shows).
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

    def embed(self, grid: Tensor, logits: Tensor, patches: Tensor) -> Tensor:
        """Trunk features and patches (B, 3072) → embedding (B, D)."""
        return torch.cat([self.semantic(grid, logits), self.detail(patches)], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.embed(*self.features(pictures), self.cut(pictures))


@register_model
def pocket_grid_tower(pretrained: bool = False, **options: object) -> GridTower:
    """Builds the tower for timm; its weights come with the OpenCLIP state dict."""
    if pretrained:
        raise ValueError("pocket_grid_tower has no weights of its own: load the CLIP's state dict")
    return GridTower(num_classes=int(options.get("num_classes", 640)))
