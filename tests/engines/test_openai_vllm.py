"""The openai engine against the real server of vLLM, on the tiny random model. Run by ``make test-vllm``."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
from curate.engines import connect
from curate.errors import EngineError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, Message, Prompt, Request

pytestmark = pytest.mark.vllm

CHAT = Prompt(messages=(Message("user", "12+34"),))
TEXT = Prompt(text="12+34=")


@pytest.fixture(scope="module")
def url(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose model's own sampling defaults are greedy: they must not apply."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    defaults = {"top_k": 1, "repetition_penalty": 5.0, "bos_token_id": 1, "eos_token_id": 2}
    (folder / "generation_config.json").write_text(json.dumps(defaults))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager"]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_up(f"http://127.0.0.1:{port}/v1/models", server, folder / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text(errors='replace')[-3000:]}")
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(1)
        else:
            return
    pytest.fail(f"the server did not come up: {log.read_text(errors='replace')[-3000:]}")


def draw(
    url: str, *requests: Request, model: str = "tiny", options: dict[str, Any] | None = None, **sampling: Any
) -> list[list[Completion]]:
    engine = connect(
        ModelSection(path=model),
        EngineSection(kind="openai", options={"base_url": url, **(options or {})}),
        SamplingSection(**{"max_tokens": 24, **sampling}),
    )

    async def all_of_them() -> list[list[Completion]]:
        try:
            await engine.start()
            return await asyncio.gather(*(engine.generate(request) for request in requests))
        finally:
            await engine.close()

    drawn = asyncio.run(asyncio.wait_for(all_of_them(), 120))
    assert engine.name.startswith("openai vllm 0.")
    return drawn


def asked(prompt: Prompt, n: int = 1, seed: int = 1000) -> Request:
    return Request("p", prompt, 0, n, seed)


@pytest.mark.parametrize("prompt", [CHAT, TEXT], ids=["chat", "plain"])
def test_child_i_is_the_rollout_of_seed_plus_i(url: str, prompt: Prompt) -> None:
    eight, *alone = draw(url, asked(prompt, 8), *(asked(prompt, 1, 1000 + i) for i in range(8)))
    assert [one.text for one in eight] == [one.text for (one,) in alone]
    assert [one.finish_reason for one in eight] == [one.finish_reason for (one,) in alone]
    assert len({one.text for one in eight}) > 4  # neither top_k 1 of the model's own nor one seed for all
    # The sum of what each has alone, shared out.
    assert sum(one.completion_tokens for one in eight) == sum(one.completion_tokens for (one,) in alone)
    assert {one.prompt_tokens for one in eight} == {one.prompt_tokens for (one,) in alone}


def test_exact_token_counts_where_they_are_asked_for(url: str) -> None:
    exact, *alone = draw(
        url,
        asked(CHAT, 8),
        *(asked(CHAT, 1, 1000 + i) for i in range(8)),
        options={"extra_body": {"return_token_ids": True}},
    )
    assert exact == [one for (one,) in alone]
    assert all(one.completion_tokens == 24 for one in exact if one.finish_reason == "length")


def test_it_draws_what_the_vllm_engine_would_be_asked_to_draw(url: str) -> None:
    (chat,) = draw(url, asked(CHAT, 4))
    # The tiny model's chat template, applied by hand; the server adds <s> to a plain text by itself.
    (plain,) = draw(url, asked(Prompt(text="user: 12+34\nassistant: "), 4))
    assert [one.text for one in chat] == [one.text for one in plain]
    assert {one.prompt_tokens for one in chat + plain} == {1 + len("user: 12+34\nassistant: ")}


def test_an_answer_begun_for_the_model_goes_on_from_there(url: str) -> None:
    (chat,) = draw(url, asked(Prompt(messages=CHAT.messages, prefill="4"), 4))
    (plain,) = draw(url, asked(Prompt(text="user: 12+34\nassistant: 4"), 4))
    (other,) = draw(url, asked(CHAT, 4))
    assert [one.text for one in chat] == [one.text for one in plain]
    assert [one.text for one in chat] != [one.text for one in other]
    assert {one.prompt_tokens for one in chat} == {1 + len("user: 12+34\nassistant: 4")}


def test_large_seeds_and_greedy_sampling(url: str) -> None:
    (answer,) = draw(url, asked(CHAT, 2, 2**62 - 2))
    assert len(answer) == 2
    (greedy,) = draw(url, asked(CHAT, 3), temperature=0.0)  # vLLM refuses n > 1 there
    assert len({one.text for one in greedy}) == 1


def test_what_the_server_refuses(url: str) -> None:
    with pytest.raises(RequestError, match="answered 400"):
        draw(url, asked(Prompt(text="1+" * 200), 2))
    with pytest.raises(EngineError, match="it serves 'tiny'"):
        draw(url, model="other")
