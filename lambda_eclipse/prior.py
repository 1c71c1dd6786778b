"""The λ-ECLIPSE prior: text states with subjects in them → image embedding (Sec. 3, Appendix C).

A transformer without time steps: one pass maps noise, text, subjects and edges to the CLIP
embedding of the picture. Names and shapes of its tensors are those of the published checkpoint.

Padded text positions have no influence on the result, so they are not computed: of the 77 text
positions the first L up to the longest prompt are kept, and the four extra ones, which keep
their own positional embeddings.

Letters: B pictures, L text positions kept, S = L + 4, D embedding width (1280),
H heads (16), W = H · head width (512).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse import paper
from lambda_eclipse.cpu_linear import Linear
from lambda_eclipse.weights import (
    WeightsError,
    load_module,
    read_json,
    save_fp16,
    verify,
    write_json,
)

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"

# Keys of the published configuration that would change the architecture if they had any other
# value. All further keys describe file formats or parts that this prior doesn't have.
_ONLY_VALUES: dict[str, tuple[Any, ...]] = {
    "added_emb_type": ("prd",),
    "encoder_hid_proj_type": ("linear",),
    "norm_in_type": (None,),
    "embedding_proj_norm_type": (None,),
}


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of a prior; the defaults are the paper's (Appendix C)."""

    num_attention_heads: int = paper.NUM_HEADS
    attention_head_dim: int = paper.HEAD_DIM
    num_layers: int = paper.NUM_LAYERS
    embedding_dim: int = paper.EMBED_DIM
    num_embeddings: int = paper.TEXT_POSITIONS
    additional_embeddings: int = paper.ADDITIONAL_EMBEDDINGS

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str = "The configuration") -> PriorConfig:
        """Read a published config.json; ValueError when a size is missing or has no sense."""
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in content]
        if missing:
            raise WeightsError(f"{where} lacks {', '.join(missing)}: use the model's own file.")
        for name in names:
            if type(content[name]) is not int or content[name] < 1:
                raise WeightsError(f"{where}: {name} is {content[name]!r}, no positive integer.")
        for name, allowed in _ONLY_VALUES.items():
            if name in content and content[name] not in allowed:
                raise WeightsError(
                    f"{where}: {name} is {content[name]!r}; a λ-ECLIPSE prior has {allowed[0]!r}."
                )
        config = cls(**{name: content[name] for name in names})
        if config.additional_embeddings != paper.ADDITIONAL_EMBEDDINGS:
            raise WeightsError(
                f"{where}: additional_embeddings is {config.additional_embeddings}; a λ-ECLIPSE "
                f"prior has {paper.ADDITIONAL_EMBEDDINGS}: edges, text, noise and query."
            )
        return config


class Attention(nn.Module):
    """Multi-head attention of the last `queries` positions to all of them."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.heads = heads
        self.to_q = Linear(width, width)
        self.to_k = Linear(width, width)
        self.to_v = Linear(width, width)
        self.to_out = nn.ModuleList([Linear(width, width)])

    def forward(self, x: Tensor, queries: int, mask: Tensor | None, causal: bool) -> Tensor:
        q = self._split(self.to_q(x[:, -queries:]))  # (B, H, queries, head_dim)
        k = self._split(self.to_k(x))  # (B, H, S, head_dim)
        v = self._split(self.to_v(x))  # (B, H, S, head_dim)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.to_out[0](y.transpose(1, 2).flatten(2))  # (B, queries, W)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class GELU(nn.Module):
    """Linear layer followed by the exact GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x))


class FeedForward(nn.Module):
    """Two layers, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # The middle entry holds the place of the published model's dropout, which is zero.
        self.net = nn.Sequential(GELU(width, 4 * width), nn.Identity(), Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Block(nn.Module):
    """Pre-norm transformer block; the name `norm3` is the checkpoint's."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(heads, head_dim)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, queries: int, mask: Tensor | None, causal: bool) -> Tensor:
        y = self.attn1(self.norm1(x), queries, mask, causal)  # (B, queries, W)
        x = x[:, -queries:] + y  # (B, queries, W)
        return x + self.ff(self.norm3(x))  # (B, queries, W)


