"""Importing: rollouts of another tool are verified, estimated and filtered like our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import jsonl
from datasets import load_dataset

from curate.cli.main import run
from curate.errors import LedgerError, ProblemsError, UsageError
from curate.importing import import_rollouts
from curate.ledger import Ledger
from curate.publish.release import filter
from curate.recipe import VerifierSection
from curate.viewing import problem

EXACT = VerifierSection(kind="exact", workers=1)


def rows(problem_id: str, passes: int, n: int, **more: Any) -> list[dict[str, Any]]:
    texts = [r"so it is \boxed{4}"] * passes + [r"\boxed{5}"] * (n - passes)
    base = {"problem_id": problem_id, "question": f"what of {problem_id}?", "answer": "4", **more}
    return [{**base, "index": index, "completion": text} for index, text in enumerate(texts)]


def test_imported_rollouts_are_verified_estimated_and_filtered(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [*rows("a", 16, 32), *rows("b", 32, 32), *rows("c", 0, 32)])
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT, model="someone/model")
    assert brought.rollouts == 96
    assert brought.summary.outcomes == {"in_band": 1, "too_easy": 1, "too_hard": 1}
    manifest = Ledger(tmp_path / "out").manifest()
    assert manifest["model"] == {"path": "someone/model", "revision": "unknown", "chat_template": "unknown"}
    assert manifest["recipe"] is None
    release = filter(tmp_path / "out", to=tmp_path / "release")
    assert release.rows["default"] == 1
    assert load_dataset(str(tmp_path / "release"), split="train")["problem_id"] == ["a"]
    seen = problem(tmp_path / "out", "a")
    assert [rollout["verdict"] for rollout in seen.rollouts] == ["pass"] * 16 + ["fail"] * 16


def test_parquet_with_other_column_names(tmp_path: Path) -> None:
    frame = pl.DataFrame(rows("a", 3, 4)).rename({"completion": "response", "problem_id": "uid"})
    frame.write_parquet(tmp_path / "log.parquet")
    code = run(
        [
            *("import", str(tmp_path / "log.parquet"), "--format", "parquet", "--into", str(tmp_path / "out")),
            *("--verifier", "exact", "--column", "completion=response", "--column", "problem_id=uid", "--json"),
        ]
    )
    assert code == 0
    assert Ledger(tmp_path / "out").estimates().select("problem_id", "n", "k").rows() == [("a", 4, 3)]


def test_truncated_rollouts_fail_whatever_they_say(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", rows("a", 4, 4, finish_reason="length"))
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    assert (brought.summary.passes, brought.summary.truncated) == (0, 4)


def test_the_rewards_of_the_log_are_kept_beside_ours_and_can_be_believed(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [{**row, "reward": 1.0 - row["index"] % 2} for row in rows("a", 2, 4)])
    import_rollouts(log, format="jsonl", into=tmp_path / "ours", verifier=EXACT)
    assert len(list((tmp_path / "ours" / "verdicts").iterdir())) == 2
    assert Ledger(tmp_path / "ours").estimates()["k"].to_list() == [2]
    believed = VerifierSection(kind="logged", pass_at=0.5)
    import_rollouts(log, format="jsonl", into=tmp_path / "theirs", verifier=believed)
    ledger = Ledger(tmp_path / "theirs")
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"]).sort("index")
    assert verdicts["verdict"].to_list() == ["pass", "fail", "pass", "fail"]
    with pytest.raises(UsageError, match="no rewards"):
        import_rollouts(
            jsonl(tmp_path / "none.jsonl", rows("a", 1, 2)), format="jsonl", into=tmp_path / "x", verifier=believed
        )


def test_a_missing_reward_is_unscored_and_no_failure(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [{**row, "reward": None if row["index"] else 1.0} for row in rows("a", 2, 3)])
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=VerifierSection(kind="logged"))
    assert (brought.summary.scored, brought.summary.unscored) == (1, 2)


def test_the_same_log_again_brings_nothing_and_another_is_refused(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", rows("a", 3, 6))
    import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    ledger = Ledger(tmp_path / "out")
    before = ledger.rollouts()
    # A broken-off import: half of it is there, and without its verdicts.
    for file in (tmp_path / "out" / "verdicts").rglob("*.parquet"):
        file.unlink()
    again = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    assert again.rollouts == 0
    assert ledger.rollouts().equals(before)
    assert ledger.estimates().select("n", "k").rows() == [(6, 3)]
    other = jsonl(tmp_path / "other.jsonl", rows("a", 1, 6))
    with pytest.raises(LedgerError, match="another profile here"):
        import_rollouts(other, format="jsonl", into=tmp_path / "out", verifier=EXACT)


def test_a_broken_row_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = jsonl(tmp_path / "log.jsonl", rows("a", 3, 6))
    with log.open("a") as file:
        file.write('{"problem_id": "a", "question": "what of a?", "answer": "4", "index": 6}\n')
    with pytest.raises(ProblemsError) as raised:
        import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    assert raised.value.where == f"{log}:7"
    assert "completion" in raised.value.message
    assert not (tmp_path / "out").exists()
    arguments = ["import", str(log), "--format", "jsonl", "--into", str(tmp_path / "out"), "--verifier", "exact"]
    assert run([*arguments, "--skip-bad-lines"]) == 0
    assert "1 rows left out" in capsys.readouterr().err
    assert Ledger(tmp_path / "out").held() == {"a": [0, 1, 2, 3, 4, 5]}


def test_real_completions_get_the_verdicts_of_their_labels(tmp_path: Path, third_party_data: Path) -> None:
    labels: dict[tuple[str, int], bool] = {}
    plain = []
    for line in (third_party_data / "rollouts" / "qwen25math_math100x8.jsonl").open():
        row = json.loads(line)
        for index, (completion, label) in enumerate(zip(row["code"], row["score"], strict=True)):
            labels[str(row["idx"]), index] = label
            plain.append(
                {
                    "problem_id": str(row["idx"]),
                    "question": row["question"],
                    "answer": row["gt"],
                    "index": index,
                    "completion": completion,
                }
            )
    assert len(plain) == 800
    import_rollouts(jsonl(tmp_path / "log.jsonl", plain), format="jsonl", into=tmp_path / "out")
    ledger = Ledger(tmp_path / "out")
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"])
    assert verdicts.height == 800
    agree = sum(
        labels[row["problem_id"], row["index"]] == (row["verdict"] == "pass") for row in verdicts.iter_rows(named=True)
    )
    assert agree >= 799
