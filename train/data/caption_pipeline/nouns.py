"""Subject nouns of captions: spaCy's noun chunks (Appendix B)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import spacy
from spacy.tokens import Span

from train.data.caption_pipeline.options import Options
from train.data.interleaved_shards import Noun

# Leading words of a chunk that are not detected: a, both, two.
_LEADING = ("det", "predet", "nummod")


@dataclass(frozen=True)
class Mention:
    """A noun and its phrase for the detector, lower case: "teddy bear", "brown teddy bear"."""

    noun: Noun
    phrase: str


class NounFinder:
    """Captions → their nouns in reading order.

    The noun whose token states are replaced is a chunk's last word with its compound
    nouns ("a brown teddy bear" → "teddy bear"): adjectives stay words of the caption, and are part
    of the detector's phrase. Pronouns are not subjects.
    """

    def __init__(self, options: Options) -> None:
        try:
            self.nlp = spacy.load(options.noun_model, exclude=["ner"])
        except OSError as error:
            raise ValueError(
                f"spaCy has no model “{options.noun_model}”: pip install -r "
                f"requirements-data.txt, or give another with --noun-model."
            ) from error

    def __call__(self, captions: Sequence[str]) -> list[list[Mention]]:
        """The mentions of each caption."""
        return [_mentions(doc.noun_chunks) for doc in self.nlp.pipe(captions)]


def _mentions(chunks: Iterable[Span]) -> list[Mention]:
    found = [_mention(chunk) for chunk in chunks if chunk.root.pos_ in ("NOUN", "PROPN")]
    return [mention for mention in found if mention is not None]


def _mention(chunk: Span) -> Mention | None:
    """None if the phrase has no letters or digits, such as "#"."""
    doc, root = chunk.doc, chunk.root
    start = root.i
    while start > chunk.start and (
        doc[start - 1].dep_ in ("compound", "nmod") or doc[start - 1].text == "-"
    ):
        start -= 1
    noun = doc[start : root.i + 1]
    while len(noun) > 1 and noun[0].is_punct:
        noun = noun[1:]
    first = chunk.start
    while first < noun.start and (
        doc[first].dep_ in _LEADING or doc[first].pos_ == "PRON" or doc[first].is_punct
    ):
        first += 1
    # Full stops and question marks end a phrase for the detector.
    phrase = " ".join(re.sub(r"[.?]", " ", doc[first : root.i + 1].text.lower()).split())
    if not any(letter.isalnum() for letter in phrase):
        return None
    single = doc[noun.start : root.i].text_with_ws + root.lemma_
    name = " ".join(single.lower().split())
    return Mention(Noun(noun.text, name, noun.start_char, noun.end_char), phrase)
