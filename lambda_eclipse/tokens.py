"""Prompts as CLIP tokens, and where in them each subject's noun stands.

A noun is found among the *words* of the cleaned prompt and mapped to token positions from
there. Looking for its token ids instead would find "hat" in "that", miss "Hats!", and let two
subjects overwrite each other's tokens.

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

from lambda_eclipse.paper import MAX_SUBJECTS, TEXT_POSITIONS

Span = tuple[int, int]

_WORD = re.compile(r"[^\W_]+")
# What may stand inside a multi-word noun besides spaces: "teddy-bear", "jack o' lantern".
_JOINERS = frozenset("-‐‑–'’`\"“”_")
# The two control tokens are ordinary text to a user; read as tokens they would end the prompt.
_CONTROL = re.compile(r"<(?:start|end)_of_text>", re.IGNORECASE)

_IRREGULAR_ENDINGS = {
    "child": "children",
    "foot": "feet",
    "goose": "geese",
    "man": "men",
    "mouse": "mice",
    "louse": "lice",
    "ox": "oxen",
    "person": "people",
    "tooth": "teeth",
    "die": "dice",
}


class SubjectError(ValueError):
    """A subject's noun can't be found in the prompt; the message names it and the remedy."""


@dataclass(frozen=True)
class TokenBatch:
    """Token ids of a batch of prompts.

    ids: (B, L) int64, zero after the end-of-text token.
    mask: (B, L) bool, true from start-of-text up to and including end-of-text.
    """

    ids: Tensor
    mask: Tensor


@dataclass(frozen=True)
class _Word:
    text: str
    chars: Span  # in the cleaned prompt
    tokens: Span  # positions, start-of-text being 0


class Tokenizer:
    """OpenCLIP's byte-pair tokenizer with positions of words.

    merges: gzipped merges file (first line is a header); None takes the full vocabulary that
    OpenCLIP ships. A shortened file gives a smaller vocabulary, and other start and end ids.
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
        """Ids and mask of `prompts`; what doesn't fit the context is cut off, as in OpenCLIP."""
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
        """Readable token texts without start and end; piece i stands at position i + 1.

        All of them: those from position `context_length - 1` on don't reach the model.
        """
        found = self._pieces(self.clean(prompt))
        return [self._bpe.decode([i]).strip() for _, piece in found for i in piece]

    def words_at(self, prompt: str, span: Span) -> str:
        """What the prompt says at token positions [start, end), words whole."""
        ids = [i for _, piece in self._pieces(self.clean(prompt)) for i in piece]
        return self._bpe.decode(ids[span[0] - 1 : span[1] - 1]).strip()

    def occurrences(self, prompt: str, noun: str) -> list[Span]:
        """Spans of `noun` within the context: exact words in reading order, then plurals.

        Exact words come first so that "glass" is not bound to "glasses" while there is a glass.
        """
        return [span for span in self._find(prompt, noun) if self._fits(span)]

    def span(self, prompt: str, noun: str, occurrence: int = 0) -> Span:
        """Token positions [start, end) of the noun; start-of-text is position 0.

        Whole words; case and punctuation don't matter; the last word may be plural in the
        prompt; `occurrence` counts as in `occurrences`. SubjectError when it isn't there.
        """
        found = self._find(prompt, noun)
        visible = [span for span in found if self._fits(span)]
        if 0 <= occurrence < len(visible):
            return visible[occurrence]
        if not visible:
            raise self._missing(prompt, noun, truncated=bool(found))
        raise SubjectError(
            f'"{noun}" occurs {_times(len(visible))} in the prompt, so there is no occurrence '
            f"number {occurrence + 1}; mention it again or choose an earlier one."
        )

    def assign(
        self,
        prompt: str,
        nouns: Sequence[str],
        occurrences: Sequence[int | None] | None = None,
    ) -> list[Span]:
        """One span for each of up to four nouns, none overlapping another, in the nouns' order.

        A noun with an occurrence, counted as in `occurrences`, takes that one. The others take
        what is free: the same noun twice its first and second occurrence; longer nouns choose
        first, so that "teddy bear" and "bear" find one bear each. SubjectError when a noun finds
        none.
        """
        if len(nouns) > MAX_SUBJECTS:
            raise SubjectError(f"{len(nouns)} subjects are too many: use up to {MAX_SUBJECTS}.")
        asked = [None] * len(nouns) if occurrences is None else list(occurrences)
        taken: dict[int, Span] = {}

        def is_free(span: Span) -> bool:
            return not any(_overlap(span, other) for other in taken.values())

        for index, (noun, occurrence) in enumerate(zip(nouns, asked, strict=True)):
            if occurrence is None:
                continue
            span = self.span(prompt, noun, occurrence)
            if not is_free(span):
                raise SubjectError(
                    f'Two subjects hold one place in the prompt, "{noun}": choose another '
                    f"occurrence for one of them."
                )
            taken[index] = span
        for index in sorted(range(len(nouns)), key=lambda i: -len(_words(self.clean(nouns[i])))):
            if index in taken:
                continue
            noun = nouns[index]
            visible = self.occurrences(prompt, noun)
            free = [span for span in visible if is_free(span)]
            if free:
                taken[index] = free[0]
            elif visible:
                raise SubjectError(
                    f'"{noun}" occurs {_times(len(visible))} in the prompt and another subject '
                    f"holds its place; mention it once more, or give the two different nouns."
                )
            else:
                raise self._missing(prompt, noun, truncated=bool(self._find(prompt, noun)))
        return [taken[index] for index in range(len(nouns))]

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
            held = [span for chars, span in tokens if _overlap(chars, match.span())]
            if held:
                words.append(_Word(match.group(), match.span(), (held[0][0], held[-1][1])))
        return words

    def _find(self, prompt: str, noun: str) -> list[Span]:
        text, wanted = self.clean(prompt), self.clean(noun)
        names = _words(wanted)
        if not names:
            raise SubjectError(
                "A subject has no noun: name it by the word that stands for it in the prompt."
            )
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

    def _missing(self, prompt: str, noun: str, truncated: bool) -> SubjectError:
        if truncated:
            return SubjectError(
                f'"{noun}" comes too late in the prompt: only its first '
                f"{self.context_length - 2} tokens are read; shorten the prompt or name "
                f'"{noun}" earlier.'
            )
        words = _words(self.clean(prompt))
        near = difflib.get_close_matches(self.clean(noun), words, n=1, cutoff=0.75)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        return SubjectError(
            f'The prompt does not mention "{noun}": write the word into the prompt, or name '
            f"the subject by a word that is in it.{hint}"
        )


def plurals(word: str) -> set[str]:
    """The lower-case word and the plurals it may have."""
    forms = {word, word + "s"}
    if re.search(r"(s|x|z|ch|sh|o)$", word):
        forms.add(word + "es")
    if word.endswith("z"):
        forms.add(word + "zes")
    if re.search(r"([^aeiou]|qu)y$", word):
        forms.add(word[:-1] + "ies")
    if word.endswith("f"):
        forms.add(word[:-1] + "ves")
    if word.endswith("fe"):
        forms.add(word[:-2] + "ves")
    if word.endswith("us") and len(word) > 3:
        forms.add(word[:-2] + "i")
    if word.endswith("is") and len(word) > 3:
        forms.add(word[:-2] + "es")
    for ending, many in _IRREGULAR_ENDINGS.items():
        # "ox" is short enough to end other words ("fox"); the longer ones end compounds.
        if word == ending or (len(ending) > 2 and word.endswith(ending)):
            forms.add(word[: -len(ending)] + many)
    return forms


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _overlap(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
