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
from starlette.datastructures import Headers, MutableHeaders

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
    """ASGI middleware: whatever is made for a request is in the language that it asks for.

    What Gradio itself says is put in by its script, in the language of the browser, and there is no
    setting for it. So each page tells that script another language of the browser, before it runs.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        wanted = asked_by(Headers(scope=scope))
        with speaking(wanted):
            await self.app(scope, receive, _told(send, TAGS[wanted]))


def _told(send: Any, tag: str) -> Any:
    """`send` of ASGI, which tells the scripts of each page that goes through it the language."""
    head = (
        f"<head><script>Object.defineProperty(navigator, 'language', {{value: '{tag}'}});"
        f"document.documentElement.lang = '{tag}';</script>"
    ).encode()
    held: list[Any] = []  # the start of a page, until its length is known

    async def pass_on(message: Any) -> None:
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if kind.startswith("text/html"):
                return held.append(message)
        elif held:
            start = held.pop()
            if not message.get("more_body"):
                message = {**message, "body": message.get("body", b"").replace(b"<head>", head, 1)}
                MutableHeaders(raw=start["headers"])["content-length"] = str(len(message["body"]))
            await send(start)
        await send(message)

    return pass_on
