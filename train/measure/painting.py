"""Runs of the shipped stack on sticker world's scenes, for the evaluations.

Pictures are painted with the stack's default steps and guidance; picture i has seed i.
"""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lambda_eclipse.decoder import Decoder
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from train.measure.judge import choose_sprites, scene_of, spread_places
from train.world.places import Place
from train.world.render import subject_view
from train.world.scenes import Scene
from train.world.sprites import Sprite

SIDES = ("held", "seen")  # held-out sprites; training sprites in new scenes
CANDIDATES = 50


def embed(studio: Studio, images: Sequence[Image.Image]) -> Tensor:
    """Image embeddings (N, D), in batches."""
    batches = (list(images[i : i + 64]) for i in range(0, len(images), 64))
    return torch.cat([studio.models.clip.image(batch) for batch in batches])


def paint(studio: Studio, embeds: Tensor, decoder: Decoder | None = None) -> list[Image.Image]:
    """Pictures of embeddings (N, D), by the stack's decoder or another one."""
    stack = studio.models.stack
    return (decoder or studio.models.decoder).paint(
        embeds,
        studio.models.clip.null_image(),
        seeds=range(len(embeds)),
        steps=stack.steps,
        guidance=stack.guidance,
        batch_size=stack.batch_size,
    )


def predict(studio: Studio, scenes: Sequence[Scene], shown: bool = True) -> Tensor:
    """The prior's embeddings (N, D) of scenes; `shown`: subjects as pictures, else as words."""
    counts = [len(scene.nouns) for scene in scenes]
    views = [subject_view(scene, k) for scene in scenes for k in range(len(scene.nouns))]
    embeds = embed(studio, views).split(counts) if shown else [()] * len(scenes)
    rows = []
    for i, (scene, shown_views) in enumerate(zip(scenes, embeds, strict=True)):
        pairs = zip(scene.nouns, shown_views, strict=True) if shown else ()
        subjects = tuple(Subject(noun, embedding=view) for noun, view in pairs)
        rows.append(studio.embed(Request(scene.caption, subjects, seed=i))[0])
    return torch.stack(rows)


def whole_path(studio: Studio, scenes: Sequence[Scene], shown: bool = True) -> list[Image.Image]:
    """Caption and subjects' views, or the caption alone → pictures."""
    return paint(studio, predict(studio, scenes, shown))


def alone(
    side: str, free: bool = False, draw: int = 0
) -> tuple[list[Sprite], list[Place], list[Scene]]:
    """`CANDIDATES` sprites of a side, each alone at a place; `free`: off the canonical spot."""
    sprites, places = choose_sprites(side, CANDIDATES, draw), spread_places(CANDIDATES)
    scenes = [
        scene_of([sprite], place, f"alone-{sprite.name}", free=free)
        for sprite, place in zip(sprites, places, strict=True)
    ]
    return sprites, places, scenes
