"""Which language a visit is in: the one chosen on the page, else the browser's, else English.

Both come with each request, the choice as a cookie and the browser's languages as a header, so
that nothing has to be kept. A request for the page is answered within `Listener`; handlers of
events find the request that Gradio gives them; a worker thread is told with `speaking`.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from gradio.context import LocalContext
from starlette.datastructures import Headers

DEFAULT = "en"
# Each in its own words, because whoever looks for it may read no other.
LANGUAGES: dict[str, str] = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "zh": "简体中文",
    "ja": "日本語",
}
# As browsers call them where two letters do not say enough.
TAGS: dict[str, str] = {code: "zh-CN" if code == "zh" else code for code in LANGUAGES}
COOKIE = "lambda-eclipse-language"

_CHOICE = re.compile(rf"(?:^|;)\s*{COOKIE}=(\w+)")
_spoken: ContextVar[str] = ContextVar("language", default=DEFAULT)


def accepted(header: str) -> str:
    """The best of our languages for an Accept-Language header, English when there is none."""
    wanted = []
    for position, item in enumerate(header.split(",")):
        tag, _, quality = item.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        code = tag.strip().lower().split("-")[0]
        if weight > 0 and code in LANGUAGES:
            wanted.append((-weight, position, code))
    return min(wanted)[2] if wanted else DEFAULT


def asked_by(headers: Mapping[str, str]) -> str:
    """The language that a request asks for; `headers` have lower case names."""
    choice = _CHOICE.search(headers.get("cookie") or "")
    if choice and choice[1] in LANGUAGES:
        return choice[1]
    return accepted(headers.get("accept-language") or "")


def current() -> str:
    """The language of whoever is being answered; English outside of any request."""
    request = LocalContext.request.get(None)
    return _spoken.get() if request is None else asked_by(dict(request.headers))


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Make texts in that language inside, where Gradio knows no request. Not across yields."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


class Listener:
    """ASGI middleware: whatever is made for a request is in the language that it asks for."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        with speaking(asked_by(Headers(scope=scope))):
            await self.app(scope, receive, send)
