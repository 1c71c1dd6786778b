"""Which files are read: the best of several names, whole or in shards, never a pickle."""

import pytest

from lambda_eclipse.layouts import choose, files_in
from lambda_eclipse.weights import WeightsError

UNET = "unet/diffusion_pytorch_model"
DECODER = {
    "unet/config.json",
    "movq/config.json",
    "scheduler/scheduler_config.json",
    "movq/diffusion_pytorch_model.safetensors",
}
PAIR = {f"{tower}/config.json" for tower in ("image_encoder", "text_encoder")} | {
    f"{tower}/model.safetensors" for tower in ("image_encoder", "text_encoder")
}
SHARDS = {f"{UNET}-0000{i}-of-00002.safetensors" for i in (1, 2)}


@pytest.mark.parametrize(
    "part, names, half, expected",
    [
        ("prior", {"config.json", "diffusion_pytorch_model.bin"}, False, None),
        ("prior", {"diffusion_pytorch_model.safetensors"}, False, None),
        ("clip", {"open_clip_config.json", "open_clip_pytorch_model.bin"}, False, None),
        (
            "clip",
            {"open_clip_config.json", "open_clip_pytorch_model.safetensors", "config.json"},
            False,
            {"open_clip_config.json", "open_clip_pytorch_model.safetensors"},
        ),
        ("clip", PAIR | {"prior/config.json", "tokenizer/vocab.json"}, True, PAIR),
        (
            "clip",
            {"config.json", "model.safetensors", "pytorch_model.bin"},
            False,
            {"config.json", "model.safetensors"},
        ),
        ("decoder", DECODER, False, None),
        (
            "decoder",
            DECODER | {f"{UNET}.safetensors", f"{UNET}.fp16.safetensors"},
            False,
            DECODER | {f"{UNET}.safetensors"},
        ),
        (
            "decoder",
            DECODER | {f"{UNET}.safetensors", f"{UNET}.fp16.safetensors"},
            True,
            DECODER | {f"{UNET}.fp16.safetensors"},
        ),
        (
            "decoder",
            DECODER | {f"{UNET}.fp16.safetensors"},
            False,
            DECODER | {f"{UNET}.fp16.safetensors"},
        ),
        (
            "decoder",
            DECODER | SHARDS | {f"{UNET}.safetensors.index.json"},
            False,
            DECODER | SHARDS | {f"{UNET}.safetensors.index.json"},
        ),
        (
            "decoder",
            DECODER | {min(SHARDS), f"{UNET}.safetensors.index.json"},
            False,
            None,
        ),
    ],
)
def test_choice(part, names, half, expected):
    found = choose(part, names, half)
    assert (None if found is None else set(found)) == expected


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="config.json is missing"):
        files_in(tmp_path, "prior")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="diffusion_pytorch_model.safetensors is missing"):
        files_in(tmp_path, "prior")
