"""The shipped pocket networks do what the README says of them."""

import pytest
import torch.nn.functional as F

from lambda_eclipse.insight.likeness import likeness
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from lambda_eclipse.ui.widgets.examples import SUBJECTS
from train.measure.vocabulary import SYNONYMS, synonyms
from train.world.concepts import CONCEPTS


@pytest.fixture(scope="module")
def pocket() -> Studio:
    return Studio.open("pocket", "cpu")


def test_unusual_words_do_what_the_usual_ones_do(pocket: Studio) -> None:
    assert len([concept for concept in CONCEPTS if concept.synonyms]) >= SYNONYMS == 50
    found = synonyms(pocket)
    assert found["synonyms_taught_top1"] >= 0.8
    assert found["synonyms_taught_top5"] >= 0.9


@pytest.mark.parametrize(
    "prompt, same, other",
    [
        ("a puppy on the beach", "a dog on the beach", "a cat on the beach"),
        ("a pair of spectacles in the snow", "a pair of glasses in the snow", "a hat in the snow"),
        ("an automobile in the city", "a car in the city", "a bus in the city"),
        ("a dog at the seaside", "a dog on the beach", "a dog in the snow"),
    ],
)
def test_a_prompt_means_what_its_synonym_means(
    pocket: Studio, prompt: str, same: str, other: str
) -> None:
    said, meant, not_meant = (
        pocket.embed(Request(text, seed=0))[0] for text in (prompt, same, other)
    )
    assert F.cosine_similarity(said, meant, dim=0) > F.cosine_similarity(said, not_meant, dim=0)


def test_each_of_two_subjects_is_found_in_their_picture(pocket: Studio) -> None:
    shown = [
        Subject("dog", str(SUBJECTS / "dog-2.png")),
        Subject("robot", str(SUBJECTS / "robot-1.png")),
    ]
    others = [
        Subject("cat", str(SUBJECTS / "cat-2.png")),
        Subject("hat", str(SUBJECTS / "hat-2.png")),
    ]
    request = Request("a dog looking at a robot", tuple(shown), seed=0)
    [picture] = pocket.generate(request)
    there, not_there = (
        likeness(pocket, picture.image, Request(request.prompt, tuple(subjects))).subjects
        for subjects in (shown, others)
    )
    assert min(score.cosine for score in there) > max(score.cosine for score in not_there) + 0.2
