"""Trains the pocket CLIP: what a picture shows, aligned with captions, photographs included.

    python -m train.pocket.clip --arrays ARRAYS --run RUN [--export assets/pocket/clip]

Of the image embedding's two parts (`lambda_eclipse.pocket.tower`), layout and appearance are fixed
by `train.pocket.appearance`; the semantic numbers are trained here together with the text tower:
captions against scenes, nouns against isolated drawings. It sees no photographs: ImageNet classes
stand in for them, as class logits with the grid hidden or another sprite's. The text tower also
learns words from a sentence encoder (`train.pocket.lexicon`). The trunk is frozen; its features are
read from the arrays.

Held-out metrics: caption → picture R@1 among 256 scenes of held-out sprites (mean over all such
groups), and one view of a held-out sprite → its other view R@1.
"""

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from lambda_eclipse.clip import WEIGHTS_NAME, Clip
from lambda_eclipse.pocket.tower import GridTower
from train.loop.export import save_clip
from train.loop.loop import train
from train.loop.options import chosen, command
from train.loop.task import Losses, Settings, Task
from train.pocket.appearance import FIXED, load_fixed
from train.pocket.clip_batches import Batches
from train.pocket.clip_config import configuration, write_merges
from train.pocket.lexicon import DIM, load_lexicon
from train.pocket.pretrained import load_trunk
from train.world.arrays import Arrays, view_index

SETTINGS = Settings(
    steps=700,
    batch=192,
    rate=1e-3,
    betas=(0.9, 0.98),
    weight_decay=0.02,
    warmup=60,
    ema_decay=0.99,
    report_every=20,
    save_every=100,
    evaluations=12,
)
WORDS = 48  # of the lexicon, per step
GROUP = 256  # scenes that a caption is looked up among
NOUN_TEMPLATES = ("a {}", "{}", "a picture of a {}", "a {} on a white background")
WEIGHTS = {"caption": 1.0, "noun": 0.5, "photo": 1.0, "word": 1.0}


class ClipWithTeacher(nn.Module):
    """The CLIP, and the layer that maps its text embeddings to the sentence encoder's."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip
        self.teach = nn.Linear(clip.embed_dim, DIM)

    @property
    def tower(self) -> GridTower:
        return self.clip.model.visual.trunk

    def train(self, mode: bool = True) -> "ClipWithTeacher":
        super().train(mode)
        self.tower.trunk.eval()  # frozen, batch statistics included
        return self


def contrast(a: Tensor, b: Tensor, scale: Tensor, positive: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit vectors (n, D), (m, D) with any number of positives each.

    `positive` (n, m) bool: equal captions, or nouns, are not each other's negatives.
    """
    logits = scale * a @ b.T  # (n, m)
    hits = logits.masked_fill(~positive, -torch.inf)
    rows = logits.logsumexp(1) - hits.logsumexp(1)
    columns = logits.logsumexp(0) - hits.logsumexp(0)
    return (rows.mean() + columns.mean()) / 2


def same(labels: list[str]) -> Tensor:
    """(n, n) bool: which labels are equal."""
    return torch.tensor([[a == b for b in labels] for a in labels])


def unit(x: Tensor) -> Tensor:
    """Rows at length 1."""
    return F.normalize(x, dim=-1)


@torch.no_grad()
def first_hits(queries: Tensor, gallery: Tensor) -> float:
    """R@1: share of queries whose nearest gallery row, by cosine, has the same index."""
    nearest = (unit(queries) @ unit(gallery).T).argmax(1)
    return float((nearest == torch.arange(len(queries))).float().mean())


def mean_hits(queries: Tensor, gallery: Tensor) -> float:
    """R@1 among `GROUP` rows, the mean over all such groups."""
    groups = zip(queries.split(GROUP), gallery.split(GROUP), strict=True)
    return float(np.mean([first_hits(*group) for group in groups]))


@torch.no_grad()
def evaluate(model: ClipWithTeacher, arrays: Arrays) -> dict[str, float]:
    """The held-out metrics."""
    result = {}
    for side in ("held", "seen"):
        rows, images, texts = arrays.rows(side), [], []
        for index in np.split(np.arange(len(rows)), range(GROUP, len(rows), GROUP)):
            images.append(model.tower.embed(*arrays.features(side, index)))
            texts.append(model.clip.text([rows[i].caption for i in index]).pooled)
        result[f"caption_r1_{side}"] = mean_hits(torch.cat(texts), torch.cat(images))
    held = np.flatnonzero(arrays.held)
    one, other = (arrays.features("views", view_index(held, 0, view)) for view in (0, 1))
    result["instance_r1_held"] = first_hits(model.tower.embed(*one), model.tower.embed(*other))
    return result


