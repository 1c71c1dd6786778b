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
from lambda_eclipse.layouts import NETWORK, network_file
from lambda_eclipse.manifest import verify
from lambda_eclipse.state_dicts import load_module
from lambda_eclipse.transformer import Block
from lambda_eclipse.weights import WeightsError, read_json, save_fp16, write_json

CONFIG_NAME = "config.json"
WEIGHTS_NAME = NETWORK[0]

# Keys of the published configuration that would change the architecture with any other value. All
# other keys describe file formats or parts that this prior does not have.
_ONLY_VALUES: dict[str, Any] = {
    "added_emb_type": "prd",
    "encoder_hid_proj_type": "linear",
    "norm_in_type": None,
    "embedding_proj_norm_type": None,
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
        """Read a published config.json; raises WeightsError for a wrong or missing value."""
        sizes: dict[str, Any] = {field.name: content.get(field.name) for field in fields(cls)}
        for name, value in sizes.items():
            if type(value) is not int or value < 1:
                raise WeightsError(
                    "{where}: {name} is {value} instead of a positive integer: use the model's "
                    "own file.",
                    where=where,
                    name=name,
                    value=repr(value),
                )
        expected = {**_ONLY_VALUES, "additional_embeddings": paper.ADDITIONAL_EMBEDDINGS}
        for name, only in expected.items():
            if content.get(name, only) != only:
                raise WeightsError(
                    "{where}: {name} is {value}; a λ-ECLIPSE prior has {expected}.",
                    where=where,
                    name=name,
                    value=repr(content[name]),
                    expected=repr(only),
                )
        return cls(**sizes)


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
        # Unused, but part of the published checkpoint.
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
        """Image embeddings (B, D), unnormalised like those of CLIP's image tower.

        noise: (B, D) standard normal. text_embeds: (B, D) pooled text. text_states: (B, L, D)
        with the subjects swapped in, L up to 77. text_mask: (B, L), true at real tokens.
        control_embeds: (B, D) of the Canny map, or of the null image without one.
        Raises ValueError for unfitting shapes.
        """
        self._check(noise, text_embeds, text_states, text_mask, control_embeds)
        predicted, _ = self.forward_with_states(
            noise, text_embeds, text_states, text_mask, control_embeds
        )
        return predicted

    def forward_with_states(
        self, noise: Tensor, text_embeds: Tensor, states: Tensor, mask: Tensor, control: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """As `forward`; also the token states (B, S, W) after each block but the last."""
        x, mask = self._tokens(noise, text_embeds, states, mask, control)
        full, last = attention_masks(mask, self.config.additional_embeddings)
        kept = []
        for block in self.transformer_blocks[:-1]:
            x = block(x, x.shape[1], full, causal=full is None)  # (B, S, W)
            kept.append(x)
        # Only the learned query is read; it attends to every position.
        x = self.transformer_blocks[-1](x, 1, last, causal=False)  # (B, 1, W)
        return self.proj_to_clip_embeddings(self.norm_out(x[:, 0])), kept  # (B, D)

    def _tokens(
        self, noise: Tensor, text_embeds: Tensor, states: Tensor, mask: Tensor, control: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Input of the first block (B, S, W), and the mask of the text kept (B, L).

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
        length = min(states.shape[1], self.config.num_embeddings)
        for name, tensor, shape in (
            ("noise", noise, (count, dim)),
            ("text_embeds", text_embeds, (count, dim)),
            ("control_embeds", control, (count, dim)),
            ("text_states", states, (count, length, dim)),
            ("text_mask", mask, (count, length)),
        ):
            if tuple(tensor.shape) != shape:
                raise ValueError(f"{name} is {tuple(tensor.shape)}; expected {shape}.")
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

        manifest: checksums to verify first. Raises WeightsError naming the file.
        """
        path = Path(path)
        if manifest is not None:
            verify(manifest, path)
        config_path = path / CONFIG_NAME
        config = PriorConfig.from_dict(read_json(config_path), str(config_path))
        with torch.device("meta"):
            prior = cls(config)
        weights = network_file(path, half=dtype == torch.float16)
        load_module(prior, weights, device=device, dtype=dtype)
        return prior.eval()

    def save(self, folder: str | Path) -> None:
        """Write the folder that `from_folder` reads; weights in float16."""
        folder = Path(folder)
        save_fp16(self.state_dict(), folder / WEIGHTS_NAME)
        write_json(
            {
                "_class_name": "PriorTransformer",
                **asdict(self.config),
                **_ONLY_VALUES,
            },
            folder / CONFIG_NAME,
        )


def attention_masks(text_mask: Tensor, extra: int) -> tuple[Tensor | None, Tensor | None]:
    """Boolean attention masks, true where a position may attend, for text_mask (B, L).

    Returns one for all positions (B, 1, S, S), causal and without padded text, and one for the
    last position (B, 1, 1, S). Both None without padding: plain causal attention, which
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
