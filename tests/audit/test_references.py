"""Suspect references: the queue's order, the model against brute force, and what a reference shows by itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit.agreement import BASE_RATE, SIGNED_RATE
from curate.audit.references import looks_truncated, pooled, signs, suspects, tally

TALLY = {"problem_id": pl.String, "answer": pl.String, "count": pl.Int64, "matches_reference": pl.Boolean}


def tallies(*rows: tuple[str, int, list[int]]) -> pl.DataFrame:
    """Tallies of problems: name, rollouts that reached the reference, and the counts of other answers."""
    made = [(name, "ref", k, True) for name, k, _ in rows if k]
    made += [(name, f"x{place}", count, False) for name, _, counts in rows for place, count in enumerate(counts)]
    return pl.DataFrame(made, schema=TALLY, orient="row")


def ordinary(problems: int, seed: int = 0) -> list[tuple[str, int, list[int]]]:
    """Problems with right references, as a fair model solves them: 16 rollouts, wrong ones scattered."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(problems):
        k = int(rng.binomial(16, rng.uniform(0.3, 0.95)))
        wrong = np.bincount(rng.integers(0, 20, 16 - k))
        found.append((f"p{number}", k, [int(count) for count in wrong if count]))
    return found


def probabilities(queue: pl.DataFrame) -> dict[str, float]:
    return dict(queue.select("problem_id", "p_label_wrong").iter_rows())


def test_a_majority_for_another_answer_leads_the_queue() -> None:
    queue = suspects(tallies(*ordinary(300), ("wrong", 0, [13, 1, 1, 1]), ("half", 8, [7, 1]), ("split", 1, [2, 1, 2])))
    assert queue["problem_id"][0] == "wrong"
    row = queue.row(0, named=True)
    assert row["p_label_wrong"] > 0.99
    assert (row["majority_answer"], row["majority_count"], row["reference_count"], row["n_answered"]) == (
        "x0",
        13,
        0,
        16,
    )
    assert row["label_why"] == "majority"
    assert row["competing_answers"] == ["x0", "x1", "x2", "x3"]
    assert row["competing_counts"] == [13, 1, 1, 1]
    found = probabilities(queue)
    assert found["half"] < 0.1, "as many reach the reference as anything else: that is no majority"
    assert found["split"] < found["wrong"]
    assert queue["p_label_wrong"].is_sorted(descending=True)
    assert queue.height == 303


def test_where_wrong_answers_agree_a_majority_is_worth_less() -> None:
    trap = [(f"t{number}", number % 3, [14 - number % 3, 1, 1]) for number in range(200)]
    scattered = probabilities(suspects(tallies(*ordinary(300), ("wrong", 0, [13, 1, 1, 1]))))["wrong"]
    agreeing = probabilities(suspects(tallies(*trap, ("wrong", 0, [13, 1, 1, 1]))))["wrong"]
    assert agreeing < 0.5 < scattered


