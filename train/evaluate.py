"""Every figure of the README about the pocket networks, from the weights in `assets/pocket`.

    python -m train.evaluate [autoencoder clip photos decoder prior path] [--out FILE]

Columns: "held" = sprites that no training has seen, "seen" = training sprites in new scenes. The
judge of the painted pictures is an encoder that took part in no training (`train.judge`).
"""

import argparse
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.masking import prepare_subject
from lambda_eclipse.pipeline import Request, Studio, Subject
from train.autoencoder import pictures, psnr
from train.clip import first_hits
from train.judge import Judge, choose_sprites, named_right, scene_of, spread_places
from train.shards import EVALUATION_SEED
from train.stickers.concepts import CONCEPTS
from train.stickers.scenes import Scene, palette, render, sample_scene, sprite_view, subject_view
from train.stickers.split import load_split
from train.stickers.sprites import load

SIDES = ("held", "seen")
SCENES = 256
CANDIDATES = 50
# photograph → (package, file inside it, noun); all are shipped inside installed packages
PHOTOS: dict[str, tuple[str, str, str]] = {
    "cat": ("skimage", "data/chelsea.png", "cat"),
    "coffee cup": ("skimage", "data/coffee.png", "coffee"),
    "rocket": ("skimage", "data/rocket.jpg", "rocket"),
    "motorcycle": ("skimage", "data/motorcycle_left.png", "motorcycle"),
    "lion": ("gradio", "media_assets/images/lion.jpg", "lion"),
    "cheetah": ("gradio", "media_assets/images/cheetah.jpg", "leopard"),
    "tower": ("gradio", "media_assets/images/tower.jpg", "tower"),
}


def photo(name: str) -> Image.Image:
    """One of the photographs, RGB."""
    package, path, _ = PHOTOS[name]
    return flatten(open_picture(str(files(package) / path)))


def autoencoder(studio: Studio) -> dict[str, float]:
    """PSNR in dB."""
    movq = studio.models.decoder.pipeline.movq
    return {
        f"psnr_{side}": psnr(movq, pictures(EVALUATION_SEED, 0, SCENES, side)) for side in SIDES
    }


def embed(studio: Studio, images: list[Image.Image]) -> Tensor:
    """(N, D) image embeddings, in batches."""
    batches = (images[i : i + 64] for i in range(0, len(images), 64))
    return torch.cat([studio.models.clip.image(batch) for batch in batches])


def clip(studio: Studio) -> dict[str, float]:
    """Retrieval: caption → picture, and one view of a sprite → its other view."""
    result = {}
    for side in SIDES:
        scenes = [sample_scene(EVALUATION_SEED, i, side) for i in range(SCENES)]
        texts = studio.models.clip.text([scene.caption for scene in scenes]).pooled
        images = embed(studio, [render(scene) for scene in scenes])
        result[f"caption_r1_{side}"] = first_hits(texts, images)
        sprites, _ = load()
        held = load_split().sprites
        chosen = [s for s in sprites if (s.name in held) == (side == "held")][: len(held)]
        views = [
            embed(studio, [sprite_view(s.name, palette(s.name)[0], f"judge-{v}") for s in chosen])
            for v in (0, 1)
        ]
        result[f"instance_r1_{side}"] = first_hits(*views)
    return result


def photos(studio: Studio) -> dict[str, object]:
    """The five nearest nouns of each photograph's subject, masked as the application masks it."""
    nouns = [concept.noun for concept in CONCEPTS]
    texts = F.normalize(studio.models.clip.text([f"a {noun}" for noun in nouns]).pooled, dim=1)
    size = studio.models.clip.image_size
    top, hits = {}, 0
    for name, (_, _, noun) in PHOTOS.items():
        prepared = prepare_subject(photo(name), size_px=size).picture
        likeness = (F.normalize(studio.models.clip.image([prepared]), dim=1) @ texts.T)[0]
        top[name] = [nouns[i] for i in likeness.topk(5).indices.tolist()]
        hits += noun in top[name]
    return {"photos_top5": hits, "photos": len(PHOTOS), "photos_nouns": top}


