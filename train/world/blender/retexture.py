"""Other surfaces on the shape of a loaded object: another instance of it."""

import colorsys
import random

import bpy


def retexture(key: str, instance: int) -> None:
    """Gives each material of the loaded object a random surface; the shape stays."""
    draw = random.Random(f"{key} {instance} surface")
    hues = [draw.random() for _ in range(3)]
    for material in bpy.data.materials:
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        nodes.clear()
        surface, out = nodes.new("ShaderNodeBsdfPrincipled"), nodes.new("ShaderNodeOutputMaterial")
        links.new(surface.outputs[0], out.inputs[0])
        surface.inputs["Roughness"].default_value = draw.uniform(0.15, 0.95)
        surface.inputs["Metallic"].default_value = float(draw.random() < 0.12)
        pattern = draw.choice(("plain", "plain", "plain", "noise", "wave", "voronoi", "checker"))
        colours = [_colour(draw, hues) for _ in range(2)]
        if pattern == "plain":
            surface.inputs["Base Color"].default_value = colours[0]
            continue
        kind = {
            "noise": "TexNoise",
            "wave": "TexWave",
            "voronoi": "TexVoronoi",
            "checker": "TexChecker",
        }[pattern]
        place, texture = nodes.new("ShaderNodeTexCoord"), nodes.new(f"ShaderNode{kind}")
        texture.inputs["Scale"].default_value = draw.uniform(2, 12)
        ramp = nodes.new("ShaderNodeValToRGB")
        ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = colours
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.4, 0.6
        links.new(place.outputs["Generated"], texture.inputs["Vector"])
        value = texture.outputs.get("Fac") or texture.outputs.get("Distance")
        links.new(value or texture.outputs[0], ramp.inputs[0])
        links.new(ramp.outputs[0], surface.inputs["Base Color"])


def _colour(draw: random.Random, hues: list[float]) -> tuple[float, float, float, float]:
    """A colour of the instance's palette: one of its hues, or a grey."""
    grey = draw.random() < 0.2
    saturation = 0.05 if grey else draw.uniform(0.3, 1.0)
    return (*colorsys.hsv_to_rgb(draw.choice(hues), saturation, draw.uniform(0.05, 0.95)), 1.0)
