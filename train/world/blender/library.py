"""Objects of the furniture libraries in modelled places: imported once, placed many times."""

import math
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

from train.world.blender.materials import Draw


class Library:
    """Objects by name, imported once and placed many times; sizes in metres."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, tuple[Any, Vector, Vector]] = {}

    def place(self, name: str, tall: float, x: float, y: float, turn: float, z: float = 0) -> None:
        paths = sorted(self.folder.glob(f"**/{name}.obj"))
        if not paths:
            raise FileNotFoundError(f"no {name}.obj below {self.folder}")
        if name not in self.known:
            before = set(bpy.data.objects)
            bpy.ops.wm.obj_import(filepath=str(paths[0]))
            new = [o for o in bpy.data.objects if o not in before]
            corners = [o.matrix_world @ Vector(c) for o in new for c in o.bound_box]
            low = Vector(min(p[i] for p in corners) for i in range(3))
            high = Vector(max(p[i] for p in corners) for i in range(3))
            group = bpy.data.collections.new(name)
            for thing in new:
                for holder in list(thing.users_collection):
                    holder.objects.unlink(thing)
                group.objects.link(thing)
            self.known[name] = (group, low, high)
        group, low, high = self.known[name]
        scale = tall / max(high.z - low.z, 1e-3)
        holder = bpy.data.objects.new(name, None)
        holder.instance_type, holder.instance_collection = "COLLECTION", group
        holder.scale, holder.rotation_euler = (scale,) * 3, (0, 0, turn)
        middle = Vector(((low.x + high.x) / 2, (low.y + high.y) / 2, low.z)) * scale
        middle.rotate(holder.rotation_euler)
        holder.location = Vector((x, y, z)) - middle
        bpy.context.scene.collection.objects.link(holder)

    def scatter(
        self,
        draw: Draw,
        names: list[str],
        count: int,
        tall: tuple[float, float],
        near: float,
        far: float,
        free: float = 1.5,
    ) -> None:
        for _ in range(count):
            y = draw.uniform(near, far)
            x = draw.uniform(-1, 1) * (2 + 0.75 * y)
            if abs(x) < free and y < near + 3:
                x = math.copysign(free + abs(x), x)
            self.place(draw.choice(names), draw.uniform(*tall), x, y, draw.uniform(0, 6.3))
