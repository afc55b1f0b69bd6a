"""A loopback server that speaks as much of the OpenAI API as the engine asks for, and misbehaves as told.

What a rollout says depends on its seed alone, so that a run through a faulty server can be compared with one through
a server that is well.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any, dict[str, str]]
"""Status, body (JSON, or bytes as they are) and headers."""

FAULTS = ("429", "500", "503", "529", "garbage", "html", "empty", "truncated", "closed", "hang")


@dataclass
class Behaviour:
    """What the server does; may be changed while it runs."""

    model: str = "tiny"
    owned_by: str = "somebody"
    lists_models: bool = True
    most: int | None = None
    """Choices at once; None: as many as asked for."""
    refuses_n: bool = False
    one_seed: bool = False
    """All choices of a request draw with the same seed."""
    share: float = 0.0
    """Of the requests, by seed, that meet a fault on their first ``times`` attempts."""
    faults: tuple[str, ...] = FAULTS
    times: int = 1
    key: str | None = None
    delay: float = 0.0
    special: Callable[[dict[str, Any]], Answer | None] = lambda _body: None
    """Looks at a request's body first, and may answer it."""


@dataclass
class LoopbackServer:
    """One server on 127.0.0.1, and what it was asked."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of all requests for completions, with their path."""
    headers: list[dict[str, str]] = field(default_factory=list)
    tries: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    dropped: int = 0
    """Hanging requests whose client went away."""
    port: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.connections: set[socket.socket] = set()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.dead = threading.Event()
        self.http = _Http(("127.0.0.1", self.port), _handler(self))
        self.port = self.http.server_port
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def die(self) -> None:
        """Close the port and every connection."""
        if self.dead.is_set():
            return
        self.dead.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def fault(self, seed: int) -> str | None:
        """What goes wrong with this request."""
        raw = hashlib.sha256(f"fault {seed}".encode()).digest()
        with self.lock:
            attempt = self.tries[seed]
            self.tries[seed] += 1
            if raw[0] / 256 >= self.behaviour.share or attempt >= self.behaviour.times:
                return None
            kind = self.behaviour.faults[raw[1] % len(self.behaviour.faults)]
            self.faults[kind] += 1
        return kind


@contextlib.contextmanager
def serving(**behaviour: Any) -> Iterator[LoopbackServer]:
    """A server for the length of a test."""
    server = LoopbackServer(Behaviour(**behaviour))
    try:
        yield server
    finally:
        server.die()


def text_of(seed: int) -> str:
    """What the rollout of a seed says."""
    raw = hashlib.sha256(str(seed).encode()).digest()
    return "so " * (raw[0] % 7) + (r"\boxed{4}" if raw[1] < 128 else r"\boxed{0}") + f" {raw[2:4].hex()}"


def completion(body: dict[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    """The answer of a server that is well; one token for each character."""
    n = min(body.get("n", 1), behaviour.most or 10**6)
    texts = [text_of(body["seed"] + (0 if behaviour.one_seed else i)) for i in range(n)]
    choices: list[dict[str, Any]] = [{"index": i, "finish_reason": "stop"} for i in range(n)]
    for choice, text in zip(choices, texts, strict=True):
        choice |= {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
    usage = {"prompt_tokens": 7, "completion_tokens": sum(map(len, texts))}
    return {"object": "completion", "choices": choices[::-1], "usage": usage}


def error(message: str, **more: Any) -> dict[str, Any]:
    """An error's body, as OpenAI's."""
    return {"error": {"message": message, "type": "invalid", "code": None, "param": None, **more}}


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


def _handler(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    behaviour = server.behaviour

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            with server.lock:
                server.connections.add(self.request)
            super().setup()

        def finish(self) -> None:
            super().finish()
            with server.lock:
                server.connections.discard(self.request)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            if not self.welcome():
                return
            if self.path == "/v1/models" and behaviour.lists_models:
                model = {"id": behaviour.model, "object": "model", "owned_by": behaviour.owned_by, "root": "org/tiny"}
                self.answer(200, {"object": "list", "data": [model]})
            elif self.path == "/version" and behaviour.owned_by == "vllm":
                self.answer(200, {"version": "9.8.7"})
            else:
                self.answer(404, {"detail": "Not Found"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.asked.append({**body, "path": self.path})
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                server.in_flight += body.get("n", 1)
                server.most_in_flight = max(server.most_in_flight, server.in_flight)
            try:
                if self.welcome():
                    self.complete(body)
            finally:
                with server.lock:
                    server.in_flight -= body.get("n", 1)

        def complete(self, body: dict[str, Any]) -> None:
            special = behaviour.special(body)
            if special is not None:
                self.answer(*special)
                return
            kind = server.fault(body.get("seed", 0))
            if kind == "closed":
                self.drop()
            elif kind == "hang":
                self.hang()
            elif kind is not None:
                self.stumble(kind, body)
            elif behaviour.refuses_n and body.get("n", 1) > 1:
                self.answer(400, error("we do not do that"))
            else:
                server.dead.wait(behaviour.delay)
                self.answer(200, completion(body, behaviour))

        def stumble(self, kind: str, body: dict[str, Any]) -> None:
            if kind == "429":
                self.answer(429, error("slow down"), {"Retry-After": "0.01"})
            elif kind == "garbage":
                self.answer(200, b'{"choices": [{"ind')
            elif kind == "html":
                self.answer(200, b"<html>gateway</html>", {"Content-Type": "text/html"})
            elif kind == "empty":
                self.answer(200, {"choices": []})
            elif kind == "truncated":
                whole = json.dumps(completion(body, behaviour)).encode()
                self.answer(200, whole[:20], {"Content-Length": str(len(whole))})
                self.drop()
            else:
                self.answer(int(kind), error("the engine fell over"))

        def welcome(self) -> bool:
            given = self.headers.get("Authorization", "")
            if behaviour.key is None or given == f"Bearer {behaviour.key}":
                return True
            self.answer(401, error(f"wrong key: {given}"))
            return False

        def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            own = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
            for name, value in (own | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def drop(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def hang(self) -> None:
            self.close_connection = True
            self.connection.settimeout(0.02)
            while not server.dead.is_set():
                try:
                    if not self.connection.recv(1):
                        server.dropped += 1
                        return
                except TimeoutError:
                    continue

    return Handler
