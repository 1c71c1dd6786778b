"""The prior against the published implementation's outputs, and against itself untrimmed."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from repository import FIXTURES
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lambda_eclipse import paper
from lambda_eclipse.prior import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    Prior,
    PriorConfig,
    attention_masks,
    draw_noise,
)
from lambda_eclipse.weights import WeightsError

REFERENCE = FIXTURES / "reference_prior_small.safetensors"
LAYOUT = json.loads((FIXTURES / "reference_prior_layout.json").read_text())
TOLERANCE = 1e-5


def reference_config() -> dict[str, int]:
    with safe_open(REFERENCE, "pt") as file:
        metadata = file.metadata()
    return {name: int(value) for name, value in metadata.items() if value.isdigit()}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder in the hub's layout, with the keys that published configurations carry."""
    tensors = load_file(REFERENCE)
    state = {n.removeprefix("prior."): t for n, t in tensors.items() if n.startswith("prior.")}
    save_file(state, tmp_path / WEIGHTS_NAME)
    config = {
        "_class_name": "PriorTransformer",
        "_diffusers_version": "0.23.1",
        **reference_config(),
        "added_emb_type": "prd",
        "encoder_hid_proj_type": "linear",
        "dropout": 0.0,
        "clip_embed_dim": None,
        "embedding_proj_norm_type": None,
    }
    (tmp_path / CONFIG_NAME).write_text(json.dumps(config))
    return tmp_path


def reference_inputs() -> dict[str, Tensor]:
    tensors = load_file(REFERENCE)
    return {
        "noise": tensors["in.noise"],
        "text_embeds": tensors["in.text_embeds"],
        "text_states": tensors["in.text_hidden_states"],
        "text_mask": tensors["in.attention_mask"].bool(),
        "control_embeds": tensors["in.control_embeds"],
    }


