"""Annotate pictures with the four models; the filters drop pictures, boxes and masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lambda_eclipse.masking import prepare_subject
from train.data.caption_pipeline import filters
from train.data.caption_pipeline.boxes import BoxFinder
from train.data.caption_pipeline.captions import Captioner
from train.data.caption_pipeline.filters import Detection
from train.data.caption_pipeline.masks import MaskFinder
from train.data.caption_pipeline.nouns import Mention, NounFinder
from train.data.caption_pipeline.options import Options
from train.data.caption_pipeline.report import Cause, Report
from train.data.caption_pipeline.sources import Chunk, Picture
from train.data.interleaved_shards import Example, Subject, encode, split_of


@dataclass
class _Draft:
    """A picture in progress."""

    picture: Picture
    image: Image.Image
    caption: str
    mentions: list[Mention]
    detections: list[Detection]
    masks: list[np.ndarray]
    shares: list[float]


class Annotator:
    """Pictures → examples; holds the four models."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.nouns = NounFinder(options)
        self.caption = Captioner(options)
        self.boxes = BoxFinder(options)
        self.masks = MaskFinder(options)

    def __call__(self, chunk: Chunk) -> Chunk:
        """The examples of a chunk's pictures, in their order."""
        examples: list[Example] = []
        for start in range(0, len(chunk.items), self.options.batch):
            batch = chunk.items[start : start + self.options.batch]
            examples += self._batch(batch, chunk.report)
        return Chunk(chunk.number, examples, chunk.report)

    def _batch(self, pictures: Sequence[Picture], report: Report) -> list[Example]:
        images = [picture.image() for picture in pictures]
        captions = self.caption(images)
        drafts = []
        for picture, image, caption, mentions in zip(
            pictures, images, captions, self.nouns(captions), strict=True
        ):
            if not mentions:
                report.drop(Cause.NO_NOUNS, picture.name)
            elif filters.too_many_alike(mention.noun.name for mention in mentions):
                report.drop(Cause.IDENTICAL, picture.name)
            else:
                drafts.append(_Draft(picture, image, caption, mentions, [], [], []))
        drafts = self._with_boxes(drafts, report)
        drafts = self._with_masks(drafts, report)
        found = [(draft, self._example(draft)) for draft in drafts]
        for draft, result in found:
            if isinstance(result, Cause):
                report.drop(result, draft.picture.name)
        return [result for _, result in found if isinstance(result, Example)]

    def _with_boxes(self, drafts: list[_Draft], report: Report) -> list[_Draft]:
        """The drafts that keep at least one box."""
        if not drafts:
            return []
        named = [{m.phrase: m.noun.name for m in draft.mentions} for draft in drafts]
        kept = []
        for draft, found in zip(
            drafts, self.boxes([draft.image for draft in drafts], named), strict=True
        ):
            cause = filters.count_cause(found)
            if cause is None:
                for detection in found:
                    why = filters.box_cause(detection, *draft.image.size, self.options.box_ratio)
                    if why is None:
                        draft.detections.append(detection)
                    else:
                        report.boxes[why.value] += 1
                cause = None if draft.detections else Cause.NO_SUBJECTS
            if cause is None:
                kept.append(draft)
            else:
                report.drop(cause, draft.picture.name)
        return kept

    def _with_masks(self, drafts: list[_Draft], report: Report) -> list[_Draft]:
        """The drafts with masks, without the boxes whose masks are too small."""
        if not drafts:
            return []
        found = self.masks(
            [draft.image for draft in drafts], [[d.box for d in f.detections] for f in drafts]
        )
        for draft, masks in zip(drafts, found, strict=True):
            pairs, draft.detections = list(zip(draft.detections, masks, strict=True)), []
            for detection, mask in pairs:
                share = filters.mask_share(mask, detection.box)
                why = filters.mask_cause(share)
                if why is not None:
                    report.boxes[why.value] += 1
                    continue
                draft.detections.append(detection)
                draft.masks.append(mask)
                draft.shares.append(share)
        return drafts

    def _example(self, draft: _Draft) -> Example | Cause:
        """The finished example, or the cause of dropping the picture."""
        bound = filters.bind([m.phrase for m in draft.mentions], draft.detections)
        cause = filters.white_cause(filters.white_share(np.asarray(draft.image), draft.masks))
        cause = cause or filters.subjects_cause(len(bound))
        if cause is not None:
            return cause
        subjects = []
        for noun, i in bound.items():
            detection = draft.detections[i]
            subjects.append(
                Subject(
                    noun,
                    cut_out(draft.image, draft.masks[i], detection.box, self.options),
                    detection.box,
                    detection.score,
                    round(draft.shares[i], 4),
                )
            )
        return Example(
            draft.caption,
            tuple(mention.noun for mention in draft.mentions),
            tuple(subjects),
            draft.picture.content,
            "jpg",
            split_of(draft.picture.sha256),
            draft.picture.name,
            draft.picture.sha256,
        )


def cut_out(image: Image.Image, mask: np.ndarray, box: filters.Box, options: Options) -> bytes:
    """PNG of a subject: cropped by its box, masked, its aspect kept, centred on white.

    Cropped from the full picture before resizing (Sec. 3.2), and framed as the page frames uploads,
    so training and inference see equal pictures.
    """
    crop = Image.fromarray(mask).convert("L").crop(box)
    framed = prepare_subject(image.crop(box), crop, options.subject_px, margin=options.margin)
    return encode(framed.picture, "png")
