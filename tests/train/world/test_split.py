"""The split: training scenes hold nothing of the held-out side."""

import itertools
import json

import pytest
from sampled_scenes import sampled

from train.world.concepts import CONCEPTS
from train.world.split import draw, load_split
from train.world.sprites import DATA, load

TABLE_9 = (  # paper; "toy" is no concept
    "dog, cat, bird, horse, guinea pig, glasses, hat, tower, boat, ruins, castle, rainbow, "
    "candle, backpack, stuffed animal, guitar, french horn, vase, robot, can, church"
).split(", ")


@pytest.mark.parametrize("side", ["train", "seen"])
def test_training_scenes_hold_nothing_held_out(side: str) -> None:
    split = load_split()
    for scene in sampled(side):
        assert not {sprite.name for sprite in scene.sprites} & split.sprites
        nouns = {sprite.noun for sprite in scene.sprites}
        assert not nouns & split.concepts
        assert not {frozenset(p) for p in itertools.combinations(nouns, 2)} & split.pairs
        assert split.is_train(scene.sprites)


def test_held_scenes_hold_held_out_sprites_only() -> None:
    split = load_split()
    for scene in sampled("held"):
        assert {sprite.name for sprite in scene.sprites} <= split.sprites
        assert not split.is_train(scene.sprites)
    drawn = {sprite.noun for scene in sampled("held") for sprite in scene.sprites}
    assert split.concepts <= drawn


def test_a_held_out_pair_of_allowed_sprites_is_refused() -> None:
    sprites, _ = load()
    split = load_split()
    allowed = {s.noun: s for s in sprites if s.name not in split.sprites}
    one, two = sorted(min(split.pairs, key=sorted))
    assert split.is_train((allowed[one],)) and split.is_train((allowed[two],))
    assert not split.is_train((allowed[one], allowed[two]))
    assert not split.is_train((allowed[two], allowed["apple"], allowed[one]))


def test_the_code_draws_the_stored_split() -> None:
    assert json.loads((DATA / "split.json").read_text()) == draw()


def test_the_split_spares_the_papers_nouns() -> None:
    sprites, _ = load()
    split = load_split()
    nouns = {concept.noun for concept in CONCEPTS}
    assert split.sprites < {sprite.name for sprite in sprites}
    assert split.concepts < nouns
    assert all(len(pair) == 2 and pair < nouns for pair in split.pairs)
    for noun in nouns - split.concepts:  # one style is held out at most
        own = {sprite.name for sprite in sprites if sprite.noun == noun}
        assert len(own & split.sprites) <= 1 and own - split.sprites
    for noun in split.concepts:
        assert {s.name for s in sprites if s.noun == noun} <= split.sprites
    # Every noun of the paper is a concept, and none is held out.
    by_word = {word: c.noun for c in CONCEPTS for word in (c.noun, *c.synonyms)}
    assert not {by_word[noun] for noun in TABLE_9} & split.concepts
