"""A hub of folders on this machine, for huggingface_hub's own client: lists and serves."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = 1000  # bytes; larger files are known by their SHA-256, as those in LFS


class FakeHub:
    """repos: folder by name; commits: by name. asked: (file, first byte) of
    every file that was asked for. listed: how often a repository was listed.
    """

    def __init__(self, repos: dict[str, Path]) -> None:
        self.repos = repos
        self.commits = {name: hashlib.sha1(name.encode()).hexdigest() for name in repos}
        self.asked: list[tuple[str, int]] = []
        self.listed = 0
        self.url = ""

    def listing(self, name: str) -> dict:
        siblings = []
        for path in sorted(self.repos[name].rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                entry: dict = {"rfilename": path.relative_to(self.repos[name]).as_posix()}
                entry |= {"size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
                if len(content) > LARGE:
                    digest = hashlib.sha256(content).hexdigest()
                    entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 1}
                siblings.append(entry)
        return {"id": name, "modelId": name, "sha": self.commits[name], "siblings": siblings}


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            if parts[0] == "api" and parts[1] != "models":
                self._answer(404, b"{}", {})
            elif parts[0] == "api":
                self._list("/".join(parts[2:4]), parts[5] if len(parts) > 5 else None)
            else:
                self._serve("/".join(parts[:2]), "/".join(parts[4:]))

        def _list(self, name: str, commit: str | None) -> None:
            hub.listed += 1
            if name not in hub.repos:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif commit not in (None, hub.commits[name]):
                self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                content = json.dumps(hub.listing(name)).encode()
                self._answer(200, content, {"Content-Type": "application/json"})

        def _serve(self, name: str, file: str) -> None:
            content = (hub.repos[name] / file).read_bytes()
            start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            hub.asked.append((file, start))
            rest = content[start:]
            size = {"Content-Length": str(len(rest))}
            if start:
                size["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._answer(206 if start else 200, rest, size)

        def _answer(self, code: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler


@contextmanager
def serving(repos: dict[str, Path]) -> Iterator[FakeHub]:
    """A running hub."""
    hub = FakeHub(repos)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()
