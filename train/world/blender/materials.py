"""Surfaces for modelled places: principled colours and procedural patterns with relief."""

import random
from typing import Any

import bpy

Draw = random.Random
Colour = tuple[float, float, float]  # linear RGB, 0 to 1


def material(name: str, colour: Colour, roughness: float = 0.8, **inputs: float) -> Any:
    """A principled surface of one colour (linear RGB)."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    surface = made.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*colour, 1)
    surface.inputs["Roughness"].default_value = roughness
    for key, value in inputs.items():
        surface.inputs[key.replace("_", " ").title().replace("Ior", "IOR")].default_value = value
    return made


def patterned(
    name: str,
    texture: str,
    colours: tuple[Colour, Colour],
    scale: float,
    bump: float = 0.0,
    roughness: float = 0.8,
    edges: tuple[float, float] = (0.35, 0.65),
    settings: dict[str, float] | None = None,
) -> Any:
    """A surface whose colour and relief follow a procedural texture (a shader node's name)."""
    made = material(name, colours[0], roughness)
    nodes, links = made.node_tree.nodes, made.node_tree.links
    surface, place = nodes["Principled BSDF"], nodes.new("ShaderNodeTexCoord")
    pattern = nodes.new(f"ShaderNodeTex{texture}")
    pattern.inputs["Scale"].default_value = scale
    for key, value in (settings or {}).items():
        pattern.inputs[key].default_value = value
    ramp = nodes.new("ShaderNodeValToRGB")
    for stop, at, colour in zip(ramp.color_ramp.elements, edges, colours, strict=True):
        stop.position, stop.color = at, (*colour, 1)
    links.new(place.outputs["Object"], pattern.inputs["Vector"])
    value = pattern.outputs.get("Fac") or pattern.outputs.get("Distance") or pattern.outputs[0]
    links.new(value, ramp.inputs[0])
    # Fine grain over the pattern: no real surface has one colour.
    grain, mix = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeMixRGB")
    grain.inputs["Scale"].default_value, grain.inputs["Detail"].default_value = 40 * scale, 6
    mix.blend_type, mix.inputs["Fac"].default_value = "OVERLAY", 0.5
    links.new(place.outputs["Object"], grain.inputs["Vector"])
    links.new(ramp.outputs[0], mix.inputs["Color1"])
    links.new(grain.outputs["Fac"], mix.inputs["Color2"])
    links.new(mix.outputs[0], surface.inputs["Base Color"])
    if bump:
        relief = nodes.new("ShaderNodeBump")
        relief.inputs["Strength"].default_value = min(1.0, bump)
        relief.inputs["Distance"].default_value = 0.05 * bump
        links.new(value, relief.inputs["Height"])
        links.new(relief.outputs[0], surface.inputs["Normal"])
    return made


def planks(draw: Draw, colour: Colour) -> Any:
    """Wooden boards."""
    made = patterned(
        "wood",
        "Wave",
        (colour, shade(colour, 0.75)),
        draw.uniform(5, 9),
        0.1,
        0.4,
        settings={"Distortion": 9.0, "Detail": 4.0, "Detail Scale": 0.6},
    )
    nodes, links = made.node_tree.nodes, made.node_tree.links
    boards, mix = nodes.new("ShaderNodeTexBrick"), nodes.new("ShaderNodeMixRGB")
    boards.inputs["Scale"].default_value = draw.uniform(1.5, 3)
    boards.inputs["Mortar Size"].default_value = 0.008
    boards.inputs["Brick Width"].default_value = 2.5
    boards.inputs["Row Height"].default_value = 0.3
    boards.inputs["Color1"].default_value = (1, 1, 1, 1)
    boards.inputs["Color2"].default_value = (0.6, 0.6, 0.6, 1)
    boards.inputs["Mortar"].default_value = (0.05, 0.05, 0.05, 1)
    mix.blend_type, mix.inputs["Fac"].default_value = "MULTIPLY", 0.8
    links.new(nodes["Texture Coordinate"].outputs["Object"], boards.inputs["Vector"])
    surface = nodes["Principled BSDF"]
    links.new(surface.inputs["Base Color"].links[0].from_socket, mix.inputs["Color1"])
    links.new(boards.outputs["Color"], mix.inputs["Color2"])
    links.new(mix.outputs[0], surface.inputs["Base Color"])
    return made


def shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(1.0, factor * c) for c in colour)
    return red, green, blue


def vary(draw: Draw, colour: Colour, by: float = 0.25) -> Colour:
    """The colour with each channel off by up to a share."""
    red, green, blue = (min(1.0, max(0.0, c * draw.uniform(1 - by, 1 + by))) for c in colour)
    return red, green, blue