def paint(studio: Studio, embeds: Tensor) -> list[Image.Image]:
    """Pictures of embeddings with the stack's own steps and guidance; picture i has seed i."""
    stack = studio.models.stack
    return studio.models.decoder.paint(
        embeds,
        studio.models.clip.null_image(),
        seeds=range(len(embeds)),
        steps=stack.steps,
        guidance=stack.guidance,
        batch_size=stack.batch_size,
    )


def decoder(studio: Studio, judge: Judge) -> dict[str, float]:
    """How often the judge names the subject painted from the true embedding, among 50 sprites."""
    result = {}
    for side in SIDES:
        sprites, places = choose_sprites(side, CANDIDATES), spread_places(CANDIDATES)
        truth = [
            render(scene_of(s, p, f"truth-{s.name}")) for s, p in zip(sprites, places, strict=True)
        ]
        result[f"named_truth_{side}"] = _share(named_right(judge, truth, sprites, places))
        painted = paint(studio, embed(studio, truth))
        result[f"named_decoder_{side}"] = _share(named_right(judge, painted, sprites, places))
    return result


def prior(studio: Studio) -> dict[str, float]:
    """Cosine of predicted and true embedding, one- and two-subject scenes, against plain words."""
    result = {}
    for side in SIDES:
        scenes = [sample_scene(EVALUATION_SEED, i, side) for i in range(2 * SCENES)]
        scenes = [scene for scene in scenes if len(scene.nouns) < 3][:SCENES]
        truth = embed(studio, [render(scene) for scene in scenes])
        views = {
            (i, k): subject_view(scene, k)
            for i, scene in enumerate(scenes)
            for k in range(len(scene.nouns))
        }
        embeds = dict(zip(views, embed(studio, list(views.values())), strict=True))
        shown = torch.stack([_predict(studio, scene, i, embeds) for i, scene in enumerate(scenes)])
        words = torch.stack([_predict(studio, scene, i, {}) for i, scene in enumerate(scenes)])
        mean = truth.mean(0)
        for name, predicted in (("pictures", shown), ("words", words)):
            result[f"cosine_{name}_{side}"] = float(F.cosine_similarity(predicted, truth).mean())
            centred = F.cosine_similarity(predicted - mean, truth - mean)
            result[f"centred_{name}_{side}"] = float(centred.mean())
        result[f"gain_{side}"] = result[f"cosine_pictures_{side}"] - result[f"cosine_words_{side}"]
    return result


def _predict(studio: Studio, scene: Scene, index: int, embeds: dict) -> Tensor:
    subjects = tuple(
        Subject(noun, embedding=embeds[index, k])
        for k, noun in enumerate(scene.nouns)
        if (index, k) in embeds
    )
    return studio.embed(Request(scene.caption, subjects, seed=index))[0]


def path(studio: Studio, judge: Judge) -> dict[str, float]:
    """As `decoder`, but the whole path: a view of the subject and a sentence → picture."""
    result = {}
    for side in SIDES:
        sprites, places = choose_sprites(side, CANDIDATES), spread_places(CANDIDATES)
        rows = []
        for i, (sprite, place) in enumerate(zip(sprites, places, strict=True)):
            scene = scene_of(sprite, place, f"path-{sprite.name}")
            view = embed(studio, [subject_view(scene, 0)])[0]
            rows.append(_predict(studio, scene, i, {(i, 0): view}))
        painted = paint(studio, torch.stack(rows))
        result[f"named_path_{side}"] = _share(named_right(judge, painted, sprites, places))
    return result


def _share(verdicts: list[bool]) -> float:
    return float(np.mean(verdicts))


PARTS: dict[str, Callable[..., dict]] = {
    "autoencoder": autoencoder,
    "clip": clip,
    "photos": photos,
    "decoder": decoder,
    "prior": prior,
    "path": path,
}


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the pocket networks.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "lambda-eclipse",
        help="where the judge's published weights are kept",
    )
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    studio = Studio.open("pocket", "cpu")
    judge = None
    result: dict[str, object] = {}
    for name in arguments.parts or PARTS:
        if name in ("decoder", "path"):
            judge = judge or Judge(arguments.cache)
            figures = PARTS[name](studio, judge)
        else:
            figures = PARTS[name](studio)
        result |= figures
        print(json.dumps({name: figures}), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
