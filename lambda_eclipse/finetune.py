"""Concept finetuning of the decoder's U-Net (Sec. 3.3, Appendix D, Eq. 2).

Only the U-Net h_φ learns, from pictures x of one or more concepts and their own embeddings z_x. The
prior and CLIP stay unchanged, no text is involved, and there is no prior-preservation loss. The
loss is that of the quantity which the stack's scheduler has the U-Net predict:

- noise ("epsilon", Kandinsky 2.2): Eq. 2 to the letter, ‖ε − h_φ(x⁽ᵗ⁾, t, z_x)‖², t uniform;
- velocity ("v_prediction"): ‖v − h_φ‖². Because ε − ε̂ = √ᾱ_t (v − v̂), Eq. 2 would weight this
  by ᾱ_t, which is 0 at the last time, pure noise, the one step that this stack takes. So the weight
  is left out, and a share of the times is the last one.

Letters: N pictures, B of them in a step, D embedding width, C latent channels, S latent side.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from lambda_eclipse.decoder import Decoder
from lambda_eclipse.images import flatten
from lambda_eclipse.masking import prepare_subject
from lambda_eclipse.messages import StudioError
from lambda_eclipse.models import Models
from lambda_eclipse.stacks import Finetuning

WEIGHT_DECAY = 0.0  # as the published train_text_to_image_decoder.py has it; the paper is silent
MAX_NORM = 1.0  # longer gradients are scaled down to it
# What LoRA adapts: the attention's projections and the blocks' convolutions.
LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj", "conv1", "conv2"]


@dataclass(frozen=True)
class Concepts:
    """What is learned from: N pictures as they are framed, RGB, square; float32 on the CPU their
    embeddings z_x (N, D) and latents (N, C, S, S).
    """

    pictures: tuple[Image.Image, ...]
    embeddings: Tensor
    latents: Tensor


@torch.no_grad()
def read_concepts(models: Models, pictures: Sequence[Image.Image], cut_out: bool) -> Concepts:
    """Pictures, as `open_picture` gives them, as the U-Net learns them: in the stack's own size.

    cut_out: the subject alone on white, as for a request; else the middle square of each picture.
    """
    size_px = models.decoder.native_size_px
    framed = [
        prepare_subject(one, size_px=size_px, margin=models.stack.margin).picture
        if cut_out
        else ImageOps.fit(flatten(one), (size_px, size_px), Image.Resampling.LANCZOS)
        for one in pictures
    ]
    with models.encoders() as (clip, _):
        embeddings = torch.cat([clip.image([one]).float().cpu() for one in framed])  # (N, D)
    latents = torch.cat([models.decoder.encode([one]) for one in framed])  # (N, C, S, S)
    return Concepts(tuple(framed), embeddings, latents)


@dataclass(eq=False)
class Lesson:
    """A U-Net that learns, and all that a step needs. `done`: steps taken.

    unet: float32, a copy; the decoder that it came from is never changed. adapters: peft's model
    around it where LoRA learns, else None. scheduler: adds the noise.
    """

    unet: nn.Module
    adapters: Any
    optimizer: torch.optim.Optimizer
    scheduler: Any
    concepts: Concepts
    how: Finetuning
    seed: int
    done: int = 0


def begin(decoder: Decoder, concepts: Concepts, how: Finetuning, seed: int = 0) -> Lesson:
    """A lesson that has not begun to learn. ImportError for LoRA without peft."""
    scheduler = copy.deepcopy(decoder.pipeline.scheduler)
    if scheduler.config.prediction_type not in ("epsilon", "v_prediction"):
        raise StudioError(
            'The decoder predicts "{prediction}": only decoders that predict "epsilon" or '
            '"v_prediction" can be finetuned.',
            prediction=scheduler.config.prediction_type,
        )
    unet = copy.deepcopy(decoder.pipeline.unet).float().to(decoder.device)
    adapters = None
    if how.lora:
        adapters = _with_adapters(unet.requires_grad_(False), how.lora, seed)
    else:
        unet.requires_grad_(True)
    if how.checkpointing:
        unet.enable_gradient_checkpointing()
    learning = [weight for weight in unet.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=how.rate, weight_decay=WEIGHT_DECAY)
    return Lesson(unet, adapters, optimizer, scheduler, concepts, how, seed)


def learn(lesson: Lesson, steps: int) -> Iterator[float]:
    """Take steps until `steps` are done in all; yields the error of each, after it was taken.

    Whoever stops listening stops it. Pictures, times and noise follow from (seed, step) alone.
    ValueError when the error is not finite; the weights are those of the step before then.
    """
    learning = lesson.optimizer.param_groups[0]["params"]
    while lesson.done < steps:
        loss = error(lesson, lesson.done)
        lesson.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(learning, MAX_NORM)
        if not torch.isfinite(norm):
            raise StudioError(
                "The loss of step {step} is not finite: use a lower rate than {rate}.",
                step=lesson.done + 1,
                rate=f"{lesson.how.rate:g}",
            )
        lesson.optimizer.step()
        lesson.done += 1
        yield float(loss.detach())


def error(lesson: Lesson, step: int) -> Tensor:
    """Eq. 2 for a step's pictures, a scalar: the squared error of what the scheduler asks for."""
    how, scheduler, concepts = lesson.how, lesson.scheduler, lesson.concepts
    random = torch.Generator().manual_seed(lesson.seed * 1_000_003 + step)
    chosen = torch.randint(len(concepts.latents), (how.batch,), generator=random)  # (B,)
    last = scheduler.config.num_train_timesteps - 1
    times = torch.randint(last + 1, (how.batch,), generator=random)  # (B,)
    times[torch.rand(how.batch, generator=random) < how.last] = last
    latents = concepts.latents[chosen]  # (B, C, S, S)
    noise = torch.randn(latents.shape, generator=random)
    noisy = scheduler.add_noise(latents, noise, times)
    target = noise
    if scheduler.config.prediction_type == "v_prediction":
        target = scheduler.get_velocity(latents, noise, times)
    device = next(lesson.unet.parameters()).device
    given = {"image_embeds": concepts.embeddings[chosen].to(device)}  # (B, D)
    with _precision(device):
        predicted = lesson.unet(
            noisy.to(device), times.to(device), None, added_cond_kwargs=given, return_dict=False
        )[0][:, : latents.shape[1]]  # without the variance
    return (predicted.float() - target.to(device)).square().mean()


