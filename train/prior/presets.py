"""Presets of the prior's training: the paper's, the pocket's, and one that takes seconds."""

from dataclasses import dataclass

from lambda_eclipse import paper
from train.loop.task import Settings


@dataclass(frozen=True, kw_only=True)
class Preset(Settings):
    """How a prior is trained.

    heads, head_dim, layers: of a prior that starts from random weights.
    contrast_weight: λ of Eq. 1, beside the mean over dimensions (see `loss`).
    canny_drop: probability of training an example without its edge map.
    subject_drop: probability of leaving a subject its noun's token states.
    routing: learning rate of the query and key layers, relative to the others'.
    """

    heads: int
    head_dim: int
    layers: int
    contrast_weight: float = paper.LAMBDA
    canny_drop: float
    subject_drop: float
    routing: float = 1.0


PRESETS = {
    # Appendix C and Sec. 3.2, "Training and inference details"; what they leave open (warm-up,
    # averaging, weight decay) is usual practice.
    "paper": Preset(
        heads=paper.NUM_HEADS,
        head_dim=paper.HEAD_DIM,
        layers=paper.NUM_LAYERS,
        batch=paper.BATCH_PER_GPU,
        steps=paper.TRAINING_STEPS,
        rate=paper.LEARNING_RATE,
        warmup=2000,
        canny_drop=paper.CANNY_DROP,
        subject_drop=0.0,
        betas=(0.9, 0.999),
        weight_decay=0.01,
        ema_decay=0.9999,
        save_every=1000,
        evaluations=50,
    ),
    # As wide as the pocket's embedding: a narrower prior limits its rank. Its λ is the paper's 0.2
    # beside the sum over its 640 dimensions: 0.2 beside their mean would weigh as much as the whole
    # appearance of a subject, of which the caption says nothing. Queries and keys start sharp in a
    # trained prior; the rate that suits the other layers would blur them first.
    "pocket": Preset(
        heads=20,
        head_dim=32,
        layers=3,
        batch=32,
        steps=6000,
        rate=2e-4,
        warmup=60,
        contrast_weight=paper.LAMBDA / 640,
        canny_drop=0.8,
        subject_drop=0.25,
        routing=0.3,
        betas=(0.9, 0.98),
        weight_decay=0.02,
        ema_decay=0.995,
        report_every=20,
        save_every=200,
    ),
    "debug": Preset(
        heads=2,
        head_dim=8,
        layers=2,
        batch=8,
        steps=12,
        rate=1e-3,
        warmup=2,
        canny_drop=0.5,
        subject_drop=0.25,
        betas=(0.9, 0.98),
        weight_decay=0.02,
        ema_decay=0.9,
        report_every=1,
        save_every=4,
        evaluations=2,
    ),
}
