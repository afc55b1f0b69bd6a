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
