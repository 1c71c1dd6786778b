"""Captions: BLIP-2 (flan-t5-xl in Appendix B), through transformers' own classes."""

from collections.abc import Sequence

import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from train.data.caption_pipeline.options import Options


class Captioner:
    """Pictures → captions, without a prompt and without sampling."""

    def __init__(self, options: Options) -> None:
        self.device = options.device
        if options.caption_dtype == "auto":
            cuda = torch.device(options.device).type == "cuda"
            self.dtype = torch.float16 if cuda else torch.float32
        else:
            self.dtype = getattr(torch, options.caption_dtype)
        self.tokens = options.caption_tokens
        self.processor = Blip2Processor.from_pretrained(options.caption_model)
        # transformers keeps some parts in float32 whatever the dtype.
        model = Blip2ForConditionalGeneration.from_pretrained(
            options.caption_model, dtype=self.dtype
        )
        self.model = model.to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, images: Sequence[Image.Image]) -> list[str]:
        """One caption, with single spaces, for each RGB picture; may be empty."""
        inputs = self.processor(images=list(images), text=[""] * len(images), return_tensors="pt")
        inputs = inputs.to(self.device, self.dtype)  # floating-point ones
        ids = self.model.generate(
            **inputs, max_new_tokens=self.tokens, do_sample=False, num_beams=1
        )  # (B, ≤ tokens)
        texts = self.processor.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]