def losses(model: ClipWithTeacher, batches: Batches, step: int) -> Losses:
    """The loss of a step and its parts."""
    rng = random.Random(f"{batches.seed}-{step}")
    arrays, lexicon, clip, tower = batches.arrays, batches.lexicon, model.clip, model.tower
    scale = clip.model.logit_scale.exp().clamp(max=100)
    index = batches.scenes(step)
    captions = [arrays.rows("train")[i].caption for i in index]
    nouns, views = batches.drawings(rng)
    phrases = [rng.choice(NOUN_TEMPLATES).format(noun) for noun in nouns]
    names, stand_ins = batches.stand_ins(rng, step)
    words = rng.sample(lexicon.words, WORDS)

    scenes = tower.embed(*arrays.features("train", index))  # (B, D)
    drawings = tower.embed(*arrays.features("views", views))  # (n, D)
    photos = tower.semantic(*stand_ins)  # (A, SEMANTIC)
    texts = clip.text(captions).pooled  # (B, D)
    short = clip.text([*phrases, *names, *words]).pooled
    noun_texts, photo_texts, word_texts = short.split([len(phrases), len(names), len(words)])

    taught = model.teach(torch.cat([word_texts, photo_texts]))
    sentence = lexicon[[*words, *names]]
    photo_part = photo_texts[:, : photos.shape[1]]  # a class does not determine the appearance
    parts = {
        "caption": contrast(unit(texts), unit(scenes), scale, same(captions)),
        "noun": contrast(unit(noun_texts), unit(drawings), scale, same(nouns)),
        "photo": contrast(unit(photo_part), unit(photos), scale, same(names)),
        "word": 1 - (unit(taught) * sentence).sum(-1).mean(),
    }
    total = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
    return {"loss": total, **parts}


def load_start(clip: Clip, folder: Path) -> None:
    """Load an exported CLIP, but for the tower's fixed parts."""
    state = load_file(folder / WEIGHTS_NAME)
    fixed = tuple(f"visual.trunk.{part}." for part in FIXED)
    ours = clip.model.state_dict()
    clip.model.load_state_dict(
        {name: ours[name] if name.startswith(fixed) else state[name] for name in ours}
    )


def task(
    arrays: Arrays,
    settings: Settings,
    merges: Path,
    start_from: Path | None = None,
    text_only: bool = False,
) -> Task:
    """The CLIP's training; it starts from an exported one if given, and writes `merges`.

    `text_only` freezes the image tower. Layout and appearance always come from the arrays.
    """
    torch.manual_seed(settings.seed)
    write_merges(merges)
    clip = Clip.from_config(configuration(), merges.parent)
    model, cache = ClipWithTeacher(clip), arrays.folder / "cache"
    load_trunk(model.tower, cache)
    if start_from is not None:
        load_start(clip, start_from)
    load_fixed(model.tower, arrays.folder)
    if text_only:
        model.tower.requires_grad_(False)
    batches = Batches(arrays, load_lexicon(cache), model.tower, settings.seed, settings.batch)
    return Task(
        model, lambda step: losses(model, batches, step), lambda weights: evaluate(weights, arrays)
    )


def main() -> None:
    """The command."""
    parser = command("Train the pocket CLIP.", SETTINGS)
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument(
        "--from", type=Path, dest="start_from", metavar="CLIP", help="start from this exported CLIP"
    )
    parser.add_argument("--text-only", action="store_true", help="train only the text tower")
    parser.add_argument("--export", type=Path, help="write fp16 weights and configuration here")
    arguments = parser.parse_args()
    settings = chosen(arguments, SETTINGS)
    merges = (arguments.export or arguments.run) / "merges.txt.gz"
    start, text_only = arguments.start_from, arguments.text_only
    trained = task(Arrays(arguments.arrays), settings, merges, start, text_only)
    model = train(trained, settings, arguments.run)
    if arguments.export:
        save_clip(model.clip, configuration(), arguments.export)


if __name__ == "__main__":
    main()
