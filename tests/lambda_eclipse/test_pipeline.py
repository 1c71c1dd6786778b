"""From prompt and subjects to pictures, over folders in the hub's layout with small networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cat_and_hat import photo
from PIL import Image
from small_stack import DIM, write_stack

import lambda_eclipse
from lambda_eclipse import interpolate
from lambda_eclipse.decoder import Cancelled
from lambda_eclipse.images import PictureError
from lambda_eclipse.models import load
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import MAX_SEED, Request, RequestError, Sampling, Subject, random_seed
from lambda_eclipse.stacks import STACKS
from lambda_eclipse.tokens import SubjectError
from train.data.caption_pipeline.options import Options

STEPS = 2


CAT, HAT = Subject("cat", photo("orange")), Subject("hat", photo("navy", "rectangle"))
PROMPT = "a cat wearing a hat"
ONE_STEP = Sampling(1)


def request(**changes) -> Request:
    return replace(Request(PROMPT, (CAT, HAT), seed=7, sampling=Sampling(STEPS)), **changes)


def bits(pictures) -> list[bytes]:
    return [picture.image.tobytes() for picture in pictures]


def test_prompt_and_subjects_to_pictures(studio):
    pictures = studio.generate(request(count=3))
    assert [picture.seed for picture in pictures] == [7, 8, 9]
    for picture in pictures:
        assert picture.image.size == (64, 64) and picture.image.mode == "RGB"
        assert picture.embedding.shape == (DIM,) and picture.embedding.dtype == torch.float32
        assert picture.seconds > 0
    assert len(set(bits(pictures))) == 3


def test_the_same_request_gives_the_same_bits(studio):
    torch.manual_seed(1)
    first = studio.generate(request(count=2))
    torch.manual_seed(2)
    second = studio.generate(request(count=2))
    assert bits(first) == bits(second)
    assert all(torch.equal(a.embedding, b.embedding) for a, b in zip(first, second, strict=True))


def test_two_studios_agree(studio, tmp_path):
    other = Studio(load(STACKS["kandinsky"], "cpu", sources=write_stack(tmp_path)))
    # Saved and drawn anew: equal weights, other memory.
    assert bits(other.generate(request())) == bits(studio.generate(request()))


def test_embeddings_do_not_depend_on_how_many_are_asked_for(studio):
    several = studio.embed(request(count=3))
    assert several.shape == (3, DIM)
    assert torch.equal(several[2:], studio.embed(request(seed=9)))


def test_one_prior_noise_for_all_on_demand(studio):
    same = studio.embed(request(count=2), prior_seed=5)
    assert torch.equal(same[0], same[1])
    assert torch.equal(same[:1], studio.embed(request(seed=5)))


def test_everything_that_is_asked_for_counts(studio):
    plain = studio.embed(request())
    variants = {
        "prompt": request(prompt="a cat wearing a red hat"),
        "subject": request(subjects=(CAT, replace(HAT, picture=photo("red")))),
        "fewer": request(subjects=(CAT,)),
        "none": request(subjects=()),
        "strength": request(subjects=(replace(CAT, strength=0.4), HAT)),
        "seed": request(seed=8),
        "canny": request(canny=photo("black")),
        "thresholds": request(canny=Image.effect_noise((90, 90), 60), canny_low=10, canny_high=50),
    }
    found = {name: studio.embed(variant) for name, variant in variants.items()}
    for name, embedding in found.items():
        assert not torch.equal(plain, embedding), name
    assert torch.equal(plain, studio.embed(request(sampling=Sampling(50, 1.0))))


def test_strength_nought_is_the_prompt_alone(studio):
    weak = tuple(replace(subject, strength=0.0) for subject in (CAT, HAT))
    torch.testing.assert_close(
        studio.embed(request(subjects=weak)), studio.embed(request(subjects=()))
    )


def test_steps_and_guidance_default_to_the_stack(studio):
    seen = []
    small = replace(studio.models.stack, steps=3, guidance=2.0)
    other = Studio(replace(studio.models, stack=small))
    pictures = other.generate(request(sampling=Sampling()), seen.append)
    assert [info.step for info in seen] == [1, 2, 3]
    assert bits(pictures) == bits(other.generate(request(sampling=Sampling(3, 2.0))))
    assert bits(pictures) != bits(other.generate(request(sampling=Sampling(3, 9.0))))


def test_text_to_image_without_subjects(studio):
    assert len(studio.generate(Request("a boat", sampling=ONE_STEP, count=2))) == 2


def test_four_subjects_and_one_noun_twice(studio):
    subjects = (CAT, replace(CAT, picture=photo("gray")), HAT, Subject("boat", photo("red")))
    prompt = "a cat and a cat in a boat with a hat"
    [picture] = studio.generate(Request(prompt, subjects, sampling=ONE_STEP))
    [turned] = studio.generate(
        Request(prompt, (subjects[1], subjects[0], *subjects[2:]), sampling=ONE_STEP)
    )
    assert not torch.equal(picture.embedding, turned.embedding)


def test_a_subject_can_take_all_mentions_of_its_noun(studio):
    """As in the published script; two subjects with one picture do the same."""
    two = request(prompt="a cat and a cat", subjects=(CAT, CAT))
    every, first = (
        replace(two, subjects=(replace(CAT, occurrence=occurrence),)) for occurrence in ("all", 0)
    )
    assert torch.equal(studio.embed(every), studio.embed(two))
    assert not torch.equal(studio.embed(every), studio.embed(first))


def test_a_prepared_embedding_stands_for_the_picture(studio):
    kept = studio.subject_embedding(CAT)
    assert kept.shape == (DIM,) and not kept.requires_grad
    with_kept = request(subjects=(Subject("cat", embedding=kept[None]), HAT))
    assert torch.equal(studio.embed(with_kept), studio.embed(request()))


def test_painted_mask_changes_the_subject(studio):
    mask = Image.new("L", (90, 60))
    mask.paste(255, (20, 10, 40, 30))
    prepared = studio.prepare(replace(CAT, mask=mask))
    assert prepared.method == "painted" and studio.prepare(CAT).method == "plain"
    assert prepared.picture.size == (studio.models.clip.image_size,) * 2
    assert not torch.equal(
        studio.subject_embedding(CAT), studio.subject_embedding(replace(CAT, mask=mask))
    )


def test_the_stack_says_how_much_white_surrounds_a_subject(studio):
    wide = Studio(replace(studio.models, stack=replace(studio.models.stack, margin=0.5)))
    widths, solid = [], [255 * (level > 127) for level in range(256)]
    for one in (studio, wide):
        left, _, right, _ = one.prepare(CAT).cutout.getchannel("A").point(solid).getbbox()
        widths.append((right - left) / one.models.clip.image_size)
    expected = [1 / (1 + 2 * one.models.stack.margin) for one in (studio, wide)]
    assert widths == pytest.approx(expected, abs=0.07)
    assert Options().margin == STACKS["kandinsky"].margin, (
        "training frames subjects as painting does"
    )


def test_the_stack_says_at_which_size_edges_are_found(studio):
    large, small = (Image.new("RGB", size, "red") for size in ((1500, 1200), (90, 60)))
    found = [studio.edges(request(canny=picture)).size for picture in (large, small)]
    assert found == [(STACKS["kandinsky"].edges_px,) * 2, (60, 60)]
    assert STACKS["kandinsky"].edges_px == 1024
    assert STACKS["pocket"].edges_px == 128


def test_paths_are_pictures_too(studio, tmp_path):
    CAT.picture.save(tmp_path / "cat.png")
    subjects = (Subject("cat", tmp_path / "cat.png"), HAT)
    assert torch.equal(studio.embed(request(subjects=subjects)), studio.embed(request()))


A = (CAT, replace(CAT, picture=photo("gray")))
B = (HAT, replace(HAT, picture=photo("red")))


def test_corners_of_a_square_share_one_prior_noise(studio):
    corners = studio.square(PROMPT, A, B, seed=3)
    assert corners.shape == (4, DIM)
    for corner, pair in zip(
        corners, [(A[0], B[0]), (A[1], B[0]), (A[0], B[1]), (A[1], B[1])], strict=True
    ):
        assert torch.equal(corner, studio.embed(Request(PROMPT, pair, seed=3))[0])
    assert len({tuple(corner.tolist()) for corner in corners}) == 4


def test_each_picture_of_a_square_is_encoded_once(studio, monkeypatch):
    calls = []
    original = studio.models.clip.image
    monkeypatch.setattr(
        studio.models.clip, "image", lambda pictures: calls.append(1) or original(pictures)
    )
    studio.square(PROMPT, A, B)
    assert len(calls) == 4


def test_points_and_grid_of_a_square(studio):
    corners = studio.square(PROMPT, A, B, seed=3)
    rows = studio.grid(corners, 3, seed=3, sampling=ONE_STEP)
    assert [len(row) for row in rows] == [3, 3, 3]
    assert {picture.seed for row in rows for picture in row} == {3}
    for (row, column), corner in zip([(0, 0), (0, 2), (2, 0), (2, 2)], corners, strict=True):
        assert torch.equal(rows[row][column].embedding, corner)
    expected = interpolate.bilinear(corners, 0.5, 0.0, "lerp")
    assert torch.equal(rows[0][1].embedding, expected), "x goes to the right"
    point = studio.at(corners, 0.5, 0.0, "lerp", seed=3, sampling=ONE_STEP)
    assert torch.equal(point.embedding, expected)
    # The grid is painted in larger batches: equal up to rounding.
    difference = np.asarray(point.image).astype(int) - np.asarray(rows[0][1].image)
    assert np.abs(difference).mean() < 0.2
    again = studio.grid(corners, 3, seed=3, sampling=ONE_STEP)
    assert [bits(row) for row in rows] == [bits(row) for row in again]
    assert bits([point]) == bits([studio.at(corners, 0.5, 0.0, "lerp", seed=3, sampling=ONE_STEP)])
    assert not torch.equal(expected, studio.at(corners, 0.5, 0.0, "slerp", 3, ONE_STEP).embedding)


def test_one_decoder_noise_for_all_points(studio):
    """Equal corners: the square is the same picture everywhere."""
    corners = studio.embed(request()).expand(4, -1)
    rows = studio.grid(corners, 2, seed=11, sampling=ONE_STEP)
    assert len(set(bits([picture for row in rows for picture in row]))) == 1


def test_cancelling(studio):
    for paint in (
        lambda stop: studio.generate(request(count=2), stop),
        lambda stop: studio.at(torch.ones(4, DIM), 0, 0, on_step=stop),
        lambda stop: studio.grid(torch.ones(4, DIM), 2, on_step=stop),
    ):
        with pytest.raises(Cancelled):
            paint(lambda info: False)
    assert studio.generate(request())


def test_offloaded_encoders_give_the_same(studio):
    """On a small card the encoders are moved there and back; here both places are the CPU."""
    offloaded = Studio(replace(studio.models, offload=True))
    assert torch.equal(offloaded.embed(request()), studio.embed(request()))


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        (Request(""), RequestError, "prompt is empty"),
        (Request("  \n"), RequestError, "prompt is empty"),
        (Request(None), RequestError, "prompt is empty"),
        (request(prompt=""), SubjectError, "cat"),
        (request(prompt="a dog wearing that"), SubjectError, "cat|hat"),
        (request(prompt="very " * 90 + PROMPT), SubjectError, "cat|hat"),
        (request(subjects=(CAT,) * 5), RequestError, "5 subjects: use 4 at most"),
        (request(subjects=(CAT, CAT)), SubjectError, "cat"),
        (request(subjects=(Subject(" ", photo("red")),)), RequestError, "Subject 1 has no noun"),
        (request(subjects=(Subject("cat"),)), RequestError, '"cat" has no picture'),
        (request(subjects=(replace(CAT, strength=3.0),)), RequestError, "strength"),
        (request(subjects=(replace(CAT, occurrence="each"),)), RequestError, "occurrence of"),
        (request(subjects=(replace(CAT, picture=b"x"),)), PictureError, 'picture of "cat"'),
        (request(subjects=(replace(CAT, picture="no.png"),)), PictureError, "no.png"),
        (request(canny=b"x"), PictureError, "edge picture"),
        (request(canny=photo("red"), canny_low=300), ValueError, "thresholds"),
        (request(subjects=(Subject("cat", embedding=torch.ones(3)),)), RequestError, "this stack"),
        (
            request(subjects=(Subject("cat", embedding=torch.full((DIM,), torch.nan)),)),
            RequestError,
            "finite",
        ),
        (request(count=0), RequestError, "number of pictures is 0"),
        (request(count=17), RequestError, "between 1 and 16"),
        (request(sampling=Sampling(0)), RequestError, "number of steps"),
        (request(sampling=Sampling(251)), RequestError, "number of steps"),
        (request(sampling=Sampling(2.5)), RequestError, "integer"),
        (request(sampling=Sampling(guidance=-0.1)), RequestError, "guidance"),
        (request(sampling=Sampling(guidance=20.5)), RequestError, "guidance"),
        (request(sampling=Sampling(guidance=float("nan"))), RequestError, "guidance"),
        (request(sampling=Sampling(sampler="euler")), RequestError, "ddim or ddpm"),
        (request(seed=-1), RequestError, "seed"),
        (request(seed=MAX_SEED + 1), RequestError, "seed"),
        (request(seed=True), RequestError, "seed"),
    ],
)
def test_wrong_requests_say_what_to_do(studio, wrong, error, message):
    with pytest.raises(error, match=message):
        studio.generate(wrong)


def test_wrong_squares(studio):
    corners = torch.ones(4, DIM)
    with pytest.raises(RequestError, match="two pairs"):
        studio.square(PROMPT, A[:1], B)
    with pytest.raises(SubjectError, match="cap"):
        studio.square(PROMPT, A, (B[0], Subject("cap", photo("red"))))
    wrong = ({"x": 2.0}, {"y": -1}, {"x": float("nan")}, {"seed": -1}, {"sampling": Sampling(0)})
    for changes in wrong:
        with pytest.raises(RequestError):
            studio.at(corners, **({"x": 0.5, "y": 0.5} | changes))
    for n in (1, 10, 2.5):
        with pytest.raises(RequestError, match="grid"):
            studio.grid(corners, n)
    with pytest.raises(ValueError, match="interpolation"):
        studio.at(corners, 0.5, 0.5, mode="straight")


def test_seeds_wrap_at_the_end(studio):
    pictures = studio.generate(Request("a boat", seed=MAX_SEED, count=2, sampling=ONE_STEP))
    assert [picture.seed for picture in pictures] == [MAX_SEED, 0]


def test_random_seeds_are_in_range():
    seeds = {random_seed() for _ in range(50)}
    assert len(seeds) > 40 and all(0 <= seed <= MAX_SEED for seed in seeds)


def test_python_interface_at_the_top():
    assert lambda_eclipse.Studio is Studio and lambda_eclipse.Request is Request
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = lambda_eclipse.nothing_such
