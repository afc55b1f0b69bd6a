"""Viewing: the verdict in a sentence, and how sure it is."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from builders import counts, manifest, problem

from curate import beliefs, decide
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.viewing import grouping, overview


def profile(folder: Path, *rows: dict[str, int]) -> Ledger:
    """A profile of counts alone."""
    ledger = Ledger(folder)
    frame = counts(*rows)
    prior = beliefs.learn(frame, BandSection())
    with ledger.writing():
        ledger.write_problems([problem(name) for name in frame["problem_id"]], ["?"] * frame.height)
        ledger.write_manifest(manifest())
        ledger.write_prior(beliefs.to_frame(prior))
        ledger.write_estimates(decide.estimate(frame, BandSection(), prior))
    return ledger


def audited(ledger: Ledger, **columns: list[object]) -> None:
    """Give the profile an audit: of each problem what is named, the counts, and nothing else."""
    estimates = ledger.estimates()
    empty = {name: pl.lit(None, kind) for name, kind in decide.EVIDENCE.items()}
    known = {"n_audited": estimates["n"], "n_passes": estimates["k"]}
    frame = estimates.select("problem_id", **{**empty, **known}).with_columns(
        *(pl.Series(name, values) for name, values in columns.items())
    )
    if "reasons" not in columns:
        frame = frame.with_columns(reasons=pl.lit([], pl.List(pl.String)))
    ledger.write_audit(frame, pl.LazyFrame({"problem_id": []}))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"n": 64, "k": 32}, {"n": 64, "k": 32}, {"n": 64, "k": 64}],
            "2 of 3 problems (67%) are kept: each lies in the band [0.2, 0.8] with a probability of at least 0.9; "
            "they were not audited: lucky guesses and shortcuts are still among them.",
        ),
        (
            [{"n": 64, "k": 64}, {}],
            "None of the 2 problems is kept in the band [0.2, 0.8]: mainly 1 too_easy, 1 undecided.",
        ),
    ],
)
def test_the_verdict_is_a_sentence(tmp_path: Path, rows: list[dict[str, int]], said: str) -> None:
    assert overview(profile(tmp_path, *rows).path).verdict == said


def test_how_sure_it_is(tmp_path: Path) -> None:
    ledger = profile(tmp_path, {"n": 64, "k": 32}, {"n": 16, "k": 8}, {"n": 8, "k": 2}, {"n": 64, "k": 0}, {})
    sure = overview(ledger.path).sureness
    # Beta(32.5, 32.5), Beta(8.5, 8.5), Beta(2.5, 6.5) and Beta(0.5, 64.5) by scipy's beta.ppf: their 95% intervals are
    # 0.2404, 0.4555, 0.5357 and 0.0383 wide; by beta.cdf the first two have 8.0e-8 and 0.0066 outside [0.2, 0.8].
    assert sure.half_width == pytest.approx((0.2404 + 0.4555) / 4, abs=1e-4)
    assert sure.undecided == 1
    assert sure.outside == pytest.approx(0.0066, abs=1e-4)


def test_nothing_sampled_is_sure_of_nothing(tmp_path: Path) -> None:
    view = overview(profile(tmp_path, {}, {}).path)
    assert view.sureness.half_width is None
    assert (view.sureness.undecided, view.sureness.outside, view.risk, view.suspects) == (0, 0.0, {}, ())


def test_the_audits_risk_and_suspects(tmp_path: Path) -> None:
    ledger = profile(tmp_path, {"n": 64, "k": 32}, {"n": 64, "k": 30}, {"n": 64, "k": 1})
    audited(
        ledger,
        risk=[0.1, 0.3, 0.8],
        p_label_wrong=[0.1, 0.7, 0.9],
        label_why=["", "majority", "majority"],
        reasons=[[], ["suspect_label"], ["suspect_label"]],
    )
    view = overview(ledger.path)
    assert view.audit == "current"
    assert view.risk == pytest.approx({"sampled": 0.4, "in_band": 0.2, "kept": 0.1})
    assert view.suspects == (("p2", 0.9), ("p1", 0.7))
    assert view.verdict.endswith("; the audit speaks against none of them.")


def test_problems_are_grouped_by_a_key_that_all_of_them_have(tmp_path: Path) -> None:
    def frame(*metadata: str) -> pl.DataFrame:
        rows = {"problem_id": [str(place) for place in range(len(metadata))], "metadata": metadata}
        return pl.DataFrame(rows, schema={"problem_id": pl.String, "metadata": pl.String})

    key, named = grouping(frame('{"subject": "a", "level": 1}', '{"subject": "b", "level": 1}'))
    assert (key, named["group"].to_list()) == ("subject", ["a", "b"])
    key, named = grouping(frame('{"subject": "a", "level": 1}', '{"level": 2}'))
    assert (key, named["group"].to_list()) == ("level", ["1", "2"])
    assert grouping(frame('{"level": 1}', '{"level": 1}'))[0] is None
    assert grouping(frame())[0] is None
