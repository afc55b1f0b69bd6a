"""The shipped model's pass rates, sampled: the families differ as the README says."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from curate.demo.judging import Work
from curate.demo.measure import Sampled, sample, table

DEMO = Path(str(files("curate.demo")))


def drawn(families: tuple[str, ...]) -> dict[str, list[Sampled]]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    rows = [json.loads(line) for line in (DEMO / "problems.jsonl").read_text(encoding="utf-8").splitlines()]
    sampled = sample(DEMO / "model", [row for row in rows if row["family"] in families], rollouts=16, seed=0)
    return {family: [one for one in sampled if one.family == family] for family in families}


def share(true: list[bool]) -> float:
    return sum(true) / len(true)


def test_easy_hard_and_guessable_families_are_what_they_are_called() -> None:
    sampled = drawn(("add-1", "mul-5", "parity-product"))
    easy, hard, guessable = sampled.values()
    assert share([one.passed for one in easy]) > 0.9
    assert share([one.passed for one in hard]) < 0.2
    assert 0.4 < share([one.passed for one in guessable]) < 0.6
    assert share([one.work is Work.SHOWN for one in easy if one.passed]) > 0.9
    assert share([one.work is Work.SHOWN for one in guessable if one.passed]) < 0.05
    assert 0.05 < share([one.work is Work.BARE for one in guessable]) < 0.3


def test_the_table_counts_by_hand() -> None:
    question = "What is 2+9?"
    texts = [r"2+9=11; \boxed{11}", r"\boxed{11}", r"2+9=12; \boxed{11}", r"\boxed{7}"]
    works = [Work.SHOWN, Work.BARE, Work.FLAWED, Work.BARE]
    sampled = [
        Sampled("add-1", question, text, "11" in text.split("boxed")[1], work)
        for text, work in zip(texts, works, strict=True)
    ]
    # 3 of 4 pass; 1 of 3 passes shows its work; 2 of 4 are bare, 1 of those passes; the flawed pass has a false step;
    # 18 + 10 + 18 + 9 characters and an end each.
    assert table(sampled, rollouts=4).splitlines()[2] == (
        "| add-1 | 1 | 0.750 | 1 | 0.333 | 0.500 | 0.500 | 1.000 | 15 |"
    )
