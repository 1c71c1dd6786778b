"""Scenes as pictures: the ground, what stands before it, and which pixels are not ground."""

import functools
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image, ImageDraw

from train.world.looks import SIZE_PX, dressed, fit, paste, sprite_view
from train.world.places import Place
from train.world.scenes import Scene, Spot
from train.world.sprites import Sprite, rasterize


@functools.cache
def ground(place: Place) -> Image.Image:
    """The empty place, RGB 128 px."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{place.svg}</svg>'
    return rasterize(svg, SIZE_PX).convert("RGB")


@functools.cache
def _marks(relation: str) -> Image.Image:
    """The strokes that tell chasing and looking from standing side by side, RGBA 128 × 128."""
    canvas = Image.new("RGBA", (SIZE_PX, SIZE_PX))
    draw = ImageDraw.Draw(canvas)
    if relation == "chasing":
        for y in (76, 90, 104):
            draw.line((58, y, 69, y), fill=(255, 255, 255), width=2)
            draw.line((58, y + 2, 69, y + 2), fill=(110, 110, 110), width=1)
    if relation == "looking":
        for step in range(4):
            x, y = 56 + step * 5, 62 - (step % 3 > 0) * 2
            draw.ellipse((x, y, x + 3, y + 3), fill=(255, 255, 255), outline=(90, 90, 90))
    return canvas


def placed(scene: Scene) -> tuple[Spot, ...]:
    """Where each subject is painted: what is worn follows its wearer.

    Hats overlap its top by 12 px, glasses sit at 2/5.
    """
    if scene.relation.name != "wearing":
        return scene.spots
    wearer, worn = (
        fit(dressed(sprite.name, look), spot.size)
        for sprite, look, spot in zip(scene.sprites, scene.looks, scene.spots, strict=True)
    )
    spot, free = scene.spots
    if scene.sprites[1].kind == "head":
        y = spot.y - wearer.height / 2 + 12 - worn.height / 2
    else:
        y = spot.y - 0.08 * wearer.height
    return spot, replace(free, x=spot.x, y=y)


def _front(scene: Scene) -> Iterator[tuple[Image.Image, float, float]]:
    """All that stands before the ground: RGBA pictures and their centres, from back to front."""
    yield _marks(scene.relation.name), SIZE_PX / 2, SIZE_PX / 2
    spots = placed(scene)
    for i in scene.relation.layers:
        spot = spots[i]
        picture = fit(dressed(scene.sprites[i].name, scene.looks[i]), spot.size)
        yield picture, spot.x, spot.y


def render(scene: Scene, without_subjects: bool = False) -> Image.Image:
    """Paints the scene, RGB 128 × 128."""
    canvas = ground(scene.place).copy()
    if not without_subjects:
        for layer in _front(scene):
            paste(canvas, *layer)
    return canvas


def matte(scene: Scene) -> Image.Image:
    """How much of each pixel is not ground, L 128 × 128."""
    canvas = Image.new("L", (SIZE_PX, SIZE_PX))
    for picture, x, y in _front(scene):
        alpha = picture.getchannel("A")
        at = (round(x - picture.width / 2), round(y - picture.height / 2))
        canvas.paste(255, (*at, at[0] + alpha.width, at[1] + alpha.height), alpha)
    return canvas


def stand(sprite: Sprite, place: Place, spot: Spot) -> Image.Image:
    """The sprite as its artist drew it, alone at a place on a spot, RGB 128 × 128."""
    canvas = ground(place).copy()
    paste(canvas, fit(dressed(sprite.name, 0), spot.size), spot.x, spot.y)
    return canvas


def subject_view(scene: Scene, number: int) -> Image.Image:
    """Subject `number` of a scene alone on white."""
    key = f"{scene.seed}-{number}"
    return sprite_view(scene.sprites[number].name, scene.looks[number], key)
