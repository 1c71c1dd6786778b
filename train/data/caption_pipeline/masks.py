"""Masks of boxes: Segment Anything (Appendix B), through transformers' own classes."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from transformers import SamModel, SamProcessor

from train.data.caption_pipeline.filters import Box
from train.data.caption_pipeline.options import Options


class MaskFinder:
    """Pictures and boxes → one mask per box."""

    def __init__(self, options: Options) -> None:
        self.device = options.device
        self.processor = SamProcessor.from_pretrained(options.mask_model)
        self.model = SamModel.from_pretrained(options.mask_model).to(self.device).eval()

    @torch.inference_mode()
    def __call__(
        self, images: Sequence[Image.Image], boxes: Sequence[Sequence[Box]]
    ) -> list[list[np.ndarray]]:
        """Bool masks (H, W) of each RGB picture's boxes, one or more.

        The large image encoder runs on all pictures at once, the small mask decoder on one picture
        at a time, since numbers of boxes differ. A box is rarely ambiguous, so SAM returns a single
        mask for it.
        """
        inputs = [
            self.processor(
                images=image,
                input_boxes=[[[float(x) for x in box] for box in of_picture]],
                return_tensors="pt",
            )
            for image, of_picture in zip(images, boxes, strict=True)
        ]
        pixels = torch.cat([one["pixel_values"] for one in inputs])  # (B, 3, 1024, 1024)
        embeddings = self.model.get_image_embeddings(pixels.to(self.device))
        found = []
        for embedding, one in zip(embeddings, inputs, strict=True):
            outputs = self.model(
                image_embeddings=embedding[None],
                input_boxes=one["input_boxes"].float().to(self.device),  # (1, n, 4)
                multimask_output=False,
            )
            [masks] = self.processor.image_processor.post_process_masks(
                outputs.pred_masks.float().cpu(),  # (1, n, 1, 256, 256)
                one["original_sizes"],
                one["reshaped_input_sizes"],
            )  # (n, 1, H, W) bool
            found.append([mask.numpy() for mask in masks[:, 0]])
        return found
