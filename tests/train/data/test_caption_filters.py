"""The filters of Appendix B, at the edge of each of the paper's numbers."""

import numpy as np
import pytest

from train.data.caption_pipeline import filters
from train.data.caption_pipeline.filters import Detection
from train.data.caption_pipeline.options import Options
from train.data.caption_pipeline.report import BoxCause, Cause

SIZE = (1000, 2000)  # of the picture, width and height


def detection(box=(0, 0, 50, 100), score=0.9, phrase="black cat", name="cat") -> Detection:
    return Detection(phrase, name, box, score)


@pytest.mark.parametrize(
    ("count", "cause"),
    [(0, Cause.NO_BOXES), (1, None), (8, None), (9, Cause.MANY_BOXES)],
)
def test_one_to_eight_boxes(count: int, cause: Cause | None) -> None:
    boxes = [detection(name=f"thing {i}") for i in range(count)]
    assert filters.count_cause(boxes) == cause


@pytest.mark.parametrize(("count", "cause"), [(6, None), (7, Cause.IDENTICAL)])
def test_six_identical_objects_at_most_under_whatever_phrase(
    count: int, cause: Cause | None
) -> None:
    boxes = [detection(phrase=f"cat {i}") for i in range(count)]
    assert filters.count_cause(boxes) == cause
    assert filters.too_many_alike(["cat"] * count + ["dog"]) == (cause is not None)


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [(79, 1000, False), (80, 1000, True), (700, 1000, True), (701, 1000, False), (9, 9, False)],
)
def test_width_by_height_between_8_and_70_hundredths(width: int, height: int, fits: bool) -> None:
    box = (10, 20, 10 + width, 20 + height)
    assert filters.ratio_fits(box, 4000, 4000, "aspect") == fits
    assert filters.box_cause(detection(box), 4000, 4000, "aspect") == (
        None if fits else BoxCause.RATIO
    )


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [
        (80, 160, True),
        (79, 160, False),
        (80, 159, False),
        (700, 1400, True),
        (701, 1400, False),
        (700, 1401, False),
        (700, 160, True),
    ],
)
def test_the_other_reading_of_the_ratio(width: int, height: int, fits: bool) -> None:
    assert filters.ratio_fits((0, 0, width, height), *SIZE, "sides") == fits


def test_an_empty_box_has_no_ratio() -> None:
    assert not filters.ratio_fits((5, 5, 5, 50), *SIZE, "aspect")
    assert not filters.ratio_fits((5, 5, 50, 5), *SIZE, "aspect")


@pytest.mark.parametrize(("score", "cause"), [(0.3, None), (0.2999, BoxCause.LOGIT)])
def test_logit_of_three_tenths(score: float, cause: BoxCause | None) -> None:
    assert filters.box_cause(detection(score=score), *SIZE, "aspect") == cause


@pytest.mark.parametrize(("rows", "cause"), [(40, None), (39, BoxCause.MASK)])
def test_masks_of_two_fifths_of_their_box(rows: int, cause: BoxCause | None) -> None:
    mask = np.zeros((300, 300), dtype=bool)
    mask[100 : 100 + rows, 50:150] = True
    mask[250:] = True  # beyond the box: of no account
    share = filters.mask_share(mask, (50, 100, 150, 200))
    assert share == pytest.approx(rows / 100)
    assert filters.mask_cause(share) == cause


@pytest.mark.parametrize(("white", "cause"), [(10, None), (11, Cause.WHITE)])
def test_a_tenth_of_white_ground(white: int, cause: Cause | None) -> None:
    picture = np.full((100, 100, 3), 249, dtype=np.uint8)
    picture[:white] = 250
    picture[50:, :, :2] = 255  # yellow is not white
    picture[50:, :, 2] = 0
    subject = np.zeros((100, 100), dtype=bool)
    share = filters.white_share(picture, [subject])
    assert share == pytest.approx(white / 100)
    assert filters.white_cause(share) == cause


def test_a_white_subject_is_no_ground() -> None:
    picture = np.full((10, 10, 3), 255, dtype=np.uint8)
    left, right = np.zeros((2, 10, 10), dtype=bool)
    left[:, :5] = True
    right[:, 4:] = True
    assert filters.white_share(picture, [left]) == 0.5
    assert filters.white_share(picture, [left, right]) == 0
    assert filters.white_share(picture, []) == 1


@pytest.mark.parametrize(
    ("count", "cause"), [(0, Cause.NO_SUBJECTS), (1, None), (4, None), (5, Cause.MANY_SUBJECTS)]
)
def test_one_to_four_subjects(count: int, cause: Cause | None) -> None:
    assert filters.subjects_cause(count) == cause


def test_each_noun_gets_its_best_box_and_each_box_one_noun() -> None:
    boxes = [
        detection(score=0.4, phrase="dog"),
        detection(score=0.8, phrase="dog"),
        detection(score=0.9, phrase="hat"),
        detection(score=0.6, phrase="dog"),
    ]
    assert filters.bind(["dog", "sea", "dog", "hat"], boxes) == {0: 1, 2: 3, 3: 2}
    assert filters.bind(["hat", "hat"], boxes) == {0: 2}
    assert filters.bind(["sea"], boxes) == {}


def test_boxes_are_rounded_outwards_and_clipped() -> None:
    assert filters.whole_box((-3.0, 1.2, 9.1, 50.0), 10, 20) == (0, 1, 10, 20)
    assert filters.whole_box((12.0, 2.0, 15.0, 4.0), 10, 20) == (10, 2, 10, 4)


def test_a_square_or_landscape_box_stays_by_default() -> None:
    lying, standing = (100, 400, 600, 600), (100, 100, 300, 600)
    fits = [
        [filters.ratio_fits(box, 1000, 1000, ratio) for box in (lying, standing)]
        for ratio in (Options().box_ratio, "aspect")
    ]
    assert fits == [[True, True], [False, True]]
