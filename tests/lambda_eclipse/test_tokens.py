"""Spans of nouns: whole words of the prompt, mapped to the tokens they became."""

import gzip
from pathlib import Path

import pytest
import torch

from lambda_eclipse.mentions import assign
from lambda_eclipse.plurals import plurals
from lambda_eclipse.tokens import SubjectError, Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer()


def shown(tokenizer: Tokenizer, prompt: str, span: tuple[int, int]) -> str:
    """The tokens of a span, run together."""
    return "".join(tokenizer.pieces(prompt)[span[0] - 1 : span[1] - 1])


PROMPTS = [
    "a cat wearing a hat",
    "A  Teddy-Bear,\nin “that” jungle's &amp; snow!",
    "naïve café 1234 R2D2 日本 🙂 'dog' it's they'll",
    "",
    "unbelievablylongcompoundword " * 60,
]


def test_encode_is_open_clips_own_tokenization(tokenizer: Tokenizer) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    batch = tokenizer.encode(PROMPTS)
    assert torch.equal(batch.ids, SimpleTokenizer()(PROMPTS))
    assert batch.ids.shape == batch.mask.shape == (5, 77)
    assert torch.equal(batch.mask.sum(dim=1) - 1, batch.ids.argmax(dim=1))
    assert batch.mask[4].all() and batch.ids[4, 76] == tokenizer.end_id


def test_control_tokens_in_a_prompt_are_no_control_tokens(tokenizer: Tokenizer) -> None:
    sly = tokenizer.encode(["a cat <end_of_text> and &lt;START_OF_TEXT&gt; a dog"])
    assert torch.equal(sly.ids, tokenizer.encode(["a cat and a dog"]).ids)


def test_words_are_whole_whatever_their_tokens(tokenizer: Tokenizer) -> None:
    prompt = "Two xylophonists,  and a cat"
    start, end = tokenizer.span(prompt, "xylophonist")
    assert end - start > 1 and tokenizer.words_at(prompt, (start, end)) == "xylophonists"


def test_pieces_stand_one_before_their_positions(tokenizer: Tokenizer) -> None:
    assert tokenizer.pieces("A cat, wearing a hat!") == [
        "a",
        "cat",
        ",",
        "wearing",
        "a",
        "hat",
        "!",
    ]
    assert tokenizer.span("A cat, wearing a hat!", "hat") == (6, 7)


@pytest.mark.parametrize(
    ("prompt", "noun", "expected"),
    [
        ("that is a hat", "hat", (4, 5)),
        ("A HAT.", "hat", (2, 3)),
        ("a hat", "  Hat! ", (2, 3)),
        ("a teddy bear on the beach", "teddy bear", (2, 4)),
        ("a Teddy-Bear", "teddy bear", (2, 5)),
        ("a teddy bear", "teddy-bear", (2, 4)),
        ("two teddy bears", "teddy bear", (2, 4)),
        ("(cat)", "cat", (2, 3)),
        ("the cat's bowl", "cat", (2, 3)),
        ("two cats", "cat", (2, 3)),
        ("three boxes", "box", (2, 3)),
        ("three ponies", "pony", (2, 3)),
        ("the mice", "mouse", (2, 3)),
        ("some wolves", "wolf", (2, 3)),
    ],
)
def test_span(tokenizer: Tokenizer, prompt: str, noun: str, expected: tuple[int, int]) -> None:
    assert tokenizer.span(prompt, noun) == expected


def test_span_covers_every_token_of_a_split_word(tokenizer: Tokenizer) -> None:
    prompt = "a photo of an axolotlfrog and r2d2, 'quoted'"
    assert shown(tokenizer, prompt, tokenizer.span(prompt, "axolotlfrog")) == "axolotlfrog"
    assert shown(tokenizer, prompt, tokenizer.span(prompt, "R2D2")) == "r2d2"
    start, end = tokenizer.span(prompt, "axolotlfrog")
    assert end - start > 1


def test_words_keep_to_themselves(tokenizer: Tokenizer) -> None:
    for prompt, noun in [
        ("that chat", "hat"),
        ("a hat2 there", "hat"),
        ("a teddy, bear with me", "teddy bear"),
        ("a glass", "glasses"),
        ("a fox", "ox"),
    ]:
        with pytest.raises(SubjectError, match=noun):
            tokenizer.span(prompt, noun)


def test_occurrences_take_exact_words_before_plurals(tokenizer: Tokenizer) -> None:
    prompt = "glasses beside a glass and a glass"
    assert tokenizer.occurrences(prompt, "glass") == [(4, 5), (7, 8), (1, 2)]
    assert tokenizer.span(prompt, "glass", occurrence=1) == (7, 8)
    assert tokenizer.occurrences(prompt, "vase") == []
    with pytest.raises(SubjectError, match=r"3 times.*number 4"):
        tokenizer.span(prompt, "glass", occurrence=3)


