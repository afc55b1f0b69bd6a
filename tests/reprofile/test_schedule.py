"""What is due: nothing, anchors, what they leave in doubt; what it costs; and that it can be done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import jsonl, rehearsal

import curate
from curate import Policy
from curate.cli.main import run
from curate.errors import EngineError, Stopped, UsageError
from curate.ledger import Ledger
from curate.recipe import VerifierSection

PROBLEMS = 80
EASY, MIDDLE = range(30), range(30, 50)


def rates(middle: float) -> dict[str, Any]:
    """30 problems that are always solved, 20 that rise from checkpoint to checkpoint, 30 that never are."""
    known = {f"p{number}": {"pass_rate": 1.0} for number in EASY}
    known |= {f"p{number}": {"pass_rate": middle} for number in MIDDLE}
    return {"default": {"pass_rate": 0.0}, "problems": known}


def checkpoint(folder: Path, step: int, script: Mapping[str, Any]) -> Path:
    """A recipe of one checkpoint."""
    return rehearsal(folder / f"step-{step}", PROBLEMS, script=script, model={"path": f"run/checkpoint-{step}"})


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Profiles of two old checkpoints, and the recipe of a third."""
    folder = tmp_path_factory.mktemp("past")
    for step, middle in ((0, 0.1), (100, 0.15)):
        curate.profile(checkpoint(folder, step, rates(middle)), into=folder / "profiles" / f"step-{step}", fixed_n=24)
    return folder


def moved(folder: Path) -> Path:
    """The last checkpoint's script now says otherwise, as a server's model that was replaced."""
    script = folder / "step-100" / "script.yaml"
    script.write_text(json.dumps(rates(0.6)))
    return folder / "profiles"


@pytest.fixture
def here(past: Path, tmp_path: Path) -> Path:
    """A copy of the past that a test may change; recipes name their files absolutely, so those are changed too."""
    folder = tmp_path / "past"
    shutil.copytree(past, folder)
    for file in (*folder.glob("profiles/*/manifest.json"), *folder.glob("*/recipe.yaml")):
        file.write_text(file.read_text().replace(str(past), str(folder)))
    return folder


def age(profile: Path, days: float) -> None:
    """Let a profile be so old."""
    manifest = Ledger(profile).manifest()
    manifest["updated"] = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    Ledger(profile).write_manifest({key: value for key, value in manifest.items() if key != "format"})


# -- whether --------------------------------------------------------------------------------------------------------


def test_nothing_is_due_while_the_checkpoint_is_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    age(here / "profiles" / "step-100", 400)
    found = curate.schedule(here / "profiles", policy=Policy(every_days=30))
    assert (found.due, found.items, found.rollouts) == (False, (), 0)
    assert run(["schedule", str(here / "profiles"), "--every-days", "30"]) == 0
    assert capsys.readouterr().out == "nothing is due: the checkpoint is the one that was profiled\n"


def test_a_new_checkpoint_is_due_with_its_anchors_first(here: Path) -> None:
    found = curate.schedule(moved(here), policy=Policy(anchors=10))
    assert found.due
    assert [item.kind for item in found.items] == ["anchors"]
    # Only the middle problems are neither always nor never solved: they alone tell about ability.
    assert set(found.problem_ids) <= {f"p{number}" for number in MIDDLE}
    assert (found.problems, found.measured, len(found.problem_ids)) == (PROBLEMS, 0, 10)
    assert 8 * 10 <= (found.rollouts or 0) <= 128 * 10
    assert found.tokens is not None
    assert 5 * found.tokens > found.rollouts  # 20 tokens a rollout, exponential
    assert [path.name for path in found.like] == ["step-0", "step-100"]


@pytest.mark.parametrize(
    ("policy", "due", "why"),
    [
        (Policy(every_days=30), True, "40.0 days since the last profile, the policy says 30"),
        (Policy(every_days=50), False, "40.0 days since the last profile, the policy says 50"),
        (Policy(every_days=50, every_steps=200), False, "0 steps since it, the policy says 200"),
        (Policy(changed=0.01), True, "how far the checkpoint moved cannot be told without anchors"),
    ],
)
def test_the_policy_says_when(here: Path, policy: Policy, due: bool, why: str) -> None:
    age(here / "profiles" / "step-100", 40)
    found = curate.schedule(moved(here), policy=policy)
    assert found.due is due
    assert why in found.reasons


