"""Scenes as pictures: ground, foreground and matte."""

import functools
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image, ImageDraw

from train.world.looks import SIZE_PX, fit, paste, sprite_view, styled
from train.world.places import Place
from train.world.relations import Spot
from train.world.scenes import Scene
from train.world.sprites import Sprite, rasterize


@functools.cache
def ground(place: Place) -> Image.Image:
    """The empty place, RGB 128 px."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{place.svg}</svg>'
    return rasterize(svg, SIZE_PX).convert("RGB")


@functools.cache
def _marks(relation: str) -> Image.Image:
    """Strokes that distinguish chasing and looking from standing side by side, RGBA 128 × 128."""
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


def placed_spots(scene: Scene) -> tuple[Spot, ...]:
    """The spots of the subjects; a hat or glasses follow their wearer.

    Hats overlap the wearer's top by 12 px, glasses sit at 2/5 of its height.
    """
    if scene.relation.name != "wearing":
        return scene.spots
    wearer, worn = (
        fit(styled(sprite.name, look), spot.size)
        for sprite, look, spot in zip(scene.sprites, scene.looks, scene.spots, strict=True)
    )
    spot, free = scene.spots
    if scene.sprites[1].kind == "head":
        y = spot.y - wearer.height / 2 + 12 - worn.height / 2
    else:
        y = spot.y - 0.08 * wearer.height
    return spot, replace(free, x=spot.x, y=y)


def _foreground(scene: Scene) -> Iterator[tuple[Image.Image, float, float]]:
    """RGBA pictures and their centres, from back to front."""
    yield _marks(scene.relation.name), SIZE_PX / 2, SIZE_PX / 2
    spots = placed_spots(scene)
    for i in scene.relation.layers:
        spot = spots[i]
        picture = fit(styled(scene.sprites[i].name, scene.looks[i]), spot.size)
        yield picture, spot.x, spot.y


def render(scene: Scene, without_subjects: bool = False) -> Image.Image:
    """The scene, RGB 128 × 128."""
    canvas = ground(scene.place).copy()
    if not without_subjects:
        for layer in _foreground(scene):
            paste(canvas, *layer)
    return canvas


def matte(scene: Scene) -> Image.Image:
    """Foreground coverage of each pixel, L 128 × 128."""
    canvas = Image.new("L", (SIZE_PX, SIZE_PX))
    for picture, x, y in _foreground(scene):
        alpha = picture.getchannel("A")
        at = (round(x - picture.width / 2), round(y - picture.height / 2))
        canvas.paste(255, (*at, at[0] + alpha.width, at[1] + alpha.height), alpha)
    return canvas


def render_sprite(sprite: Sprite, place: Place, spot: Spot) -> Image.Image:
    """The artist's drawing of a sprite, alone at a place on a spot, RGB 128 × 128."""
    canvas = ground(place).copy()
    paste(canvas, fit(styled(sprite.name, 0), spot.size), spot.x, spot.y)
    return canvas


def subject_view(scene: Scene, index: int) -> Image.Image:
    """Subject `index` of a scene, isolated on white."""
    key = f"{scene.seed}-{index}"
    return sprite_view(scene.sprites[index].name, scene.looks[index], key)
