"""Decide: outcome, reasons and next step of every kind of problem, and counting from a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import FINGERPRINT, counts, problem, profile, rollout, verdict
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from curate import decide
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import FailedRequest, Reason, VerdictKind
from curate.statistics.prior import jeffreys, make_grid
from curate.summary import summarise

BAND = BandSection()
JEFFREYS = jeffreys(make_grid(edges=(BAND.low, BAND.high)))


def decided(**row: Any) -> tuple[str, list[str], str | None]:
    found = decide.estimate(counts(row), BAND, JEFFREYS).row(0, named=True)
    return found["outcome"], found["reasons"], found["next_step"]


@pytest.mark.parametrize(
    ("row", "outcome", "reasons", "step"),
    [
        ({"n": 64, "k": 32}, "in_band", [], None),
        ({"n": 64, "k": 0}, "too_hard", ["too_hard"], "defer"),
        ({"n": 64, "k": 64}, "too_easy", ["too_easy"], "drop"),
        ({"n": 64, "k": 13}, "undecided", ["undecided"], "defer"),
        # Never sampled: the prior leans nowhere that would count as a decision.
        ({}, "undecided", ["undecided"], "defer"),
        ({"n": 64, "k": 0, "n_truncated": 60}, "too_hard", ["too_hard", "truncated"], "defer"),
        ({"n": 64, "k": 20, "n_truncated": 40}, "in_band", ["truncated"], "defer"),
        ({"n": 64, "k": 32, "n_truncated": 32}, "in_band", [], None),
        ({"n": 2, "k": 0, "n_unscored": 6}, "unverifiable", ["unverifiable"], "repair"),
        ({"n": 60, "k": 30, "n_unscored": 4}, "in_band", [], None),
        ({"n_missing": 8}, "undecided", ["engine_error"], "defer"),
        ({"n": 4, "k": 2, "n_missing": 8}, "undecided", ["undecided", "engine_error"], "defer"),
        ({"n": 64, "k": 32, "n_missing": 8}, "in_band", [], None),
        ({"set_aside": "duplicate"}, "undecided", ["duplicate"], "drop"),
        ({"set_aside": "unverifiable"}, "unverifiable", ["unverifiable"], "repair"),
    ],
)
def test_outcome_reasons_and_next_step(row: dict[str, Any], outcome: str, reasons: list[str], step: str | None) -> None:
    assert decided(**row) == (outcome, reasons, step)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "k": st.integers(0, 40),
                "fails": st.integers(0, 40),
                "n_unscored": st.integers(0, 40),
                "n_missing": st.integers(0, 3),
                "set_aside": st.sampled_from([None, None, None, "duplicate", "unverifiable"]),
            }
        ),
        max_size=30,
    )
)
def test_kept_and_excluded_make_up_the_whole(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["n"] = row["k"] + row.pop("fails")
    found = decide.estimate(counts(*rows), BAND, JEFFREYS)
    kept, excluded = found.filter(decide.kept()), found.filter(~decide.kept())
    assert kept.height + excluded.height == len(rows)
    assert (excluded["reasons"].list.len() > 0).all(), "nothing is left out without a reason"
    assert excluded["next_step"].null_count() == 0
    assert kept["set_aside"].null_count() == kept.height
    assert (kept["p_in_band"] >= BAND.confidence).all()
    assert (found["p_below"] + found["p_in_band"] + found["p_above"] - 1).abs().max() in (
        None,
        pytest.approx(0, abs=1e-9),
    )


def evidence(**row: Any) -> dict[str, Any]:
    return {**dict.fromkeys(decide.EVIDENCE), **row}


@pytest.mark.parametrize(
    ("row", "reasons"),
    [
        ({}, []),
        ({"guessable": True}, ["guessable"]),
        ({"guessable": False, "n_checked": 4, "n_shortcut": 2}, []),
        ({"n_checked": 4, "n_shortcut": 3}, ["shortcut"]),
        ({"n_checked": 0, "n_shortcut": 0}, []),
        ({"p_label_wrong": 0.5, "label_why": "truncated"}, ["suspect_label"]),
        ({"p_label_wrong": 0.49, "label_why": "truncated"}, []),
        # Whatever the number is: without a word against it a reference is not accused.
        ({"p_label_wrong": 0.6, "label_why": ""}, []),
        (
            {"guessable": True, "n_checked": 1, "n_shortcut": 1, "p_label_wrong": 0.9, "label_why": "majority"},
            ["guessable", "shortcut", "suspect_label"],
        ),
    ],
)
def test_reasons_of_the_audit(row: dict[str, Any], reasons: list[str]) -> None:
    frame = pl.DataFrame([evidence(**row)], schema=decide.EVIDENCE)
    assert frame.select(decide.audit_reasons()).item().to_list() == reasons


@pytest.mark.parametrize(
    ("reasons", "main", "step"),
    [
        ([], None, None),
        (["too_hard"], "too_hard", "defer"),
        (["too_hard", "truncated"], "too_hard", "defer"),
        (["undecided", "engine_error"], "undecided", "defer"),
        (["too_easy", "truncated"], "too_easy", "drop"),
        (["too_hard", "guessable", "shortcut"], "guessable", "audit"),
        (["too_easy", "shortcut"], "shortcut", "audit"),
        (["guessable", "suspect_label", "unverifiable"], "suspect_label", "repair"),
    ],
)
def test_the_main_reason_asks_for_the_next_step(reasons: list[str], main: str | None, step: str | None) -> None:
    frame = pl.DataFrame({"reasons": [reasons]}, schema={"reasons": pl.List(pl.String)})
    assert frame.select(decide.main_reason(), decide.next_step().alias("step")).row(0) == (main, step)


SIDES = {"too_hard", "too_easy", "undecided"}


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "k": st.integers(0, 40),
                "fails": st.integers(0, 40),
                "cut": st.integers(0, 40),
                "n_unscored": st.integers(0, 40),
                "n_missing": st.integers(0, 3),
                "set_aside": st.sampled_from([None, None, None, "duplicate", "unverifiable"]),
            }
        ),
        max_size=20,
    ),
    st.lists(
        st.fixed_dictionaries(
            {
                "guessable": st.sampled_from([None, False, True]),
                "n_checked": st.integers(0, 5),
                "n_shortcut": st.integers(0, 5),
                "p_label_wrong": st.none() | st.floats(0, 1),
                "label_why": st.sampled_from([None, "", "majority", "truncated,majority"]),
            }
        ),
        max_size=20,
    ),
    st.booleans(),
)
def test_whatever_the_audit_says_the_problems_add_up(
    rows: list[dict[str, Any]], audits: list[dict[str, Any]], genuine: bool
) -> None:
    for row in rows:
        row["n"] = row["k"] + row.pop("fails")
        row["n_truncated"] = min(row.pop("cut"), row["n"] - row["k"])
    seen = [evidence(**{**one, "n_shortcut": min(one["n_shortcut"], one["n_checked"])}) for one in audits]
    for row, one in zip(rows, seen, strict=False):
        one["n_checked"] = min(one["n_checked"], row["k"])
        one["n_shortcut"] = min(one["n_shortcut"], one["n_checked"])
    # A problem that was not audited, and an audit of one that is gone, are both among them.
    audit = pl.DataFrame(
        [{"problem_id": f"p{place}", **one} for place, one in enumerate(seen)],
        schema={"problem_id": pl.String, **decide.EVIDENCE},
    ).with_columns(reasons=decide.audit_reasons())
    found = decide.estimate(counts(*rows), BAND, JEFFREYS)
    if genuine:
        found = decide.by_genuine_rate(found, audit, BAND, JEFFREYS)
    found = decide.with_audit(found, audit)
    kept, excluded = found.filter(decide.kept()), found.filter(~decide.kept())
    assert kept.height + excluded.height == len(rows)
    summary = summarise(found, "any", BAND, Path())
    assert (summary.kept, sum(summary.main_reasons.values())) == (kept.height, excluded.height)
    assert sum(summary.next_steps.values()) == excluded.height
    assert sum(summary.outcomes.values()) == len(rows)
    for row in found.iter_rows(named=True):
        reasons = set(row["reasons"])
        assert row["reasons"] == [reason for reason in Reason if reason in reasons], (
            "each once, in the order of the enum"
        )
        assert (row["next_step"] is None) == (not reasons)
        alone = reasons & {"duplicate", "unverifiable"}
        assert len(reasons & SIDES) + len(alone) <= 1
        in_band = row["outcome"] == "in_band"
        unheard = row["outcome"] == "undecided" and "engine_error" in reasons and row["n"] == 0
        assert in_band or unheard or len(reasons & SIDES) + len(alone) == 1
        assert not in_band or not reasons & (SIDES | alone | {"engine_error"})
        assert "engine_error" not in reasons or row["outcome"] == "undecided"


def test_the_band_of_the_genuine_rate() -> None:
    rows = counts({"n": 64, "k": 32}, {"n": 64, "k": 32}, {"n": 64, "k": 60})
    audit = pl.DataFrame(
        [
            {"problem_id": "p0", **evidence(n_checked=32, n_shortcut=0)},
            {"problem_id": "p1", **evidence(n_checked=32, n_shortcut=31)},
            {"problem_id": "p2", **evidence(n_checked=60, n_shortcut=30)},
        ],
        schema={"problem_id": pl.String, **decide.EVIDENCE},
    )
    before = decide.estimate(rows, BAND, JEFFREYS)
    after = decide.by_genuine_rate(before, audit, BAND, JEFFREYS)
    assert before["outcome"].to_list() == ["in_band", "in_band", "too_easy"]
    # 0.5 of which all is genuine; 0.5 of which almost nothing is; 0.94 of which half is.
    assert after["outcome"].to_list() == ["in_band", "too_hard", "in_band"]
    assert after["pass_rate"].to_list() == before["pass_rate"].to_list()
    assert after.columns == before.columns


def test_estimates_are_those_of_the_beta_posterior() -> None:
    found = decide.estimate(counts({"n": 16, "k": 5}), BAND, JEFFREYS).row(0, named=True)
    beta = stats.beta(5.5, 11.5)
    assert found["pass_rate"] == pytest.approx(5.5 / 17, abs=1e-6)
    assert found["ci_low"] == pytest.approx(beta.ppf(0.025), abs=1e-4)
    assert found["ci_high"] == pytest.approx(beta.ppf(0.975), abs=1e-4)
    assert found["p_in_band"] == pytest.approx(beta.cdf(0.8) - beta.cdf(0.2), abs=1e-4)


def test_another_band_decides_the_same_counts_anew() -> None:
    frame = decide.estimate(counts({"n": 64, "k": 6}), BAND, JEFFREYS)
    assert frame["outcome"].to_list() == ["too_hard"]
    again = decide.estimate(frame, BandSection(low=0.02, high=0.98), JEFFREYS)
    assert again["outcome"].to_list() == ["in_band"]
    assert again.columns == frame.columns


def test_counting_a_ledger(tmp_path: Path) -> None:
    ledger = profile(tmp_path, {"a": [True, False, True], "b": [], "c": [False]}, {"d": Reason.DUPLICATE})
    ledger.append_rollouts([rollout("c", 1), rollout("c", 2, finish_reason="length", completion_tokens=40)])
    ledger.append_verdicts(
        FINGERPRINT, [verdict("c", 1, VerdictKind.UNSCORED), verdict("c", 2, VerdictKind.FAIL, reason="truncated")]
    )
    # Drawn and not yet judged: counted nowhere.
    ledger.append_rollouts([rollout("a", 3)])
    ledger.append_errors([FailedRequest("b", 0, 4, "refused", 0.0), FailedRequest("a", 2, 3, "refused", 0.0)])
    found = decide.count(ledger, FINGERPRINT, pilot=2).select(
        "problem_id", "n", "k", "n_unscored", "n_truncated", "n_missing", "n_pilot", "k_pilot", "mean_tokens"
    )
    assert found.rows() == [
        ("a", 3, 2, 0, 0, 1, 2, 1, 10.0),
        ("b", 0, 0, 0, 0, 4, 0, 0, None),
        ("c", 2, 0, 1, 1, 0, 1, 0, 20.0),
        ("d", 0, 0, 0, 0, 0, 0, 0, None),
    ]


def test_pilot_rate_is_null_without_a_pilot() -> None:
    found = decide.estimate(counts({"n": 20, "k": 9, "n_pilot": 8, "k_pilot": 2}, {}), BAND, JEFFREYS)
    assert found["pass_rate_pilot"].to_list() == [0.25, None]


def test_an_empty_profile_counts_to_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write_problems([problem("a")], [""])
    found = decide.estimate(decide.count(ledger, FINGERPRINT, 8), BAND, JEFFREYS)
    assert found.select("n", "k", pl.col("outcome")).rows() == [(0, 0, "undecided")]
