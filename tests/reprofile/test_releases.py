"""A published dataset says whether it is due: a release folder, one on the Hub, and a model there that moved on.

The Hub's client reads its settings when it is imported, so each question to a Hub is asked in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from builders import manifest, profile
from publish.hub_server import Hub

import curate
from curate import Policy
from curate.cli.main import run
from curate.errors import ReleaseError, UsageError
from curate.ledger import Ledger
from curate.summary import estimate_anew

OLD, NEW = "0" * 40, "1" * 40


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release of 3 problems of a model on the Hub, 40 days old."""
    ledger = profile(tmp_path / "profile", {"a": [True, False] * 16, "b": [True, False] * 16, "c": [True] * 32})
    updated = (datetime.now(UTC) - timedelta(days=40)).isoformat(timespec="seconds")
    model = {"path": "owner/model", "revision": OLD, "chat_template": "none"}
    with ledger.writing():
        ledger.write_manifest(manifest(model=model, updated=updated))
        estimate_anew(ledger)
    curate.filter(ledger.path, to=tmp_path / "out")
    return tmp_path / "out"


def folder(path: Path, step: int) -> Path:
    """A checkpoint folder, as far as its digest goes."""
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"step": step}))
    return path


def test_a_release_is_due_by_days_when_there_is_another_checkpoint(release: Path, tmp_path: Path) -> None:
    newer = folder(tmp_path / "checkpoint-40", 40)
    found = curate.schedule(release, model=str(newer), policy=Policy(every_days=30))
    assert (found.due, found.reasons) == (True, ("40.0 days since the last profile, the policy says 30",))
    assert [(item.kind, item.problems, item.rollouts) for item in found.items] == [("all", 3, None)]
    assert (found.into, found.target.step) == (None, 40)
    assert curate.schedule(release, model=str(newer), policy=Policy(every_days=41)).due is False


def test_a_release_cannot_be_profiled_again_by_itself(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not hold all of its profile"):
        curate.run_schedule(release, model=str(folder(tmp_path / "new", 1)))


def test_what_is_neither_a_folder_nor_on_the_hub_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", str(tmp_path / "none")]) == 2
    assert "there is no finished profile here" in capsys.readouterr().err


class _Models(BaseHTTPRequestHandler):
    """A Hub that knows one model, whose main branch is at ``NEW``."""

    def do_GET(self) -> None:
        known = self.path.split("?")[0].startswith("/api/models/owner/model")
        body = json.dumps({"id": "owner/model", "sha": NEW, "siblings": [], "tags": [], "downloads": 0}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output free of it."""


@pytest.fixture
def models() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Models)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(endpoint: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "curate.cli.main", "schedule", *arguments, "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_another_commit_of_the_models_branch_makes_it_due(release: Path, tmp_path: Path, models: str) -> None:
    said = json.loads(ask(models, tmp_path / "home", str(release)).stdout)["schedule"]
    assert said["target"]["revision"] == NEW
    assert said["due"] is True
    assert said["reasons"] == [f"a new checkpoint: owner/model at {NEW[:20]}"]
    told = json.loads((release / "manifest.json").read_text())
    (release / "manifest.json").write_text(json.dumps({**told, "model": {**told["model"], "revision": NEW}}))
    said = json.loads(ask(models, tmp_path / "home", str(release)).stdout)["schedule"]
    assert (said["due"], said["reasons"]) == (False, ["the checkpoint is the one that was profiled"])


def test_a_release_on_the_hub_is_asked_there(release: Path, tmp_path: Path) -> None:
    newer = folder(tmp_path / "checkpoint-40", 40)
    files = {"manifest.json": (release / "manifest.json").read_bytes()}
    with Hub() as hub:
        hub.add("owner/data", files, sha="2" * 40)
        endpoint = hub.endpoint
        home = tmp_path / "home"
        said = json.loads(ask(endpoint, home, "owner/data", "--for", str(newer)).stdout)["schedule"]
        assert (said["due"], said["base"], said["problems"]) == (True, "owner/data", 3)
        missing = ask(endpoint, home, "owner/other", "--for", str(newer))
        assert missing.returncode == ReleaseError.exit_code
        assert "neither a folder of that name nor a dataset on the Hub" in missing.stderr
    with Hub() as hub:
        hub.add("owner/plain", {"README.md": b"no release"}, sha="2" * 40)
        endpoint = hub.endpoint
        plain = ask(endpoint, tmp_path / "home2", "owner/plain", "--for", str(newer))
        assert "it is no release of ours" in plain.stderr


def test_a_model_that_cannot_be_asked_is_told_and_days_still_count(release: Path, tmp_path: Path) -> None:
    gone = "http://127.0.0.1:9"
    said = json.loads(ask(gone, tmp_path / "home", str(release), "--every-days", "30").stdout)["schedule"]
    assert said["due"] is True
    assert "the checkpoint's revision cannot be told" in said["notes"][0]
    said = json.loads(ask(gone, tmp_path / "home", str(release)).stdout)["schedule"]
    assert said["due"] is False
    assert said["reasons"][0].startswith("whether there is a new checkpoint cannot be told")


def test_a_release_knows_its_training_step(tmp_path: Path) -> None:
    ledger = profile(tmp_path / "profile", {"a": [True, False] * 16})
    model = {"path": "runs/checkpoint-1200", "revision": OLD, "chat_template": "none"}
    with ledger.writing():
        ledger.write_manifest(manifest(model=model))
        estimate_anew(ledger)
    release = curate.filter(ledger.path, to=tmp_path / "out").path
    assert json.loads((release / "manifest.json").read_text())["step"] == 1200
    assert "| training step | 1,200 |" in (release / "README.md").read_text()
    newer = str(folder(tmp_path / "checkpoint-1500", 1500))
    assert curate.schedule(release, model=newer, policy=Policy(every_steps=300)).reasons == (
        "300 steps since it, the policy says 300",
    )
    assert curate.schedule(release, model=newer, policy=Policy(every_steps=301)).due is False


def test_a_release_tells_date_and_checkpoint(release: Path) -> None:
    told = json.loads((release / "manifest.json").read_text())
    source = Ledger(release.parent / "profile").manifest()
    assert told["profile_updated"] == source["updated"]
    assert told["model"]["revision"] == OLD
    card = (release / "README.md").read_text()
    assert source["updated"][:10] in card
    assert f"| revision | `{OLD}` |" in card
    assert told["step"] is None
    assert "training step" not in card
