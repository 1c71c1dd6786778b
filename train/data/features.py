"""Computes the features of interleaved shards that a prior is trained on (Appendix B).

    python -m train.data.features --shards INTERLEAVED --stack pocket --out FEATURES
    python -m train.data.features --shards INTERLEAVED --stack kandinsky --out FEATURES

Writes a feature shard (`feature_shards`) for each interleaved shard, which come from
`train.data.caption_pipeline` or `train.world.interleaved`. The same command resumes. `--engine ray`
runs on a cluster.
"""

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import torch

from lambda_eclipse import clip_pair
from lambda_eclipse.canny import edge_map
from lambda_eclipse.clip import Clip
from lambda_eclipse.clip_model import CONFIG_NAME
from lambda_eclipse.layouts import files_in
from lambda_eclipse.locations import resolve
from lambda_eclipse.manifest import file_sha256
from lambda_eclipse.stacks import STACKS, source_of
from lambda_eclipse.tokens import Span, Tokenizer
from lambda_eclipse.weights import WeightsError
from train.data import engines
from train.data.feature_shards import FORMAT, KIND, FeatureShards, Source, encode, write_index
from train.data.interleaved_shards import Example, InterleavedShards
from train.data.resumable import check_settings, complete
from train.data.tars import write_tar

NO_SPAN = "a subject's noun is beyond what CLIP reads, or not among its words"


@dataclass(frozen=True)
class Task:
    """One interleaved shard of `size` examples."""

    number: int
    name: str
    size: int


@dataclass(frozen=True)
class Chunk:
    """A task in progress: `items` are examples before CLIP, (side, tokens, content) after it."""

    number: int
    items: list
    seen: int
    dropped: Counter[str] = field(default_factory=Counter)


def spans_of(tokenizer: Tokenizer, example: Example) -> list[Span] | None:
    """Token positions of each subject's noun; None if one is beyond CLIP's context.

    Nouns are found by position, not by word: a caption may name two dogs.
    """
    spans, pieces = [], tokenizer.pieces(example.caption)
    for subject in example.subjects:
        noun = example.nouns[subject.noun]
        before = tokenizer.pieces(example.caption[: noun.start])
        words = tokenizer.pieces(noun.text)
        end = len(before) + len(words)
        # Also none if the noun is only part of a word.
        if not words or pieces[:end] != before + words or end > tokenizer.context_length - 2:
            return None
        spans.append((len(before) + 1, end + 1))
    return spans


def read_step(task: Task, shards: Path) -> Chunk:
    """The examples of an interleaved shard."""
    return Chunk(task.number, InterleavedShards(shards).shard(task.name), task.size)


def load_step(folder: Path, device: str, edges_px: int, batch: int) -> Callable[[Chunk], Chunk]:
    """CLIP, ready to encode chunks."""
    return partial(encode_step, clip=load_clip(folder, device), edges_px=edges_px, batch=batch)


@cache
def load_clip(folder: Path, device: str) -> Clip:
    """CLIP, loaded once in each process; in half precision on CUDA."""
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    return Clip.from_folder(folder, device, dtype)


@torch.inference_mode()
def encode_step(chunk: Chunk, clip: Clip, edges_px: int, batch: int) -> Chunk:
    """The features of a chunk's examples, `batch` at a time; training examples first.

    edges_px: as in `Stack`.
    """
    found: list[tuple[str, int, bytes]] = []
    dropped: Counter[str] = Counter()
    for first in range(0, len(chunk.items), batch):
        examples, spans = [], []
        for example in chunk.items[first : first + batch]:
            own = spans_of(clip.tokenizer, example)
            if own is None:
                dropped[NO_SPAN] += 1
            else:
                examples.append(example)
                spans.append(own)
        if not examples:
            continue
        text = clip.text([example.caption for example in examples])
        images = [example.image() for example in examples]
        pictures = [
            *images,
            *(edge_map(image, size_px=edges_px) for image in images),
            *(cutout for example in examples for cutout in example.cutouts()),
        ]
        encoded = torch.cat(
            [clip.image(pictures[i : i + batch]) for i in range(0, len(pictures), batch)]
        )
        outputs = (encoded, text.states, text.pooled)
        embeddings, states, pooled = (output.float().cpu().numpy() for output in outputs)
        lengths = text.mask.sum(1).tolist()
        at = 2 * len(examples)
        for i, (example, own) in enumerate(zip(examples, spans, strict=True)):
            tensors = {
                "states": states[i, : lengths[i]],
                "pooled": pooled[i],
                "spans": own,
                "subjects": embeddings[at : at + len(own)],
                "target": embeddings[i],
                "canny": embeddings[len(examples) + i],
            }
            at += len(own)
            content = encode(tensors, example.caption, example.source)
            found.append((example.split, lengths[i], content))
    found.sort(key=lambda item: item[0] != "train")
    return Chunk(chunk.number, found, chunk.seen, dropped)


