"""Likeness of results to subjects and prompt."""

import pytest
import torch
from PIL import Image, ImageDraw
from small_stack import write_stack

from lambda_eclipse.insight.likeness import likeness
from lambda_eclipse.models import load
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Sampling, Subject
from lambda_eclipse.stacks import STACKS


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


def test_a_subjects_own_picture_is_most_like_it(studio) -> None:
    found = likeness(studio, studio.prepare(CAT).picture, REQUEST)
    cat, hat = found.subjects
    assert (cat.label, hat.label, found.text.label) == ("cat", "hat", REQUEST.prompt)
    assert cat.cosine == pytest.approx(1, abs=1e-5) and cat.fraction == pytest.approx(1, abs=1e-5)
    assert hat.cosine < cat.cosine
    scores = (*found.subjects, found.text)
    assert all(-1 <= score.cosine <= 1 and 0 <= score.fraction <= 1 for score in scores)


def test_likeness_of_a_painted_picture(studio) -> None:
    [picture] = studio.generate(REQUEST)
    found = likeness(studio, picture.image, REQUEST)
    with torch.no_grad():
        clip = studio.models.clip
        result, text = clip.image([picture.image]), clip.text([REQUEST.prompt]).pooled
    cosine = float(torch.cosine_similarity(result, text)[0])
    assert found.text.cosine == pytest.approx(cosine, abs=1e-6)
    assert found.text.fraction == max(0, found.text.cosine)


def test_likeness_without_subjects_is_that_to_the_prompt(studio) -> None:
    found = likeness(studio, photo("red"), Request("a cat"))
    assert found.subjects == () and found.text.label == "a cat"
