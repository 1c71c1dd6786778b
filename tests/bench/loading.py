"""Memory that loading takes: python -m tests.bench.loading [PART …]

Writes random weights of the published sizes in the hub's layout to a temporary folder, one network
after another (image tower in half precision, the others in single, as the hub records say), loads
each in half precision in a process of its own, and prints the highest memory above that of the
imported libraries. The aim: at most the files' size and 1 GB.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.support.repository import FIXTURES

SPARE_GB = 1.0
VISION = {
    "hidden_size": 1664,
    "intermediate_size": 8192,
    "num_hidden_layers": 48,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
TEXT = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}


def write_random(path: Path, module: nn.Module, dtype: str) -> int:
    """Random weights of a module on the meta device, tensor after tensor; returns their bytes."""
    size = {"F16": 2, "F32": 4}[dtype]
    header, at = {}, 0
    for name, tensor in module.state_dict().items():
        end = at + tensor.numel() * size
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    random = np.random.default_rng(0).standard_normal(1 << 20) * 0.02
    block = random.astype(np.float16 if size == 2 else np.float32).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, at, len(block)):
            file.write(block[: at - start])
    return path.stat().st_size


def write_clip(folder: Path) -> int:
    from transformers import (
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    vision, text = CLIPVisionConfig(**VISION), CLIPTextConfig(**TEXT)
    vision.save_pretrained(folder / "image_encoder")
    text.save_pretrained(folder / "text_encoder")
    with torch.device("meta"):
        towers = CLIPVisionModelWithProjection(vision), CLIPTextModelWithProjection(text)
    return write_random(
        folder / "image_encoder" / "model.safetensors", towers[0], "F16"
    ) + write_random(folder / "text_encoder" / "model.safetensors", towers[1], "F32")


def write_prior(folder: Path) -> int:
    from lambda_eclipse.prior import CONFIG_NAME, WEIGHTS_NAME, Prior, PriorConfig

    with torch.device("meta"):
        prior = Prior(PriorConfig())
    folder.mkdir(parents=True, exist_ok=True)
    config = {"_class_name": "PriorTransformer", **asdict(prior.config)}
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    return write_random(folder / WEIGHTS_NAME, prior, "F32")


def write_decoder(folder: Path) -> int:
    from lambda_eclipse.networks import model_class

    published = json.loads((FIXTURES / "kandinsky22_decoder_config.json").read_text())
    total = 0
    for name in ("unet", "movq"):
        config = published[name]
        with torch.device("meta"):
            network = model_class(config["_class_name"]).from_config(config)
        path = folder / name / "diffusion_pytorch_model.safetensors"
        total += write_random(path, network, "F32")
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "scheduler").mkdir()
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(published["scheduler"]))
    return total


WRITERS: Mapping[str, Callable[[Path], int]] = {
    "clip": write_clip,
    "prior": write_prior,
    "decoder": write_decoder,
}


def load(part: str, folder: Path) -> None:
    """Load a part in half precision and print by how many bytes memory rose at most."""
    import open_clip  # noqa: F401
    import transformers.models.clip.modeling_clip  # noqa: F401

    from lambda_eclipse.clip import Clip
    from lambda_eclipse.decoder import Decoder
    from lambda_eclipse.prior import Prior

    before = peak_bytes()
    reader = {"clip": Clip, "prior": Prior, "decoder": Decoder}[part]
    network = reader.from_folder(folder, "cpu", torch.float16)
    print(peak_bytes() - before)
    del network


def peak_bytes() -> int:
    """The highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(part: str) -> None:
    """Write, load and delete a part; print a row."""
    folder = Path(tempfile.mkdtemp(prefix="loading-"))
    try:
        size = WRITERS[part](folder)
        command = [sys.executable, "-m", "tests.bench.loading", "--load", part, str(folder)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rise = int(done.stdout.split()[-1])
    finally:
        shutil.rmtree(folder)
    fits = "yes" if rise <= size + SPARE_GB * 1e9 else "NO"
    print(f"| {part} | {size / 1e9:.2f} | {rise / 1e9:.2f} | {fits} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *WRITERS], metavar="PART")
    parser.add_argument("--load", nargs=2, metavar=("PART", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options.load[0], Path(options.load[1]))
        return
    print("| part | files, GB | highest memory, GB | within files + 1 GB |\n|---|---|---|---|")
    for part in options.parts or WRITERS:
        measure(part)


if __name__ == "__main__":
    main()