class Prior(nn.Module):
    """f(ε, z_y, z_xk, z_c) of Eq. 1: the image embedding of a prompt with its subjects."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.num_attention_heads * config.attention_head_dim
        dim = config.embedding_dim
        positions = config.num_embeddings + config.additional_embeddings
        self.positional_embedding = nn.Parameter(torch.zeros(1, positions, width))
        self.prd_embedding = nn.Parameter(torch.zeros(1, 1, width))
        # In the published checkpoint, never used: kept so that it loads and saves as it is.
        self.clip_mean = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        self.clip_std = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        self.proj_in = Linear(dim, width)
        self.embedding_proj = Linear(dim, width)
        self.embedding_control = Linear(dim, width)
        self.encoder_hidden_states_proj = Linear(dim, width)
        self.transformer_blocks = nn.ModuleList(
            Block(config.num_attention_heads, config.attention_head_dim)
            for _ in range(config.num_layers)
        )
        self.norm_out = nn.LayerNorm(width)
        self.proj_to_clip_embeddings = Linear(width, dim)

    def forward(
        self,
        noise: Tensor,
        text_embeds: Tensor,
        text_states: Tensor,
        text_mask: Tensor,
        control_embeds: Tensor,
    ) -> Tensor:
        """Image embeddings (B, D), unnormalised as CLIP's image tower gives them.

        noise: (B, D) standard normal. text_embeds: (B, D) pooled text. text_states: (B, L, D)
        with the subjects swapped in, L up to 77. text_mask: (B, L), true at real tokens.
        control_embeds: (B, D) of the Canny map, or of the null image where there is none.
        ValueError when the shapes don't fit.
        """
        self._check(noise, text_embeds, text_states, text_mask, control_embeds)
        x, text_mask = self.tokens(noise, text_embeds, text_states, text_mask, control_embeds)
        full, last = attention_masks(text_mask, self.config.additional_embeddings)
        for block in self.transformer_blocks[:-1]:
            x = block(x, x.shape[1], full, causal=full is None)  # (B, S, W)
        # Only the learned query is read, and it may look at everything before it.
        x = self.transformer_blocks[-1](x, 1, last, causal=False)  # (B, 1, W)
        return self.proj_to_clip_embeddings(self.norm_out(x[:, 0]))  # (B, D)

    def tokens(
        self, noise: Tensor, text_embeds: Tensor, states: Tensor, mask: Tensor, control: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the first block is given (B, S, W), and the mask of the text kept (B, L).

        Arguments as for `forward`.
        """
        mask = mask.bool()
        kept = int(mask.any(dim=0).nonzero()[-1]) + 1  # L: the longest prompt
        x = torch.cat(
            [
                self.encoder_hidden_states_proj(states[:, :kept]),  # (B, L, W)
                self.embedding_control(control)[:, None],  # (B, 1, W)
                self.embedding_proj(text_embeds)[:, None],  # (B, 1, W)
                self.proj_in(noise)[:, None],  # (B, 1, W)
                self.prd_embedding.expand(len(noise), -1, -1),  # (B, 1, W)
            ],
            dim=1,
        )  # (B, S, W)
        extra = self.config.additional_embeddings
        positions = self.positional_embedding
        return x + torch.cat([positions[:, :kept], positions[:, -extra:]], dim=1), mask[:, :kept]

    def _check(
        self, noise: Tensor, text_embeds: Tensor, states: Tensor, mask: Tensor, control: Tensor
    ) -> None:
        count, dim = len(noise), self.config.embedding_dim
        for name, tensor in (
            ("noise", noise),
            ("text_embeds", text_embeds),
            ("control_embeds", control),
        ):
            if tuple(tensor.shape) != (count, dim):
                raise ValueError(f"{name} is {tuple(tensor.shape)}; expected {(count, dim)}.")
        length = states.shape[1] if states.ndim == 3 else 0
        if tuple(states.shape) != (count, length, dim) or length > self.config.num_embeddings:
            raise ValueError(
                f"text_states is {tuple(states.shape)}; expected ({count}, up to "
                f"{self.config.num_embeddings}, {dim})."
            )
        if tuple(mask.shape) != (count, length):
            raise ValueError(f"text_mask is {tuple(mask.shape)}; expected {(count, length)}.")
        if not mask[:, 0].all():
            raise ValueError("text_mask hides a start-of-text token; it must be true there.")

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        manifest: Path | None = None,
    ) -> Prior:
        """Load config.json and the weights beside it, strictly; in evaluation mode.

        manifest: a manifest file to check the folder against. WeightsError names the culprit.
        """
        path = Path(path)
        if manifest is not None:
            verify(manifest, path)
        config_path = path / CONFIG_NAME
        config = PriorConfig.from_dict(read_json(config_path), str(config_path))
        with torch.device("meta"):
            prior = cls(config)
        load_module(prior, path / WEIGHTS_NAME, device, dtype)
        return prior.eval()

    def save(self, folder: str | Path) -> None:
        """Write the folder that `from_folder` reads; weights in float16."""
        folder = Path(folder)
        save_fp16(self.state_dict(), folder / WEIGHTS_NAME)
        write_json(
            {
                "_class_name": "PriorTransformer",
                **asdict(self.config),
                **{name: allowed[0] for name, allowed in _ONLY_VALUES.items()},
            },
            folder / CONFIG_NAME,
        )


def attention_masks(text_mask: Tensor, extra: int) -> tuple[Tensor | None, Tensor | None]:
    """Boolean attention masks, true where a position may look, for text_mask (B, L).

    Returns one for all positions (B, 1, S, S), causal and without padded text, and one for the
    last position (B, 1, 1, S). Both None when nothing is padded: plain causal attention, which
    has faster kernels. The published −10000 on hidden positions gives the same zero weights.
    """
    if bool(text_mask.all()):
        return None, None
    visible = F.pad(text_mask, (0, extra), value=True)[:, None, None]  # (B, 1, 1, S)
    size = visible.shape[-1]
    causal = torch.ones(size, size, dtype=torch.bool, device=text_mask.device).tril()
    return visible & causal, visible


def draw_noise(
    shape: tuple[int, ...],
    generator: torch.Generator,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Standard normal noise, drawn on the CPU in float32 so that all devices agree."""
    if generator.device.type != "cpu":
        raise ValueError("Draw noise with a CPU generator: torch.Generator() has one.")
    return torch.randn(shape, generator=generator).to(device=device, dtype=dtype)
