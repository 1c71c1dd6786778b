"""The vocabulary: every word once, and those of sticker world as they are there."""

from lambda_eclipse.insight.nouns import COMMON, STICKERS, vocabulary
from lambda_eclipse.stacks import STACKS
from train.world.concepts import CONCEPTS


def test_the_pocket_stack_proposes_what_it_was_shown() -> None:
    assert list(vocabulary("pocket")) == [concept.noun for concept in CONCEPTS]


def test_words_are_clean_and_come_once() -> None:
    assert len(set(COMMON)) == len(COMMON) > len(STICKERS) > 100
    assert all(word == word.strip().lower() and word for word in COMMON)
    assert all(vocabulary(name) for name in STACKS)
