"""Continuing a profile whose source says something else of a problem than it did when its rollouts were drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import drawn, jsonl, rehearsal

from curate import decide
from curate.auditing import audit
from curate.errors import ProblemsChanged, VerifierError
from curate.ledger import Ledger
from curate.planning import plan
from curate.probing import probe_early, probe_guess, read_probe
from curate.profiling import profile
from curate.verifiers.pool import VerifierPool
from curate.verifying import verify

Row = dict[str, Any]


def edit(recipe: Path, change: Callable[[Row], None], which: str = "p0") -> None:
    """Change one problem in the source."""
    source = recipe.parent / "problems.jsonl"
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    change(next(row for row in rows if row["id"] == which))
    jsonl(source, rows)


def counted(folder: Path) -> dict[str, tuple[int, int]]:
    """n and k of every problem."""
    return {name: (n, k) for name, n, k in Ledger(folder).estimates().select("problem_id", "n", "k").iter_rows()}


def told(folder: Path, fingerprint: str) -> set[tuple[str, str]]:
    """What a verifier says of each problem's rollouts."""
    return set(Ledger(folder).verdicts(fingerprint).select("problem_id", "verdict").rows())


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Three problems that are always answered 4."""
    return rehearsal(tmp_path / "r", 3, script={"default": {"pass_rate": 1.0}})


def test_a_repaired_reference_judges_what_was_drawn_anew(recipe: Path, tmp_path: Path) -> None:
    edit(recipe, lambda row: row.update(answer="5"))
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    assert counted(tmp_path / "out") == {"p0": (8, 0), "p1": (8, 8), "p2": (8, 8)}
    before = drawn(tmp_path / "out")
    edit(recipe, lambda row: row.update(answer="4"))
    edit(recipe, lambda row: row.update(answer="4.0"), "p2")
    again: list[int] = []
    profile(recipe, into=tmp_path / "out", fixed_n=8, report=lambda tally: again.append(tally.judged_again))
    assert counted(tmp_path / "out") == {"p0": (8, 8), "p1": (8, 8), "p2": (8, 0)}
    assert drawn(tmp_path / "out") == before
    assert again[-1] == 16
    profile(recipe, into=tmp_path / "out", fixed_n=8, report=lambda tally: again.append(tally.judged_again))
    assert again[-1] == 0


def test_a_call_that_was_broken_off_while_it_judged_anew_is_begun_again(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    edit(recipe, lambda row: row.update(answer="5"))

    async def dies(*_: object) -> None:
        raise VerifierError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(VerifierPool, "judge", dies)
        with pytest.raises(VerifierError):
            profile(recipe, into=tmp_path / "out", fixed_n=8)
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    assert counted(tmp_path / "out")["p0"] == (8, 0)


def test_an_audit_by_the_old_reference_is_not_used(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path / "r", 3, script={"default": {"pass_rate": 0.0}})
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    audit(tmp_path / "out")
    ledger = Ledger(tmp_path / "out")
    assert not decide.outdated(ledger.estimates(), ledger.audit())
    edit(recipe, lambda row: row.update(answer="5"))
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    assert counted(tmp_path / "out")["p0"] == (8, 0)  # as before: the counts alone do not tell
    assert decide.outdated(ledger.estimates(), ledger.audit())


def test_what_another_verifier_said_by_the_old_reference_is_taken_back(recipe: Path, tmp_path: Path) -> None:
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    other = verify(tmp_path / "out", "numeric").fingerprint
    edit(recipe, lambda row: row.update(answer="5"))
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    assert told(tmp_path / "out", other) == {("p0", "unscored"), ("p1", "pass"), ("p2", "pass")}
    verify(tmp_path / "out", "numeric", redo_unscored=True)
    assert told(tmp_path / "out", other) == {("p0", "fail"), ("p1", "pass"), ("p2", "pass")}


def test_what_probes_drew_is_judged_by_the_reference_that_counts(recipe: Path, tmp_path: Path) -> None:
    def probed() -> list[tuple[tuple[int, int], ...]]:
        found = [read_probe(tmp_path / "out", kind) for kind in ("guess", "early")]
        ours = [one.filter(pl.col("problem_id") == "p0") for one in found if one is not None]
        return [tuple(one.select(pl.col("^[nk](_guess)?$").sum()).rows()) for one in ours]

    profile(recipe, into=tmp_path / "out", fixed_n=8)
    probe_guess(tmp_path / "out", draws=6)
    probe_early(tmp_path / "out", draws=2, among=["p0"])
    (guessed,), (cut,) = probed()
    assert guessed == (6, 6)
    assert cut[0] == cut[1] > 0
    edit(recipe, lambda row: row.update(answer="5"))
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    assert probed() == [((0, 0),), ((0, 0),)]
    edit(recipe, lambda row: row.update(answer="4"))
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    assert (probe_guess(tmp_path / "out", draws=6).drawn, probed()[0]) == (0, ((6, 6),))


def test_another_question_under_the_same_id_is_refused(recipe: Path, tmp_path: Path) -> None:
    profile(recipe, into=tmp_path / "out", fixed_n=8)
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")}
    edit(recipe, lambda row: row.update(question="what is 4, said otherwise"), "p1")
    for ask in (profile, plan):
        with pytest.raises(ProblemsChanged, match=r"\(1 of them\): p1") as refused:
            ask(recipe, into=tmp_path / "out", fixed_n=8)
        assert "ids of their own" in (refused.value.hint or "")
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")} == before


def test_metadata_counts_where_the_template_shows_it(tmp_path: Path) -> None:
    shown = {"template": "{{ question }} {{ metadata.note }}"}
    for name, prompt, refused in (("shown", shown, True), ("hidden", {}, False)):
        recipe = rehearsal(tmp_path / name, 2, script={}, prompt=prompt)
        for number in range(2):
            edit(recipe, lambda row: row.update(note="one"), f"p{number}")
        profile(recipe, into=tmp_path / f"{name}-out", fixed_n=2)
        edit(recipe, lambda row: row.update(note="two"))
        if refused:
            with pytest.raises(ProblemsChanged):
                profile(recipe, into=tmp_path / f"{name}-out", fixed_n=2)
        else:
            profile(recipe, into=tmp_path / f"{name}-out", fixed_n=2)


def test_a_problem_without_rollouts_may_change(recipe: Path, tmp_path: Path) -> None:
    edit(recipe, lambda row: row.update(answer=""))
    profile(recipe, into=tmp_path / "out", fixed_n=4)
    assert counted(tmp_path / "out")["p0"] == (0, 0)
    edit(recipe, lambda row: row.update(answer="4", question="what is four"))
    profile(recipe, into=tmp_path / "out", fixed_n=4)
    assert counted(tmp_path / "out")["p0"] == (4, 4)
