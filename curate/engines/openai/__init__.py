"""The openai engine: any server that speaks the OpenAI API, one or many; for models that are served already.

Owns the requests. Must not import the openai package at the top: an engine's library is loaded when that engine is
started. What an answer means is in ``answers``; which server is asked, in ``servers``.

A prompt of messages goes to ``/chat/completions`` and a text to ``/completions``: ``prompt.chat`` in the recipe says
which. Rollout i of a request draws with ``seed + i``, as vLLM gives the children of a request with ``n``. What a
server honours is found out by looking at its answers: one that gives fewer choices than asked for, refuses ``n``, or
gives every choice the same seed, is asked for what is missing by further requests, each with its own seed.

Sampling defaults that a server takes from the model's ``generation_config.json`` are switched off where the server is
known to have them (vLLM, SGLang): top_k, min_p and repetition_penalty are sent even where the recipe has none.

Requests that time out, lose their connection, or are answered by 408, 409, 425, 429, 5xx or garbage are asked again
after a pause that doubles and is never twice the same, at another server where there is one. Other refusals fail the
request, or the run where every request would be refused: a wrong key, a model that is not served, a seed too large.

Options (``engine.options``):
    base_url: address of the server, or a list of them, which all serve the same model; usually ends in /v1.
    api_key_env: name of the environment variable that holds the key; default OPENAI_API_KEY, and no key where that
        is not set. A key itself never stands in a recipe.
    max_in_flight: rollouts in flight on each server, at least 1; default 64. The client opens no more than 1,000
        connections to a server; a server that honours ``n`` needs one for each 32 rollouts.
    timeout: seconds that one HTTP request may take; default 900.
    retries: how often a request is asked again, at least 0; default 5.
    backoff: seconds before it is asked again for the first time; default 0.5. Pauses grow up to 30 s.
    patience: seconds to wait while no server answers, or while all have too much to do; default 300.
    seed_bits: seeds are sent modulo 2 to this power: 63 (default) sends them whole, 31 suits servers that take no
        larger ones, 0 sends none. At least 20 otherwise, lest two rollouts of a problem share one.
    max_tokens_as: max_tokens (default) or max_completion_tokens, which newer OpenAI models ask for.
    extra_body: mapping added to every request, such as {chat_template_kwargs: {enable_thinking: false}}. Since it
        may change what is drawn, it becomes part of the model's revision, and so of the protocol.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from curate.engines.openai import answers
from curate.engines.openai.answers import Fault, NotThere, Refused
from curate.engines.openai.options import Options, key_of, read_options
from curate.engines.openai.servers import Server, Servers
from curate.engines.options import need
from curate.errors import EngineError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, ModelIdentity, Prompt, Request

LONGEST_PAUSE = 30.0
"""Seconds between two attempts of a request at most."""
GREETING = 30.0
"""Seconds that a server has to say what it serves."""
NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Sampling as the recipe has it, for servers (by their ``owned_by``) that would take defaults from the model."""
HAVE_DEFAULTS = ("vllm", "sglang")


def connect(model: ModelSection, engine: EngineSection, sampling: SamplingSection) -> OpenAIEngine:
    """Make the engine; nothing is asked of any server before ``start``.

    Raises:
        RecipeError: an option is unknown, cannot be, or holds a key.
        EngineMissing: the openai package is not installed.
    """
    options = read_options(engine.options)
    need("openai", extra="openai")
    return OpenAIEngine(model, options, sampling)


