"""What CLIP says about requests and results: nouns, blending, likeness, leaving out, variations."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image, ImageDraw
from small_stack import DIM, write_stack

from lambda_eclipse.insight import likeness as insight
from lambda_eclipse.insight.likeness import blend_risk, cosines, fraction, leave_one_out, variations
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Sampling, Subject
from lambda_eclipse.stacks import STACKS, load

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


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    sources = write_stack(tmp_path_factory.mktemp("hub"))
    return Studio(load(STACKS["kandinsky"], "cpu", sources=sources))


def photo(colour: str, shape: str = "ellipse") -> Image.Image:
    image = Image.new("RGB", (90, 60), "white")
    getattr(ImageDraw.Draw(image), shape)((20, 10, 60, 50), fill=colour)
    return image


CAT, HAT = Subject("cat", photo("orange")), Subject("hat", photo("navy", "rectangle"))
REQUEST = Request("a cat wearing a hat", (CAT, HAT), seed=7, sampling=Sampling(2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Nouns


def test_the_best_noun_comes_first_with_clips_own_probability() -> None:
    clip = FakeClip()
    found = insight.propose_nouns(clip, Image.new("RGB", (8, 8), (2, 0, 0)), WORDS, count=3)
    assert found[0][0] == "hat" and len(found) == 3
    assert found[0][1] == pytest.approx(math.exp(10) / (math.exp(10) + 3))
    assert sum(p for _, p in insight.propose_nouns(clip, torch.eye(4)[0], WORDS)) == pytest.approx(
        1
    )


def test_what_is_around_a_subject_counts_as_much() -> None:
    alone, around = torch.tensor([0.0, 0.0, 9.0, 1.0]), Image.new("RGB", (8, 8), (1, 0, 0))
    (first, _), (second, _), *_ = insight.propose_nouns(FakeClip(), alone, WORDS, whole=around)
    assert (first, second) == (WORDS[1], WORDS[2])


def test_an_embedding_will_do_and_repeated_words_count_once() -> None:
    embedding = torch.tensor([[0.0, 5.0, 0.0, 0.1]])
    found = insight.propose_nouns(FakeClip(), embedding, [*WORDS, "dog", "dog"], count=9)
    assert [noun for noun, _ in found][:2] == ["dog", "car"] and len(found) == 4


def test_a_vocabulary_is_read_once_per_clip() -> None:
    clip, other = FakeClip(), FakeClip()
    for _ in range(3):
        insight.propose_nouns(clip, torch.eye(4)[0], WORDS[:3])
    assert clip.read == ["a cat", "a dog", "a hat"]
    insight.propose_nouns(clip, torch.eye(4)[0], WORDS)
    assert clip.read[3:] == ["a car"]
    insight.propose_nouns(other, torch.eye(4)[0], WORDS, template="the {}")
    assert other.read == ["the cat", "the dog", "the hat", "the car"]
    before = len(insight._phrases)
    del clip
    assert len(insight._phrases) == before - 1


def test_nouns_of_a_real_clip(studio) -> None:
    clip = studio.models.clip
    picture = studio.prepare(CAT).picture
    by_picture = insight.propose_nouns(clip, picture, WORDS)
    by_embedding = insight.propose_nouns(clip, studio.subject_embedding(CAT), WORDS)
    assert by_picture == by_embedding
    assert sorted(noun for noun, _ in by_picture) == sorted(WORDS)
    assert all(not text.requires_grad for text in insight._phrases[clip].values())


@pytest.mark.parametrize(
    "vocabulary, options, message",
    [
        ([], {}, "vocabulary is empty"),
        (["cat", " "], {}, "empty word"),
        (WORDS, {"template": "a thing"}, 'use "a {}"'),
        (WORDS, {"count": 0}, "at least 1"),
    ],
)
def test_no_nouns_from_nothing(vocabulary, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        insight.propose_nouns(FakeClip(), torch.eye(4)[0], vocabulary, **options)


def test_an_embedding_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\) and \(4, 4\)"):
        insight.propose_nouns(FakeClip(), torch.ones(3), WORDS)


# Blending


def test_cosines_about_a_mean_lose_what_all_have_in_common() -> None:
    shared = torch.tensor([10.0, 0.0, 0.0])
    a, b = shared + torch.tensor([0.0, 1.0, 0.0]), shared + torch.tensor([0.0, 0.0, 1.0])
    assert float(cosines(a, b[None])[0]) > 0.98
    assert float(cosines(a, b[None], mean=shared)[0]) == pytest.approx(0, abs=1e-6)
    assert cosines(a, torch.stack([2 * a, -a])).tolist() == pytest.approx([1, -1])
    assert cosines(a, torch.zeros(1, 3)).tolist() == [0]
    with pytest.raises(ValueError, match="mean is"):
        cosines(a, b[None], mean=torch.zeros(2))


def turned(*degrees: float) -> torch.Tensor:
    """(K, 2) embeddings at these angles, of different norms."""
    angles = [math.radians(d) for d in degrees]
    return torch.tensor([[i * math.cos(a), i * math.sin(a)] for i, a in enumerate(angles, 1)])


def test_likeness_of_subjects_is_risk_and_the_riskiest_pair_comes_first() -> None:
    found = blend_risk(turned(0, 10, 90), ["cat", "fox", "hat"], thresholds=(0.15, 0.5))
    assert [(b.first, b.second, b.level) for b in found] == [
        (0, 1, "high"),
        (1, 2, "some"),
        (0, 2, "low"),
    ]
    assert found[0].cosine == pytest.approx(math.cos(math.radians(10)))
    assert not any(blend.same_noun for blend in found)


@pytest.mark.parametrize(
    "pair", [("cat", "cat"), ("Cat ", "cat"), ("cats", "cat"), ("fox", "foxes")]
)
def test_one_noun_twice_is_one_level_more(pair) -> None:
    for degrees, alone, twice in ((90, "low", "some"), (60, "some", "high"), (5, "high", "high")):
        embeddings = turned(0, degrees)
        [other] = blend_risk(embeddings, ["cat", "hat"], thresholds=(0.3, 0.8))
        [same] = blend_risk(embeddings, pair, thresholds=(0.3, 0.8))
        assert (other.level, same.level) == (alone, twice) and same.same_noun


def test_thresholds_depend_on_whether_there_is_a_mean() -> None:
    cosine = (insight.CENTRED_THRESHOLDS[1] + insight.RAW_THRESHOLDS[0]) / 2
    embeddings = turned(0, math.degrees(math.acos(cosine)))
    assert blend_risk(embeddings, ["cat", "hat"])[0].level == "low"
    assert blend_risk(embeddings, ["cat", "hat"], mean=torch.zeros(2))[0].level == "high"


def test_fewer_than_two_subjects_cannot_blend() -> None:
    assert blend_risk(turned(0), ["cat"]) == []
    assert blend_risk(torch.empty(0, DIM), []) == []
    with pytest.raises(ValueError, match="for 1 nouns"):
        blend_risk(turned(0, 1), ["cat"])
    with pytest.raises(ValueError, match="rising cosines"):
        blend_risk(turned(0, 1), ["cat", "hat"], thresholds=(0.8, 0.3))


# Likeness


def test_a_subjects_own_picture_is_most_like_it(studio) -> None:
    found = insight.likeness(studio, studio.prepare(CAT).picture, REQUEST)
    cat, hat = found.subjects
    assert (cat.label, hat.label, found.text.label) == ("cat", "hat", REQUEST.prompt)
    assert cat.cosine == pytest.approx(1, abs=1e-5) and cat.fraction == pytest.approx(1, abs=1e-5)
    assert hat.cosine < cat.cosine
    scores = (*found.subjects, found.text)
    assert all(-1 <= score.cosine <= 1 and 0 <= score.fraction <= 1 for score in scores)


def test_likeness_of_a_painted_picture(studio) -> None:
    [picture] = studio.generate(REQUEST)
    found = insight.likeness(studio, picture.image, REQUEST, text_range=(-1, 1))
    with torch.no_grad():
        clip = studio.models.clip
        result, text = clip.image([picture.image]), clip.text([REQUEST.prompt]).pooled
    cosine = float(torch.cosine_similarity(result, text)[0])
    assert found.text.cosine == pytest.approx(cosine, abs=1e-6)
    assert found.text.fraction == pytest.approx((cosine + 1) / 2, abs=1e-6)
    mean = torch.ones(DIM)
    about = insight.likeness(studio, picture.image, REQUEST, mean)
    expected = cosines(result[0], studio.subject_embedding(HAT)[None], mean)
    assert about.subjects[1].cosine == pytest.approx(float(expected[0]), abs=1e-6)


def test_likeness_without_subjects_is_that_to_the_prompt(studio) -> None:
    found = insight.likeness(studio, photo("red"), Request("a cat"))
    assert found.subjects == () and found.text.label == "a cat"


def test_fractions_fill_a_bar() -> None:
    assert [fraction(c, 0.2, 0.6) for c in (-1, 0.2, 0.4, 0.6, 1)] == pytest.approx(
        [0, 0, 0.5, 1, 1]
    )
    with pytest.raises(ValueError, match="begin under its end"):
        fraction(0.5, 1, 1)


# Leaving out and varying


def test_each_subject_is_left_out_once_and_nothing_else_changes() -> None:
    found = leave_one_out(REQUEST)
    assert [label for label, _ in found] == ['without "cat"', 'without "hat"']
    for index, (_, request) in enumerate(found):
        strengths = [subject.strength for subject in request.subjects]
        assert strengths == [0.0 if i == index else 1.0 for i in range(2)]
        restored = tuple(replace(subject, strength=1.0) for subject in request.subjects)
        assert replace(request, subjects=restored) == REQUEST
    assert leave_one_out(Request("a cat")) == []


def test_one_noun_twice_gets_labels_of_its_own() -> None:
    request = Request("a cat beside a cat and a hat", (CAT, HAT, replace(CAT, strength=0.5)))
    labels = [label for label, _ in leave_one_out(request)]
    assert labels == ['without "cat" 1 of 2', 'without "hat"', 'without "cat" 2 of 2']


def test_leaving_out_brings_the_plain_word_back(studio) -> None:
    (_, without_cat), _ = leave_one_out(REQUEST)
    only_hat = studio.embed(replace(REQUEST, subjects=(HAT,)))
    assert torch.equal(studio.embed(without_cat), only_hat)
    assert not torch.equal(studio.embed(REQUEST), only_hat)


@pytest.mark.parametrize("angle", [0.0, 5.0, 45.0, 90.0, 180.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_variations_keep_angle_and_norm(angle: float, dtype: torch.dtype) -> None:
    centre = (7 * torch.randn(DIM, generator=generator(1))).to(dtype)
    found = variations(centre, 6, angle, generator(2))
    assert found.shape == (6, DIM) and found.dtype == dtype
    exact = 1e-3 if dtype == torch.float16 else 1e-5
    torch.testing.assert_close(
        found.double().norm(dim=1), centre.double().norm().expand(6), rtol=exact, atol=0
    )
    cosine = torch.cosine_similarity(found.double(), centre.double()[None])
    assert cosine.tolist() == pytest.approx([math.cos(math.radians(angle))] * 6, abs=exact)


def test_variations_depend_on_the_generator_only() -> None:
    centre = torch.arange(1.0, DIM + 1)
    torch.manual_seed(1)
    six = variations(centre, 6, 20, generator())
    torch.manual_seed(2)
    assert torch.equal(variations(centre, 6, 20, generator()), six)
    assert torch.equal(variations(centre, 2, 20, generator()), six[:2])
    assert not torch.equal(variations(centre, 6, 20, generator(1)), six)
    directions = torch.nn.functional.normalize(six - six.mean(dim=0))
    off_diagonal = (directions @ directions.T).fill_diagonal_(0)
    assert off_diagonal.abs().max() < 0.8, "the directions differ"


@pytest.mark.parametrize(
    "embedding, n, angle, message",
    [
        (torch.zeros(4), 2, 10, "zero or not finite"),
        (torch.full((4,), math.nan), 2, 10, "zero or not finite"),
        (torch.ones(1, 4), 2, 10, r"\(1, 4\)"),
        (torch.ones(4), 0, 10, "0 variations"),
        (torch.ones(4), 2, 181, "between 0 and 180"),
        (torch.ones(4), 2, math.nan, "between 0 and 180"),
    ],
)
def test_impossible_variations_are_refused(embedding, n, angle, message) -> None:
    with pytest.raises(ValueError, match=message):
        variations(embedding, n, angle, generator())
