"""A profile remembers each state that it was in, and several profiles make one history."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import rehearsal

import curate
from curate.errors import UsageError
from curate.ledger import Ledger
from curate.reprofile.history import history, profiles
from curate.summary import step_of


def test_each_changed_state_is_a_row_and_an_unchanged_one_is_none(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 6, script={"default": {"pass_rate": 0.5}})
    for rollouts in (8, 8, 32):
        summary = curate.profile(recipe, into=tmp_path / "out", fixed_n=rollouts)
    rows = Ledger(tmp_path / "out").history().rows(named=True)
    assert [row["rollouts"] for row in rows] == [48, 192]
    last = rows[-1]
    assert (last["problems"], last["kept"], last["passes"]) == (6, summary.kept, summary.passes)
    assert sum(last[name] for name in ("in_band", "too_hard", "too_easy", "undecided", "unverifiable")) == 6
    assert last["mean_pass_rate"] == pytest.approx(summary.mean_pass_rate)
    assert (last["low"], last["high"], last["confidence"]) == (0.2, 0.8, 0.9)
    assert last["revision"] == Ledger(tmp_path / "out").manifest()["model"]["revision"]


def test_several_profiles_are_one_history_with_one_row_for_each_checkpoint(tmp_path: Path) -> None:
    for step, rate in ((200, 0.9), (0, 0.1)):
        recipe = rehearsal(
            tmp_path / str(step), 4, script={"default": {"pass_rate": rate}}, model={"path": f"run/checkpoint-{step}"}
        )
        for rollouts in (4, 16):
            curate.profile(recipe, into=tmp_path / "profiles" / f"step-{step}", fixed_n=rollouts)
    found = history([tmp_path / "profiles"])
    assert [(row["step"], row["rollouts"]) for row in found] == [(0, 64), (200, 64)]
    assert found[0]["mean_pass_rate"] < 0.5 < found[1]["mean_pass_rate"]
    assert [one.path.name for one in profiles([tmp_path / "profiles"])] == ["step-0", "step-200"]
    assert history([tmp_path / "profiles", tmp_path / "profiles" / "step-0"]) == found
    with pytest.raises(UsageError, match="no finished profile"):
        profiles([tmp_path])


@pytest.mark.parametrize(
    ("path", "revision", "imported", "step"),
    [
        ("run/checkpoint-400", None, {}, 400),
        ("run/global_step_12/", None, {}, 12),
        ("owner/name", "step-30", {}, 30),
        ("owner/name-4b", None, {}, None),
        ("unknown", None, {"step": 7}, 7),
    ],
)
def test_the_step_is_read_where_it_is_told(
    path: str, revision: str | None, imported: dict[str, int], step: int
) -> None:
    manifest = {"model": {"path": path}, "recipe": {"model": {"revision": revision}}, "imported": imported}
    assert step_of(manifest) == step
