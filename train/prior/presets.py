"""Presets of the prior's training: the paper's, the pocket's, and one that is done in seconds."""

from dataclasses import dataclass

from lambda_eclipse import paper


@dataclass(frozen=True)
class Preset:
    """How a prior is trained.

    heads, head_dim, layers: of a prior that starts from nothing. batch: examples of a step in each
    process. rate: peak; warmup: steps until then. weight: λ of Eq. 1. summed: its squared norm is
    the sum over dimensions, as printed, so that λ weighs D times less than beside their mean, which
    the published trainers take. no_canny: chance that an example is shown without its edge map.
    words: chance that a subject stays its noun. routing: rate of queries' and keys' layers, as a
    share of the others'. Intervals are in steps; evaluations: in all.
    """

    heads: int
    head_dim: int
    layers: int
    batch: int
    steps: int
    rate: float
    warmup: int
    weight: float
    summed: bool
    no_canny: float
    words: float
    routing: float
    betas: tuple[float, float]
    weight_decay: float
    ema_decay: float
    report_every: int
    save_every: int
    evaluations: int


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
        weight=paper.LAMBDA,
        summed=False,
        no_canny=paper.CANNY_DROP,
        words=0.0,
        routing=1.0,
        betas=(0.9, 0.999),
        weight_decay=0.01,
        ema_decay=0.9999,
        report_every=50,
        save_every=1000,
        evaluations=50,
    ),
    # As wide as the pocket's embedding: a narrower one cuts its rank. With the mean over
    # dimensions, the contrast would weigh as much as all of what a subject looks like, and the
    # caption says nothing of that. Queries and keys start sharp in a trained prior, and steps that
    # suit everything else blur them before they mend them.
    "pocket": Preset(
        heads=20,
        head_dim=32,
        layers=3,
        batch=32,
        steps=6000,
        rate=2e-4,
        warmup=60,
        weight=paper.LAMBDA,
        summed=True,
        no_canny=0.8,
        words=0.25,
        routing=0.3,
        betas=(0.9, 0.98),
        weight_decay=0.02,
        ema_decay=0.995,
        report_every=20,
        save_every=200,
        evaluations=10,
    ),
    "debug": Preset(
        heads=2,
        head_dim=8,
        layers=2,
        batch=8,
        steps=12,
        rate=1e-3,
        warmup=2,
        weight=paper.LAMBDA,
        summed=False,
        no_canny=0.5,
        words=0.25,
        routing=1.0,
        betas=(0.9, 0.98),
        weight_decay=0.02,
        ema_decay=0.9,
        report_every=1,
        save_every=4,
        evaluations=2,
    ),
}
