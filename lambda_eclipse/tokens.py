"""Prompts as CLIP tokens, and the token span of each subject's noun.

Search nouns among the *words* of the cleaned prompt, then map words to token positions. A search
for token ids would match "hat" in "that", miss "Hats!", and let two subjects overwrite each
other's tokens.

Letters: B prompts, L context length.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lambda_eclipse.messages import StudioError, Text
from lambda_eclipse.paper import TEXT_POSITIONS
from lambda_eclipse.plurals import plurals

Span = tuple[int, int]

_WORD = re.compile(r"[^\W_]+")
# Characters allowed between the words of a noun besides spaces: "teddy-bear", "jack o' lantern".
_JOINERS = frozenset("-‐‑–'’`\"“”_")
# Remove the names of the two control tokens: as tokens they would end the prompt.
_CONTROL = re.compile(r"<(?:start|end)_of_text>", re.IGNORECASE)


class SubjectError(StudioError):
    """A subject's noun that has no place in the prompt."""


@dataclass(frozen=True)
class TokenBatch:
    """Prompts: token ids (B, L) int64, zero after end-of-text; mask (B, L), true up to there."""

    ids: Tensor
    mask: Tensor


@dataclass(frozen=True)
class _Word:
    text: str
    chars: Span  # in the cleaned prompt
    tokens: Span  # positions, start-of-text being 0


