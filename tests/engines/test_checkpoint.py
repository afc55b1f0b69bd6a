"""Naming a checkpoint, and turning prompts into what the model sees."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from tiny_model import TEMPLATE, save_tokenizer

from curate.engines.checkpoint import check_fits, check_room, folder_digest, resolve
from curate.errors import EngineError, RequestError
from curate.recipe import ModelSection, SamplingSection
from curate.records import Message, Prompt

CHAT = Prompt(messages=(Message("system", "be brief"), Message("user", "1+1")))


def folder_with(folder: Path, **files: str) -> Path:
    """A folder of small files; ``__`` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def tokenizer_only(folder: Path, template: str | None) -> Path:
    save_tokenizer(folder, template=template)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def test_the_digest_is_over_names_and_contents(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", model__safetensors="weights", config__json="{}")
    lines = [
        f"config.json\n{hashlib.sha256(b'{}').hexdigest()}\n",
        f"model.safetensors\n{hashlib.sha256(b'weights').hexdigest()}\n",
    ]
    assert folder_digest(folder) == "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_digest_ignores_what_no_loader_reads(tmp_path: Path) -> None:
    bare = folder_with(tmp_path / "a", model__safetensors="weights", config__json="{}")
    dressed = folder_with(
        tmp_path / "b",
        model__safetensors="weights",
        config__json="{}",
        README__md="card",
        LICENSE__txt="licence",
        __hidden__json="{}",
        optimizer__pt="moments",
        trainer_state__json="{}",
        notes__log="log",
    )
    folder_with(dressed / "original", consolidated__pth="other weights")
    assert folder_digest(dressed) == folder_digest(bare)


@pytest.mark.parametrize(
    "changed",
    [
        {"model__safetensors": "weightz", "config__json": "{}"},
        {"model2__safetensors": "weights", "config__json": "{}"},
        {"model__safetensors": "weights", "config__json": "{}", "chat_template__jinja": "x"},
        {"model__safetensors": "weights"},
    ],
)
def test_the_digest_sees_a_byte_a_name_and_a_file(tmp_path: Path, changed: dict[str, str]) -> None:
    first = folder_with(tmp_path / "a", model__safetensors="weights", config__json="{}")
    assert folder_digest(folder_with(tmp_path / "b", **changed)) != folder_digest(first)


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no folder") as caught:
        resolve(ModelSection(path=str(tmp_path / "nowhere")))
    assert caught.value.where == "model.path"
    assert caught.value.hint


def test_a_file_and_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="is no folder"):
        resolve(ModelSection(path=str(tmp_path / "file")))
    with pytest.raises(EngineError, match=r"holds no config\.json"):
        resolve(ModelSection(path="curate:engines"))  # a folder inside a package


def test_the_identity_names_weights_and_template(tiny: Path) -> None:
    identity = resolve(ModelSection(path=str(tiny))).identity()
    assert identity.path == str(tiny)
    assert identity.revision == folder_digest(tiny)
    assert identity.chat_template == "sha256:" + hashlib.sha256(TEMPLATE.encode()).hexdigest()


def test_a_template_in_a_file_of_its_own_counts(tmp_path: Path) -> None:
    folder = tokenizer_only(tmp_path, None)
    assert resolve(ModelSection(path=str(folder))).identity().chat_template == "none"
    (folder / "chat_template.jinja").write_text("hello")
    after = resolve(ModelSection(path=str(folder))).identity().chat_template
    assert after == "sha256:" + hashlib.sha256(b"hello").hexdigest()


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, config__json='{"model_type": "llama"}')
    with pytest.raises(EngineError, match="tokenizer"):
        resolve(ModelSection(path=str(folder))).identity()


def test_messages_are_rendered_by_the_template(tiny: Path) -> None:
    checkpoint = resolve(ModelSection(path=str(tiny)))
    assert checkpoint.render(CHAT) == "<s>system: be brief\nuser: 1+1\nassistant: "
    assert checkpoint.render(Prompt(text="1+1=")) == "1+1="


def test_neither_kind_of_prompt_has_two_beginnings(tiny: Path) -> None:
    checkpoint = resolve(ModelSection(path=str(tiny)))
    assert checkpoint.encode(CHAT)[:2] == [1, checkpoint.tokenizer.convert_tokens_to_ids("s")]
    assert checkpoint.encode(Prompt(text="1+1=")) == [1, 4, 40, 4, 43]  # <s> 1 + 1 =


