"""Photographs, which no training has seen: their nouns by the CLIP, and as subjects of pictures."""

from importlib.resources import files

import torch.nn.functional as F
from PIL import Image

from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.masking import prepare_subject
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from train.measure.judge import ALONE, Judge, nearest_sprites
from train.measure.subject_fidelity import share
from train.world.concepts import CONCEPTS
from train.world.looks import SIZE_PX, VIEW_PX
from train.world.places import PLACES
from train.world.sprites import load

# photograph → (package, file inside it, noun); all come with installed packages
PHOTOS: dict[str, tuple[str, str, str]] = {
    "cat": ("skimage", "data/chelsea.png", "cat"),
    "coffee cup": ("skimage", "data/coffee.png", "coffee"),
    "rocket": ("skimage", "data/rocket.jpg", "rocket"),
    "motorcycle": ("skimage", "data/motorcycle_left.png", "motorcycle"),
    "lion": ("gradio", "media_assets/images/lion.jpg", "lion"),
    "cheetah": ("gradio", "media_assets/images/cheetah.jpg", "leopard"),
    "tower": ("gradio", "media_assets/images/tower.jpg", "tower"),
}
NOUNS = [noun for _, _, noun in PHOTOS.values()]


def photo(name: str) -> Image.Image:
    """One of the photographs, RGB."""
    package, path, _ = PHOTOS[name]
    return flatten(open_picture(str(files(package) / path)))


def nearest_nouns(studio: Studio) -> dict[str, object]:
    """The CLIP's five nearest nouns of each photograph: untouched, and cut out as on the page."""
    nouns, clip = [concept.noun for concept in CONCEPTS], studio.models.clip
    texts = F.normalize(clip.text([f"a {noun}" for noun in nouns]).pooled, dim=1)
    size = clip.image_size
    shown = {
        "": [photo(name) for name in PHOTOS],
        "_cut_out": [
            prepare_subject(photo(name), size_px=size, margin=studio.models.stack.margin).picture
            for name in PHOTOS
        ],
    }
    result: dict[str, object] = {"photos": len(PHOTOS)}
    for suffix, images in shown.items():
        cosines = F.normalize(clip.image(images), dim=1) @ texts.T
        order = [[nouns[i] for i in row] for row in cosines.topk(5).indices.tolist()]
        result[f"photos{suffix}_top5"] = sum(n in row for n, row in zip(NOUNS, order, strict=True))
        result[f"photos{suffix}_nouns"] = dict(zip(PHOTOS, order, strict=True))
    return result


def as_subjects(studio: Studio, judge: Judge) -> dict[str, object]:
    """Pictures of photographs' subjects, alone on white: the concepts that the judge sees in them.

    The judge compares with every drawing of every concept. "truth": the cut-out photographs
    themselves, an upper bound.
    """
    sprites, _ = load()
    truth, pictures = [], []
    for i, (name, noun) in enumerate(zip(PHOTOS, NOUNS, strict=True)):
        request = Request(f"a {noun} on a white background", (Subject(noun, photo(name)),), seed=i)
        pictures += [picture.image for picture in studio.generate(request)]
        truth.append(put_alone(studio.prepare(request.subjects[0]).picture))
    result: dict[str, object] = {}
    for source, images in (("truth", truth), ("path", pictures)):
        named = nearest_sprites(judge, images, sprites, [PLACES[0]] * len(images))
        kinds = [list(dict.fromkeys(s.noun for s in order))[:5] for order in named]
        for top in (1, 5):
            hits = [noun in k[:top] for k, noun in zip(kinds, NOUNS, strict=True)]
            result[f"photographs_{source}_top{top}"] = share(hits)
        result[f"photographs_{source}_kinds"] = dict(zip(PHOTOS, kinds, strict=True))
    return result


def put_alone(view: Image.Image) -> Image.Image:
    """A square view on white, at the size and spot of a scene's single subject."""
    spot = ALONE.spots[0]
    side = round(SIZE_PX * spot.size / VIEW_PX)
    canvas = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    small = flatten(view).resize((side, side), Image.Resampling.BICUBIC)
    canvas.paste(small, (round(spot.x - side / 2), round(spot.y - side / 2)))
    return canvas
