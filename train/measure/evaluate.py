"""All figures about the pocket networks, from the weights in `assets/pocket`.

    python -m train.measure.evaluate [PART ...] [--out FILE]

Figures of the side "held" are about held-out sprites, of "seen" about training sprites in new
scenes. Painted pictures are compared by a judge that took part in no training
(`train.measure.judge`).
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from lambda_eclipse.pipeline import Studio
from train.measure import composition, controls, photographs, subject_fidelity, vocabulary
from train.measure.judge import CACHE, Judge
from train.measure.painting import SIDES, embed, predict
from train.pocket.clip import first_hits, mean_hits
from train.pocket.movq import pictures, psnr
from train.world.arrays import EVALUATION_SCENES, EVALUATION_SEED
from train.world.looks import sprite_view
from train.world.render import render
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
    """Retrieval R@1: caption → picture among 256, and one view of a sprite → its other view."""
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


def prior(studio: Studio) -> dict[str, float]:
    """Cosine of predicted and true embedding, with subjects as pictures and as plain words.

    One- and two-subject scenes; "centred": about the mean embedding; "gain": pictures over words.
    """
    result = {}
    for side in SIDES:
        scenes = [sample_scene(EVALUATION_SEED, i, side) for i in range(2 * SCENES)]
        scenes = [scene for scene in scenes if len(scene.nouns) < 3][:SCENES]
        truth = embed(studio, [render(scene) for scene in scenes])
        mean = truth.mean(0)
        for name, shown in (("pictures", True), ("words", False)):
            predicted = predict(studio, scenes, shown)
            result[f"cosine_{name}_{side}"] = float(F.cosine_similarity(predicted, truth).mean())
            centred = F.cosine_similarity(predicted - mean, truth - mean)
            result[f"centred_{name}_{side}"] = float(centred.mean())
        result[f"gain_{side}"] = result[f"cosine_pictures_{side}"] - result[f"cosine_words_{side}"]
    return result


NETWORKS: dict[str, Callable[[Studio], dict]] = {
    "autoencoder": autoencoder,
    "clip": clip,
    "photos": photographs.nearest_nouns,
    "prior": prior,
    "synonyms": vocabulary.synonyms,
}
PICTURES: dict[str, Callable[[Studio, Judge], dict]] = {
    "decoder": subject_fidelity.decoder,
    "path": subject_fidelity.path,
    "pairs": subject_fidelity.pairs,
    "scenes": composition.scenes,
    "colour": subject_fidelity.colour,
    "likeness": photographs.as_subjects,
    "strength": controls.strength,
    "canny": controls.canny,
    "smoothness": controls.smoothness,
}


@torch.no_grad()
def main() -> None:
    """The command."""
    every = (*NETWORKS, *PICTURES)
    parser = argparse.ArgumentParser(description="Measure the pocket networks.")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(every)}; default: all"
    )
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
