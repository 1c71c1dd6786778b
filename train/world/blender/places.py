"""Modelled places: photographs of grounds and backgrounds that nobody took, by Blender's Cycles.

    python -m train.world.blender.places --objects RENDERS/unpacked --environments EXR --out FOLDER

It runs where Blender does (`pip install bpy==5.0.1 pillow`, Python 3.11). A picture is a function
of (place, variant): camera, light, colours, waves, what is scattered where. Run again, it makes
what is missing.

    FOLDER/<place>-<variant>.webp   RGB, `--size` px: the empty place
    FOLDER/<place>-<variant>.json   height of the horizon, 0 = top; pitch and lens of the camera
"""

import argparse
import io
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

from train.world.blender.library import Library
from train.world.blender.materials import Draw
from train.world.blender.objects import new_scene, set_environment
from train.world.blender.place_table import PLACES

VARIANTS = 40


def set_camera(scene: Any, draw: Draw, pitch_range: tuple[float, float]) -> dict[str, float]:
    """A photographer's view of something small on the ground; returns what scenes need of it."""
    height, pitch = draw.uniform(0.5, 1.1), draw.uniform(*pitch_range)
    lens = draw.uniform(35, 60)
    camera = scene.camera
    camera.data.lens, camera.data.clip_end = lens, 1000
    camera.location = (draw.uniform(-0.1, 0.1), draw.uniform(-3.0, -1.9), height)
    camera.rotation_euler = (math.radians(90 - pitch), math.radians(draw.gauss(0, 1)), 0)
    camera.data.dof.use_dof = draw.random() < 0.7
    camera.data.dof.focus_distance = -camera.location.y
    camera.data.dof.aperture_fstop = draw.choice((0.8, 1.2, 2.0, 4.0))
    reach = 18 / lens  # half of the 36 mm sensor over the focal length
    horizon = 0.5 - math.tan(math.radians(pitch)) / reach / 2
    return {"horizon": round(horizon, 3), "pitch_deg": round(pitch, 2), "lens_mm": round(lens, 1)}


def add_sun(scene: Any, draw: Draw) -> None:
    """A warm, nearly hard light from the sky; none comes straight from behind the subject."""
    light = bpy.data.lights.new("sun", "SUN")
    light.energy, light.angle = draw.uniform(1.5, 3.5), math.radians(draw.uniform(0.5, 6))
    light.color = (1.0, draw.uniform(0.8, 0.95), draw.uniform(0.6, 0.85))
    sun = bpy.data.objects.new("sun", light)
    sun.rotation_euler = (
        math.radians(draw.uniform(20, 65)),
        0,
        math.radians(draw.uniform(-110, 110)),
    )
    scene.collection.objects.link(sun)


def expose(scene: Any, target: float, folder: Path) -> None:
    """Sets the exposure as a camera does: a small render's mean luminance becomes `target`."""
    render = scene.render
    size, samples = render.resolution_x, scene.cycles.samples
    render.resolution_x = render.resolution_y = 64
    scene.cycles.samples, scene.view_settings.exposure = 4, 0
    render.image_settings.file_format = "OPEN_EXR"
    render.filepath = str(folder / "exposure.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(render.filepath)
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    mean = pixels.reshape(-1, image.channels)[:, :3].clip(0, 2).mean()
    Path(render.filepath).unlink()
    scene.view_settings.exposure = math.log2(target / max(float(mean), 1e-3))
    render.image_settings.file_format = "PNG"
    render.resolution_x = render.resolution_y = size
    scene.cycles.samples = samples


def render_place(name: str, variant: int, args: argparse.Namespace) -> None:
    draw = random.Random(f"{name} {variant}")
    scene = new_scene(args.size, args.samples)
    scene.render.film_transparent = False
    place = PLACES[name]
    environment = draw.choice(place.environments)
    path = args.environments / f"{environment}.exr"
    set_environment(scene, path, draw.uniform(0, 360), 1.0, 0.6)
    if place.sun and draw.random() < 0.9:
        add_sun(scene, draw)
    about = {"place": name, "variant": variant, "environment": environment}
    about |= set_camera(scene, draw, place.pitch)
    place.build(draw, Library(args.objects))
    scene.cycles.seed = variant
    expose(scene, draw.uniform(0.45, 0.6) if place.bright else draw.uniform(0.16, 0.3), args.out)
    scene.render.image_settings.color_mode = "RGB"
    path = args.out / f"{name.replace(' ', '_')}-{variant:02}"
    scene.render.filepath = str(path) + ".png"
    bpy.ops.render.render(write_still=True)
    whole = io.BytesIO()
    Image.open(f"{path}.png").convert("RGB").save(whole, "WEBP", quality=92, method=4)
    Path(f"{path}.png").unlink()
    Path(f"{path}.json").write_text(json.dumps(about), encoding="utf-8")
    Path(f"{path}.webp").write_bytes(whole.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=Path, required=True, help="unpacked furniture libraries")
    parser.add_argument("--environments", type=Path, required=True, help="folder of .exr files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256, help="pixels (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=24, help="a pixel (default: %(default)s)")
    parser.add_argument("--variants", type=int, default=VARIANTS)
    parser.add_argument("--only", nargs="*", default=list(PLACES), choices=list(PLACES))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for variant in range(args.variants):
        for name in args.only:
            path = args.out / f"{name.replace(' ', '_')}-{variant:02}.webp"
            if not path.exists():
                began = time.perf_counter()
                render_place(name, variant, args)
                print(f"{path.stem}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
