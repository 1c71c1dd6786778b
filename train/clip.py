"""Trains the pocket CLIP: picture and caption aligned, the instance kept, photographs included.

    python -m train.clip --shards SHARDS --run RUN --steps 900 [--export assets/pocket/clip]

Contrasting captions and pictures alone throws away what makes a subject *this* one, and no decoder
can repaint what its condition has lost. So the image embedding also has to tell one drawing of a
cat from another (two views of one sprite against other sprites), and to redraw the picture through
a small network. Photographs are never seen: ImageNet's classes, fed as the trunk's class token with
the grid hidden, are their stand-ins. The trunk is frozen; its features are read from the shards.

Held-out metrics: caption → picture R@1 among 256 scenes of held-out sprites, one view of a held-out
sprite → its other view R@1, and the share of latent variance that the redrawing explains.
"""

import copy
import gzip
import math
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.tokenizer import default_bpe
from torch import Tensor, nn

from lambda_eclipse.clip import Clip
from lambda_eclipse.movq import PocketMOVQ
from lambda_eclipse.tower import GridTower
from train.features import MEAN, STD, load_trunk
from train.loop import Run, command, generator, train
from train.shards import VIEWS, Shards, pixels, train_views, view_index
from train.stickers.scenes import HUES
from train.stickers.split import load_split
from train.stickers.sprites import load
from train.teacher import Lexicon, load_lexicon

EMBED_DIM, TEXT_LAYERS, TEXT_HEADS = 384, 3, 6
PCA_SCENES = 6000
MERGES = 12_000  # of OpenCLIP's 48,894: a token table of 10 MB instead of 38
INSTANCES, ANCHORS, WORDS = 48, 32, 48  # per step, beside the batch of scenes
NOUN_TEMPLATES = ("a {}", "{}", "a picture of a {}", "a {} on a white background")
WEIGHTS = {
    "caption": 1.0,
    "noun": 0.5,
    "instance": 0.5,
    "redraw": 4.0,
    "photo": 0.5,
    "word": 1.0,
    "drift": 20.0,
}


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


class ClipWithHeads(nn.Module):
    """The CLIP and what only its training needs."""

    def __init__(self, clip: Clip, latent_size: int) -> None:
        super().__init__()
        self.clip = clip
        self.redraw = nn.Sequential(
            nn.Linear(EMBED_DIM, 1024), nn.GELU(), nn.Linear(1024, latent_size)
        )
        self.teach = nn.Linear(EMBED_DIM, 384)

    @property
    def tower(self) -> GridTower:
        return self.clip.model.visual.trunk

    def train(self, mode: bool = True) -> "ClipWithHeads":
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


