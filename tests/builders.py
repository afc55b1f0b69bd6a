"""Small builders of the carriers, with every field that a test does not care about filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from curate.decide import COUNTS
from curate.ledger import Ledger
from curate.records import Problem, Reason, Rollout, Verdict, VerdictKind

FINGERPRINT = "0123456789abcdef"


def problem(problem_id: str = "p", **changes: Any) -> Problem:
    """A problem whose answer is 4."""
    fields: dict[str, Any] = {"question": f"question of {problem_id}", "answers": ("4",), "metadata": {}}
    return Problem(problem_id=problem_id, **{**fields, **changes})


def rollout(problem_id: str = "p", index: int = 0, **changes: Any) -> Rollout:
    """A rollout that ended by itself."""
    fields: dict[str, Any] = {
        "seed": index,
        "completion": r"\boxed{4}",
        "finish_reason": "stop",
        "prompt_tokens": 5,
        "completion_tokens": 10,
        "engine": "test 1",
        "created": 0.0,
    }
    return Rollout(problem_id=problem_id, index=index, **{**fields, **changes})


def verdict(problem_id: str = "p", index: int = 0, kind: VerdictKind = VerdictKind.PASS, **changes: Any) -> Verdict:
    """A verdict of one kind."""
    reward = {VerdictKind.PASS: 1.0, VerdictKind.FAIL: 0.0, VerdictKind.UNSCORED: None}[kind]
    fields: dict[str, Any] = {"reward": reward, "answer": "4", "reason": "equal", "seconds": 0.0}
    return Verdict(problem_id=problem_id, index=index, verdict=kind, **{**fields, **changes})


def counts(*rows: Mapping[str, Any]) -> pl.DataFrame:
    """A frame of counts; what a row does not name is 0, or null where 0 has no meaning."""
    empty = dict.fromkeys(COUNTS, 0) | {"mean_tokens": None, "set_aside": None, "set_aside_why": ""}
    filled = [{**empty, "problem_id": f"p{position}", **row} for position, row in enumerate(rows)]
    return pl.DataFrame(filled, schema=COUNTS)


def manifest(**changes: Any) -> dict[str, Any]:
    """A manifest that a finished profile could have."""
    return {
        "name": "test",
        "created": "2026-01-01T00:00:00+00:00",
        "updated": "2026-01-01T00:00:00+00:00",
        "model": {"path": "m", "revision": "sha256:0", "chat_template": "none"},
        "protocol": {"model.revision": "sha256:0", "sampling.temperature": 1.0},
        "protocol_fingerprint": "feedfeedfeedfeed",
        "verifier_fingerprint": FINGERPRINT,
        "seed": 0,
        "band": {"low": 0.2, "high": 0.8, "confidence": 0.9, "group_size": 8},
        "pilot": 8,
        "recipe": None,
        "problems": {"source": "test", "fingerprint": "0", "rows": 0},
        "versions": {"python": "3"},
        **changes,
    }


def profile(folder: Path, passes: Mapping[str, Sequence[bool]], aside: Mapping[str, Reason] | None = None) -> Ledger:
    """A profile on disk, whose problems passed and failed as told."""
    ledger = Ledger(folder)
    aside = aside or {}
    problems = [
        problem(name, set_aside=aside.get(name), set_aside_why="told so" if name in aside else "")
        for name in [*passes, *(name for name in aside if name not in passes)]
    ]
    with ledger.writing():
        ledger.write_problems(problems, [found.question for found in problems])
        ledger.write_manifest(manifest())
        kinds = {True: VerdictKind.PASS, False: VerdictKind.FAIL}
        drawn = [(name, index, passed) for name, all_ in passes.items() for index, passed in enumerate(all_)]
        ledger.append_rollouts([rollout(name, index) for name, index, _ in drawn])
        ledger.append_verdicts(FINGERPRINT, [verdict(name, index, kinds[passed]) for name, index, passed in drawn])
    return ledger


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as a JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def yaml_file(path: Path, value: Any) -> Path:
    """A value as a YAML file."""
    path.write_text(yaml.safe_dump(value))
    return path


def rehearsal(folder: Path, problems: int = 20, *, script: Mapping[str, Any] | None = None, **sections: Any) -> Path:
    """A recipe on the scripted engine, with its problems ``p0``, ``p1``, ... whose answer is 4; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"id": f"p{number}", "question": f"what is 4, asked {number}", "answer": "4"} for number in range(problems)]
    source = jsonl(folder / "problems.jsonl", rows)
    recipe = {
        "name": "rehearsal",
        "problems": {"source": str(source), "id": "id"},
        "model": {"path": "scripted"},
        "engine": {
            "kind": "scripted",
            "options": {"script": str(yaml_file(folder / "script.yaml", dict(script or {})))},
        },
        "verifier": {"kind": "exact", "workers": 1},
    }
    for name, changes in sections.items():
        known = recipe.get(name, {})
        assert isinstance(known, dict)
        recipe[name] = {**known, **changes}
    return yaml_file(folder / "recipe.yaml", recipe)


def drawn(folder: Path) -> list[tuple[Any, ...]]:
    """Every rollout of a profile, as what must not depend on when or by which run it was drawn."""
    columns = ["problem_id", "index", "seed", "completion", "finish_reason", "completion_tokens"]
    return sorted(Ledger(folder).rollouts(columns).rows())
