"""Agreement with the suites of other projects and with labelled rollouts; see docs/verifiers.md for what disagrees."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from curate.recipe import VerifierSection
from curate.records import Case, VerdictKind
from curate.verifiers import connect, judge_all


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def options(row: dict[str, Any]) -> dict[str, Any]:
    """The suite's own extraction settings, where a case comes with them."""
    if row["style"] != "env":
        return {}
    chosen = {"targets": row["match_types"], "float_rounding": row["precision"]}
    return chosen | {key: row[key] for key in ("strict", "allow_set_relation_comp") if key in row}


def agreeing(file: Path) -> int:
    """How many cases of a suite get the verdict they are expected to get."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows(file):
        if row.get("match_types") != ["NativeLetters"]:  # those are multiple choice
            groups[json.dumps(options(row))].append(row)
    agreed = 0
    for chosen, cases in groups.items():
        section = VerifierSection(options=json.loads(chosen), workers=1)
        judgements = judge_all(section, [Case((row["gold"],), completion(row)) for row in cases])
        wanted = [VerdictKind.PASS if row["expected"] else VerdictKind.FAIL for row in cases]
        agreed += sum(judgement.kind is kind for judgement, kind in zip(judgements, wanted, strict=True))
    return agreed


def completion(row: dict[str, Any]) -> str:
    return f"\\boxed{{{row['prediction']}}}" if row["style"] == "bare" else str(row["prediction"])


@pytest.mark.parametrize(
    ("suite", "least"),
    [
        ("math_verify", 258),
        ("math500_identity", 500),
        ("qwen_rollouts_800", 799),
        ("nemo_skills", 29),
        ("lighteval", 208),
        ("hendrycks_math", 16),
        ("qwen_grader", 13),
        ("trl", 4),
        ("open_r1", 3),
        ("prime_verifiers", 5),
    ],
)
def test_agreement_with_a_suite(third_party_data: Path, suite: str, least: int) -> None:
    assert agreeing(third_party_data / "verifier_cases" / f"{suite}.jsonl") >= least


def test_real_references_match_themselves(third_party_data: Path) -> None:

    problems = third_party_data / "problems"
    references = [(row["answer"].rpartition("####")[2].strip(),) for row in rows(problems / "gsm8k_test.jsonl")]
    references += [(row["answer"],) for row in rows(problems / "math500.jsonl")]

    async def check() -> list[str | None]:
        pool = connect(VerifierSection(workers=1))
        try:
            return await pool.check_references(references)
        finally:
            await pool.close()

    assert len(references) == 1319 + 500
    assert asyncio.run(check()) == [None] * len(references)


def test_real_completions_get_their_labels(third_party_data: Path) -> None:
    labelled = [
        (Case((row["gt"],), text), score)
        for row in rows(third_party_data / "rollouts" / "qwen25math_math100x8.jsonl")
        for text, score in zip(row["code"], row["score"], strict=True)
    ]
    judgements = judge_all(VerifierSection(workers=1), [case for case, _ in labelled])
    assert len(labelled) == 800
    assert all(judgement.kind is not VerdictKind.UNSCORED for judgement in judgements)
    passed = [judgement.kind is VerdictKind.PASS for judgement in judgements]
    assert sum(had is score for had, (_, score) in zip(passed, labelled, strict=True)) >= 799


def test_completions_without_a_box_get_their_labels(third_party_data: Path) -> None:
    labelled = [
        (Case((row["ground_truth"].rpartition("\nA:")[2].strip(),), run["solution"]), run["is_correct"])
        for row in rows(third_party_data / "rollouts" / "openai_gsm8k_4models.jsonl")
        for run in row.values()
        if isinstance(run, dict)
    ]
    judgements = judge_all(VerifierSection(workers=1), [case for case, _ in labelled])
    passed = [judgement.kind is VerdictKind.PASS for judgement in judgements]
    assert passed == [is_correct for _, is_correct in labelled]
