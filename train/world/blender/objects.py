"""Renders of named 3D objects: cut-outs with alpha, path-traced by Blender's Cycles on the CPU.

    python -m train.world.blender.objects --furniture SH3F --environments EXR --out FOLDER

It runs in an environment of its own (`pip install bpy==5.0.1 pillow`, Python 3.11): nobody who
trains from finished renders needs Blender.

Each object is rendered as it is and as re-textured instances: other materials on the same shape.
An instance's views differ in camera, lens, light and exposure; what they share is the identity.
A view is a function of (object, instance, view): running the command again makes what is missing.

    FOLDER/<object>-<instance>/<view>.webp   RGBA, cropped to the object, long side <= `--size`
    FOLDER/<object>-<instance>/instance.json name, category, library, creator, views' cameras
"""

import argparse
import csv
import io
import json
import math
import shutil
import time
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector
from PIL import Image

from train.world.blender.catalogue import Object3D, View, catalogue, jobs, views_of
from train.world.blender.retexture import retexture


def new_scene(size_px: int, samples: int) -> Any:
    """An empty scene with a transparent film and an environment light."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine, cycles.device = "CYCLES", "CPU"
    render.threads_mode, render.threads = "FIXED", 1
    cycles.samples, cycles.use_denoising = samples, True
    cycles.denoiser, cycles.max_bounces = "OPENIMAGEDENOISE", 4
    cycles.denoising_quality, cycles.denoising_prefilter = "BALANCED", "NONE"
    cycles.sample_clamp_indirect = 4.0
    render.resolution_x = render.resolution_y = size_px
    render.film_transparent = render.use_persistent_data = True
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGBA"
    scene.view_settings.view_transform = "Standard"
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    world = scene.world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 256
    nodes, links = world.node_tree.nodes, world.node_tree.links
    light, turn = nodes.new("ShaderNodeTexEnvironment"), nodes.new("ShaderNodeMapping")
    place, balance = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeVectorMath")
    balance.operation = "MULTIPLY"
    links.new(place.outputs["Generated"], turn.inputs["Vector"])
    links.new(turn.outputs["Vector"], light.inputs["Vector"])
    links.new(light.outputs["Color"], balance.inputs[0])
    links.new(balance.outputs[0], nodes["Background"].inputs["Color"])
    return scene


def set_environment(
    scene: Any, path: Path, turn_deg: float, exposure: float, balance: float = 0.75
) -> None:
    """Lights the scene by an environment: equal mean radiance, a share of its cast removed.

    A camera's white balance does the same; a mean of 0.55 keeps white surfaces below clipping.
    """
    nodes = scene.world.node_tree.nodes
    image = bpy.data.images.load(str(path), check_existing=True)
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    mean = np.minimum(pixels.reshape(-1, image.channels)[:, :3], 20).mean(0)  # (3,) of RGB
    nodes["Environment Texture"].image = image
    nodes["Mapping"].inputs["Rotation"].default_value[2] = math.radians(turn_deg)
    gains = (mean.mean() / mean) ** balance
    nodes["Vector Math"].inputs[1].default_value = gains.tolist()
    nodes["Background"].inputs["Strength"].default_value = 0.55 * exposure / mean.mean()


def load(path: Path) -> np.ndarray:
    """Imports an OBJ file; returns its vertices (N, 3), at most 4,000."""
    before = set(bpy.data.objects)
    bpy.ops.wm.obj_import(filepath=str(path))
    points = []
    for thing in set(bpy.data.objects) - before:
        if thing.type == "MESH":
            flat = np.empty(3 * len(thing.data.vertices), np.float32)
            thing.data.vertices.foreach_get("co", flat)
            matrix = np.array(thing.matrix_world)
            points.append(flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    every = np.concatenate(points)
    return every[:: max(1, len(every) // 4000)]


def frame(scene: Any, points: np.ndarray, view: View) -> None:
    """Points the camera at the object and zooms until its box fills the frame."""
    low, high = points.min(0), points.max(0)
    middle, radius = Vector((low + high) / 2), float(np.linalg.norm(high - low)) / 2
    angle, azimuth, elevation = (
        math.radians(a) for a in (view.field_of_view, view.azimuth, view.elevation)
    )
    toward = Vector(
        (
            math.cos(elevation) * math.sin(azimuth),
            -math.cos(elevation) * math.cos(azimuth),
            math.sin(elevation),
        )
    )
    camera = scene.camera
    camera.data.shift_x = camera.data.shift_y = 0
    camera.data.angle = angle
    distance = 1.02 * radius / math.sin(angle / 2)
    camera.data.clip_start, camera.data.clip_end = distance / 100, distance * 10
    camera.location = middle + distance * toward
    camera.rotation_euler = (-toward).to_track_quat("-Z", "Y").to_euler()
    bpy.context.view_layer.update()
    seen = np.array([world_to_camera_view(scene, camera, Vector(p))[:2] for p in points])
    low2, high2 = seen.min(0), seen.max(0)
    zoom = 0.97 / max(*(high2 - low2), 1e-3)
    camera.data.lens *= zoom
    camera.data.shift_x, camera.data.shift_y = ((low2 + high2) / 2 - 0.5) * zoom


def render_instance(
    thing: Object3D,
    instance: int,
    obj: Path,
    environments: Path,
    out: Path,
    size_px: int,
    samples: int,
) -> int:
    """Renders one instance into `out`; returns how many of its views show something."""
    names = sorted(p.name for p in environments.glob("*.exr"))
    scene = new_scene(size_px, samples)
    points = load(obj)
    if instance:
        retexture(thing.key, instance)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    views = views_of(thing.key, instance, names)
    kept = []
    for number, view in enumerate(views):
        light = environments / view.environment
        set_environment(scene, light, view.environment_turn, view.exposure)
        frame(scene, points, view)
        scene.cycles.seed = number
        scene.render.filepath = str(part / "render.png")
        bpy.ops.render.render(write_still=True)
        picture = Image.open(part / "render.png")
        box = picture.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
        if box and min(box[2] - box[0], box[3] - box[1]) >= 12:
            whole = io.BytesIO()
            picture.crop(box).save(whole, "WEBP", quality=92, method=4, exact=False)
            (part / f"{number:02}.webp").write_bytes(whole.getvalue())
            kept.append({"view": number, **asdict(view)})
    (part / "render.png").unlink(missing_ok=True)
    row = {**asdict(thing), "instance": instance, "views": kept}
    (part / "instance.json").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    part.rename(out)
    return len(kept)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--furniture", type=Path, required=True, help="folder of .sh3f libraries")
    parser.add_argument("--environments", type=Path, required=True, help="folder of .exr files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=192, help="pixels (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=20, help="a pixel (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="write the objects' index and stop")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    objects = catalogue(args.furniture)
    with (args.out / "index.tsv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(asdict(objects[0])), delimiter="\t")
        rows.writeheader()
        rows.writerows(asdict(o) for o in objects)
    if args.list:
        return
    unpacked = args.out / "unpacked"
    for archive in sorted(args.furniture.glob("*.sh3f")):
        if not (unpacked / archive.stem).exists():
            with zipfile.ZipFile(archive) as library:
                library.extractall(unpacked / archive.stem)
    every = jobs(objects)
    began, done = time.perf_counter(), 0
    for number, (thing, instance) in enumerate(every):
        out = args.out / f"{thing.key}-{instance}"
        if out.exists():
            continue
        obj = unpacked / thing.library / thing.obj
        done += render_instance(
            thing, instance, obj, args.environments, out, args.size, args.samples
        )
        each = (time.perf_counter() - began) / max(1, done)
        print(
            f"{number + 1}/{len(every)} {thing.name}: {done} views, {each:.2f} s each", flush=True
        )


if __name__ == "__main__":
    main()
