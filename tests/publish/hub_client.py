"""The real clients in a process of their own: they read their settings when they are imported. For tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import curate

LOOP = """
import json, sys
from curate.errors import CurateError
from curate.publish.hub import publish

def answer(call, **asked):
    if call == "publish":
        said = []
        try:
            done = publish(asked.pop("folder"), asked.pop("repo"), report=said.append, **asked)
            return {"done": {**vars(done), "changes": {one.path: one.kind for one in done.changes}}, "said": said}
        except CurateError as error:
            return {"failed": [type(error).__name__, error.message, error.where, error.hint], "said": said}
    from datasets import load_dataset
    try:
        found = load_dataset(asked["repo"], asked["config"], split="train", revision=asked.get("revision"),
                             streaming=asked.get("streaming", False))
        return {"rows": list(found)}
    except Exception as error:
        return {"failed": [type(error).__name__, str(error)]}

for line in sys.stdin:
    print("ANSWER", json.dumps(answer(**json.loads(line)), default=str), flush=True)
"""


def environment(endpoint: str, home: Path, token: str | None) -> dict[str, str]:
    """That of a process that is connected to this Hub and to nothing else."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    own = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": str(Path(curate.__file__).parent.parent),
    }
    return {**inherited, **own, **({"HF_TOKEN": token} if token else {})}


@dataclass
class Answered:
    """What one call came to."""

    done: dict[str, Any] | None = None
    failed: list[str] | None = None
    said: tuple[str, ...] = ()
    rows: list[dict[str, Any]] | None = None


class HubClient:
    """A process that publishes and loads, one call after the other."""

    def __init__(self, endpoint: str, home: Path, token: str | None) -> None:
        self.log = home / "stderr.txt"
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOOP],
            env=environment(endpoint, home, token),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("a"),
            text=True,
        )

    def publish(self, folder: Path, repo: str, **options: Any) -> Answered:
        """``curate.publish_release`` of a folder; a silent server is given up on after a second."""
        return self._ask(call="publish", folder=str(folder), repo=repo, **{"timeout": 1.0, "attempts": 4, **options})

    def load(self, repo: str, config: str = "default", **options: Any) -> Answered:
        """``datasets.load_dataset`` of the split ``train``."""
        return self._ask(call="load", repo=repo, config=config, **options)

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(timeout=30)
        self._process.stdout.close()  # type: ignore[union-attr]

    def _ask(self, **asked: Any) -> Answered:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                return Answered(**json.loads(line.removeprefix("ANSWER ")))
        raise AssertionError(self.log.read_text()[-2000:])


def curate_command(
    *arguments: str, endpoint: str, home: Path, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line, run to its end."""
    command = [sys.executable, "-m", "curate.cli.main", *arguments]
    env = environment(endpoint, home, token)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
