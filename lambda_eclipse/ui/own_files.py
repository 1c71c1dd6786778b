"""Files of this server that a request names by their address, such as agents do.

Gradio fetches nothing from the own machine, for good reasons, not even what was uploaded to it or
painted by it. So these addresses become the paths that they stand for, which Gradio then checks as
it checks any path that it is given.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

HOSTS = ("127.0.0.1", "localhost", "::1")
ROUTE = "/gradio_api/file="


def own_path(address: str, port: int | None) -> str | None:
    """The path behind an address of this machine and that port; None for any other text."""
    try:
        parts = urlsplit(address)
        here = parts.scheme == "http" and parts.hostname in HOSTS and parts.port == port
    except ValueError:
        return None
    ours = here and parts.path.startswith(ROUTE)
    return unquote(parts.path.removeprefix(ROUTE)) if ours else None


def with_own_path(value: Any, port: int | None) -> Any:
    """An input of an event; a file that is named by an address of ours is named by its path."""
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        path = own_path(value["path"], port)
        return value if path is None else {**value, "path": path, "url": None}
    return value
