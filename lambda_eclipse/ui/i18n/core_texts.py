"""What the core says in English, in the visitor's language: the core itself knows no other.

Its messages are recognised by their English words, the texts whose key begins with "core.".
"""

import re
from functools import cache

from lambda_eclipse.ui.i18n.texts import ENGLISH, t

MAX_LETTERS = 1000  # a longer message holds a visitor's essay, which takes long to be searched
# Fields that are words of the core, too, not a visitor's.
WORDS = ("what", "times", "size")
_FIELD = re.compile(r"\\\{(\w+)\\\}")


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Keys and what their English texts look like with any fields; a field may come twice."""
    found = []
    for key, text in ENGLISH.items():
        if key.startswith("core."):
            seen: set[str] = set()

            def field(match: re.Match[str], seen: set[str] = seen) -> str:
                name = match[1]
                again = name in seen
                seen.add(name)
                return f"(?P={name})" if again else f"(?P<{name}>.+?)"

            found.append((key, re.compile(_FIELD.sub(field, re.escape(text)), re.DOTALL)))
    return found


def told(message: str) -> str:
    """A message of the core in the current language; one that is not known stays as it is."""
    for key, pattern in _patterns() if len(message) <= MAX_LETTERS else ():
        if match := pattern.fullmatch(message):
            fields = match.groupdict()
            return t(key, **{k: told(v) if k in WORDS else v for k, v in fields.items()})
    return message
