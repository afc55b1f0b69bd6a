"""Flags against a problem's other rollouts and the profile's typical solution, with numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.audit.bulk import SIGNALS
from curate.audit.relative import relative

SCHEMA = pl.Schema(
    {"problem_id": pl.String, "index": pl.Int32, "verdict": pl.String, "finish_reason": pl.String, **SIGNALS}
)
FLAGS = [
    *("truncated", "bare", "skipped", "short", "long", "repetitive", "restated", "several_answers", "garbled"),
    "answer_first",
]


def rollouts(problem_id: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rollouts of one problem; what a row does not say is that of an ordinary pass with twenty work tokens."""
    ordinary: dict[str, Any] = {
        **dict.fromkeys(SCHEMA),
        **{"verdict": "pass", "finish_reason": "stop", "characters": 499, "words": 80, "words_before": 70},
        **{"repetition": 0.0, "looping_tail": 0.0, "garbage": 0.0, "answer_repeats": 1, "boxed_answers": 1},
        **{"work_tokens": 20, "answer_first": False},
    }
    filled = [{**ordinary, "problem_id": problem_id, "index": index, **row} for index, row in enumerate(rows)]
    return pl.DataFrame(filled, schema=SCHEMA, orient="row")


def flagged(frame: pl.DataFrame, flag: str) -> list[int]:
    return relative(frame).filter(pl.col(flag))["index"].to_list()


FAIL = {"verdict": "fail"}


def test_work_is_expected_as_the_failing_rollouts_show_it() -> None:
    # The failing ones show 12, 16 and 40 tokens: median 16. The profile's typical solution: the only problem's, 16.
    fails = [{**FAIL, "work_tokens": tokens} for tokens in (40, 12, 16)]
    frame = rollouts("p", *fails, {"work_tokens": 3}, {"work_tokens": 4}, {"work_tokens": 50})
    found = relative(frame)
    # All six: 3, 4, 12, 16, 40, 50 have the median 14, the typical solution, which is less than 16.
    assert found["work_expected"].to_list() == [14.0] * 6
    assert flagged(frame, "skipped") == [3]  # 3 < 3.5 <= 4


def test_the_lesser_of_own_and_typical_work_is_expected() -> None:
    easy = rollouts("easy", *[{"work_tokens": 6}] * 4)
    hard = [rollouts(f"hard{number}", *[{**FAIL, "work_tokens": 40}] * 4) for number in range(2)]
    found = relative(pl.concat([easy, *hard]))
    assert found["work_expected"].to_list() == [6.0] * 4 + [40.0] * 8
    assert not found["skipped"].any()


def test_few_failures_do_not_speak_for_the_problem() -> None:
    frame = rollouts("p", {**FAIL, "work_tokens": 400}, *[{"work_tokens": 20}] * 4)
    assert relative(frame)["work_expected"].to_list() == [20.0] * 5


def test_a_bare_answer_is_skipped_work_where_the_profile_shows_work() -> None:
    bare = {"work_tokens": 0, "words_before": 0}
    guessed = rollouts("guessed", *[{**FAIL, **bare}] * 4, bare, {"work_tokens": 0, "words_before": 60})
    worked = [rollouts(f"worked{number}", {}, {}, {}) for number in range(2)]
    found = relative(pl.concat([guessed, *worked]))
    assert found["bare"].to_list()[:6] == [True] * 5 + [False]
    assert found["skipped"].to_list() == [True] * 5 + [False] * 7
    # Where nobody works, as on questions of knowledge, a bare answer is the custom.
    alone = relative(guessed)
    assert alone["bare"].to_list() == [True] * 5 + [False]
    assert not alone["skipped"].any()


def test_lengths_are_compared_on_a_log_scale() -> None:
    # Lengths 499 five times: the median of log(length + 1) is log 500, the spread 0, so the least spread 0.25 holds.
    frame = rollouts(
        "p", *[{}] * 5, {"characters": 1199}, {"characters": 1999}, {"characters": 99}, {"characters": 249}
    )
    found = relative(frame)
    expected = [math.log(length / 500) / 0.25 for length in (1200, 2000, 100, 250)]
    assert found["length_z"].to_list() == pytest.approx([0.0] * 5 + expected)
    assert flagged(frame, "long") == [5, 6]  # 2.4 times: z 3.502; 2.0 times would not be
    assert flagged(frame, "short") == [7]