def test_an_answer_that_was_begun_ends_the_prompt(tiny: Path) -> None:
    checkpoint = resolve(ModelSection(path=str(tiny)))
    begun = Prompt(messages=CHAT.messages, prefill="2=")
    assert checkpoint.render(begun) == "<s>system: be brief\nuser: 1+1\nassistant: 2="
    assert checkpoint.encode(begun)[: len(checkpoint.encode(CHAT))] == checkpoint.encode(CHAT)
    assert checkpoint.render(Prompt(text="1+1=", prefill="2")) == "1+1=2"


def test_without_a_template_the_way_out_is_named(tmp_path: Path) -> None:
    checkpoint = resolve(ModelSection(path=str(tokenizer_only(tmp_path, None))))
    with pytest.raises(EngineError, match="no chat template") as caught:
        checkpoint.render(CHAT)
    assert caught.value.where == "prompt.chat"
    assert "prompt.chat: false" in str(caught.value.hint)
    assert checkpoint.render(Prompt(text="1+1=")) == "1+1="


def test_a_template_may_refuse(tmp_path: Path) -> None:
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    checkpoint = resolve(ModelSection(path=str(tokenizer_only(tmp_path, refusing))))
    with pytest.raises(EngineError, match="no system role") as caught:
        checkpoint.render(CHAT)
    assert "prompt.system" in str(caught.value.hint)


def test_room_for_the_prompt() -> None:
    check_room(SamplingSection(max_tokens=127), 128)
    check_room(SamplingSection(max_tokens=10_000), None)
    with pytest.raises(EngineError, match="128") as caught:
        check_room(SamplingSection(max_tokens=128), 128)
    assert caught.value.hint == "sampling.max_tokens: 96"
    check_fits(28, SamplingSection(max_tokens=100), 128)
    with pytest.raises(RequestError, match="29 tokens"):
        check_fits(29, SamplingSection(max_tokens=100), 128)


@pytest.fixture
def hub() -> Iterator[str]:
    """A Hub that has one model, ``org/model``, with the branches main and dev."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            commits = {
                "/api/models/org/model": "a" * 40,
                "/api/models/org/model/revision/main": "a" * 40,
                "/api/models/org/model/revision/dev": "b" * 40,
            }
            commit = commits.get(self.path.partition("?")[0])
            body = json.dumps({"id": "org/model", "sha": commit} if commit else {"error": "not found"}).encode()
            self.send_response(200 if commit else 404)
            if not commit:
                known = self.path.startswith("/api/models/org/model/")
                self.send_header("X-Error-Code", "RevisionNotFound" if known else "RepoNotFound")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def resolve_apart(endpoint: str, cache: Path, *models: str) -> list[str]:
    """Resolve in a process of its own, because the Hub's address is read once: ``path@revision`` -> what came."""
    program = (
        "import sys\n"
        "from curate.engines.checkpoint import resolve\n"
        "from curate.errors import EngineError\n"
        "from curate.recipe import ModelSection\n"
        "for name in sys.argv[1:]:\n"
        "    path, _, revision = name.partition('@')\n"
        "    try:\n"
        "        print(resolve(ModelSection(path=path, revision=revision or None)).commit)\n"
        "    except EngineError as error:\n"
        "        print(str(error).replace(chr(10), ' '))\n"
    )
    environment = {
        **{key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE" and "proxy" not in key.lower()},
        "HF_ENDPOINT": endpoint,
        "HF_HUB_CACHE": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *models], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_hub_model_is_pinned_to_a_commit(hub: str, tmp_path: Path) -> None:
    newest, branch, commit, model, revision = resolve_apart(
        hub, tmp_path, "org/model", "org/model@dev", f"org/model@{'c' * 40}", "org/typo", "org/model@typo"
    )
    assert (newest, branch, commit) == ("a" * 40, "b" * 40, "c" * 40)
    assert "model.path" in model
    assert "does not exist" in model
    assert "model.revision" in revision
    assert "'typo'" in revision


def test_without_the_hub_the_cache_decides(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--cached" / "snapshots" / ("d" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    refs = tmp_path / "models--org--cached" / "refs"
    refs.mkdir()
    (refs / "main").write_text("d" * 40)
    nowhere = "http://127.0.0.1:9"  # the discard port: nothing listens
    cached, unknown = resolve_apart(nowhere, tmp_path, "org/cached", "org/other")
    assert cached == "d" * 40
    assert "cannot be reached" in unknown
