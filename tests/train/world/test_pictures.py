"""Looks, views and rendered scenes."""

import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sampled_scenes import SIDES, pixels, sampled

from lambda_eclipse.masking import prepare_subject
from lambda_eclipse.stacks import STACKS
from train.world.looks import (
    LOOKS,
    SIZE_PX,
    VIEW_PX,
    Look,
    looks,
    rotate_hue,
    sprite_view,
    styled,
)
from train.world.places import PLACES
from train.world.relations import RELATIONS
from train.world.render import ground, render, subject_view
from train.world.scenes import Scene
from train.world.sprites import load


def first_of(relation: str) -> Scene:
    return next(scene for scene in sampled("train") if scene.relation.name == relation)


@pytest.mark.parametrize("relation", [relation.name for relation in RELATIONS])
def test_every_subject_is_visible(relation: str) -> None:
    scene = first_of(relation)
    shown = pixels(render(scene)).astype(int)
    assert not np.array_equal(shown, pixels(render(scene, without_subjects=True)))
    for number in range(len(scene.sprites)):
        others = list(scene.looks)
        others[number] = (others[number] + 1) % LOOKS
        redressed = Scene(**{**vars(scene), "looks": tuple(others)})
        changed = (np.abs(pixels(render(redressed)).astype(int) - shown).max(-1) > 8).mean()
        assert 0.002 < changed < 0.5, f"{scene.sprites[number].name} in {scene.caption}"


def test_places_look_different() -> None:
    grounds = {place.name: pixels(ground(place)).astype(float) for place in PLACES}
    assert (grounds["plain"] == 255).all()
    for (one, a), (two, b) in itertools.combinations(grounds.items(), 2):
        assert np.abs(a - b).mean() > 10, (one, two)
    assert len({phrase for place in PLACES for phrase in place.phrases}) == sum(
        len(place.phrases) for place in PLACES
    )


def test_views_are_whole_on_white_and_differ() -> None:
    for sprite in load()[0][::5]:
        views = [pixels(sprite_view(sprite.name, 0, str(key))) for key in range(3)]
        for one, two in itertools.combinations(views, 2):
            assert not np.array_equal(one, two)
        for view in views:
            edge = np.concatenate([view[0], view[-1], view[:, 0], view[:, -1]])
            assert (edge.min(-1) < 250).mean() < 0.02
            assert (view[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
            assert 0.02 < (view.min(-1) < 250).mean() < 0.9


def test_a_scenes_views_have_its_subjects_looks() -> None:
    scene = first_of("four")
    views = [pixels(subject_view(scene, number)).astype(int) for number in range(4)]
    for one, two in itertools.combinations(views, 2):
        assert np.abs(one - two).mean() > 2
    own = sprite_view(scene.sprites[2].name, scene.looks[2], f"{scene.seed}-2")
    assert np.array_equal(views[2], pixels(own))


def test_the_first_look_is_the_artists() -> None:
    for sprite in load()[0][::20]:
        own = looks(sprite.name)
        assert len(own) == LOOKS == len(set(own)) and own[0] == Look()
        for look in own[1:]:
            assert look.hue == 0 or 30 <= look.hue <= 330
            assert 0.85 <= look.light <= 1.1 and 0.85 <= look.stretch <= 1.18
            assert abs(look.tilt) <= 12
    for side in SIDES:
        chosen = Counter(look for scene in sampled(side) for look in scene.looks)
        assert set(chosen) == set(range(LOOKS))
        share = chosen[0] / sum(chosen.values())
        assert share > 0.4  # the artist's own, and all of those that are only named


def test_a_look_changes_the_picture_and_fills_its_frame() -> None:
    name = next(s.name for s in load()[0] if s.noun == "camera")
    pictures = [styled(name, look) for look in range(LOOKS)]
    for one, two in itertools.combinations(pictures, 2):
        assert one.size != two.size or not np.array_equal(np.asarray(one), np.asarray(two))
    for picture in pictures:
        solid = picture.getchannel("A").point(lambda a: 255 * (a > 16))
        assert solid.getbbox() == (0, 0, *picture.size)


def test_a_view_is_framed_as_the_application_frames_a_subject() -> None:
    for sprite in load()[0][::60]:
        for look in (0, 3):
            prepared = prepare_subject(
                styled(sprite.name, look), size_px=SIZE_PX, margin=STACKS["pocket"].margin
            )
            framed, view = (
                Image.fromarray((pixels(p).min(-1) < 240).astype(np.uint8) * 255).getbbox()
                for p in (prepared.picture, sprite_view(sprite.name, look, "frame"))
            )
            assert max(framed[2] - framed[0], framed[3] - framed[1]) <= VIEW_PX + 2
            assert np.abs(np.subtract(framed, view)).max() <= 9, sprite.name


def test_hue_rotation_keeps_greys_and_transparency() -> None:
    grey = Image.new("RGBA", (4, 4), (90, 90, 90, 120))
    turned = np.asarray(rotate_hue(grey, 120)).astype(int)
    assert np.abs(turned - [90, 90, 90, 120]).max() <= 1
    red = Image.new("RGBA", (4, 4), (200, 60, 40, 255))
    assert np.abs(np.asarray(rotate_hue(red, 360)).astype(int) - np.asarray(red)).max() <= 1
    away = np.asarray(rotate_hue(red, 140))[0, 0]
    assert away[0] < away[1] or away[0] < away[2]
    assert rotate_hue(red, 0) is red
