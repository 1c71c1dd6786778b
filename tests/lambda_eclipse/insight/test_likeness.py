"""Likeness of results to subjects and prompt."""

import pytest
import torch
from cat_and_hat import CAT, REQUEST, photo

from lambda_eclipse.insight.likeness import likeness
from lambda_eclipse.request import Request


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
