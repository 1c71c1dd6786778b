"""CLIPs in the classes of transformers: outputs as those classes give, from their files."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from lambda_eclipse import layouts
from lambda_eclipse.clip import Clip
from lambda_eclipse.weights import WeightsError

D = 32
VISION = {
    "hidden_size": 48,
    "intermediate_size": 148,  # not a multiple: OpenCLIP knows a ratio only
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 32,
    "patch_size": 8,
    "projection_dim": D,
    "hidden_act": "gelu",
}
TEXT = {
    "hidden_size": D,
    "intermediate_size": 100,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": D,
    "hidden_act": "gelu",
    "eos_token_id": 49407,
}
PROMPTS = ["a cat", "a teddy bear wearing a hat, in the snow"]


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that every one matters; biases and norms start as constants."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def towers() -> tuple[torch.nn.Module, torch.nn.Module]:
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION))
    return shaken(vision), shaken(CLIPTextModelWithProjection(CLIPTextConfig(**TEXT)))


@pytest.fixture
def pair(towers, tmp_path: Path) -> Path:
    """A folder with the towers of Kandinsky's prior repository."""
    for name, tower in zip(layouts.TOWERS, towers, strict=True):
        tower.save_pretrained(tmp_path / name)
    (tmp_path / "image_processor").mkdir()
    means = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    (tmp_path / layouts.PREPROCESSING).write_text(json.dumps(means))
    return tmp_path


def check(clip: Clip, towers: tuple[torch.nn.Module, torch.nn.Module]) -> None:
    vision, text = towers
    pixels = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(of)[:, None, None] for of in (clip.mean, clip.std))
    batch = clip.tokenizer.encode(PROMPTS)
    features = clip.tokens(batch)
    kept = features.states.shape[1]
    with torch.no_grad():
        images = vision((pixels - mean) / std).image_embeds
        texts = text(batch.ids)
    torch.testing.assert_close(clip.image(pixels), images, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features.pooled, texts.text_embeds, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        features.states, texts.last_hidden_state[:, :kept], atol=1e-4, rtol=1e-4
    )


def test_a_pair_of_towers_gives_the_same_numbers(pair, towers):
    clip = Clip.from_folder(pair)
    check(clip, towers)
    assert clip.mean == (0.4, 0.5, 0.6) and clip.std == (0.2, 0.25, 0.3)
    assert clip.model.logit_scale.exp() == pytest.approx(100, rel=1e-4)


def test_files_of_older_versions_hold_counters(pair, towers):
    path = pair / "text_encoder" / "model.safetensors"
    counter = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    save_file(load_file(path) | counter, path)
    check(Clip.from_folder(pair), towers)


def test_a_whole_model_gives_the_same_numbers(towers, tmp_path):
    config = CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=D)
    whole = CLIPModel(config)
    state = {name: t for tower in towers for name, t in tower.state_dict().items()}
    whole.load_state_dict(state | {"logit_scale": torch.tensor(1.5)})
    whole.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2, "in shards"
    clip = Clip.from_folder(tmp_path)
    check(clip, towers)
    assert clip.model.logit_scale == 1.5


def test_other_networks_are_refused(pair):
    path = pair / "text_encoder" / "config.json"
    config = json.loads(path.read_text())
    for change in ({"layer_norm_eps": 1e-3}, {"hidden_act": "silu"}):
        path.write_text(json.dumps(config | change))
        with pytest.raises(WeightsError, match="not of an OpenCLIP model"):
            Clip.from_folder(pair)
    path.write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(WeightsError, match=r"lacks transformer\.resblocks\.2"):
        Clip.from_folder(pair)


def test_the_full_size_towers_are_open_clips(tmp_path):
    """ViT-bigG/14 in transformers' classes: every tensor of OpenCLIP's model has its source."""
    import open_clip

    from lambda_eclipse.clip_pair import read_config, renamed
    from lambda_eclipse.tensor_files import Constant

    sizes = {"intermediate_size": 8192, "hidden_size": 1664, "num_hidden_layers": 48}
    sizes |= {"num_attention_heads": 16, "image_size": 224, "patch_size": 14}
    vision = CLIPVisionConfig(**sizes, projection_dim=1280, hidden_act="gelu")
    sizes = {"intermediate_size": 5120, "hidden_size": 1280, "num_hidden_layers": 32}
    text = CLIPTextConfig(**sizes, num_attention_heads=20, projection_dim=1280, hidden_act="gelu")
    for name, config in zip(layouts.TOWERS, (vision, text), strict=True):
        config.save_pretrained(tmp_path / name)
    with torch.device("meta"):
        towers = CLIPVisionModelWithProjection(vision), CLIPTextModelWithProjection(text)
        ours = open_clip.model.CLIP(**read_config(tmp_path)["model_cfg"])
        published = open_clip.model.CLIP(**open_clip.get_model_config("ViT-bigG-14"))
    found = renamed({n: Constant(t) for tower in towers for n, t in tower.state_dict().items()})
    shapes = {name: source.shape for name, source in found.items()}
    assert shapes == {name: tuple(t.shape) for name, t in ours.state_dict().items()}
    assert shapes == {name: tuple(t.shape) for name, t in published.state_dict().items()}
