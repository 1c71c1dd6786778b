"""Plurals of English nouns, to match a subject's noun in a prompt."""

import re

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
