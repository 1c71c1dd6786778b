"""Scenes: a function of their numbers, with captions that name their subjects."""

import hashlib
import itertools
import json
import random
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sampled_scenes import SAMPLED, SIDES, pixels, sampled

from lambda_eclipse.mentions import assign
from lambda_eclipse.tokens import Tokenizer
from train.world import scenes as scene_module
from train.world.concepts import CONCEPTS
from train.world.places import PLACES
from train.world.relations import RELATIONS
from train.world.render import render, subject_view
from train.world.scenes import BREADTH, PROTOTYPES, Scene, compose, is_prototype, sample_scene
from train.world.split import load_split
from train.world.sprites import Sprite, breadth_concepts, load, load_breadth

# What trained weights and reported numbers refer to: the first 400 scenes of each side.
SPECIFICATIONS = {
    "train": "68044eec8bf781f9072d5e3b50e96a80f696e7ab2db4804e196a0c51c76ad205",
    "seen": "403c310c7fc615afcf6692038208ba4dcd4cb72391edf53d8d65d77d38f6dcaf",
    "held": "d6555f24c1a838b9218dcc1814f717cc1e4ae12360794eab806a53660f4c68d0",
}
TABLE_9_PLACES = ("park", "desert", "hill")
# Paper, Table 8: relations and places.
TABLE_8_RELATIONS = (
    "{0} wearing {1}|{0} chasing {1}|{0} looking at {1}|{0} is sitting on {1}|{0} standing on {1}|"
    "{0} and {1} playing|{0} and {1} standing next to each other|{0} with {1} and {2}|"
    "{0} with {1} in front of {2}|{0} with {1} and a view of {2}|"
    "{0} with {1} and {2} in the background"
).split("|")
TABLE_8_PLACES = (
    "in the garden|on top of the mountain|in the jungle|in the snow|on the beach|"
    "on a cobblestone street"
).split("|")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer()


def specification(scene: Scene) -> list[object]:
    """All that determines a scene's picture."""
    names = [sprite.name for sprite in scene.sprites]
    looks, nouns = list(scene.looks), list(scene.nouns)
    return [scene.caption, scene.place.name, scene.relation.name, names, looks, nouns]


def test_the_papers_templates_exist() -> None:
    phrases = {phrase for place in PLACES for phrase in place.phrases}
    assert set(TABLE_8_PLACES) <= phrases
    assert set(TABLE_9_PLACES) <= {word for phrase in phrases for word in phrase.split()}
    templates = {t.removesuffix(" {p}") for r in RELATIONS for t in r.templates}
    assert set(TABLE_8_RELATIONS) <= templates


def test_articles_are_those_of_english() -> None:
    expected = (
        "a cat|an owl|a unicorn|a ufo|bread|glasses|grapes|a bus|a dress|an octopus|an ice cream|"
        "an umbrella"
    )
    for phrase in expected.split("|"):
        noun = phrase.removeprefix("an ").removeprefix("a ")
        assert scene_module.with_article(noun) == phrase


def test_breadth_is_for_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(Sprite(f"noto/thing {i}", f"thing {i}", "noto", "thing") for i in range(30))
    monkeypatch.setattr(scene_module, "_breadth_pools", lambda: scene_module._by_kind(others))
    scenes = [sample_scene(2, index, "train", breadth=True) for index in range(1500)]
    drawn = [s.name for scene in scenes if scene.relation.name == "alone" for s in scene.sprites]
    share = sum(name.startswith("noto/thing ") for name in drawn) / len(drawn)
    assert share == pytest.approx(BREADTH * (1 - PROTOTYPES), abs=0.06)
    assert all(load_split().is_train(scene.sprites) for scene in scenes)


def test_breadth_shares_no_word_with_held_out_concepts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slugs = ("light_bulb", "no_bell", "door", "running_shoe", "house_with_garden", "axe")
    groups = [
        {"name": "Objects", "emojis": [{"slug": slug} for slug in slugs]},
        {"name": "Flags", "emojis": [{"slug": "white_flag"}]},
    ]
    monkeypatch.setattr("train.world.sprites.fetch_json", lambda *_: groups)
    nouns = [concept.noun for concept in breadth_concepts(load_split().concepts)]
    assert nouns == ["door", "axe"]
    with pytest.raises(FileNotFoundError, match="--breadth"):
        load_breadth(tmp_path)


@pytest.mark.parametrize("side", SIDES)
def test_scenes_are_those_of_the_trained_weights(side: str) -> None:
    rows = [specification(sample_scene(0, index, side)) for index in range(400)]
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest() == SPECIFICATIONS[side]


