"""The sprites' archive."""

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from train.world.concepts import CONCEPTS
from train.world.sprites import DATA, PACKAGES, SPRITE_PX, load


def test_the_archive_holds_the_listed_sprites() -> None:
    sprites, pictures = load()
    with zipfile.ZipFile(DATA / "sprites.zip") as archive:
        assert sorted(archive.namelist()) == sorted(f"{s.name}.png" for s in sprites)
        assert archive.testzip() is None
    assert len({s.name for s in sprites}) == len(sprites) == len(pictures)
    kinds = {concept.noun: concept.kind for concept in CONCEPTS}
    assert {s.noun for s in sprites} == set(kinds)
    for sprite in sprites:
        assert sprite.name == f"{sprite.style}/{sprite.noun}"
        assert sprite.style in PACKAGES
        assert sprite.kind == kinds[sprite.noun]
        picture = pictures[sprite.name]
        assert picture.mode == "RGBA" and max(picture.size) == SPRITE_PX
        assert picture.getchannel("A").getextrema()[1] > 200


def test_every_concept_has_several_artists() -> None:
    drawings = Counter(sprite.noun for sprite in load()[0])
    assert min(drawings.values()) >= 3
    assert len(drawings) == len(CONCEPTS) == len({c.noun for c in CONCEPTS})


def test_a_missing_archive_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="python -m train.world.sprites"):
        load(tmp_path)
