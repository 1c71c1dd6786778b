"""The CLIP encoder against OpenCLIP's own forward passes, on a small random model."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lambda_eclipse.clip import WEIGHTS_NAME, Clip
from lambda_eclipse.clip_model import CONFIG_NAME, build
from lambda_eclipse.manifest import write_manifest
from lambda_eclipse.weights import WeightsError

D = 32
PROMPTS = ["a cat", "a teddy bear wearing a hat, in the snow", "word " * 100]


def config(**text: Any) -> dict[str, Any]:
    return {
        "model_cfg": {
            "embed_dim": D,
            "vision_cfg": {
                "image_size": 32,
                "patch_size": 16,
                "width": 32,
                "layers": 2,
                "head_width": 16,
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 49408,
                "width": D,
                "heads": 2,
                "layers": 2,
                **text,
            },
        },
        "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]},
    }


@pytest.fixture(scope="module")
def clip() -> Clip:
    torch.manual_seed(0)
    return Clip.from_config(config()).requires_grad_(False)


@pytest.fixture(scope="module")
def folder(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    (path / CONFIG_NAME).write_text(json.dumps(config()))
    save_file(clip.model.state_dict(), path / WEIGHTS_NAME)
    return path


def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(1)
    sizes = [(32, 32, 3), (50, 80, 3), (60, 20, 3)]  # height, width, RGB
    return [Image.fromarray(draw.integers(0, 256, size, dtype=np.uint8)) for size in sizes]


def test_states_are_those_after_the_final_norm(clip: Clip) -> None:
    caught: list[torch.Tensor] = []
    hook = clip.model.ln_final.register_forward_hook(lambda _m, _i, out: caught.append(out))
    batch = clip.tokenizer.encode(PROMPTS)
    pooled = clip.model.encode_text(batch.ids)
    hook.remove()
    features = clip.text(PROMPTS)
    assert features.states.shape == (3, 77, D)
    torch.testing.assert_close(features.states, caught[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features.pooled, pooled, atol=1e-5, rtol=1e-5)
    assert torch.equal(features.mask, batch.mask)


def test_positions_after_the_longest_prompt_are_left_out(clip: Clip) -> None:
    batch = clip.tokenizer.encode(PROMPTS[:2])
    whole = clip.model.forward_intermediates(
        text=batch.ids, text_indices=1, normalize_intermediates=True, normalize=False
    )
    features = clip.text(PROMPTS[:2])
    kept = int(batch.mask.sum(dim=1).max())
    assert features.states.shape == (2, kept, D) and features.mask.shape == (2, kept)
    states = whole["text_intermediates"][-1][:, :kept]
    torch.testing.assert_close(features.states, states, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features.pooled, whole["text_features"], atol=1e-5, rtol=1e-5)


def test_a_separate_text_tower_is_found() -> None:
    cfg = config(proj_bias=True)
    cfg["model_cfg"]["custom_text"] = True
    clip = Clip.from_config(cfg).requires_grad_(False)
    expected = clip.model.encode_text(clip.tokenizer.encode(PROMPTS).ids)
    torch.testing.assert_close(clip.text(PROMPTS).pooled, expected, atol=1e-5, rtol=1e-5)


def test_pictures_are_prepared_as_open_clip_does(clip: Clip) -> None:
    from open_clip.transform import image_transform

    prepare = image_transform(32, is_train=False, mean=clip.mean, std=clip.std)
    pixels = torch.stack([prepare(picture) for picture in pictures()])
    embeddings = clip.image(pictures())
    assert embeddings.shape == (3, D) and clip.embed_dim == D and clip.image_size == 32
    assert torch.equal(embeddings, clip.model.encode_image(pixels))
    assert (embeddings.norm(dim=1) - 1).abs().min() > 1e-3  # not normalised


def test_a_tensor_is_pictures_too(clip: Clip) -> None:
    from torchvision.transforms.functional import to_tensor

    same = pictures()[:1]
    tensor = torch.stack([to_tensor(p) for p in same])
    torch.testing.assert_close(clip.image(tensor), clip.image(same))
    assert clip.image(torch.rand(2, 3, 80, 50)).shape == (2, D)


def test_the_null_image_is_zero_after_normalisation(clip: Clip) -> None:
    expected = clip.model.encode_image(torch.zeros(1, 3, 32, 32))
    assert torch.equal(clip.null_image(), expected)
    mean = torch.tensor(clip.mean)[:, None, None].expand(3, 32, 32)
    torch.testing.assert_close(clip.image(mean[None]), expected, atol=1e-5, rtol=1e-5)


def test_the_null_image_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip.from_config(config())
    with torch.inference_mode():
        first = clip.null_image()
    assert not first.is_inference() and not first.requires_grad
    monkeypatch.setattr(clip.model, "encode_image", None)
    assert torch.equal(clip.null_image(), first)


def test_pictures_that_do_not_fit(clip: Clip) -> None:
    with pytest.raises(ValueError, match=r"RGBA.*flatten"):
        clip.image([Image.new("RGBA", (32, 32))])
    with pytest.raises(ValueError, match="no picture"):
        clip.image([])
    with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\)"):
        clip.image(torch.zeros(3, 32, 32))


def test_a_folder_gives_the_same_model(clip: Clip, folder: Path) -> None:
    loaded = Clip.from_folder(folder)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert not any(b.is_meta for b in loaded.buffers())
    torch.testing.assert_close(loaded.text(PROMPTS).states, clip.text(PROMPTS).states)
    torch.testing.assert_close(loaded.image(pictures()), clip.image(pictures()))
    assert (loaded.mean, loaded.std) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def test_low_precision_is_close(clip: Clip, folder: Path) -> None:
    half = Clip.from_folder(folder, dtype=torch.float16)
    features = half.text(PROMPTS)
    assert features.states.dtype == half.image(pictures()).dtype == torch.float16
    expected = clip.text(PROMPTS)
    torch.testing.assert_close(features.states.float(), expected.states, atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(features.pooled.float(), expected.pooled, atol=2e-2, rtol=2e-2)


def test_a_timm_tower_loads_through_the_same_path(tmp_path: Path) -> None:
    cfg = config()
    cfg["model_cfg"]["vision_cfg"] = {
        "image_size": 32,
        "timm_model_name": "test_efficientnet",
        "timm_model_pretrained": True,
        "timm_pool": "avg",
        "timm_proj": "linear",
    }
    built = Clip.from_config(cfg).requires_grad_(False)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(cfg))
    save_file(built.model.state_dict(), tmp_path / WEIGHTS_NAME)
    loaded = Clip.from_folder(tmp_path)
    assert loaded.image_size == 32
    torch.testing.assert_close(loaded.image(pictures()), built.image(pictures()))


def test_a_shortened_vocabulary_comes_with_the_folder(tmp_path: Path) -> None:
    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = [next(file).rstrip("\n") for _ in range(1001)]
    (tmp_path / "merges.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    cfg = {**config(vocab_size=1514), "tokenizer": {"merges": "merges.txt.gz"}}
    clip = Clip.from_config(cfg, tmp_path).requires_grad_(False)
    expected = clip.model.encode_text(clip.tokenizer.encode(PROMPTS[:2]).ids)
    torch.testing.assert_close(clip.text(PROMPTS[:2]).pooled, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(WeightsError, match="1514 tokens and its tokenizer 49408"):
        Clip.from_config(config(vocab_size=1514))
    with pytest.raises(WeightsError, match=r"merges.txt.gz is missing"):
        Clip.from_config(cfg, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"width": 64}, "64 wide and its embeddings 32"),
        ({"no_causal_mask": True}, "not causal"),
        ({"pool_type": "last"}, "end-of-text"),
        ({"hf_model_name": "bert"}, "not of a plain CLIP"),
    ],
)
def test_models_that_can_not_be_interleaved(text: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        Clip.from_config(config(**text))


def test_a_wrong_folder_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"{CONFIG_NAME} is missing"):
        Clip.from_folder(tmp_path)
    (tmp_path / CONFIG_NAME).write_text("{}")
    with pytest.raises(WeightsError, match="no model_cfg"):
        Clip.from_folder(tmp_path)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(config(layers=3)))
    with pytest.raises(WeightsError, match=f"{WEIGHTS_NAME} is missing"):
        Clip.from_folder(tmp_path)
    (tmp_path / WEIGHTS_NAME).write_bytes((folder / WEIGHTS_NAME).read_bytes())
    with pytest.raises(WeightsError, match=r"lacks transformer\.resblocks\.2"):
        Clip.from_folder(tmp_path)


def test_a_manifest_is_heeded(folder: Path) -> None:
    manifest = write_manifest(folder)
    Clip.from_folder(folder, manifest=manifest)
    entries = json.loads(manifest.read_text())
    entries["files"][WEIGHTS_NAME]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(entries))
    with pytest.raises(WeightsError, match=f"{WEIGHTS_NAME} does not match its checksum"):
        Clip.from_folder(folder, manifest=manifest)


def test_the_published_model_has_the_width_that_interleaving_needs() -> None:
    from open_clip import get_model_config

    with torch.device("meta"):
        model = build(get_model_config("ViT-bigG-14"), torch.float16)
    parameters = sum(p.numel() for p in model.parameters())
    assert round(parameters / 1e6, 2) == 2539.57  # as OpenCLIP's own table of models says
    assert model.text_projection.shape == (1280, 1280)
    assert model.text_projection.dtype == torch.float16
