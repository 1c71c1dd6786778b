"""Captions, boxes and masks by small random models: batched as single, and as their own libraries.

What the real models say is theirs; what is asked of them, and what is made of the answer, is ours.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_annotators
import torch
from synthetic_pictures import picture

from lambda_eclipse.paper import BOX_THRESHOLD, TEXT_THRESHOLD
from train.data.caption_pipeline.boxes import BoxFinder, assign, phrase_of_token
from train.data.caption_pipeline.captions import Captioner
from train.data.caption_pipeline.filters import whole_box
from train.data.caption_pipeline.masks import MaskFinder
from train.data.caption_pipeline.options import Options

PICTURES = [picture(0), picture(1, (1300, 1024)), picture(2)]


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options(**small_annotators.build(tmp_path_factory.mktemp("models")), caption_tokens=1)


def test_captions_are_of_their_own_pictures(options: Options) -> None:
    caption = Captioner(options)
    together = caption(PICTURES)
    assert together == [caption([one])[0] for one in PICTURES]
    assert set(together) <= {*small_annotators.CAPTIONS, ""}
    assert len(set(together)) > 1


def test_half_precision_captions(options: Options) -> None:
    caption = Captioner(replace(options, caption_dtype="float16"))
    assert caption.model.vision_model.post_layernorm.weight.dtype == torch.float16
    assert set(caption(PICTURES)) <= {*small_annotators.CAPTIONS, ""}


def test_boxes_are_those_of_the_library_each_with_its_phrase(options: Options) -> None:
    find = BoxFinder(options)
    named = {"black cat": "cat", "hat": "hat"}
    found = find(PICTURES, [named] * 3)
    for image, detections in zip(PICTURES, found, strict=True):
        inputs = find.processor(images=image, text=[list(named)], return_tensors="pt")
        with torch.inference_mode():
            outputs = find.model(**inputs)
        [expected] = find.processor.post_process_grounded_object_detection(
            outputs,
            threshold=BOX_THRESHOLD,
            text_threshold=TEXT_THRESHOLD,
            target_sizes=[image.size[::-1]],
        )
        rows = zip(expected["scores"], expected["boxes"], expected["text_labels"], strict=True)
        # A label there is all tokens over the threshold, dots and neighbours' words included.
        theirs = [
            (round(float(score), 4), whole_box(box.tolist(), *image.size), label)
            for score, box, label in rows
            if set(label) - set(". ")
        ]
        theirs.sort(key=lambda row: -row[0])
        assert [(d.score, d.box) for d in detections] == [row[:2] for row in theirs]
        assert detections
        for detection, (_, _, label) in zip(detections, theirs, strict=True):
            assert detection.name == named[detection.phrase]
            own = set("".join(detection.phrase.split()))
            assert own & set(label)


def test_pictures_of_one_batch_have_phrases_of_their_own(options: Options) -> None:
    find = BoxFinder(options)
    named = [{"cat": "cat"}, {"brown dog": "dog", "sea": "sea", "red hat": "hat"}, {"hat": "hat"}]
    for mine, detections in zip(named, find(PICTURES, named), strict=True):
        assert detections
        assert {(d.phrase, d.name) for d in detections} <= set(mine.items())
        scores = [d.score for d in detections]
        assert scores == sorted(scores, reverse=True)
    assert find(PICTURES[:1], named[:1]) + find(PICTURES[1:], named[1:]) == find(PICTURES, named)


def test_tokens_belong_to_the_phrase_they_stand_in() -> None:
    # [CLS] black cat . hat . [SEP] [PAD]
    assert phrase_of_token([2, 11, 12, 5, 13, 5, 3, 0], 5) == [-1, 0, 0, -1, 1, -1, -1, -1]
    assert phrase_of_token([2, 11, 12, 3], 5) == [-1] * 4


def test_boxes_need_more_than_both_thresholds() -> None:
    owners = [-1, 0, 0, -1, 1, -1, -1]
    rows = torch.zeros(6, 8)
    rows[0, 2] = 0.2  # not over the threshold
    rows[1, 1], rows[1, 4] = 0.21, 0.5
    rows[2, 3] = 0.9  # a full stop is no phrase
    rows[3, 3], rows[3, 2] = 0.9, 0.25  # … but counts for the score
    rows[4, 2], rows[4, 4] = 0.7, 0.3
    rows[5, 7] = 0.9  # beyond the text
    found = assign(rows, owners)
    assert [(q, owner) for q, owner, _ in found] == [(1, 1), (3, 0), (4, 0)]
    assert [score for *_, score in found] == pytest.approx([0.5, 0.9, 0.7])
    assert assign(rows, [-1] * 7) == []


def test_masks_are_of_their_own_pictures_and_boxes(options: Options) -> None:
    find = MaskFinder(options)
    boxes = [[(100, 50, 400, 700)], [(0, 0, 1300, 1024), (600, 100, 900, 900)], [(5, 5, 99, 99)]]
    together = find(PICTURES, boxes)
    for image, mine, masks in zip(PICTURES, boxes, together, strict=True):
        assert [(m.shape, m.dtype) for m in masks] == [(image.size[::-1], np.dtype(bool))] * len(
            mine
        )
        for box, mask in zip(mine, masks, strict=True):
            [[alone]] = find([image], [[box]])
            assert np.mean(alone != mask) < 1e-4  # sums of other sizes round otherwise
    first, second = together[1]
    assert np.mean(first != second) > 0.01


def test_masks_are_those_of_the_library(options: Options) -> None:
    find = MaskFinder(options)
    box = (100, 50, 400, 700)
    [[ours]] = find([PICTURES[0]], [[box]])
    boxes = [[list(map(float, box))]]
    inputs = find.processor(images=PICTURES[0], input_boxes=boxes, return_tensors="pt")
    with torch.inference_mode():
        outputs = find.model(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"].float(),
            multimask_output=False,
        )
    [theirs] = find.processor.image_processor.post_process_masks(
        outputs.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    assert np.array_equal(ours, theirs[0, 0].numpy())
    assert 0.02 < ours.mean() < 0.98


def test_what_cannot_be_meant_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    for wrong, named in (
        ({"mask_model": str(tmp_path / "nowhere")}, "nowhere"),
        ({"batch": 0}, "batch"),
        ({"subject_px": 0}, "subject_px"),
        ({"box_ratio": "golden"}, "golden"),
    ):
        with pytest.raises(ValueError, match=named):
            Options(**wrong)