def test_lengths_spread_widely_make_no_outlier() -> None:
    # log lengths log 10 * (1, 2, 3, 4, 5): median 3, deviations 2, 1, 0, 1, 2 whose median is 1: spread 1.4826 log 10.
    frame = rollouts("p", *[{"characters": 10**power - 1} for power in (1, 2, 3, 4, 5)])
    found = relative(frame)
    assert found["length_z"].to_list() == pytest.approx([step / 1.4826 for step in (-2, -1, 0, 1, 2)])
    assert not found["long"].any()


def test_four_lengths_say_nothing() -> None:
    found = relative(rollouts("p", {}, {}, {}, {"characters": 10**6}))
    assert found["length_z"].to_list() == [None] * 4
    assert not found["long"].any()


def test_truncated_rollouts_set_no_measure_and_are_not_short() -> None:
    cut = {**FAIL, "finish_reason": "length", "characters": 9, "work_tokens": 500}
    frame = rollouts("p", *[{}] * 5, *[cut] * 6)
    found = relative(frame)
    assert found["work_expected"].to_list() == [20.0] * 11
    assert flagged(frame, "truncated") == [5, 6, 7, 8, 9, 10]
    assert not found["short"].any()


@pytest.mark.parametrize(
    ("flag", "below", "at"),
    [
        ("repetitive", {"repetition": 0.49}, {"repetition": 0.5}),
        ("repetitive", {"looping_tail": 0.09}, {"looping_tail": 0.1}),
        ("restated", {"answer_repeats": 4}, {"answer_repeats": 5}),
        ("several_answers", {"boxed_answers": 1}, {"boxed_answers": 2}),
        ("garbled", {"garbage": 0.009}, {"garbage": 0.01}),
        ("answer_first", {"answer_first": False}, {"answer_first": True}),
    ],
)
def test_thresholds_are_inclusive(flag: str, below: dict[str, Any], at: dict[str, Any]) -> None:
    assert flagged(rollouts("p", below, at), flag) == [1]


def test_what_could_not_be_measured_is_not_flagged() -> None:
    unmeasured = dict.fromkeys(SIGNALS) | {"audit_error": "ValueError: no"}
    found = relative(pl.concat([rollouts("p", unmeasured, *[{}] * 5), rollouts("q", unmeasured)]))
    assert found.select(pl.col(FLAGS).is_null().any()).row(0) == (False,) * len(FLAGS)
    assert not any(found.select(pl.col(FLAGS).any()).row(0))


def test_a_profile_without_rollouts() -> None:
    found = relative(rollouts("p").clear())
    assert found.height == 0
    assert set(FLAGS) | {"work_expected", "length_z"} <= set(found.columns)


MEASURES = st.fixed_dictionaries(
    {
        "verdict": st.sampled_from(["pass", "fail", "unscored"]),
        "finish_reason": st.sampled_from(["stop", "length"]),
        "characters": st.integers(0, 10**7),
        "work_tokens": st.integers(0, 10**4),
        "words_before": st.integers(0, 100),
    }
)


@given(st.dictionaries(st.sampled_from("pqr"), st.lists(MEASURES, max_size=7), min_size=1), st.randoms())
def test_rows_keep_their_order_and_flags_do_not_depend_on_it(problems: dict[str, Any], rng: Any) -> None:
    frame = pl.concat([rollouts(name, *rows) for name, rows in problems.items()])
    found = relative(frame)
    assert found.select(frame.columns).equals(frame.select(found.select(frame.columns).columns))
    order = list(range(frame.height))
    rng.shuffle(order)
    assert relative(frame[order]).equals(found[order])
    assert not found.filter(pl.col("short") & pl.col("long")).height
    assert found.select(pl.col(FLAGS).is_null().any()).row(0) == (False,) * len(FLAGS)
