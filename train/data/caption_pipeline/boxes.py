"""Boxes: Grounding DINO (Appendix B), through transformers' own classes.

Letters: B pictures, Q boxes that the model proposes, T positions of its text (256).
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor
from transformers.image_transforms import center_to_corners_format

from lambda_eclipse.paper import BOX_THRESHOLD, TEXT_THRESHOLD
from train.data.caption_pipeline.filters import Detection, whole_box
from train.data.caption_pipeline.options import Options


class BoxFinder:
    """Pictures and phrases → boxes, each labelled with one phrase."""

    def __init__(self, options: Options) -> None:
        self.device = options.device
        self.processor = GroundingDinoProcessor.from_pretrained(options.box_model)
        model = GroundingDinoForObjectDetection.from_pretrained(options.box_model)
        self.model = model.to(self.device).eval()
        self.full_stop = self.processor.tokenizer.convert_tokens_to_ids(".")

    def __call__(
        self, images: Sequence[Image.Image], named: Sequence[dict[str, str]]
    ) -> list[list[Detection]]:
        """The boxes of each picture, best first.

        `named`: of each RGB picture the phrases to look for, one or more, with each one's name. All
        phrases of a picture are looked for at once, "black cat. hat."; a box is of the phrase with
        its best token.

        Pictures of one size go through the model together. Others would have to be padded, and its
        boxes then depend a little on which pictures happen to be neighbours.
        """
        by_size = defaultdict(list)
        for i, image in enumerate(images):
            by_size[image.size].append(i)
        found: list[list[Detection]] = [[] for _ in images]
        for group in by_size.values():
            detections = self._of_one_size([images[i] for i in group], [named[i] for i in group])
            for i, of_picture in zip(group, detections, strict=True):
                found[i] = of_picture
        return found

    @torch.inference_mode()
    def _of_one_size(
        self, images: Sequence[Image.Image], named: Sequence[dict[str, str]]
    ) -> list[list[Detection]]:
        inputs = self.processor(
            images=list(images),
            text=[list(phrases) for phrases in named],
            padding=True,
            truncation=True,
            max_length=self.model.config.max_text_len,
            return_tensors="pt",
        ).to(self.device)
        outputs = self.model(**inputs)
        probabilities = outputs.logits.sigmoid().float().cpu()  # (B, Q, T)
        corners = center_to_corners_format(outputs.pred_boxes).float().cpu()  # (B, Q, 4) in [0, 1]
        width, height = images[0].size
        corners = corners * torch.tensor([width, height, width, height])  # px
        found = []
        for i, names in enumerate(named):
            owners = phrase_of_token(inputs["input_ids"][i].tolist(), self.full_stop)
            phrases = list(names)
            detections = []
            for q, owner, score in assign(probabilities[i], owners):
                box = whole_box(corners[i, q].tolist(), width, height)
                phrase = phrases[owner]
                detections.append(Detection(phrase, names[phrase], box, round(score, 4)))
            found.append(sorted(detections, key=lambda d: -d.score))
        return found


def phrase_of_token(ids: Sequence[int], full_stop: int) -> list[int]:
    """For each position of a text, "[CLS] black cat . hat . [SEP]", its phrase, or −1 for none."""
    owners, phrase = [], 0
    last = len(ids) - 1 - list(reversed(ids)).index(full_stop) if full_stop in ids else 0
    for position, token in enumerate(ids):
        inside = 0 < position < last and token != full_stop
        owners.append(phrase if inside else -1)
        phrase += token == full_stop
    return owners


def assign(probabilities: Tensor, owners: Sequence[int]) -> list[tuple[int, int, float]]:
    """(box, phrase, score) of the boxes over both thresholds.

    `probabilities`: (Q, T) in [0, 1]. `owners`: as from `phrase_of_token`, up to T of them. A box
    is kept when its best token is over the box threshold; it is of the phrase whose best token is
    highest, when that is over the text threshold (both 0.2, Appendix B). Its score is its best
    token's, as in Grounding DINO.
    """
    scores = probabilities.amax(dim=1)  # (Q,)
    positions = torch.tensor([p for p, owner in enumerate(owners) if owner >= 0])
    if len(positions) == 0:
        return []
    best, at = probabilities[:, positions].max(dim=1)  # (Q,) both
    kept = (scores > BOX_THRESHOLD) & (best > TEXT_THRESHOLD)
    return [
        (q, owners[int(positions[at[q]])], float(scores[q])) for q in kept.nonzero()[:, 0].tolist()
    ]