def test_a_scene_is_a_function_of_its_numbers() -> None:
    for side, index in itertools.product(SIDES, range(12)):
        one, two = sample_scene(3, index, side), sample_scene(3, index, side)
        assert one == two
        assert np.array_equal(pixels(render(one)), pixels(render(two)))
        for number in range(len(one.sprites)):
            views = pixels(subject_view(one, number)), pixels(subject_view(two, number))
            assert np.array_equal(*views)


def test_seed_index_and_side_change_the_scene() -> None:
    found = {
        sample_scene(seed, index, side).seed: specification(sample_scene(seed, index, side))
        for seed in (0, 1)
        for index in (0, 1)
        for side in SIDES
    }
    assert len(found) == len({json.dumps(row) for row in found.values()}) == 12


@pytest.mark.parametrize("side", SIDES)
def test_every_relation_and_place_occurs(side: str) -> None:
    relations = Counter(scene.relation.name for scene in sampled(side))
    places = Counter(scene.place.name for scene in sampled(side))
    assert set(relations) == {relation.name for relation in RELATIONS}
    assert set(places) == {place.name for place in PLACES}
    total = sum(relation.weight for relation in RELATIONS)
    for relation in RELATIONS:
        assert relations[relation.name] == pytest.approx(SAMPLED * relation.weight / total, rel=0.4)
    assert min(places.values()) > 0.7 * SAMPLED / len(PLACES)


def test_scenes_have_one_to_four_different_subjects() -> None:
    for side in SIDES:
        counts = Counter(len(scene.sprites) for scene in sampled(side))
        assert set(counts) == {1, 2, 3, 4}
        for scene in sampled(side):
            assert len({sprite.noun for sprite in scene.sprites}) == len(scene.sprites)
            assert len(scene.nouns) == len(scene.looks) == len(scene.sprites)


@pytest.mark.parametrize("side", SIDES)
def test_the_tokenizer_finds_every_noun_in_its_caption(tokenizer: Tokenizer, side: str) -> None:
    for scene in sampled(side):
        for noun in scene.nouns:
            start, end = tokenizer.span(scene.caption, noun)
            pieces = "".join(tokenizer.pieces(scene.caption)[start - 1 : end - 1])
            assert pieces == "".join(tokenizer.pieces(noun))
        # Templates name their subjects in order, so the spans must come in that order too.
        spans = assign(tokenizer, scene.caption, scene.nouns)
        assert spans == sorted(spans), scene.caption


def test_nouns_are_the_sprites_own_or_their_synonyms() -> None:
    concepts = {concept.noun: concept for concept in CONCEPTS}
    synonyms = total = 0
    for scene in sampled("train"):
        for noun, sprite in zip(scene.nouns, scene.sprites, strict=True):
            concept = concepts[sprite.noun]
            assert noun in (concept.noun, *concept.synonyms)
            assert sprite.kind == concept.kind
            synonyms += noun != concept.noun
            total += bool(concept.synonyms)
    assert synonyms / total == pytest.approx(0.2, abs=0.03)


def test_every_word_for_a_concept_is_found_in_every_template(tokenizer: Tokenizer) -> None:
    sprites, _ = load()
    by_noun = {sprite.noun: sprite for sprite in sprites}
    rng = random.Random(0)
    for concept in CONCEPTS:
        for word in (concept.noun, *concept.synonyms):
            caption = f"a picture of a {word} in the garden"
            assert tokenizer.span(caption, word)[0] == 5
    for relation in RELATIONS:
        fitting = [[s for s in by_noun.values() if s.kind in kinds] for kinds in relation.kinds]
        for place in PLACES:
            chosen = tuple(rng.choice(pool) for pool in fitting)
            if len({s.noun for s in chosen}) == len(chosen):
                scene = compose("key", rng, relation, place, chosen)
                assert assign(tokenizer, scene.caption, scene.nouns)


def test_no_word_stands_for_two_concepts() -> None:
    words = [word for c in CONCEPTS for word in (c.noun, *c.synonyms)]
    assert len(words) == len(set(words))


def test_relations_are_complete() -> None:
    assert len({relation.name for relation in RELATIONS}) == len(RELATIONS)
    for relation in RELATIONS:
        numbers = list(range(len(relation.kinds)))
        assert len(relation.spots) == len(numbers)
        assert sorted(relation.layers) == numbers
        for template in relation.templates:
            fields = [name for _, name, _, _ in string.Formatter().parse(template) if name]
            assert fields == [*map(str, numbers), "p"]


def test_a_share_of_the_scenes_has_only_prototypes() -> None:
    for side in ("train", "seen"):
        named = [
            all(is_prototype(s, k) for s, k in zip(scene.sprites, scene.looks, strict=True))
            for scene in sampled(side)
        ]
        assert sum(named) / len(named) == pytest.approx(PROTOTYPES, abs=0.06)
