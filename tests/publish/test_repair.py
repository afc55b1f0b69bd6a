"""The repair list: who is on it, what comes along, and that it loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import problem
from datasets import get_dataset_config_names, load_dataset
from passes import FAIL, Product, Said, every_kind, written

from curate.auditing import audit
from curate.ledger import Ledger
from curate.publish.release import filter


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Over-hard problems of several kinds, one that is kept, and easy ones whose wrong answers scatter."""
    a, b, c, d = map(Product, range(4))
    said: dict[str, Sequence[Said]] = {
        "kept": [d.worked] * 20 + d.failed(20),
        "rare": [a.bare, a.worked, a.worked, *a.failed(61)],
        "never": [("I do not know.", FAIL, None)] * 40,
        "bare": [b.bare, b.bare, *b.failed(60)],
        "label": [(c.worked[0], FAIL, c.answer)] * 40,
    }
    easy = {f"easy{number}": Product(number) for number in range(4, 16)}
    said |= {
        name: [one.worked] * (40 - wrong) + one.failed(wrong)
        for wrong, (name, one) in zip([0, 2, 4] * 4, easy.items(), strict=True)
    }
    problems = [
        d.problem("kept"),
        a.problem("rare"),
        problem("never", question="Which of them is it?", answers=("none", "nothing")),
        b.problem("bare"),
        c.problem("label", answers=("1",)),
        *(one.problem(name) for name, one in easy.items()),
    ]
    return written(tmp_path / "profile", said, problems)


def test_over_hard_problems_that_nothing_speaks_against_come_with_what_a_rewriting_needs(
    ledger: Ledger, tmp_path: Path
) -> None:
    audit(ledger.path)
    out = tmp_path / "out"
    assert filter(ledger.path, to=out).rows["repair"] == 2
    listed = {row["problem_id"]: row for row in load_dataset(str(out), "repair", split="train")}
    excluded = {row["problem_id"]: row["reasons"] for row in load_dataset(str(out), "excluded", split="train")}
    # Bare passes ask for an audit first, a wrong reference for a repair of another kind.
    assert excluded["bare"] == ["too_hard", "shortcut"]
    assert excluded["label"] == ["too_hard", "suspect_label"]
    rare = listed["rare"]
    a = Product(0)
    assert (rare["question"], rare["answer"], rare["k"], rare["n"]) == ("What is 472*6?", "2832", 3, 64)
    assert rare["passing_rollout"] == a.worked[0], "the bare one is shorter, and is flagged"
    assert rare["near_miss_first_false"].replace(" ", "") == "4*6+4=30"
    assert rare["near_miss_answer"] == "3000"
    assert rare["rewrites"] == ["backward", "hint", "decomposition"]
    never = listed["never"]
    assert (never["passing_rollout"], never["near_miss"], never["near_miss_answer"]) == (None, "I do not know.", None)
    assert never["rewrites"] == []


def test_the_nearest_miss_is_found_among_the_first_32_that_gave_an_answer(tmp_path: Path) -> None:
    one = Product(0)
    true = ("2*6=12; 7*6+1=43; 4*6+4=28; \\boxed{2833}", FAIL, "2833")
    said: dict[str, Sequence[Said]] = {
        "found": [("I give up.", FAIL, None)] * 9 + one.failed(31) + [true],
        "too late": [*one.failed(32), true],
        "kept": [one.worked] * 20 + one.failed(20),
    }
    ledger = written(tmp_path / "profile", said, [one.problem(name) for name in said])
    out = tmp_path / "out"
    assert filter(ledger.path, to=out).rows["repair"] == 2
    listed = {row["problem_id"]: row for row in load_dataset(str(out), "repair", split="train")}
    found, late = listed["found"], listed["too late"]
    assert (found["near_miss"], found["near_miss_answer"], found["near_miss_first_false"]) == (true[0], "2833", None)
    assert late["near_miss_first_false"].replace(" ", "") == "4*6+4=30"


def test_without_audit_and_rollouts_the_list_stands(ledger: Ledger, tmp_path: Path) -> None:
    for file in [*(ledger.path / "rollouts").iterdir(), *(ledger.path / "verdicts").rglob("*.parquet")]:
        file.unlink()
    out = tmp_path / "out"
    assert filter(ledger.path, to=out).rows["repair"] == 4
    listed = load_dataset(str(out), "repair", split="train")
    assert set(listed["passing_rollout"]) == {None}
    assert listed.features["near_miss"].dtype == "string"
    assert listed[0]["rewrites"] == ["backward"]


def test_evidence_and_risk_are_columns_of_the_release(ledger: Ledger, tmp_path: Path) -> None:
    unaudited, audited = tmp_path / "unaudited", tmp_path / "audited"
    filter(ledger.path, to=unaudited)
    audit(ledger.path)
    filter(ledger.path, to=audited)
    before, after = (load_dataset(str(out), split="train") for out in (unaudited, audited))
    assert before.features == after.features
    assert (before[0]["risk"], before[0]["p_genuine"]) == (None, None)
    assert 0 < after[0]["risk"] < 1
    assert 0 < after[0]["genuine_low"] < after[0]["genuine_rate"] < after[0]["genuine_high"] < 1
    excluded = {row["problem_id"]: row for row in load_dataset(str(audited), "excluded", split="train")}
    assert (excluded["bare"]["n_checked"], excluded["bare"]["n_shortcut"], excluded["bare"]["main_reason"]) == (
        2,
        2,
        "shortcut",
    )
    label = excluded["label"]
    assert (label["majority_answer"], label["majority_count"], label["reference_count"]) == ("2844", 40, 0)
    assert (label["label_why"], label["next_step"]) == ("majority", "repair")
    card = (audited / "README.md").read_text()
    assert "The rollouts were audited" in card
    assert "| `shortcut` | 1 | 1 |" in card
    assert "The rollouts were not audited" in (unaudited / "README.md").read_text()


def test_a_list_without_rows_is_no_config(tmp_path: Path) -> None:
    ledger = every_kind(tmp_path / "profile")
    audit(ledger.path)
    out = tmp_path / "out"
    assert "repair" not in filter(ledger.path, to=out).rows
    assert get_dataset_config_names(str(out)) == ["default", "excluded", "control"]
    assert load_dataset(str(out), split="train").num_rows == 4


def test_an_older_list_goes_with_its_release(ledger: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filter(ledger.path, to=out)
    assert (out / "repair").exists()
    filter(ledger.path, to=out, band=(0.0, 1.0))
    assert not (out / "repair").exists()
