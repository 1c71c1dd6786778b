"""Every figure of the README about the pocket networks, from the weights in `assets/pocket`.

    python -m train.measure.evaluate [PART ...] [--out FILE]

Columns: "held" = sprites that no training has seen, "seen" = training sprites in new scenes. What
is painted is measured in `train.measure.painted` and `train.measure.steering`, by an encoder that
took part in no
training.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from lambda_eclipse.masking import prepare_subject
from lambda_eclipse.pipeline import Studio
from train.measure import painted, steering
from train.measure.judge import CACHE, Judge
from train.measure.painted import PHOTOS, SIDES, embed, photo, predict
from train.pocket.clip import first_hits, mean_hits
from train.pocket.movq import pictures, psnr
from train.world.arrays import EVALUATION_SCENES, EVALUATION_SEED
from train.world.concepts import CONCEPTS
from train.world.looks import sprite_view
from train.world.render import render, subject_view
from train.world.scenes import sample_scene
from train.world.split import load_split
from train.world.sprites import load

SCENES = 256


def autoencoder(studio: Studio) -> dict[str, float]:
    """PSNR in dB."""
    movq = studio.models.decoder.pipeline.movq
    return {
        f"psnr_{side}": psnr(movq, pictures(EVALUATION_SEED, 0, SCENES, side)) for side in SIDES
    }


def clip(studio: Studio) -> dict[str, float]:
    """Retrieval: caption → picture among 256, and one loose view of a sprite → its other."""
    result = {}
    for side in SIDES:
        scenes = [sample_scene(EVALUATION_SEED, i, side) for i in range(EVALUATION_SCENES)]
        texts = studio.models.clip.text([scene.caption for scene in scenes]).pooled
        images = embed(studio, [render(scene) for scene in scenes])
        result[f"caption_r1_{side}"] = mean_hits(texts, images)
        sprites, _ = load()
        held = load_split().sprites
        chosen = [s for s in sprites if (s.name in held) == (side == "held")][: len(held)]
        views = [
            embed(studio, [sprite_view(s.name, 0, f"judge-{v}") for s in chosen]) for v in (0, 1)
        ]
        result[f"instance_r1_{side}"] = first_hits(*views)
    return result


def photos(studio: Studio) -> dict[str, object]:
    """The five nearest nouns of each photograph: as it is, and cut out as the application does."""
    nouns, clip = [concept.noun for concept in CONCEPTS], studio.models.clip
    texts = F.normalize(clip.text([f"a {noun}" for noun in nouns]).pooled, dim=1)
    size = clip.image_size
    shown = {
        "": [photo(name) for name in PHOTOS],
        "_cut_out": [prepare_subject(photo(name), size_px=size).picture for name in PHOTOS],
    }
    result: dict[str, object] = {"photos": len(PHOTOS)}
    for how, images in shown.items():
        likeness = F.normalize(clip.image(images), dim=1) @ texts.T
        order = [[nouns[i] for i in row] for row in likeness.topk(5).indices.tolist()]
        hits = [noun in row for (_, _, noun), row in zip(PHOTOS.values(), order, strict=True)]
        result[f"photos{how}_top5"] = sum(hits)
        result[f"photos{how}_nouns"] = dict(zip(PHOTOS, order, strict=True))
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
        shown = torch.stack([predict(studio, scene, i, embeds) for i, scene in enumerate(scenes)])
        words = torch.stack([predict(studio, scene, i, {}) for i, scene in enumerate(scenes)])
        mean = truth.mean(0)
        for name, predicted in (("pictures", shown), ("words", words)):
            result[f"cosine_{name}_{side}"] = float(F.cosine_similarity(predicted, truth).mean())
            centred = F.cosine_similarity(predicted - mean, truth - mean)
            result[f"centred_{name}_{side}"] = float(centred.mean())
        result[f"gain_{side}"] = result[f"cosine_pictures_{side}"] - result[f"cosine_words_{side}"]
    return result


NETWORKS: dict[str, Callable[[Studio], dict]] = {
    "autoencoder": autoencoder,
    "clip": clip,
    "photos": photos,
    "prior": prior,
    "synonyms": steering.synonyms,
}
PICTURES: dict[str, Callable[[Studio, Judge], dict]] = {
    "decoder": painted.decoder,
    "path": painted.path,
    "pairs": painted.pairs,
    "scenes": painted.scenes,
    "colour": painted.colour,
    "likeness": painted.photographs,
    "strength": steering.strength,
    "canny": steering.canny,
    "smoothness": steering.smoothness,
}


@torch.no_grad()
def main() -> None:
    """The command."""
    every = (*NETWORKS, *PICTURES)
    parser = argparse.ArgumentParser(description="Measure the pocket networks.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(every)}; all")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the judge's published weights")
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(every):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    studio = Studio.open("pocket", "cpu")
    judge = None
    result: dict[str, object] = {}
    for name in arguments.parts or every:
        if name in PICTURES:
            judge = judge or Judge(arguments.cache)
            figures = PICTURES[name](studio, judge)
        else:
            figures = NETWORKS[name](studio)
        result |= figures
        print(json.dumps({name: figures}), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
