"""The language of a request: the visitor's choice, else the browser's languages, else English.

The choice is a cookie and the browser's languages are a header, so the server keeps no state. Pages
are made inside `LanguageMiddleware`; handlers of events see the request through Gradio's context;
worker threads set the language with `override`.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from gradio.context import LocalContext
from starlette.datastructures import Headers, MutableHeaders

DEFAULT = "en"
# Each in its own language: a visitor may read no other.
LANGUAGES: dict[str, str] = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "zh": "简体中文",
    "ja": "日本語",
}
# BCP 47 tags of the languages.
TAGS: dict[str, str] = {code: "zh-CN" if code == "zh" else code for code in LANGUAGES}
COOKIE = "lambda-eclipse-language"

_CHOICE = re.compile(rf"(?:^|;)\s*{COOKIE}=(\w+)")
_override: ContextVar[str] = ContextVar("language", default=DEFAULT)


def negotiate(accept_language: str) -> str:
    """The best supported language for an Accept-Language header, English if none matches."""
    candidates = []
    for position, item in enumerate(accept_language.split(",")):
        tag, _, quality = item.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        code = tag.strip().lower().split("-")[0]
        if weight > 0 and code in LANGUAGES:
            candidates.append((-weight, position, code))
    return min(candidates)[2] if candidates else DEFAULT


def of_request(headers: Mapping[str, str]) -> str:
    """The language of a request by its cookie or headers, which have lower case names."""
    choice = _CHOICE.search(headers.get("cookie") or "")
    if choice and choice[1] in LANGUAGES:
        return choice[1]
    return negotiate(headers.get("accept-language") or "")


def current() -> str:
    """The language of the current request; outside of requests that of `override`, or English."""
    request = LocalContext.request.get(None)
    return _override.get() if request is None else of_request(dict(request.headers))


@contextmanager
def override(language: str) -> Iterator[None]:
    """Set the current language where Gradio knows no request. Must not span a yield."""
    token = _override.set(language)
    try:
        yield
    finally:
        _override.reset(token)


class LanguageMiddleware:
    """ASGI middleware that answers each request in its language.

    Gradio's own texts follow the browser's language and have no setting, so every served page gets
    a script that overrides `navigator.language` before Gradio's script runs.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        code = of_request(Headers(scope=scope))
        with override(code):
            await self.app(scope, receive, _set_page_language(send, TAGS[code]))


def _set_page_language(send: Any, tag: str) -> Any:
    """Wrap ASGI's `send` to insert the script that sets the language into every HTML page."""
    head = (
        f"<head><script>Object.defineProperty(navigator, 'language', {{value: '{tag}'}});"
        f"document.documentElement.lang = '{tag}';</script>"
    ).encode()
    pending: list[Any] = []  # the start of a page, until its length is known

    async def send_page(message: Any) -> None:
        if message["type"] == "http.response.start":
            content_type = Headers(raw=message["headers"]).get("content-type", "")
            if content_type.startswith("text/html"):
                return pending.append(message)
        elif pending:
            start = pending.pop()
            if not message.get("more_body"):
                message = {**message, "body": message.get("body", b"").replace(b"<head>", head, 1)}
                MutableHeaders(raw=start["headers"])["content-length"] = str(len(message["body"]))
            await send(start)
        await send(message)

    return send_page
