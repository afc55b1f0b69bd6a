"""A file of ids restricts a set of problems, and changes nothing about those that stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import jsonl, rehearsal

import curate
from curate.errors import ProblemsError
from curate.ledger import Ledger
from curate.problems import load
from curate.recipe import ProblemsSection
from curate.records import Reason

ROWS = [{"question": question, "answer": "1"} for question in ("a", "b", "b", "c")]


def test_only_the_listed_problems_are_there_and_stay_what_they_are(tmp_path: Path) -> None:
    source = str(jsonl(tmp_path / "all.jsonl", ROWS))
    whole = load(ProblemsSection(source=source)).problems
    names = tmp_path / "due.ids"
    names.write_text(f"\n{whole[2].problem_id}\n{whole[0].problem_id}\n")
    found = load(ProblemsSection(source=source, ids=str(names)))
    assert found.problems == (whole[0], whole[2])
    # The third row repeats the second, whether or not the second is asked for.
    assert found.problems[1].set_aside is Reason.DUPLICATE
    assert found.fingerprint != load(ProblemsSection(source=source)).fingerprint


@pytest.mark.parametrize(("text", "said"), [("zzz\n", "1 of its 1 ids are not in"), ("", "the file is empty")])
def test_an_id_that_no_row_has_is_refused(tmp_path: Path, text: str, said: str) -> None:
    names = tmp_path / "due.ids"
    names.write_text(text)
    with pytest.raises(ProblemsError, match=said):
        load(ProblemsSection(source=str(jsonl(tmp_path / "all.jsonl", ROWS)), ids=str(names)))


def test_a_profile_of_some_grows_into_one_of_more_under_the_same_protocol(tmp_path: Path) -> None:
    names = tmp_path / "due.ids"
    names.write_text("p3\np1\n")
    recipe = curate.load_recipe(rehearsal(tmp_path, 5), (f"problems.ids={names}",))
    curate.profile(recipe, into=tmp_path / "out", fixed_n=4)
    first = Ledger(tmp_path / "out").manifest()
    names.write_text("p3\np1\np4\n")
    summary = curate.profile(recipe, into=tmp_path / "out", fixed_n=4)
    second = Ledger(tmp_path / "out").manifest()
    assert (summary.problems, summary.rollouts) == (3, 12)
    assert second["cost"]["rollouts"] == 12
    assert first["protocol_fingerprint"] == second["protocol_fingerprint"]
    assert first["problems"]["fingerprint"] != second["problems"]["fingerprint"]
