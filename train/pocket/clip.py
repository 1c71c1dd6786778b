"""Trains the pocket CLIP: what a picture shows, aligned with captions, photographs included.

    python -m train.pocket.clip --shards SHARDS --run RUN [--export assets/pocket/clip]

The image embedding has two parts (`lambda_eclipse.pocket.tower`). What it looks like is set once,
as a
principal component analysis of training pictures; what it shows is trained here together with the
text tower: captions against scenes, nouns against drawings alone. Photographs are never seen:
ImageNet's classes, fed as the trunk's class token with the grid hidden or a stranger's, are their
stand-ins. Words are also taught by a sentence encoder (`train.pocket.teacher`). The trunk is
frozen; its
features are read from the shards.

Held-out metrics: caption → picture R@1 among 256 scenes of held-out sprites (mean over all such
groups), and one view of a held-out sprite → its other view R@1.
"""

import gzip
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.tokenizer import default_bpe
from safetensors.torch import load_file
from torch import Tensor, nn

from lambda_eclipse.clip import WEIGHTS_NAME, Clip
from lambda_eclipse.pocket.tower import GridTower
from train.loop.loop import Run, command, options, train
from train.pocket.appearance import FIXED
from train.pocket.clip_data import Batches
from train.pocket.teacher import load_lexicon
from train.pocket.trunk import MEAN, STD, load_trunk
from train.world.arrays import Shards, view_index

EMBED_DIM, TEXT_LAYERS, TEXT_HEADS, TEXT_MLP_RATIO = 640, 2, 10, 0.5
MERGES = 4000  # of OpenCLIP's 48,894: a token table of 6 MB instead of 63
WORDS = 48  # of the lexicon, per step
GROUP = 256  # scenes that a caption is looked up among
NOUN_TEMPLATES = ("a {}", "{}", "a picture of a {}", "a {} on a white background")
WEIGHTS = {"caption": 1.0, "noun": 0.5, "photo": 1.0, "word": 1.0}