def untrimmed(
    prior: Prior,
    noise: Tensor,
    text_embeds: Tensor,
    text_states: Tensor,
    text_mask: Tensor,
    control_embeds: Tensor,
) -> Tensor:
    """The published computation: all 81 positions, all queries, −10000 where one may not look."""
    linear, norm = F.linear, F.layer_norm
    weights = dict(prior.named_parameters())
    config = prior.config
    heads, width = config.num_attention_heads, prior.prd_embedding.shape[-1]

    def project(name: str, x: Tensor) -> Tensor:
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def normed(name: str, x: Tensor) -> Tensor:
        return norm(x, (width,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    extra = [
        project("embedding_control", control_embeds),
        project("embedding_proj", text_embeds),
        project("proj_in", noise),
        weights["prd_embedding"][0].expand(len(noise), -1),
    ]
    x = torch.cat([project("encoder_hidden_states_proj", text_states), torch.stack(extra, 1)], 1)
    x = x + weights["positional_embedding"]
    size = x.shape[1]
    hidden = F.pad((1 - text_mask.float()) * -10000.0, (0, 4))[:, None, None]
    bias = hidden + torch.full((size, size), -10000.0).triu(1)
    for i in range(config.num_layers):
        block = f"transformer_blocks.{i}"
        y = normed(f"{block}.norm1", x)
        q, k, v = (split(project(f"{block}.attn1.to_{n}", y)) for n in "qkv")
        scores = q @ k.transpose(-1, -2) / config.attention_head_dim**0.5 + bias
        y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + project(f"{block}.attn1.to_out.0", y)
        y = project(f"{block}.ff.net.0.proj", normed(f"{block}.norm3", x))
        x = x + project(f"{block}.ff.net.2", F.gelu(y))
    return project("proj_to_clip_embeddings", normed("norm_out", x))[:, -1]


def random_prior(config: PriorConfig | None = None) -> Prior:
    torch.manual_seed(0)
    prior = Prior(config or PriorConfig(2, 8, 2, 24))
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return prior


def random_inputs(lengths: list[int], positions: int = 77, dim: int = 24) -> dict[str, Tensor]:
    torch.manual_seed(1)
    count = len(lengths)
    return {
        "noise": torch.randn(count, dim),
        "text_embeds": torch.randn(count, dim),
        "text_states": torch.randn(count, positions, dim),
        "text_mask": torch.arange(positions) < torch.tensor(lengths)[:, None],
        "control_embeds": torch.randn(count, dim),
    }


def test_parity_with_the_published_implementation(published: Path) -> None:
    prior, inputs = Prior.from_folder(published), reference_inputs()
    outputs = load_file(REFERENCE)
    with torch.inference_mode():
        padded = prior(**inputs)
        full = prior(**{**inputs, "text_mask": torch.ones(3, 77, dtype=torch.bool)})
    assert (padded - outputs["out.image_embeds"]).abs().max() < TOLERANCE
    assert (full - outputs["out.image_embeds_full_mask"]).abs().max() < TOLERANCE


def test_the_untrimmed_reference_is_the_published_one(published: Path) -> None:
    prior = Prior.from_folder(published)
    difference = untrimmed(prior, **reference_inputs()) - load_file(REFERENCE)["out.image_embeds"]
    assert difference.abs().max() < TOLERANCE


def test_full_size_has_the_published_layout() -> None:
    with torch.device("meta"):
        prior = Prior(PriorConfig.from_dict(LAYOUT["config"]))
    shapes = {name: list(tensor.shape) for name, tensor in prior.state_dict().items()}
    assert shapes == LAYOUT["tensors"]
    assert sum(p.numel() for p in prior.parameters()) == LAYOUT["parameters"] == 34_849_536
    assert prior.config == PriorConfig()
    assert LAYOUT["config"]["embedding_dim"] == paper.EMBED_DIM


@pytest.mark.parametrize("lengths", [[5, 9, 3], [6, 6, 6], [77, 2], [2]])
def test_padding_free_is_exact(lengths: list[int]) -> None:
    prior, inputs = random_prior(), random_inputs(lengths)
    with torch.no_grad():
        assert (prior(**inputs) - untrimmed(prior, **inputs)).abs().max() < TOLERANCE


def test_hidden_positions_between_visible_ones_stay_hidden() -> None:
    prior, inputs = random_prior(), random_inputs([9, 5])
    inputs["text_mask"][0, 3:5] = False
    with torch.no_grad():
        assert (prior(**inputs) - untrimmed(prior, **inputs)).abs().max() < TOLERANCE


def test_states_may_come_trimmed() -> None:
    prior, inputs = random_prior(), random_inputs([5, 8])
    short = {**inputs}
    short["text_states"], short["text_mask"] = (
        inputs["text_states"][:, :8],
        inputs["text_mask"][:, :8],
    )
    assert torch.equal(prior(**short), prior(**inputs))


def test_padding_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    attention = F.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, **options: object) -> Tensor:
        seen.append((q.shape[2], k.shape[2]))
        return attention(q, k, v, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    random_prior()(**random_inputs([5, 9]))
    assert seen == [(13, 13), (1, 13)]


def test_gradients_equal_those_of_the_untrimmed_prior() -> None:
    prior, inputs = random_prior(), random_inputs([5, 9, 7])
    prior(**inputs).square().sum().backward()
    trimmed = {n: p.grad for n, p in prior.named_parameters() if p.requires_grad}
    prior.zero_grad()
    untrimmed(prior, **inputs).square().sum().backward()
    for name, parameter in prior.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(trimmed[name], parameter.grad, atol=1e-4, rtol=1e-4)


def test_no_masks_without_padding() -> None:
    assert attention_masks(torch.ones(2, 5, dtype=torch.bool), 4) == (None, None)


def test_every_input_matters() -> None:
    prior, inputs = random_prior(), random_inputs([5, 5])
    base = prior(**inputs)
    for name in ("noise", "text_embeds", "text_states", "control_embeds"):
        other = prior(**{**inputs, name: inputs[name] + 1})
        assert (other - base).abs().max() > 1e-4, name


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("noise", torch.zeros(2, 5), "noise is"),
        ("text_embeds", torch.zeros(3, 24), "text_embeds is"),
        ("text_states", torch.zeros(2, 78, 24), "text_states is"),
        ("text_mask", torch.ones(2, 3, dtype=torch.bool), "text_mask is"),
        ("text_mask", torch.zeros(2, 77, dtype=torch.bool), "start-of-text"),
    ],
)
def test_inputs_that_do_not_fit(name: str, value: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_prior()(**{**random_inputs([4, 4]), name: value})


def test_save_and_load(tmp_path: Path) -> None:
    prior = random_prior()
    prior.save(tmp_path)
    loaded = Prior.from_folder(tmp_path)
    assert loaded.config == prior.config and not loaded.training
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, prior.state_dict()[name].half().float()), name
    trainable = {n for n, p in loaded.named_parameters() if p.requires_grad}
    assert trainable == {n for n, p in prior.named_parameters() if p.requires_grad}


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG_NAME).read_text())
    config.update(changes)
    kept = {name: value for name, value in config.items() if value != "absent"}
    (folder / CONFIG_NAME).write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": "absent"}, "config.json: num_layers is None"),
        ({"num_layers": "3"}, "num_layers is '3'"),
        ({"num_layers": 4}, r"lacks transformer_blocks\.3"),
        ({"num_layers": 2}, r"unknown transformer_blocks\.2"),
        ({"embedding_dim": 64}, "another shape"),
        ({"additional_embeddings": 3}, "additional_embeddings is 3"),
        ({"added_emb_type": None}, "added_emb_type is None"),
    ],
)
def test_a_wrong_configuration_is_named(
    published: Path, changes: dict[str, object], message: str
) -> None:
    edit_config(published, **changes)
    with pytest.raises(WeightsError, match=message):
        Prior.from_folder(published)


def test_noise_is_the_generators_alone() -> None:
    def draw() -> Tensor:
        return draw_noise((2, 3), torch.Generator().manual_seed(4), dtype=torch.float16)

    assert torch.equal(draw(), draw()) and draw().dtype == torch.float16