def test_more_rollouts_are_more_evidence() -> None:
    rows = [(f"n{n}", 0, [n - n // 8, *[1] * (n // 8)]) for n in (1, 4, 8, 16, 32)]
    found = probabilities(suspects(tallies(*ordinary(300), *rows)))
    grown = [found[f"n{n}"] for n in (1, 4, 8, 16, 32)]
    assert grown == sorted(grown)
    assert grown[0] < 0.5 < grown[-1]


def test_many_wrong_references_do_not_explain_each_other_away() -> None:
    strong = [(f"s{number}", 16 - number % 3, [1] * (number % 3)) for number in range(400)]
    wrong = [(f"w{number}", 0, [16 - number % 3, *[1] * (number % 3)]) for number in range(40)]
    queue = suspects(tallies(*strong, *wrong))
    assert set(queue["problem_id"].head(40)) == {name for name, _, _ in wrong}
    assert queue["p_label_wrong"][39] > 0.5


def seating(sizes: list[int], alpha: float) -> float:
    """P(customers sit so), seating them one by one: what Ewens' formula says in closed form."""
    chance, seated = 1.0, 0
    for size in sizes:
        for place in range(size):
            chance *= (alpha if place == 0 else place) / (alpha + seated)
            seated += 1
    return chance


@pytest.mark.parametrize(("k", "others"), [(3, [2, 1]), (0, [4]), (1, [3, 1, 1]), (5, []), (2, [2, 2, 2])])
def test_the_posterior_is_that_of_seating_every_rollout(k: int, others: list[int]) -> None:
    rates = np.sin((np.arange(16) + 0.5) * np.pi / 32) ** 2
    alphas = 10.0 ** np.arange(-1.0, 3.0, 0.5)
    n = k + sum(others)

    def stories(p: float, alpha: float) -> tuple[float, float]:
        right = p**k * (1 - p) ** (n - k) * seating(others, alpha)
        wrong = (1 - p) ** n * seating([k + 1, *others], alpha)
        for place, rival in enumerate(others):
            rest = [k + 1, *others[:place], *others[place + 1 :]]
            wrong += p**rival * (1 - p) ** (n - rival) * seating(rest, alpha)
        return (1 - BASE_RATE) * right, BASE_RATE * wrong

    cells = np.array([[stories(p, alpha) for alpha in alphas] for p in rates])
    of_rates, of_alphas = np.full(16, 1 / 16), np.full(8, 1 / 8)
    for _ in range(40):
        share = cells.sum(axis=2) * of_rates[:, None] * of_alphas
        share /= share.sum()
        of_rates, of_alphas = (2 * share.sum(axis=1) + 1 / 16) / 3, (2 * share.sum(axis=0) + 1 / 8) / 3
    own = cells.sum(axis=2) * of_rates[:, None] * of_alphas
    # Of the two problems each is judged by what the other one teaches.
    share = 2 * share - own / own.sum()
    of_rates, of_alphas = (share.sum(axis=1) + 1 / 16) / 2, (share.sum(axis=0) + 1 / 8) / 2
    right, wrong = np.einsum("pas,p,a->s", cells, of_rates, of_alphas)
    queue = suspects(tallies(("a", k, others), ("b", k, others)))
    assert queue["p_label_wrong"].to_list() == pytest.approx([wrong / (right + wrong)] * 2, rel=1e-6)


def told(problem_id: str, sign: str) -> pl.DataFrame:
    return pl.DataFrame([{"problem_id": problem_id, "sign": sign, "sign_why": "so it is"}])


def test_a_sign_puts_a_reference_forward_and_rollouts_clear_it() -> None:
    told_of = pl.concat([told("cleared", "truncated"), told("unseen", "fails_itself")])
    queue = suspects(tallies(*ordinary(300), ("cleared", 14, [1, 1]), ("plain", 14, [1, 1])), told_of)
    found = probabilities(queue)
    assert found["unseen"] == pytest.approx(SIGNED_RATE)
    assert found["plain"] < found["cleared"] < 0.05
    row = queue.filter(pl.col("problem_id") == "unseen").row(0, named=True)
    assert (row["label_why"], row["label_note"], row["majority_answer"], row["n_answered"]) == (
        "fails_itself",
        "so it is",
        None,
        0,
    )


@given(st.lists(st.tuples(st.integers(0, 40), st.lists(st.integers(1, 40), max_size=6)), max_size=12))
@settings(max_examples=40, deadline=None)
def test_any_tallies_give_probabilities(rows: list[tuple[int, list[int]]]) -> None:
    queue = suspects(tallies(*((f"p{place}", k, others) for place, (k, others) in enumerate(rows))))
    assert queue.height == sum(1 for k, others in rows if k or others)
    assert queue["p_label_wrong"].is_between(0, 1).all()
    assert queue["p_label_wrong"].is_finite().all()


def test_tallying_pools_spellings_and_leaves_out_those_without_a_voice() -> None:
    said = [
        ("a", "pass", "1000"),
        ("a", "pass", "10^3"),
        # The verifier failed this one, but it is the reference: no evidence against it.
        ("a", "fail", "1,000"),
        ("a", "fail", "$40"),
        ("a", "fail", "40.0"),
        ("a", "fail", "41"),
        ("a", "fail", None),
        ("a", "unscored", "40"),
        ("b", "fail", "7"),
    ]
    verdicts = pl.DataFrame(said, schema=["problem_id", "verdict", "answer"], orient="row")
    problems = pl.DataFrame({"problem_id": ["a", "b", "c"], "answers": [["1000", "1e3"], ["8"], []]})
    found = tally(verdicts, problems)
    assert found.rows() == [("a", "1000", 3, True), ("a", "$40", 2, False), ("a", "41", 1, False), ("b", "7", 1, False)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,234.50", "1234.5"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\text{Even}", "even"),
        (r"\$ 18", "18."),
        ("007", "7"),
        (".5", "0.50"),
        (r"\left( 1, 2 \right)", "(1,2)"),
    ],
)
def test_spellings_that_are_the_same(one: str, other: str) -> None:
    assert pooled(one) == pooled(other)


@pytest.mark.parametrize(
    ("one", "other"), [("1,2", "12"), ("(0,100)", "(0100)"), ("10", "1"), ("-5", "5"), ("1.5", "15"), ("{1,234}", "1")]
)
def test_spellings_that_are_not(one: str, other: str) -> None:
    assert pooled(one) != pooled(other)


@pytest.mark.parametrize(
    "reference", [r"\frac{3}{", "(1, 2", "x^2 +", "3,", "[1,2", r"5 \times", r"\sqrt", "2 and", r"\text{no", "7 ="]
)
def test_references_that_look_cut_off(reference: str) -> None:
    assert looks_truncated(reference)


@pytest.mark.parametrize(
    "reference",
    ["7", "-", "+", "", "[0,1)", r"(-\infty, 3]", "a)", r"\{1, 2\}", r"\left\{1\right.", "5!", "land", r"50\%", "3'"],
)
def test_references_that_do_not(reference: str) -> None:
    assert not looks_truncated(reference)


def test_real_references_do_not_look_cut_off(third_party_data: Path) -> None:
    lines = (third_party_data / "problems/math500.jsonl").read_text(encoding="utf-8").splitlines()
    references = [str(pl.Series([line]).str.json_path_match("$.answer")[0]) for line in lines]
    assert len(references) == 500
    assert [reference for reference in references if looks_truncated(reference)] == []


def listed(**changes: Any) -> dict[str, Any]:
    row = {"question": "q", "answers": ["4"], "set_aside": None, "set_aside_why": "", "messages": []}
    return {**row, **changes}


def test_signs_are_put_on_the_problem_that_is_kept() -> None:
    turn = [{"role": "user", "content": "q"}]
    rows = [
        listed(problem_id="kept", question="how  many"),
        listed(problem_id="same", question="how many", answers=["4.0"], set_aside="duplicate"),
        listed(problem_id="other", question="how many", answers=["5"], set_aside="duplicate"),
        listed(problem_id="chat", question="how many", messages=turn, answers=["6"]),
        listed(problem_id="cut", answers=["3", "(1, 2"]),
        listed(problem_id="bad", answers=["x"], set_aside="unverifiable", set_aside_why="parses to nothing"),
        listed(problem_id="none", answers=[], set_aside="unverifiable", set_aside_why="empty"),
    ]
    messages = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
    found = signs(pl.DataFrame(rows, schema_overrides={"messages": messages, "set_aside": pl.String}))
    assert sorted(found.rows()) == [
        ("bad", "fails_itself", "parses to nothing"),
        ("cut", "truncated", "looks cut off: (1, 2"),
        ("kept", "contradicted", "other says 5"),
    ]


def test_real_wrong_references_come_first_among_those_of_gsm8k(third_party_data: Path) -> None:
    """A smaller run of the benchmark: 8,796 references, 10 known to be wrong, 16 simulated rollouts of each."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    try:
        import audit_references
    finally:
        sys.path.pop(0)
    found = audit_references.measure(n=16, seed=11)
    assert found["wrong"] == 10
    assert found["found"] >= 9
    assert sum(found["controls_flagged"].values()) <= 4
    assert found["others_flagged"] <= 0.01 * found["others"]