def write_merges(path: Path) -> None:
    """OpenCLIP's byte-pair merges, cut to the most frequent `MERGES`."""
    with gzip.open(default_bpe()) as full:
        lines = full.read().decode("utf-8").split("\n")[: MERGES + 1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write("\n".join(lines).encode("utf-8"))


def configuration() -> dict[str, object]:
    """The content of open_clip_config.json."""
    return {
        "model_cfg": {
            "embed_dim": EMBED_DIM,
            "vision_cfg": {
                "image_size": 128,
                "timm_model_name": "pocket_grid_tower",
                "timm_pool": "",
                "timm_proj": "",
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 512 + MERGES + 2,
                "width": EMBED_DIM,
                "heads": TEXT_HEADS,
                "layers": TEXT_LAYERS,
                "mlp_ratio": TEXT_MLP_RATIO,
            },
        },
        "preprocess_cfg": {
            "size": 128,
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
        "tokenizer": {"merges": "merges.txt.gz"},
    }


class ClipWithTeacher(nn.Module):
    """The CLIP and the layer through which its text tower is taught."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip
        self.teach = nn.Linear(clip.embed_dim, 384)

    @property
    def tower(self) -> GridTower:
        return self.clip.model.visual.trunk

    def train(self, mode: bool = True) -> "ClipWithTeacher":
        super().train(mode)
        self.tower.trunk.eval()  # frozen, its batch statistics too
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


def same(labels: list[str], others: list[str]) -> Tensor:
    """(n, m) bool: which labels are equal."""
    return torch.tensor([[a == b for b in others] for a in labels])


def unit(x: Tensor) -> Tensor:
    """Rows at length 1."""
    return F.normalize(x, dim=-1)


@torch.no_grad()
def first_hits(queries: Tensor, gallery: Tensor) -> float:
    """R@1: the share of rows whose own row in the gallery is the nearest, by cosine."""
    nearest = (unit(queries) @ unit(gallery).T).argmax(1)
    return float((nearest == torch.arange(len(queries))).float().mean())


def mean_hits(queries: Tensor, gallery: Tensor) -> float:
    """R@1 among `GROUP` rows, the mean over all such groups."""
    groups = zip(queries.split(GROUP), gallery.split(GROUP), strict=True)
    return float(np.mean([first_hits(*group) for group in groups]))


@torch.no_grad()
def evaluate(model: ClipWithTeacher, shards: Shards) -> dict[str, float]:
    """The held-out metrics named above."""
    result = {}
    for side in ("held", "seen"):
        rows, images, texts = shards.rows[side], [], []
        for first in range(0, len(rows), GROUP):
            index = np.arange(first, min(first + GROUP, len(rows)))
            images.append(model.tower.embed(*shards.features(side, index)))
            texts.append(model.clip.text([rows[i].caption for i in index]).pooled)
        result[f"caption_r1_{side}"] = mean_hits(torch.cat(texts), torch.cat(images))
    held = np.flatnonzero(shards.held)
    views = [model.tower.embed(*shards.features("views", view_index(held, 0, v))) for v in (0, 1)]
    result["instance_r1_held"] = first_hits(*views)
    return result


def set_appearance(tower: GridTower, shards: Shards) -> None:
    """The tower's fixed parts, as they made the shards' appearance numbers."""
    state = torch.load(shards.folder / "appearance.pt", weights_only=True)
    tower.load_state_dict(tower.state_dict() | state)
    for fixed in (tower.matte, tower.layout, tower.subjects):
        fixed.requires_grad_(False)


def build(
    shards_folder: Path,
    folder: Path,
    merges: Path,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    start_from: Path | None = None,
    text_only: bool = False,
) -> Run:
    """A run of the CLIP; it starts from an exported one if given.

    `text_only` keeps what pictures' embeddings say and moves words to them. What pictures look like
    is always set from the shards.
    """
    torch.manual_seed(seed)
    write_merges(merges)
    clip = Clip.from_config(configuration(), merges.parent)
    shards = Shards(shards_folder)
    model = ClipWithTeacher(clip)
    load_trunk(model.tower, shards_folder / "cache")
    if start_from is not None:
        state = load_file(start_from / WEIGHTS_NAME)
        fixed = tuple(f"visual.trunk.{part}." for part in FIXED)
        state = {name: tensor for name, tensor in state.items() if not name.startswith(fixed)}
        own = clip.model.state_dict()
        state |= {name: tensor for name, tensor in own.items() if name.startswith(fixed)}
        clip.model.load_state_dict(state)
    set_appearance(model.tower, shards)
    if text_only:
        model.tower.requires_grad_(False)
    lexicon = load_lexicon(shards_folder / "cache")
    batches = Batches(shards, lexicon, model.tower, seed, batch)
    rows = shards.rows["train"]

    def compute_loss(step: int) -> dict[str, Tensor]:
        rng = random.Random(f"{seed}-{step}")
        scale = clip.model.logit_scale.exp().clamp(max=100)
        index = batches.scenes(step)
        captions = [rows[i].caption for i in index]
        nouns, alone = batches.drawings(rng)
        phrases = [rng.choice(NOUN_TEMPLATES).format(noun) for noun in nouns]
        names, stand_ins = batches.anchors(rng, step)
        words = rng.sample(lexicon.words, WORDS)

        scenes = model.tower.embed(*shards.features("train", index))  # (B, D)
        drawings = model.tower.embed(*shards.features("views", alone))  # (n, D)
        photos = model.tower.semantic(*stand_ins)  # (A, SEMANTIC)
        texts = clip.text(captions).pooled  # (B, D)
        short = clip.text([*phrases, *names, *words]).pooled
        noun_texts, photo_texts, word_texts = short.split([len(phrases), len(names), len(words)])

        taught = model.teach(torch.cat([word_texts, photo_texts]))
        lessons = lexicon[[*words, *names]]
        photo_part = photo_texts[:, : photos.shape[1]]  # what a photograph looks like is open
        parts = {
            "caption": contrast(unit(texts), unit(scenes), scale, same(captions, captions)),
            "noun": contrast(unit(noun_texts), unit(drawings), scale, same(nouns, nouns)),
            "photo": contrast(unit(photo_part), unit(photos), scale, same(names, names)),
            "word": 1 - (unit(taught) * lessons).sum(-1).mean(),
        }
        return {"loss": sum(WEIGHTS[name] * part for name, part in parts.items()), **parts}

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.98), weight_decay=0.02)
    return Run(
        folder,
        model,
        optimizer,
        steps,
        batch,
        compute_loss,
        lambda weights: evaluate(weights, shards),
        warmup=60,
        ema_decay=0.99,
        report_every=20,
        evaluations=12,
        save_every=100,
    )


def main() -> None:
    """The command."""
    parser = command("Train the pocket CLIP.", steps=700, batch=192, rate=1e-3)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument(
        "--from", type=Path, dest="start_from", metavar="CLIP", help="start from this exported CLIP"
    )
    parser.add_argument("--text-only", action="store_true", help="train only the text tower")
    arguments = parser.parse_args()
    run = build(
        arguments.shards,
        merges=(arguments.export or arguments.run) / "merges.txt.gz",
        start_from=arguments.start_from,
        text_only=arguments.text_only,
        **options(arguments),
    )
    model = train(run)
    if arguments.export:
        from train.loop.export import save_clip

        save_clip(model.clip, configuration(), arguments.export)


if __name__ == "__main__":
    main()