def test_a_folder_of_checkpoints_stands_for_its_last(here: Path) -> None:
    for step in (100, 900, 1000):
        folder = here / "grpo" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"step": step}))
    (here / "grpo" / "checkpoint-2000").mkdir()  # still being written: no config yet
    manifest = Ledger(here / "profiles" / "step-100").manifest()
    recipe = {**manifest["recipe"], "engine": {"kind": "vllm", "options": {}, "timeout": 3600.0}}
    changed = {key: value for key, value in manifest.items() if key != "format"} | {"recipe": recipe}
    Ledger(here / "profiles" / "step-100").write_manifest(changed)
    found = curate.schedule(here / "profiles", model=str(here / "grpo"), policy=Policy(every_steps=900))
    assert (found.target.step, Path(found.target.path).name, found.due) == (1000, "checkpoint-1000", True)
    assert found.into == here / "profiles" / "rehearsal-step-1000"
    found = curate.schedule(here / "profiles", model=str(here / "grpo"), policy=Policy(every_steps=901))
    assert found.reasons == ("900 steps since it, the policy says 901",)
    with pytest.raises(UsageError, match="neither a model nor checkpoints"):
        curate.schedule(here / "profiles", model=str(here))
    with pytest.raises(EngineError, match="there is no folder"):
        curate.schedule(here / "profiles", model=str(here / "none"))


