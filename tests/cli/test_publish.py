"""``curate publish`` from a shell: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from publish.hub_client import curate_command, environment
from publish.hub_server import TOKEN, Hub
from publish.releases import measured

from curate.publish.release import filter


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as served:
        yield served


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("release")
    filter(measured(place / "profile").path, to=place / "out")
    return place / "out"


def test_a_rehearsal_a_release_and_a_repetition_say_what_they_did(hub: Hub, out: Path, tmp_path: Path) -> None:
    def said(*options: str, token: str | None = TOKEN) -> list[str]:
        found = curate_command(
            "publish", str(out), "me/band", *options, endpoint=hub.endpoint, home=tmp_path, token=token
        )
        assert found.returncode == 0, found.stderr
        return found.stdout.splitlines()

    rehearsed = said("--dry-run", token=None)
    assert rehearsed[0].startswith("+ README.md  ")
    assert rehearsed[7].startswith("files: 7 new, 0 changed, 0 deleted, 0 unchanged; ")
    assert rehearsed[8] == f"nothing was sent; compared with a new dataset: {hub.endpoint}/datasets/me/band"
    assert hub.repos == {}
    first = said("--private")
    commit = hub.repos["me/band"].refs["main"]
    assert first[:8] == rehearsed[:8]
    assert first[8:] == [
        f"committed {commit[:12]}",
        "tag: v2026-01-01-m",
        'load it: datasets.load_dataset("me/band", revision="v2026-01-01-m")',
        f"{hub.endpoint}/datasets/me/band",
    ]
    again = json.loads("\n".join(said("--json")))
    assert (again["committed"], again["commit"], again["tag"], again["tagged"]) == (
        *(False, commit),
        *("v2026-01-01-m", False),
    )
    assert {change["kind"] for change in again["changes"]} == {"same"}
    assert said("--pr")[-2:] == [f"nothing to commit; it is in {commit[:12]}", f"{hub.endpoint}/datasets/me/band"]


def test_an_offline_client_is_told_to_connect(hub: Hub, out: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "curate.cli.main", "publish", str(out), "me/offline", "--dry-run"]
    env = {**environment(hub.endpoint, tmp_path, None), "HF_HUB_OFFLINE": "1"}
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stdout == ""
    assert "the Hub's client is offline" in found.stderr
    assert "unset HF_HUB_OFFLINE" in found.stderr
    assert "trying again" not in found.stderr
