"""URLs of this server's own files in requests, such as agents send.

Gradio fetches nothing from its own host, for security, not even files it served. These URLs are
replaced by the paths of the files, which Gradio then checks like any other path.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

HOSTS = ("127.0.0.1", "localhost", "::1")
ROUTE = "/gradio_api/file="


def path_of_url(url: str, port: int | None) -> str | None:
    """The path of a file served from this host and port; None for any other text."""
    try:
        parts = urlsplit(url)
        is_own = parts.scheme == "http" and parts.hostname in HOSTS and parts.port == port
    except ValueError:
        return None
    is_file = is_own and parts.path.startswith(ROUTE)
    return unquote(parts.path.removeprefix(ROUTE)) if is_file else None


def resolve_own_url(value: Any, port: int | None) -> Any:
    """An input of an event, with the URL of an own file replaced by its path."""
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        path = path_of_url(value["path"], port)
        return value if path is None else {**value, "path": path, "url": None}
    return value