def finished(lesson: Lesson) -> nn.Module:
    """The U-Net as it has learned so far, a copy in the form that it came in: adapters merged."""
    if lesson.adapters is not None:
        unet = copy.deepcopy(lesson.adapters).merge_and_unload()
    else:
        unet = copy.deepcopy(lesson.unet)
    unet.disable_gradient_checkpointing()
    return unet.eval().requires_grad_(False)


def state(lesson: Lesson) -> dict[str, Any]:
    """All that goes on in another process: what learns, its optimizer, and the steps done."""
    learned = {name: w.detach() for name, w in _learning(lesson.unet).items()}
    return {"done": lesson.done, "learned": learned, "optimizer": lesson.optimizer.state_dict()}


def restore(lesson: Lesson, state: dict[str, Any]) -> None:
    """Take up what `state` gave of a lesson with the same settings; then it goes on bit-equal."""
    with torch.no_grad():
        for name, weight in _learning(lesson.unet).items():
            weight.copy_(state["learned"][name])
    lesson.optimizer.load_state_dict(state["optimizer"])
    lesson.done = state["done"]


def digest(unet: nn.Module) -> str:
    """SHA-256 (64 hex digits) of the weights: by this a recipe tells them from all others."""
    found = hashlib.sha256()
    for name, tensor in sorted(unet.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _learning(unet: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in unet.named_parameters() if weight.requires_grad}


def _with_adapters(unet: nn.Module, rank: int, seed: int) -> Any:
    """peft's model around the U-Net, whose layers it replaces in place."""
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise ImportError(
            "LoRA needs one package more: pip install -r requirements-train.txt"
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # half of the adapters' weights start at random
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_TARGETS)
        return LoraModel(unet, config, "default")


def _precision(device: torch.device) -> Any:
    """bfloat16 where a CUDA card computes in it, else what the weights are in."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
