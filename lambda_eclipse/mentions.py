"""Which mentions of its noun a subject takes: the first free one, a chosen one, or all.

The published script replaces every token of a noun wherever it stands; a prompt with two dogs and
one subject then has two equal dogs. Here that is a choice, `ALL`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.request import ALL, Occurrence, Request
from lambda_eclipse.tokens import Span, SubjectError, Tokenizer, overlap, times


def places(
    tokenizer: Tokenizer,
    prompt: str,
    nouns: Sequence[str],
    occurrences: Sequence[Occurrence] | None = None,
) -> list[list[Span]]:
    """The spans of each of up to four nouns, none overlapping another, in the nouns' order.

    A noun with an index in `Tokenizer.occurrences` takes that one. The others take the first free
    one, so a noun used twice takes its first and second; longer nouns choose first, so "teddy bear"
    and "bear" take one bear each. A noun with `ALL` takes every mention that is free when its turn
    comes, after all subjects of as many words. Raises SubjectError for a noun without a free span.
    """
    if len(nouns) > MAX_SUBJECTS:
        raise SubjectError(
            "{count} subjects: use {most} at most.", count=len(nouns), most=MAX_SUBJECTS
        )
    wanted = [None] * len(nouns) if occurrences is None else list(occurrences)
    taken: list[list[Span]] = [[] for _ in nouns]

    def is_free(span: Span) -> bool:
        return not any(overlap(span, other) for own in taken for other in own)

    for own, noun, occurrence in zip(taken, nouns, wanted, strict=True):
        if occurrence is None or occurrence == ALL:
            continue
        span = tokenizer.span(prompt, noun, occurrence)
        if not is_free(span):
            raise _shared(noun)
        own.append(span)
    rest = [index for index in range(len(nouns)) if not taken[index]]
    for index in sorted(rest, key=lambda i: (-tokenizer.words(nouns[i]), wanted[i] == ALL)):
        tokenizer.span(prompt, nouns[index])  # raises where there is no mention at all
        visible = tokenizer.occurrences(prompt, nouns[index])
        for span in visible:
            if is_free(span) and (wanted[index] == ALL or not taken[index]):
                taken[index].append(span)
        if not taken[index]:
            raise SubjectError(
                '"{noun}" occurs {times} in the prompt and another subject holds its place; '
                "mention it once more, or give the two different nouns.",
                noun=nouns[index],
                times=times(len(visible)),
            )
    return taken


def _shared(noun: str) -> SubjectError:
    """The error for a mention that two subjects chose."""
    return SubjectError(
        'Two subjects hold one place in the prompt, "{noun}": choose another '
        "occurrence for one of them.",
        noun=noun,
    )


def subject_places(tokenizer: Tokenizer, request: Request) -> list[list[Span]]:
    """The spans of each subject of a request, as `places` gives them."""
    nouns = [one.noun for one in request.subjects]
    return places(tokenizer, request.prompt, nouns, [one.occurrence for one in request.subjects])


def assign(
    tokenizer: Tokenizer,
    prompt: str,
    nouns: Sequence[str],
    occurrences: Sequence[int | None] | None = None,
) -> list[Span]:
    """One span for each noun, as `places` gives them."""
    return [own[0] for own in places(tokenizer, prompt, nouns, occurrences)]


def open_choices(
    tokenizer: Tokenizer,
    prompt: str,
    nouns: Sequence[str],
    occurrences: Sequence[Occurrence] | None = None,
) -> dict[str, list[str]]:
    """Nouns of which it is open which equal mention is meant, with all their mentions in context.

    Open: no occurrence is given, and after all subjects have their places another mention with the
    same words is left. Context: the words around, the mention in brackets. Errors as of `places`.
    """
    wanted = [None] * len(nouns) if occurrences is None else occurrences
    spans = places(tokenizer, prompt, nouns, occurrences)
    held = [span for own in spans for span in own]
    found = {}
    for noun, own, occurrence in zip(nouns, spans, wanted, strict=True):
        mentions = tokenizer.occurrences(prompt, noun)
        equal = {tokenizer.words_at(prompt, own[0])}
        left = [span for span in mentions if not any(overlap(span, other) for other in held)]
        if occurrence is None and any(tokenizer.words_at(prompt, s) in equal for s in left):
            found[noun] = [in_context(tokenizer, prompt, span) for span in mentions]
    return found


def in_context(tokenizer: Tokenizer, prompt: str, span: Span, around: int = 3) -> str:
    """The prompt's text at a span, in brackets, with up to `around` tokens on each side."""
    start, end = span
    last = 1 + len(tokenizer.pieces(prompt))
    before = tokenizer.words_at(prompt, (max(1, start - around), start))
    after = tokenizer.words_at(prompt, (end, min(last, end + around)))
    return f"{before} [{tokenizer.words_at(prompt, span)}] {after}".strip()
