"""The few calls of a Hub that loading one dataset makes, answered from memory. For tests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def serve(repo: str, commit: str, files: dict[str, bytes]) -> Iterator[str]:
    """Serve one dataset at one commit, also known as ``main``; every other name is a 404 as the Hub gives it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/api/datasets/"):
                self._api(path.removeprefix("/api/datasets/"))
            else:
                self._file(path.removeprefix("/datasets/"))

        do_HEAD = do_GET  # noqa: N815

        def _api(self, path: str) -> None:
            if path != repo and not path.startswith(f"{repo}/"):
                return self._missing("RepoNotFound")
            what, _, rest = path.removeprefix(repo).strip("/").partition("/")
            if what in ("revision", "tree") and rest.split("/")[0] not in ("main", commit):
                return self._missing("RevisionNotFound")
            if what == "tree":
                folder = "/".join(rest.split("/")[1:])
                return self._json([_entry(name, files[name]) for name in files if name.startswith(folder)])
            if what in ("", "revision"):
                siblings = [{"rfilename": name} for name in files]
                return self._json({"id": repo, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0})
            return self._missing("EntryNotFound")

        def _file(self, path: str) -> None:
            head, _, rest = path.partition("/resolve/")
            revision, _, name = rest.partition("/")
            if head != repo:
                return self._missing("RepoNotFound")
            if revision not in ("main", commit):
                return self._missing("RevisionNotFound")
            if name not in files:
                return self._missing("EntryNotFound")
            tag = {"ETag": f'"{hashlib.sha1(files[name]).hexdigest()}"', "X-Repo-Commit": commit}
            return self._send(200, files[name], tag)

        def _json(self, value: Any) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _missing(self, code: str) -> None:
            self._send(404, b"", {"X-Error-Code": code, "X-Error-Message": code, "X-Repo-Commit": commit})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the tests' output free of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