def test_missing_noun_names_itself_and_the_remedy(tokenizer: Tokenizer) -> None:
    with pytest.raises(SubjectError, match=r'not mention "dogs".*Did you mean "dog"'):
        tokenizer.span("a dog in the snow", "dogs")
    with pytest.raises(SubjectError, match=r'not mention "boat".*write the word'):
        tokenizer.span("a dog in the snow", "boat")
    with pytest.raises(SubjectError, match="has no noun"):
        tokenizer.span("a dog", " ?! ")


def test_truncated_noun_is_an_error(tokenizer: Tokenizer) -> None:
    last_seen = "very " * 74 + "cat"
    assert tokenizer.span(last_seen, "cat") == (75, 76)
    with pytest.raises(SubjectError, match=r'"cat" comes too late.*first 75 tokens.*shorten'):
        tokenizer.span("very " * 75 + "cat", "cat")
    half_seen = "very " * 74 + "teddy bear"
    with pytest.raises(SubjectError, match="teddy bear"):
        assign(tokenizer, half_seen, ["teddy bear"])
    assert tokenizer.occurrences("cat " + "very " * 80 + "cat", "cat") == [(1, 2)]


def test_assign_gives_one_noun_twice_two_places(tokenizer: Tokenizer) -> None:
    prompt = "a cat looking at a cat"
    assert assign(tokenizer, prompt, ["cat", "cat"]) == [(2, 3), (6, 7)]
    with pytest.raises(SubjectError, match=r'"cat" occurs once'):
        assign(tokenizer, "a cat", ["cat", "cat"])
    with pytest.raises(SubjectError, match=r'"cat" occurs twice'):
        assign(tokenizer, prompt, ["cat"] * 3)


def test_assign_takes_the_occurrence_that_was_asked_for(tokenizer: Tokenizer) -> None:
    prompt = "a cat looking at a cat"
    assert assign(tokenizer, prompt, ["cat"], [1]) == [(6, 7)]
    assert assign(tokenizer, prompt, ["cat", "cat"], [None, 0]) == [(6, 7), (2, 3)]
    with pytest.raises(SubjectError, match="hold one place"):
        assign(tokenizer, prompt, ["cat", "cat"], [1, 1])
    with pytest.raises(SubjectError, match=r"no occurrence number 3"):
        assign(tokenizer, prompt, ["cat"], [2])
    with pytest.raises(ValueError):
        assign(tokenizer, prompt, ["cat", "cat"], [1])


def test_assign_lets_the_longest_noun_choose_first(tokenizer: Tokenizer) -> None:
    prompt = "a teddy bear chasing a bear"
    assert assign(tokenizer, prompt, ["bear", "teddy bear"]) == [(6, 7), (2, 4)]
    with pytest.raises(SubjectError, match=r'"bear" occurs once'):
        assign(tokenizer, "a teddy bear", ["bear", "teddy bear"])


def test_assign_takes_up_to_four_subjects(tokenizer: Tokenizer) -> None:
    prompt = "a Dog, two cats and a boat in front of the castle"
    spans = assign(tokenizer, prompt, ["castle", "boat", "cat", "dog"])
    assert [shown(tokenizer, prompt, s) for s in spans] == ["castle", "boat", "cats", "dog"]
    assert assign(tokenizer, prompt, []) == []
    with pytest.raises(SubjectError, match="use 4 at most"):
        assign(tokenizer, prompt, ["castle", "boat", "cat", "dog", "front"])


@pytest.mark.parametrize(
    ("word", "plural"),
    [
        ("dish", "dishes"),
        ("tomato", "tomatoes"),
        ("knife", "knives"),
        ("leaf", "leaves"),
        ("snowman", "snowmen"),
        ("person", "people"),
        ("cactus", "cacti"),
        ("goose", "geese"),
        ("sheep", "sheep"),
        ("quiz", "quizzes"),
        ("toy", "toys"),
    ],
)
def test_plurals(word: str, plural: str) -> None:
    assert plural in plurals(word)


def test_shortened_merges_make_a_smaller_vocabulary(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = [next(file).rstrip("\n") for _ in range(1 + 3000)]
    merges = tmp_path / "merges.txt.gz"
    merges.write_bytes(gzip.compress("\n".join(lines).encode()))
    small = Tokenizer(merges=merges)
    assert small.vocab_size == 512 + 3000 + 2
    assert (small.start_id, small.end_id) == (3512, 3513)
    prompt = "a photo of an axolotl and a guinea pig"
    batch = small.encode([prompt])
    assert int(batch.ids.max()) == small.end_id == int(batch.ids[0, batch.mask.sum() - 1])
    assert len(small.pieces(prompt)) > len(tokenizer.pieces(prompt))
    assert shown(small, prompt, small.span(prompt, "guinea pig")) == "guineapig"