def test_untold_steps_are_the_reason_why_nothing_is_due(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "model").mkdir()
    (here / "model" / "config.json").write_text("{}")
    last = Ledger(here / "profiles" / "step-100").manifest()
    recipe = {**last["recipe"], "engine": {"kind": "vllm", "options": {}, "timeout": 3600.0}}
    changed = {key: value for key, value in last.items() if key != "format"} | {"recipe": recipe}
    Ledger(here / "profiles" / "step-100").write_manifest(changed)
    asked = ["schedule", str(here / "profiles"), "--for", str(here / "model"), "--every-steps", "100"]
    untold = f"training steps cannot be told from the checkpoints' names ({here / 'model'}): "
    way_out = "name folders checkpoint-N, or leave --every-steps out"
    assert run(asked) == 0
    assert capsys.readouterr().out == f"nothing is due: {untold}{way_out}\n"
    assert run([*asked, "--every-days", "30"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("nothing is due: 0.0 days since the last profile")
    assert said.endswith(f"; {untold}{way_out}\n")


@pytest.mark.parametrize(
    ("policy", "option"),
    [
        (Policy(budget=1.5), "--budget"),
        (Policy(every_days=float("nan")), "--every-days"),
        (Policy(changed=0.0), "--changed"),
        (Policy(every_days=-1), "--every-days"),
        (Policy(every_steps=0), "--every-steps"),
        (Policy(anchors=-1), "--anchors"),
    ],
)
def test_a_policy_that_is_none_is_refused(here: Path, policy: Policy, option: str) -> None:
    with pytest.raises(UsageError) as caught:
        curate.schedule(here / "profiles", policy=policy)
    assert caught.value.where == option


def test_few_problems_are_profiled_whole(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 12, script={"default": {"pass_rate": 0.5}})
    curate.profile(recipe, into=tmp_path / "profiles" / "a", fixed_n=8)
    (tmp_path / "script.yaml").write_text("default: {pass_rate: 0.6}")
    found = curate.schedule(tmp_path / "profiles" / "a")
    assert [(item.kind, item.problems) for item in found.items] == [("all", 12)]
    assert "too few problems for anchors to save anything" in found.notes


def test_another_protocol_is_left_out_and_told(here: Path) -> None:
    other = checkpoint(here, 50, rates(0.15))
    settings = curate.load_recipe(other, ("sampling.temperature=0.5",))
    curate.profile(settings, into=here / "profiles" / "cooler", fixed_n=2)
    # By steps it stands between the two others.
    found = curate.schedule(moved(here), policy=Policy(anchors=10))
    assert [path.name for path in found.like] == ["step-0", "step-100"]
    assert "left out, made under another protocol" in found.notes[0]


def test_steps_of_an_imported_run_are_checkpoints_whose_cost_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = [
        {"question": f"q{number}?", "answer": "4", "completion": f"{4 + index % 2}", "index": index, "step": step}
        for step in (10, 20)
        for number in range(8)
        for index in range(4)
    ]
    into = tmp_path / "profiles"
    curate.import_every_step(
        jsonl(tmp_path / "log.jsonl", log), format="jsonl", into=into, verifier=VerifierSection(kind="exact", workers=1)
    )
    assert curate.compare(into / "step-000010", into / "step-000020").warnings == ()
    model = tmp_path / "grpo" / "checkpoint-30"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    found = curate.schedule(into, model=str(tmp_path / "grpo"), policy=Policy(every_steps=10))
    assert [path.name for path in found.like] == ["step-000010", "step-000020"]
    assert not any("another protocol" in note for note in found.notes)
    assert (found.due, found.rollouts is None, found.tokens, found.seconds) == (True, False, None, None)
    assert run(["schedule", str(into), "--for", str(tmp_path / "grpo")]) == 0
    said = capsys.readouterr().out
    assert "unknown every problem" in " ".join(said.split())
    assert "how long it takes is unknown" in said


def test_an_import_that_tells_no_protocol_is_gone_by_and_said_to_be(here: Path) -> None:
    log = [
        {
            "id": f"p{number}",
            "question": f"what is 4, asked {number}",
            "answer": "4",
            "completion": answer,
            "index": index,
        }
        for number in range(PROBLEMS)
        for index, answer in enumerate(["\\boxed{4}", "\\boxed{0}"] * 4)
    ]
    curate.import_rollouts(
        jsonl(here / "log.jsonl", log),
        format="jsonl",
        into=here / "profiles" / "step-50",
        columns={"problem_id": "id"},
        verifier=VerifierSection(kind="exact", workers=1),
    )
    paths = [moved(here) / name for name in ("step-50", "step-0", "step-100")]
    other = Ledger(paths[0])
    told = {**other.manifest(), "updated": "2020-01-01T00:00:00+00:00"}
    with other.writing():
        other.write_manifest(told)
    found = curate.schedule(paths)
    assert [path.name for path in found.like] == ["step-50", "step-0", "step-100"]
    assert f"whether under the same protocol is not known: {paths[0]}" in found.notes
    with other.writing():
        other.write_manifest({**told, "protocol": {**told["protocol"], "sampling.temperature": 0.3}})
    found = curate.schedule(paths)
    assert [path.name for path in found.like] == ["step-0", "step-100"]
    assert f"left out, made under another protocol: {paths[0]}" in found.notes


# -- what follows the anchors, and doing it ---------------------------------------------------------------------------


def test_run_profiles_the_anchors_then_what_may_have_changed_then_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["schedule", str(moved(here)), "--anchors", "8", "--json"]
    assert run([*asked, "--run"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    into = Path(told["schedule"]["into"])
    assert told["schedule"]["due"] is False
    assert "profiling 8 anchors into" in " ".join(captured.err.split())
    # All that changed was found: the middle problems rose into the band; of the others few were drawn.
    ledger = Ledger(into)
    drawn = set(ledger.held())
    assert len({f"p{number}" for number in MIDDLE} & drawn) >= 18
    assert len(drawn) <= 0.5 * PROBLEMS
    estimates = {row["problem_id"]: row for row in ledger.estimates().iter_rows(named=True)}
    assert sum(estimates[f"p{number}"]["outcome"] == "in_band" for number in MIDDLE if f"p{number}" in drawn) >= 16
    # Its history is that of those before it, and its own two states.
    assert [row["name"] for row in ledger.history().iter_rows(named=True)][:2] == ["rehearsal", "rehearsal"]
    assert ledger.history().height == 4
    # It was begun like the old ones, and keeps what they knew of every problem, whichever stage asks for it.
    assert [source["name"] for source in ledger.manifest()["like"]] == ["rehearsal", "rehearsal"]
    known = ledger.earlier()
    assert known is not None
    assert known.height == PROBLEMS
    moved_by = curate.compare(here / "profiles" / "step-100", into)
    assert (moved_by.fell, moved_by.common, moved_by.only_before) == (0, len(drawn), PROBLEMS - len(drawn))
    # How many are sure by these few rollouts alone is a matter of how many were drawn; which ones they are is not.
    rose = {one.problem_id for one in moved_by.changes if one.changed}
    assert rose
    assert rose <= {f"p{number}" for number in MIDDLE}
    assert run(asked) == 0
    again = json.loads(capsys.readouterr().out)["schedule"]
    assert (again["due"], again["measured"]) == (False, len(drawn))


def test_what_was_broken_off_goes_first(here: Path) -> None:
    profiles = moved(here)
    first = curate.schedule(profiles, policy=Policy(anchors=8))
    assert first.into is not None
    names = here / "anchors.ids"
    names.write_text("".join(f"{name}\n" for name in first.problem_ids))
    settings = (f"problems.ids={names}", "budget.max_rollouts=24")
    with pytest.raises(Stopped):
        curate.profile(curate.load_recipe(here / "step-100" / "recipe.yaml", settings), into=first.into)
    found = curate.schedule(profiles, policy=Policy(anchors=8))
    assert [(item.kind, item.problems) for item in found.items] == [("unfinished", 5)]
    still, summary = curate.run_schedule(profiles, policy=Policy(anchors=8))
    assert still.due is False
    assert summary is not None
    assert summary.problems > 8


def test_the_budget_counts_the_anchors_and_takes_the_likeliest_changes(here: Path) -> None:
    profiles = moved(here)
    _, summary = curate.run_schedule(profiles, policy=Policy(anchors=8, budget=0.2))
    assert summary is not None
    drawn = Ledger(summary.path).held()
    assert 8 < len(drawn) <= 0.2 * PROBLEMS
    assert set(drawn) <= {f"p{number}" for number in MIDDLE}


@pytest.mark.parametrize(("budget", "anchors"), [(0.0001, 1), (0.1, 8), (1.0, 32)])
def test_a_budget_limits_the_anchors_and_leaves_one(here: Path, budget: float, anchors: int) -> None:
    found = curate.schedule(moved(here), policy=Policy(budget=budget))
    assert [(item.kind, item.problems) for item in found.items] == [("anchors", anchors)]


def test_what_was_left_out_for_no_fault_of_the_model_is_looked_at_again(here: Path) -> None:
    before = Ledger(here / "profiles" / "step-100")
    estimates = before.estimates().to_dicts()
    for row in estimates:
        if row["problem_id"] == "p3":
            row["reasons"] = ["engine_error"]
    before.write_estimates(before.estimates().clear().vstack(_frame(estimates, before)))
    profiles = moved(here)
    first = curate.schedule(profiles, policy=Policy(anchors=8))
    assert first.into is not None
    names = here / "anchors.ids"
    names.write_text("".join(f"{name}\n" for name in first.problem_ids))
    recipe = here / "step-100" / "recipe.yaml"
    curate.profile(curate.load_recipe(recipe, (f"problems.ids={names}",)), into=first.into)
    found = curate.schedule(profiles, policy=Policy(anchors=8))
    assert {item.kind: item.problem_ids for item in found.items}["quarantined"] == ("p3",)
    assert found.measured == 8
    nothing = curate.schedule(profiles, policy=Policy(anchors=8, changed=0.9))
    assert nothing.due is False
    assert "the policy says 90%" in nothing.reasons[0]


def _frame(rows: list[dict[str, Any]], ledger: Ledger) -> Any:
    import polars as pl

    return pl.DataFrame(rows, schema=ledger.estimates().schema)