class Tokenizer:
    """OpenCLIP's byte-pair tokenizer with positions of words.

    merges: gzipped merges file (first line is a header); None: OpenCLIP's full vocabulary.
    A shortened file gives a smaller vocabulary, and other start and end ids.
    """

    def __init__(self, context_length: int = TEXT_POSITIONS, merges: Path | None = None) -> None:
        from open_clip.tokenizer import SimpleTokenizer

        options: dict[str, Any] = {} if merges is None else {"bpe_path": str(merges)}
        self._bpe = SimpleTokenizer(context_length=context_length, **options)
        self.context_length = context_length
        self.vocab_size: int = self._bpe.vocab_size
        self.start_id: int = self._bpe.sot_token_id
        self.end_id: int = self._bpe.eot_token_id

    def encode(self, prompts: Sequence[str]) -> TokenBatch:
        """Ids and mask of `prompts`; longer ones are truncated to the context, as in OpenCLIP."""
        ids = torch.zeros(len(prompts), self.context_length, dtype=torch.int64)
        mask = torch.zeros(len(prompts), self.context_length, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            body = [i for _, piece in self._pieces(self.clean(prompt)) for i in piece]
            body = body[: self.context_length - 2]
            ids[row, : len(body) + 2] = torch.tensor([self.start_id, *body, self.end_id])
            mask[row, : len(body) + 2] = True
        return TokenBatch(ids, mask)

    def clean(self, prompt: str) -> str:
        """The prompt as it is tokenized: repaired Unicode, lower case, single spaces."""
        text = _CONTROL.sub(" ", self._bpe.clean_fn(prompt))
        return " ".join(text.split())

    def pieces(self, prompt: str) -> list[str]:
        """Readable token texts without start and end; piece i has position i + 1.

        Includes the pieces from position `context_length - 1` on, which the model does not get.
        """
        found = self._pieces(self.clean(prompt))
        return [self._bpe.decode([i]).strip() for _, piece in found for i in piece]

    def words_at(self, prompt: str, span: Span) -> str:
        """The prompt's text at token positions [start, end)."""
        ids = [i for _, piece in self._pieces(self.clean(prompt)) for i in piece]
        return self._bpe.decode(ids[span[0] - 1 : span[1] - 1]).strip()

    def occurrences(self, prompt: str, noun: str) -> list[Span]:
        """Spans of `noun` within the context: exact words in reading order, then plurals.

        Exact words come first so that "glass" does not match "glasses" if the prompt has both.
        """
        return [span for span in self._find(prompt, noun) if self._fits(span)]

    def span(self, prompt: str, noun: str, occurrence: int = 0) -> Span:
        """Token positions [start, end) of the noun; start-of-text is position 0.

        Matches whole words, ignores case and punctuation, and accepts a plural of the last word.
        occurrence: index in `occurrences`. Raises SubjectError if there is none.
        """
        visible = self.occurrences(prompt, noun)
        if 0 <= occurrence < len(visible):
            return visible[occurrence]
        if not visible:
            raise self._missing(prompt, noun)
        raise SubjectError(
            '"{noun}" occurs {times} in the prompt, so there is no occurrence number {number}; '
            "mention it again or choose an earlier one.",
            noun=noun,
            times=times(len(visible)),
            number=occurrence + 1,
        )

    def words(self, noun: str) -> int:
        """Number of words of a noun."""
        return len(_WORD.findall(self.clean(noun)))

    def _pieces(self, text: str) -> Iterator[tuple[Span, list[int]]]:
        """The cleaned text's pre-tokens: characters [start, end) and token ids of each."""
        for match in self._bpe.pat.finditer(text):
            raw = "".join(self._bpe.byte_encoder[b] for b in match.group().encode("utf-8"))
            yield match.span(), [self._bpe.encoder[t] for t in self._bpe.bpe(raw).split(" ")]

    def _located(self, text: str) -> list[_Word]:
        """Words of the cleaned text with the tokens that their characters fall into."""
        tokens: list[tuple[Span, Span]] = []
        position = 1
        for chars, ids in self._pieces(text):
            tokens.append((chars, (position, position + len(ids))))
            position += len(ids)
        words = []
        for match in _WORD.finditer(text):
            held = [span for chars, span in tokens if overlap(chars, match.span())]
            if held:
                words.append(_Word(match.group(), match.span(), (held[0][0], held[-1][1])))
        return words

    def _find(self, prompt: str, noun: str) -> list[Span]:
        text, wanted = self.clean(prompt), self.clean(noun)
        names = _WORD.findall(wanted)
        if not names:
            raise SubjectError("A subject has no noun: enter its word in the prompt.")
        words = self._located(text)
        gaps = [gap.strip() for gap in _WORD.split(wanted)[1:-1]]
        last_forms = plurals(names[-1])
        exact: list[Span] = []
        plural: list[Span] = []
        for first in range(len(words) - len(names) + 1):
            run = words[first : first + len(names)]
            if [w.text for w in run[:-1]] != names[:-1] or run[-1].text not in last_forms:
                continue
            between = [text[a.chars[1] : b.chars[0]].strip() for a, b in pairwise(run)]
            if all(set(b) <= _JOINERS or b == g for b, g in zip(between, gaps, strict=True)):
                target = exact if run[-1].text == names[-1] else plural
                target.append((run[0].tokens[0], run[-1].tokens[1]))
        return exact + plural

    def _fits(self, span: Span) -> bool:
        return span[1] <= self.context_length - 1  # the last position is end-of-text's

    def _missing(self, prompt: str, noun: str) -> SubjectError:
        """The error for a noun without a span within the context."""
        if self._find(prompt, noun):
            return SubjectError(
                '"{noun}" comes too late in the prompt: only its first {limit} tokens are read; '
                'shorten the prompt or name "{noun}" earlier.',
                noun=noun,
                limit=self.context_length - 2,
            )
        words = _WORD.findall(self.clean(prompt))
        near = difflib.get_close_matches(self.clean(noun), words, n=1, cutoff=0.75)
        if near:
            return SubjectError(
                'The prompt does not mention "{noun}": write the word into the prompt, or name the '
                'subject by a word that is in it. Did you mean "{near}"?',
                noun=noun,
                near=near[0],
            )
        return SubjectError(
            'The prompt does not mention "{noun}": write the word into the prompt, or name the '
            "subject by a word that is in it.",
            noun=noun,
        )


def overlap(a: Span, b: Span) -> bool:
    """Whether two spans share a position."""
    return a[0] < b[1] and b[0] < a[1]


def times(count: int) -> Text:
    """How often, in words."""
    return {1: Text("once"), 2: Text("twice")}.get(count) or Text("{count} times", count=count)
