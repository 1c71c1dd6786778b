"""Which objects and views are rendered: decided without Blender, the same on every run."""

import zipfile
from pathlib import Path

from train.world.blender.catalogue import VIEWS, catalogue, jobs, views_of

PROPERTIES = """\
# A furniture library's catalogue, ISO 8859-1 with escapes.
model#1=/lib/door/door.obj
name#1=Front door
category#1=Doors and windows
model#2=/lib/h\\u00f4/sofa.obj
name#2=Steak
category#2=Kitchen
creator#2=Somebody
model#3=/lib/cat/cat.obj
name#3=Cat
category#3=Exterior
model#4=/lib/cat/cat.3ds
name#4=Cat
category#4=Exterior
"""


def library(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "Small.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", PROPERTIES)
    return folder


def test_the_catalogue_skips_fixtures_and_other_formats_and_starts_with_useful_kinds(
    tmp_path: Path,
) -> None:
    objects = catalogue(library(tmp_path))
    assert [o.name for o in objects] == ["Cat", "Steak"]
    assert objects[1].obj == "lib/hô/sofa.obj"
    assert objects[1].creator == "Somebody"
    assert len({o.key for o in objects}) == 2


def test_every_object_comes_as_it_is_before_any_retextured_instance_of_its_group(
    tmp_path: Path,
) -> None:
    every = [(o.name, instance) for o, instance in jobs(catalogue(library(tmp_path)))]
    assert every == [(name, i) for name in ("Cat", "Steak") for i in range(len(VIEWS))]


def test_views_are_a_function_of_object_and_instance() -> None:
    lights = ["a.exr", "b.exr"]
    views = views_of("cat", 0, lights)
    assert views == views_of("cat", 0, lights)
    assert views != views_of("dog", 0, lights)
    assert len(views) == VIEWS[0]
    assert all(-180 <= v.azimuth <= 180 and -5 <= v.elevation <= 50 for v in views)
