"""Nouns of captions by spaCy's real English model."""

import pytest

from train.data.caption_pipeline.nouns import NounFinder
from train.data.caption_pipeline.options import Options


@pytest.fixture(scope="module")
def find() -> NounFinder:
    return NounFinder(Options())


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "a black cat wearing a red hat on the beach",
            [("cat", "cat", "black cat"), ("hat", "hat", "red hat"), ("beach", "beach", "beach")],
        ),
        (
            "two dogs and a teddy bear",
            [("dogs", "dog", "dogs"), ("teddy bear", "teddy bear", "teddy bear")],
        ),
        ("Her dog chases a Dog", [("dog", "dog", "dog"), ("Dog", "dog", "dog")]),
        ("it is raining", []),
        ("", []),
    ],
)
def test_nouns_names_and_phrases(find: NounFinder, caption: str, expected: list) -> None:
    [found] = find([caption])
    assert [(m.noun.text, m.noun.name, m.phrase) for m in found] == expected
    for mention in found:
        assert caption[mention.noun.start : mention.noun.end] == mention.noun.text


def test_spans_count_characters_and_phrases_end_no_sentence(find: NounFinder) -> None:
    caption = "Ein “café” – a St. Bernard dog?! sleeps 🐶 on a blue sofa"
    [found] = find([caption])
    assert "sofa" in [m.noun.name for m in found]
    for mention in found:
        assert caption[mention.noun.start : mention.noun.end] == mention.noun.text
        assert not set(".?") & set(mention.phrase)


def test_many_captions_at_once_are_as_each_alone(find: NounFinder) -> None:
    captions = ["a cat", "a boat on a lake", "nothing"]
    assert find(captions) == [find([caption])[0] for caption in captions]


def test_a_missing_model_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="requirements-data.txt"):
        NounFinder(Options(noun_model="no_such_model"))
