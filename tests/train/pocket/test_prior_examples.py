"""The prior's examples: whose embedding replaces which tokens, and what the target holds."""

import random

import pytest
import torch

from lambda_eclipse.interleave import swap
from lambda_eclipse.mentions import assign
from lambda_eclipse.pocket.embedding import places
from lambda_eclipse.pocket.tower import SEMANTIC
from train.pocket.prior.examples import CODE, WEAKENED, Examples, Shown, disguise, unoccluded
from train.world.arrays import FREE_EVERY, Row


def scenes_of(examples: Examples, relation: str) -> list[int]:
    return [i for i, row in enumerate(examples.arrays.rows("train")) if row.relation == relation]


@pytest.fixture
def single(examples: Examples) -> Examples:
    """Examples whose views all count as one subject."""
    examples.views[:, SEMANTIC:CODE] = 0
    examples.views[:, SEMANTIC] = 1
    return examples


def test_subjects_replace_their_own_words(examples: Examples) -> None:
    rows, clip = examples.arrays.rows("train"), examples.clip
    index = [i for i, row in enumerate(rows) if len(row.nouns) == 2][:4]
    rng = random.Random(0)
    words = examples.collate([examples.example("train", i, {}, rng) for i in index])
    assert torch.equal(words.text.states, clip.text([rows[i].caption for i in index]).states)
    assert not words.subject_numbers.any()
    shown = [examples.example("train", i, {0: 1.0, 1: 1.0}, rng) for i in index]
    batch = examples.collate(shown)
    assert torch.equal(batch.text.pooled, words.text.pooled)
    for row, (i, example) in enumerate(zip(index, shown, strict=True)):
        spans = assign(clip.tokenizer, rows[i].caption, rows[i].nouns)
        assert [subject.span for subject in example.subjects] == spans
        for k, subject in enumerate(example.subjects):
            of_its_look = [examples.view(*rows[i].subjects[k], view) for view in (0, 1)]
            assert any(torch.equal(subject.view, view) for view in of_its_look)
            assert (batch.subject_numbers[row, slice(*spans[k])] == k + 1).all()
        assert (batch.subject_numbers[row] > 0).sum() == sum(end - first for first, end in spans)
        views = torch.stack([subject.view for subject in example.subjects])
        expected = swap(words.text.states[row : row + 1], [spans], [views])
        assert torch.equal(batch.text.states[row : row + 1], expected)


def test_only_free_scenes_have_an_edge_map(examples: Examples) -> None:
    rng = random.Random(0)
    assert torch.equal(examples.example("train", 0, {}, rng).control, examples.null)
    control = examples.example("train", FREE_EVERY, {}, rng, edges=True).control
    assert torch.equal(control, examples.arrays.tensor("train-edges-embed")[1].float())
    drawn = [examples.draw(i, rng).control for i in range(3 * FREE_EVERY) for _ in range(8)]
    with_map = [not torch.equal(control, examples.null) for control in drawn]
    assert any(with_map) and not any(with_map[8 : 8 * FREE_EVERY])


def test_disguised_captions_name_something_else(examples: Examples) -> None:
    rows = examples.arrays.rows("train")
    for row in rows:
        caption, words = disguise(row, examples.nouns, random.Random(1))
        assert len(words) == len(row.nouns)
        assign(examples.clip.tokenizer, caption, words)  # each word is in it, once per subject
        assert caption != row.caption or words == list(row.nouns)
    index = next(i for i, row in enumerate(rows) if len(row.nouns) == 1)
    shown = examples.example("train", index, {0: 1.0}, random.Random(0), disguise_share=1.0)
    assert shown.caption != rows[index].caption
    for subjects in ({}, {0: 0.5}):  # words, and weak subjects, keep their nouns
        example = examples.example("train", index, subjects, random.Random(0), disguise_share=1.0)
        assert example.caption == rows[index].caption


def test_unoccluded_subjects_have_the_code_of_their_view(single: Examples) -> None:
    arrays, index = single.arrays, scenes_of(single, "and")[0]
    row, scene = arrays.rows("train")[index], arrays.tensor("train-embed")[index].float()
    views = [single.view(*subject, 1) for subject in row.subjects]
    for shown in ((0, 1), (1,), ()):
        target = single.target("train", index, [Shown(k, (1, 2), views[k], 1.0) for k in shown])
        assert torch.equal(target[:CODE], scene[:CODE])
        for k, own in enumerate(places(2)):
            view = views[k] if k in shown else single.view(*row.subjects[k], 0)
            assert torch.equal(target[CODE + own], view[CODE:][: len(own)])
    single.views[:, SEMANTIC + 1] = 2  # views that show two subjects
    assert torch.equal(single.target("train", index, ()), scene)


def test_a_weak_subjects_code_is_between_the_prototypes_and_its_own(single: Examples) -> None:
    arrays, sprites = single.arrays, single.arrays.sprites

    def prototype(row: Row) -> int | None:
        return single.prototypes.get(sprites[row.subjects[0][0]].noun)

    rows = arrays.rows("train")
    index = next(
        i
        for i in scenes_of(single, "and")
        if prototype(rows[i]) not in (None, rows[i].subjects[0][0])
    )
    weak = single.example("train", index, {0: 0.25, 1: 1.0}, random.Random(0))
    full = single.example("train", index, {0: 1.0, 1: 1.0}, random.Random(0))
    one, other = places(2)
    word = single.view(prototype(rows[index]), 0)[CODE:][: len(one)]
    expected = torch.lerp(word, full.target[CODE + one], 0.25)
    assert torch.equal(weak.target[CODE + one], expected)
    assert not torch.equal(expected, full.target[CODE + one])
    assert torch.equal(weak.target[CODE + other], full.target[CODE + other])
    words = single.clip.text([weak.caption]).states
    spans, views = zip(*((s.span, s.view) for s in weak.subjects), strict=True)
    states = swap(words, [spans], [torch.stack(views)], [[0.25, 1.0]])
    assert torch.equal(single.collate([weak]).text.states, states)


def test_a_share_of_the_subjects_is_weak(examples: Examples) -> None:
    rng = random.Random(0)
    drawn = [examples.draw(i, rng) for i in range(70) for _ in range(3)]
    strengths = [subject.strength for example in drawn for subject in example.subjects]
    weak = [strength for strength in strengths if strength < 1]
    assert 0.25 * WEAKENED < len(weak) / len(strengths) < 1.5 * WEAKENED
    assert min(weak) < 0.25 and max(weak) > 0.75


def test_overlapping_squares_are_occluded() -> None:
    def free(*spots: tuple[float, float, float]) -> list[bool]:
        return unoccluded(Row("", "", "", (), (), spots))

    assert free((64, 64, 60)) == [True]
    assert free((33, 80, 62), (95, 80, 62)) == [True, True]
    assert free((64, 79, 80), (64, 30, 48)) == [False, False]
    assert free((64, 54, 94), (34, 98, 20)) == [True, False]
    assert free((20, 20, 20), (64, 64, 40), (90, 90, 44)) == [True, False, False]