def write_step(chunk: Chunk, out: Path) -> int:
    """Write the shard of an encoded chunk; returns its number."""
    report = {
        "train": sum(side == "train" for side, _, _ in chunk.items),
        "tokens": sum(tokens for _, tokens, _ in chunk.items),
        "seen": chunk.seen,
        "dropped": dict(chunk.dropped),
    }
    samples = [{"safetensors": content} for _, _, content in chunk.items]
    write_tar(out, KIND, chunk.number, samples, report)
    return chunk.number


def identify(folder: Path, device: str) -> tuple[Source, torch.Tensor]:
    """The identity of a folder's CLIP, and its embedding (D,) of the null image."""
    clip = load_clip(folder, device)
    scale = float(clip.model.logit_scale.exp())
    source = Source(clip.embed_dim, _weights_sha256(folder), scale)
    return source, clip.null_image()[0].float().cpu()


def _weights_sha256(folder: Path) -> str:
    """The checksum of a CLIP's weights; of the checksums of their files where they are several."""
    names = [name for name in files_in(folder, "clip") if name.endswith(".safetensors")]
    sums = [file_sha256(folder / name) for name in names]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def clip_folder(stack: str, folder: Path | None) -> Path:
    """The folder of a CLIP: `folder`, or a stack's source. WeightsError if there is none."""
    if folder is not None:
        if not (folder / CONFIG_NAME).is_file() and not clip_pair.is_in(folder):
            raise WeightsError(
                "{folder} holds no {file}: use the folder of a CLIP model.",
                folder=folder,
                file=CONFIG_NAME,
            )
        return folder
    return resolve(source_of(STACKS[stack], "clip"), "clip")


def run(
    shards: Path, folder: Path, out: Path, device: str, batch: int, engine, *, edges_px: int
) -> FeatureShards:
    """Write the features of `shards` that are missing in `out`. ValueError for bad input.

    folder: of a CLIP. engine: of `engines`. edges_px: as in `Stack`.
    """
    files = InterleavedShards(shards).files
    tasks = [Task(i, name, entry["examples"]) for i, (name, entry) in enumerate(files.items())]
    source, null = identify(folder, device)
    out.mkdir(parents=True, exist_ok=True)
    checksums = {name: entry["sha256"] for name, entry in files.items()}
    made_by = {"format": FORMAT, "clip": source.sha256, "dimension": source.dimension}
    check_settings(out, {**made_by, "edges_px": edges_px, "of": checksums})
    work = engines.Work(
        partial(read_step, shards=shards),
        partial(load_step, folder, device, edges_px, batch),
        partial(write_step, out=out),
        gpu=device.startswith("cuda"),
    )
    dones = complete(out, KIND, tasks, lambda todo: engine(todo, work), "examples")
    write_index(out, dones, source, null)
    for cause, number in sum((Counter(done["dropped"]) for done in dones), Counter()).items():
        print(f"{number} examples dropped: {cause}", file=sys.stderr)
    return FeatureShards(out)


def summary(shards: FeatureShards) -> str:
    """Counts and sizes of what was written, in words."""
    count = max(shards.examples, 1)
    return (
        f"{shards.count('train'):,} training and {shards.count('validation'):,} validation "
        f"examples in {len(shards.files)} shards: {shards.bytes / count / 1000:.1f} kB each, "
        f"{shards.tokens / count:.1f} text positions each, {shards.bytes / 1e9:.3g} GB in all"
    )


def main(arguments: list[str] | None = None) -> None:
    """The command; errors of input and options are one line, with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m train.data.features",
        description="Compute feature shards of interleaved shards. The same command resumes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--shards", type=Path, required=True, help="folder of interleaved shards")
    parser.add_argument(
        "--stack", choices=tuple(STACKS), required=True, help="whose CLIP and size of edges to use"
    )
    parser.add_argument("--clip", type=Path, help="folder of a CLIP instead of the stack's")
    parser.add_argument("--out", type=Path, required=True, help="folder for the features")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cpu, cuda, cuda:1, mps")
    parser.add_argument("--batch", type=int, default=64, help="examples, and pictures, at once")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="who runs it")
    parser.add_argument("--workers", type=int, default=1, help="CLIPs, with --engine ray")
    given = parser.parse_args(arguments)
    engine = engines.run_local
    if given.engine == "ray":
        engine = partial(engines.run_ray, workers=given.workers)
    try:
        if given.batch < 1:
            raise ValueError(f"--batch {given.batch}: take 1 or more.")
        folder = clip_folder(given.stack, given.clip).resolve()
        shards, out = given.shards.resolve(), given.out.resolve()
        edges_px = STACKS[given.stack].edges_px
        done = run(shards, folder, out, given.device, given.batch, engine, edges_px=edges_px)
        print(summary(done))
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