class OpenAIEngine:
    """Asks servers; see the module."""

    def __init__(self, model: ModelSection, options: Options, sampling: SamplingSection) -> None:
        self.name = "openai server"
        """With the kind and version of the servers where they tell, from ``start`` on."""
        self.capacity = options.max_in_flight * len(options.base_url)
        self._model = model
        self._options = options
        self._sampling = sampling
        self._servers: Servers | None = None
        self._key = ""

    def identity(self) -> ModelIdentity:
        """The served model's name. A server does not tell which weights or chat template it has.

        Both are ``unknown``, but for a revision that the recipe vouches for; ``extra_body`` is added to it.
        """
        revision = self._model.revision or "unknown"
        if self._options.extra_body:
            revision += f" with {json.dumps(self._options.extra_body, sort_keys=True)}"
        return ModelIdentity(self._model.path, revision, "unknown")

    def render(self, prompt: Prompt) -> str:
        """The text, or the turns one below the other: the server's own chat template is not known."""
        return (prompt.text or "\n".join(f"{turn.role}: {turn.content}" for turn in prompt.messages)) + prompt.prefill

    async def start(self) -> None:
        """Ask every server what it serves; those that do not answer are set aside.

        Raises:
            EngineError: none answers, one does not serve the model, or refuses the key.
        """
        from openai import AsyncOpenAI, Timeout

        self._key = key_of(self._options)
        timeout = Timeout(self._options.timeout, connect=min(10.0, self._options.timeout))
        made = [
            Server(url, AsyncOpenAI(base_url=url, api_key=self._key or "none", max_retries=0, timeout=timeout))
            for url in self._options.base_url
        ]
        servers = Servers(
            made, room=self._options.max_in_flight, pause=self._options.backoff, patience=self._options.patience
        )
        self._servers = servers
        faults = await asyncio.gather(*(self._greet(server) for server in made))
        for server, fault in zip(made, faults, strict=True):
            if fault is not None:
                servers.set_aside(server, fault)
        if all(faults):
            raise servers.complaint("no server can be reached")

    async def generate(self, request: Request) -> list[Completion]:
        """Draw ``request.n`` rollouts. Cancelling drops the connections, at which servers stop."""
        return await self._spread(request.prompt, request.seed, request.n)

    async def close(self) -> None:
        """Close the connections."""
        servers, self._servers = self._servers, None
        for server in servers or ():
            await server.client.close()

    async def _spread(self, prompt: Prompt, seed: int, n: int) -> list[Completion]:
        """Draw n rollouts in as many requests as it takes."""
        widest = self._open().widest
        tasks = [
            asyncio.create_task(self._draw(prompt, seed + first, min(widest, n - first)))
            for first in range(0, n, widest)
        ]
        try:
            drawn = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return [completion for piece in drawn for completion in piece]

    async def _draw(self, prompt: Prompt, seed: int, n: int) -> list[Completion]:
        """Draw n rollouts, asking again until a server gives at least the first of them."""
        stumbles, pauses = 0, 0
        busy_since: float | None = None
        avoid: Server | None = None
        while True:
            try:
                async with self._open().place(n, avoid) as server:
                    drawn = await self._ask(server, prompt, seed, n)
                break
            except Fault as fault:
                avoid = server
                stumbles += not fault.busy
                if fault.busy:
                    busy_since = busy_since or time.monotonic()
                waited = time.monotonic() - busy_since if busy_since else 0.0
                failure = f"{server.url}: {fault} (attempt {pauses + 1})"
            if stumbles > self._options.retries or waited > self._options.patience:
                raise RequestError(failure)
            pause = min(LONGEST_PAUSE, self._options.patience, self._options.backoff * 2 ** min(pauses, 16))
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause)
            pauses += 1
        if len(drawn) < n:
            drawn += await self._spread(prompt, seed + len(drawn), n - len(drawn))
        return drawn

    async def _ask(self, server: Server, prompt: Prompt, seed: int, n: int) -> list[Completion]:
        """What one server gives at once, 1 to n completions; what it shows of itself is remembered."""
        if not server.met:
            await self._meet(server)
        try:
            drawn = await self._post(server, prompt, seed, n)
        except Refused:
            if n <= server.proven:
                raise
            drawn = await self._post(server, prompt, seed, 1)  # perhaps it is n that it refuses
        if await self._share_a_seed(server, prompt, seed, drawn):
            del drawn[1:]
        if len(drawn) < n:
            server.widest = len(drawn)
        server.proven = max(server.proven, len(drawn))
        return drawn

    async def _share_a_seed(self, server: Server, prompt: Prompt, seed: int, drawn: list[Completion]) -> bool:
        """Whether all choices are one draw, repeated: they are equal, and the second's seed alone draws another."""
        if server.diverse or len(drawn) < 2 or not self._options.seed_bits or not self._sampling.temperature:
            return False
        if any(completion.text != drawn[0].text for completion in drawn):
            server.diverse = True
            return False
        alone = await self._post(server, prompt, seed + 1, 1)
        return alone[0].text != drawn[1].text

    async def _post(self, server: Server, prompt: Prompt, seed: int, n: int) -> list[Completion]:
        path = "/chat/completions" if prompt.messages else "/completions"
        answer = await self._http(server, "post", path, self._body(server, prompt, seed, n), self._options.timeout)
        try:
            return answers.completions(answer, n, self._sampling.max_tokens)
        except Fault as fault:
            failure = Fault(self._without_key(str(fault)))  # it quotes the server
        raise failure

    def _body(self, server: Server, prompt: Prompt, seed: int, n: int) -> dict[str, Any]:
        sampling, options = self._sampling, self._options
        body: dict[str, Any] = {
            "model": self._model.path,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            options.max_tokens_as: sampling.max_tokens,
            **server.neutral,
        }
        if prompt.messages:
            body["messages"] = [{"role": turn.role, "content": turn.content} for turn in prompt.messages]
            if prompt.prefill:
                body |= _going_on(body["messages"], prompt.prefill, server)
        else:
            body["prompt"] = prompt.text + prompt.prefill
        if n > 1:
            body["n"] = n
        if options.seed_bits:
            body["seed"] = seed % 2**options.seed_bits
        if sampling.top_k is not None:
            body["top_k"] = sampling.top_k
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return body | options.extra_body

    async def _greet(self, server: Server) -> Fault | None:
        """Meet a server for the first time, forgiving it two faults."""
        for attempt in range(3):
            try:
                await self._meet(server)
            except Fault as fault:
                last = fault
                await asyncio.sleep(self._options.backoff * attempt)
            else:
                return None
        return last

    async def _meet(self, server: Server) -> None:
        """Learn what a server is, and that it serves the model.

        Raises:
            EngineError: it serves others.
        """
        listed = await self._look(server, "/models")
        found = listed.get("data") if isinstance(listed, Mapping) else None
        models = [model for model in found or [] if isinstance(model, Mapping)]
        mine = [model for model in models if model.get("id") == self._model.path]
        if models and not mine:
            names = ", ".join(_described(model) for model in models[:10])
            raise EngineError(
                f"{server.url} does not serve {self._model.path!r}; it serves {names}",
                where="model.path",
                hint="give model.path the name that the server gives its model",
            )
        owner = mine[0].get("owned_by") if mine else None
        server.neutral = dict(NEUTRAL) if owner in HAVE_DEFAULTS else {}
        if owner == "vllm":
            told = await self._look(server, _version_url(server.url))
            server.kind = f"vllm {told.get('version', 'unknown')}" if isinstance(told, Mapping) else "vllm"
        server.met = True
        kinds = sorted({one.kind for one in self._open() if one.met})
        self.name = f"openai {', '.join(kinds)}"

    async def _look(self, server: Server, path: str) -> Any:
        """What a server shows at a path; None where it has nothing there."""
        try:
            return await self._http(server, "get", path, None, min(GREETING, self._options.timeout))
        except (NotThere, Refused):
            return None

    async def _http(self, server: Server, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> Any:
        """One HTTP request, asked once. Its errors do not carry the client's, which know the key.

        Raises:
            Fault: no answer, or one that says to ask again.
            EngineError: a refusal; Refused where only this request is concerned.
        """
        import openai

        failure: Exception
        try:
            async with asyncio.timeout(timeout):
                if method == "get":
                    return await server.client.get(path, cast_to=object)
                return await server.client.post(path, cast_to=object, body=body)
        except (TimeoutError, openai.APITimeoutError):
            failure = Fault(f"gave no answer within {timeout:g} s")
        except openai.APIStatusError as error:
            what = answers.said(error.body, error.message)
            what = answers.Said(self._without_key(what.message), what.code, what.param)
            after = answers.wait_asked_for(error.response.headers)
            failure = answers.refusal(server.url, error.status_code, what, body or {}, after)
        except openai.APIError as error:
            cause = error.__cause__ or error
            failure = Fault(self._without_key(f"{type(cause).__name__}: {cause or error}"))
        except ValueError as error:  # no JSON, or bytes that are no text
            failure = Fault(self._without_key(f"answered with garbage: {error}"))
        raise failure

    def _open(self) -> Servers:
        if self._servers is None:
            raise EngineError("the openai engine is not started, or closed")
        return self._servers

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _going_on(turns: list[dict[str, str]], prefill: str, server: Server) -> dict[str, Any]:
    """The fields by which a server goes on with an answer that was begun, where it is known to.

    Raises:
        EngineError: it is not: most would take the beginning for an answer that is over, and give another.
    """
    if not server.neutral:
        raise EngineError(
            f"{server.url} is not known to go on with an answer that was begun",
            where="audit",
            hint="set the prefill to '' and let the template ask for what you want",
        )
    begun = {"role": "assistant", "content": prefill}
    return {"messages": [*turns, begun], "continue_final_message": True, "add_generation_prompt": False}


def _version_url(base_url: str) -> str:
    """Where vLLM tells its version: beside /v1."""
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.removesuffix("/v1") + "/version", "", ""))


def _described(model: Mapping[str, Any]) -> str:
    root = model.get("root")
    return f"{model.get('id')!r} (from {root!r})" if root and root != model.get("id") else repr(model.get("id"))
