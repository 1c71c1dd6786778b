"""Nouns for a subject: vocabularies, ranking by CLIP, wrong arguments."""

import math
from types import SimpleNamespace

import pytest
import torch
from cat_and_hat import CAT
from PIL import Image

from lambda_eclipse.insight import nouns
from lambda_eclipse.insight.nouns import COMMON, STICKERS, VOCABULARIES, propose_nouns
from lambda_eclipse.stacks import STACKS
from train.world.concepts import CONCEPTS

WORDS = ["cat", "dog", "hat", "car"]


class FakeClip:
    """Word i of WORDS is the i-th axis, and so is a picture whose red value is i."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(logit_scale=torch.tensor(math.log(10.0)))
        self.read: list[str] = []

    def text(self, prompts: list[str]) -> SimpleNamespace:
        self.read += prompts
        axes = [WORDS.index(prompt.split()[-1]) for prompt in prompts]
        return SimpleNamespace(pooled=3 * torch.eye(4)[axes])

    def image(self, pictures: list[Image.Image]) -> torch.Tensor:
        return 2 * torch.eye(4)[[picture.getpixel((0, 0))[0] for picture in pictures]]


def test_the_pocket_stack_proposes_the_nouns_of_sticker_world() -> None:
    assert list(VOCABULARIES[STACKS["pocket"].nouns]) == [concept.noun for concept in CONCEPTS]


def test_words_are_unique_and_clean() -> None:
    assert len(set(COMMON)) == len(COMMON) > len(STICKERS) > 100
    assert all(word == word.strip().lower() and word for word in COMMON)
    assert all(VOCABULARIES[stack.nouns] for stack in STACKS.values())


def test_the_best_noun_comes_first_with_clips_own_probability() -> None:
    clip = FakeClip()
    found = propose_nouns(clip, Image.new("RGB", (8, 8), (2, 0, 0)), WORDS, count=3)
    assert found[0][0] == "hat" and len(found) == 3
    assert found[0][1] == pytest.approx(math.exp(10) / (math.exp(10) + 3))
    assert sum(p for _, p in propose_nouns(clip, torch.eye(4)[0], WORDS)) == pytest.approx(1)


def test_what_is_around_a_subject_counts_as_much() -> None:
    alone, around = torch.tensor([0.0, 0.0, 9.0, 1.0]), Image.new("RGB", (8, 8), (1, 0, 0))
    (first, _), (second, _), *_ = propose_nouns(FakeClip(), alone, WORDS, whole=around)
    assert (first, second) == (WORDS[1], WORDS[2])


def test_an_embedding_will_do_and_repeated_words_count_once() -> None:
    embedding = torch.tensor([[0.0, 5.0, 0.0, 0.1]])
    found = propose_nouns(FakeClip(), embedding, [*WORDS, "dog", "dog"], count=9)
    assert [noun for noun, _ in found][:2] == ["dog", "car"] and len(found) == 4


def test_a_vocabulary_is_read_once_per_clip() -> None:
    clip, other = FakeClip(), FakeClip()
    for _ in range(3):
        propose_nouns(clip, torch.eye(4)[0], WORDS[:3])
    assert clip.read == ["a cat", "a dog", "a hat"]
    propose_nouns(clip, torch.eye(4)[0], WORDS)
    assert clip.read[3:] == ["a car"]
    propose_nouns(other, torch.eye(4)[0], WORDS, template="the {}")
    assert other.read == ["the cat", "the dog", "the hat", "the car"]
    before = len(nouns._phrases)
    del clip
    assert len(nouns._phrases) == before - 1


def test_nouns_of_a_real_clip(studio) -> None:
    clip = studio.models.clip
    picture = studio.prepare(CAT).picture
    by_picture = propose_nouns(clip, picture, WORDS)
    by_embedding = propose_nouns(clip, studio.subject_embedding(CAT), WORDS)
    assert by_picture == by_embedding
    assert sorted(noun for noun, _ in by_picture) == sorted(WORDS)
    assert all(not text.requires_grad for text in nouns._phrases[clip].values())


@pytest.mark.parametrize(
    "vocabulary, options, message",
    [
        ([], {}, "vocabulary is empty"),
        (["cat", " "], {}, "empty word"),
        (WORDS, {"template": "a thing"}, 'use "a {}"'),
        (WORDS, {"count": 0}, "at least 1"),
    ],
)
def test_wrong_arguments(vocabulary, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        propose_nouns(FakeClip(), torch.eye(4)[0], vocabulary, **options)