class Batches:
    """What a step trains on, as a function of (seed, step)."""

    def __init__(
        self,
        shards: Shards,
        lexicon: Lexicon,
        tower: GridTower,
        seed: int,
        batch: int,
        anchors: int = ANCHORS,
    ) -> None:
        self.shards, self.lexicon, self.seed, self.batch = shards, lexicon, seed, batch
        self.anchor_count = anchors
        sprites, _ = load()
        held = load_split().sprites
        self.nouns = [s.noun for s in sprites]
        self.by_noun: dict[str, list[int]] = {}
        for i, sprite in enumerate(sprites):
            if sprite.name not in held:
                self.by_noun.setdefault(sprite.noun, []).append(i)
        self.tower = tower
        self.train_views = train_views()
        names = F.normalize(tower.trunk.classifier.weight, dim=1)
        self.confusion = (names @ names.T).detach()  # which classes the trunk takes for which

    def scenes(self, step: int) -> np.ndarray:
        """Indices of the step's scenes: an epoch is a permutation."""
        total = len(self.shards.rows["train"])
        per_epoch = total // self.batch
        order = np.random.default_rng((self.seed, step // per_epoch)).permutation(total)
        at = step % per_epoch * self.batch
        return np.sort(order[at : at + self.batch])

    def instances(self, rng: random.Random) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Nouns and two views each of `INSTANCES` coloured sprites, three drawings of a noun."""
        chosen = []
        for noun in rng.sample(sorted(self.by_noun), INSTANCES // 3):
            drawings = self.by_noun[noun]
            chosen += rng.sample(drawings, min(3, len(drawings)))
        hues = [0 if rng.random() < 0.5 else rng.randrange(1, HUES) for _ in chosen]
        pairs = np.array([rng.sample(range(VIEWS), 2) for _ in chosen])
        first = view_index(np.array(chosen), np.array(hues), pairs[:, 0])
        second = view_index(np.array(chosen), np.array(hues), pairs[:, 1])
        return [self.nouns[i] for i in chosen], first, second

    def anchors(self, rng: random.Random, step: int) -> tuple[list[str], tuple[Tensor, ...]]:
        """ImageNet classes: what to call them, and a photograph's stand-in for `tower.embed`.

        Class logits of that class; the rest a stranger's with noise, or hidden.
        """
        classes = rng.sample(range(1000), self.anchor_count)
        words = []
        for c in classes:
            noun = self.lexicon.class_nouns[c]
            words.append(noun if noun and rng.random() < 0.6 else self.lexicon.class_names[c])
        noise = torch.randn(self.anchor_count, 1000, generator=generator(self.seed, step, 1))
        sharpness = torch.tensor([rng.uniform(8, 30) for _ in classes])[:, None]
        logits = sharpness * self.confusion[classes] + noise
        strangers = self.train_views[
            np.sort([rng.randrange(len(self.train_views)) for _ in classes])
        ]
        grid, _, patches = self.shards.features(self.tower, "views", strangers)
        grid = grid + torch.randn(grid.shape, generator=generator(self.seed, step, 2))
        hidden = torch.arange(self.anchor_count) % 2 == 0
        return words, (grid, logits, patches, hidden)


def unit(x: Tensor) -> Tensor:
    """Rows at length 1."""
    return F.normalize(x, dim=-1)


@torch.no_grad()
def first_hits(queries: Tensor, gallery: Tensor) -> float:
    """R@1: the share of rows whose own row in the gallery is the nearest, by cosine."""
    nearest = (unit(queries) @ unit(gallery).T).argmax(1)
    return float((nearest == torch.arange(len(queries))).float().mean())


@torch.no_grad()
def evaluate(model: ClipWithHeads, shards: Shards, coder: PocketMOVQ) -> dict[str, float]:
    """The held-out metrics named above."""
    result = {}
    for side in ("held", "seen"):
        index = np.arange(256)
        images = model.tower.embed(*shards.features(model.tower, side, index))
        texts = model.clip.text([shards.rows[side][i].caption for i in index]).pooled
        result[f"caption_r1_{side}"] = first_hits(texts, images)
        target = coder.patch_encode(pixels(shards.scenes[side][index])).flatten(1)
        error = (model.redraw(images) - target).square().mean()
        result[f"redraw_r2_{side}"] = float(1 - error / (target - target.mean(0)).square().mean())
    sprites, _ = load()
    held = np.array([i for i, s in enumerate(sprites) if s.name in load_split().sprites])
    views = [
        model.tower.embed(*shards.features(model.tower, "views", view_index(held, 0, v)))
        for v in (0, 1)
    ]
    result["instance_r1_held"] = first_hits(*views)
    return result


def build(
    shards_folder: Path,
    folder: Path,
    merges: Path,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    text_from: Path | None = None,
    photos_from: Path | None = None,
) -> Run:
    """A run of the CLIP.

    With `text_from`, of the text tower alone, starting from that run. With `photos_from`, only of
    what the image tower makes of its trunk's classes: photographs move to their words while
    drawings are held where they are.
    """
    torch.manual_seed(seed)
    config = configuration()
    write_merges(merges)
    clip = Clip.from_config(config, merges.parent)
    shards = Shards(shards_folder)
    coder = PocketMOVQ()
    coder.start_from_pca(pixels(shards.scenes["train"][:512]))
    coder.requires_grad_(False)
    model = ClipWithHeads(clip, 8 * 16 * 16)
    load_trunk(model.tower, shards_folder / "cache")
    model.tower.patches.load_state_dict(coder.patch_encode.state_dict())
    model.tower.patches.requires_grad_(False)
    sample = np.arange(0, min(4 * PCA_SCENES, len(shards.rows["train"])), 4)
    model.tower.start_detail(shards.features(model.tower, "train", sample)[2])
    if text_from is not None:
        state = torch.load(text_from / "checkpoint.pt", weights_only=True)["ema"]
        model.load_state_dict(state)
        model.tower.requires_grad_(False)  # pictures keep their places; words move to them
        model.redraw.requires_grad_(False)
    start = None
    if photos_from is not None:
        model.load_state_dict(torch.load(photos_from / "checkpoint.pt", weights_only=True)["ema"])
        model.requires_grad_(False)
        model.tower.class_in.requires_grad_(True)
        start = copy.deepcopy(model.tower).eval()
    lexicon = load_lexicon(shards_folder / "cache")
    anchors = ANCHORS if start is None else 4 * ANCHORS
    batches = Batches(shards, lexicon, model.tower, seed, batch, anchors)

    def compute_loss(step: int) -> dict[str, Tensor]:
        rng = random.Random(f"{seed}-{step}")
        scale = clip.model.logit_scale.exp().clamp(max=100)
        index = batches.scenes(step)
        captions = [shards.rows["train"][i].caption for i in index]
        nouns, first, second = batches.instances(rng)
        phrases = [rng.choice(NOUN_TEMPLATES).format(noun) for noun in nouns]
        names, stand_ins = batches.anchors(rng, step)
        words = rng.sample(lexicon.words, WORDS)

        drawings = shards.features(model.tower, "train", index)
        scenes = model.tower.embed(*drawings)  # (B, D)
        alone = shards.features(model.tower, "views", np.concatenate([first, second]))
        views = model.tower.embed(*alone)
        view_a, view_b = views.chunk(2)  # (96, D) each
        photos = model.tower.embed(*stand_ins)  # (48, D)
        texts = clip.text(captions).pooled  # (B, D)
        short = clip.text([*phrases, *names, *words]).pooled
        noun_texts, photo_texts, word_texts = short.split([len(phrases), len(names), len(words)])

        drawn = model.redraw(torch.cat([scenes, view_a]))
        shown = np.concatenate([shards.scenes["train"][index], shards.views[first]])
        target = coder.patch_encode(pixels(shown)).flatten(1)
        taught = model.teach(torch.cat([word_texts, photo_texts, photos, view_a]))
        lessons = lexicon[[*words, *names, *names, *nouns]]
        eye = torch.eye(len(nouns), dtype=torch.bool)
        parts = {
            "caption": contrast(unit(texts), unit(scenes), scale, same(captions, captions)),
            "noun": contrast(unit(noun_texts), unit(view_a), scale, same(nouns, nouns)),
            "instance": contrast(unit(view_a), unit(view_b), torch.tensor(14.0), eye),
            "redraw": (drawn - target).square().mean(),
            "photo": contrast(unit(photo_texts), unit(photos), scale, same(names, names)),
            "word": 1 - (unit(taught) * lessons).sum(-1).mean(),
        }
        if start is not None:
            with torch.no_grad():
                before = torch.cat([start.embed(*drawings), start.embed(*alone)])
            parts["drift"] = (torch.cat([scenes, views]) - before).square().mean()
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
        lambda weights: evaluate(weights, shards, coder),
        warmup=60,
        ema_decay=0.99,
        report_every=20,
        evaluate_every=max(1, math.ceil(steps / 12)),
        save_every=100,
    )


def main() -> None:
    """The command."""
    parser = command("Train the pocket CLIP.", steps=420, batch=128, rate=1e-3)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument(
        "--text-from", type=Path, metavar="RUN", help="train only the text tower of this CLIP run"
    )
    parser.add_argument(
        "--photos-from", type=Path, metavar="RUN", help="train only the tower's view of classes"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    merges = (arguments.export or arguments.run) / "merges.txt.gz"
    run = build(
        arguments.shards,
        arguments.run,
        merges,
        arguments.steps,
        arguments.batch,
        arguments.rate,
        arguments.seed,
        arguments.text_from,
        arguments.photos_from,
    )
    model = train(run)
    if arguments.export:
        from train.export import save_clip

        save_clip(model.clip, configuration(), arguments.export)


if __name__ == "__main__":
    main()
