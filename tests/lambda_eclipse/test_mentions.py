"""Subjects take their noun's mentions: the first, a chosen one, all; what is open is told."""

import pytest

from lambda_eclipse.mentions import in_context, open_choices, places, subject_places
from lambda_eclipse.request import ALL, Request, Subject
from lambda_eclipse.tokens import SubjectError, Tokenizer

HOT_DOG = "a hot dog stand next to a dog"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer()


def test_all_mentions_are_taken_plurals_too(tokenizer: Tokenizer) -> None:
    prompt = "a cat looking at a cat among cats"
    assert places(tokenizer, prompt, ["cat"], [ALL]) == [[(2, 3), (6, 7), (8, 9)]]
    assert places(tokenizer, prompt, ["cat"]) == [[(2, 3)]]
    request = Request(prompt, (Subject("cat", occurrence=ALL),))
    assert subject_places(tokenizer, request) == [[(2, 3), (6, 7), (8, 9)]]


def test_all_means_what_the_other_subjects_leave(tokenizer: Tokenizer) -> None:
    prompt = "a cat, a cat and a cat"
    found = places(tokenizer, prompt, ["cat", "cat"], [ALL, None])
    assert found == [[(5, 6), (8, 9)], [(2, 3)]]
    assert places(tokenizer, prompt, ["cat", "cat"], [ALL, 1]) == [[(2, 3), (8, 9)], [(5, 6)]]
    with pytest.raises(SubjectError, match="another subject holds its place"):
        places(tokenizer, prompt, ["cat", "cat"], [ALL, ALL])
    bears = "a teddy bear chasing a bear, a teddy bear and a bear"
    found = places(tokenizer, bears, ["bear", "teddy bear"], [ALL, ALL])
    assert found == [[(6, 7), (13, 14)], [(2, 4), (9, 11)]]
    assert places(tokenizer, "cat cat cat", ["cat cat"], [ALL]) == [[(1, 3)]]
    with pytest.raises(SubjectError, match="does not mention"):
        places(tokenizer, prompt, ["dog"], [ALL])


def test_what_is_open_is_told_in_context(tokenizer: Tokenizer) -> None:
    assert open_choices(tokenizer, HOT_DOG, ["dog"]) == {
        "dog": ["a hot [dog] stand next to", "next to a [dog]"]
    }
    for nouns, chosen in (
        (["dog"], [1]),
        (["dog"], [ALL]),
        (["dog", "dog"], None),  # each has one
        (["hot dog", "dog"], None),  # the longer noun leaves one
    ):
        assert not open_choices(tokenizer, HOT_DOG, nouns, chosen), (nouns, chosen)
    assert not open_choices(tokenizer, "a dog among dogs", ["dog"]), "exact words come first"
    assert open_choices(tokenizer, "dogs and dogs", ["dog"])
    assert in_context(tokenizer, "a cat", (2, 3), around=0) == "[cat]"
