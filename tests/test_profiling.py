"""Profiling: what a run leaves on disk, how it continues, and what it says when it cannot go on."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from builders import drawn, jsonl, rehearsal, yaml_file

from curate.errors import (
    CurateError,
    EngineError,
    EngineMissing,
    LedgerBusy,
    ProblemsError,
    ProtocolChanged,
    RecipeError,
    Stopped,
    UsageError,
)
from curate.ledger import Ledger
from curate.planning import plan
from curate.profiling import profile
from curate.recipe import load
from curate.scheduler import seed_of

WRONG = {"default": {"wrong": "no idea"}}


def test_a_profile_holds_every_rollout_with_its_verdict(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 10, script={"default": {"pass_rate": 0.5}, "problems": {"p3": {"pass_rate": 1.0}}})
    summary = profile(recipe, into=tmp_path / "out", fixed_n=40)
    assert (summary.problems, summary.rollouts, summary.unscored) == (10, 400, 0)
    ledger = Ledger(tmp_path / "out")
    assert ledger.held() == {f"p{number}": list(range(40)) for number in range(10)}
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"])
    assert verdicts.height == 400
    right = ledger.rollouts(["problem_id", "index", "completion"]).join(verdicts, on=["problem_id", "index"])
    assert right.filter((pl.col("verdict") == "pass") != (pl.col("completion") == r"\boxed{4}")).is_empty()
    estimates = {row["problem_id"]: row for row in ledger.estimates().iter_rows(named=True)}
    assert (estimates["p3"]["k"], estimates["p3"]["outcome"]) == (40, "too_easy")
    manifest = ledger.manifest()
    assert manifest["cost"]["rollouts"] == 400
    assert manifest["counts"]["kept"] == summary.kept
    assert manifest["recipe"]["engine"]["kind"] == "scripted"
    assert manifest["model"]["revision"].startswith("sha256:")


def test_seeds_follow_from_run_problem_and_index_and_never_collide(tmp_path: Path) -> None:
    profile(rehearsal(tmp_path, 5), into=tmp_path / "out", fixed_n=40)
    rows = Ledger(tmp_path / "out").rollouts(["problem_id", "index", "seed"]).rows()
    assert all(seed == seed_of(0, problem_id, index) for problem_id, index, seed in rows)
    assert len({seed for _, _, seed in rows}) == 200
    assert seed_of(1, "p0", 0) != seed_of(0, "p0", 0)
    assert 0 <= seed_of(2**63 - 1, "p0", 2**20 - 1) < 2**62


def test_the_same_command_again_draws_nothing(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 5)
    profile(recipe, into=tmp_path / "out", fixed_n=10)
    files = sorted((tmp_path / "out" / "rollouts").iterdir())
    before = Ledger(tmp_path / "out").estimates()
    profile(recipe, into=tmp_path / "out", fixed_n=10)
    assert sorted((tmp_path / "out" / "rollouts").iterdir()) == files
    assert Ledger(tmp_path / "out").estimates().equals(before)


def test_more_rollouts_are_the_same_as_all_at_once(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 5)
    for n in (3, 10, 45):
        profile(recipe, into=tmp_path / "grown", fixed_n=n)
    profile(recipe, into=tmp_path / "whole", fixed_n=45)
    assert drawn(tmp_path / "grown") == drawn(tmp_path / "whole")
    assert Ledger(tmp_path / "grown").estimates().equals(Ledger(tmp_path / "whole").estimates())


def test_another_seed_draws_other_rollouts(tmp_path: Path) -> None:
    profile(rehearsal(tmp_path, 5), into=tmp_path / "a", fixed_n=20)
    profile(rehearsal(tmp_path, 5, sampling={"seed": 1}), into=tmp_path / "b", fixed_n=20)
    texts = [[row[3] for row in drawn(tmp_path / name)] for name in ("a", "b")]
    assert texts[0] != texts[1]


def test_what_was_drawn_and_not_judged_is_judged_by_the_next_run(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 5)
    profile(recipe, into=tmp_path / "out", fixed_n=10)
    ledger = Ledger(tmp_path / "out")
    before = ledger.estimates()
    for file in (tmp_path / "out" / "verdicts").rglob("*.parquet"):
        file.unlink()
    profile(recipe, into=tmp_path / "out", fixed_n=10)
    assert ledger.estimates().equals(before)


def test_shards_make_up_the_whole(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 30)
    for index in (1, 2, 3):
        profile(recipe, into=tmp_path / "shards", fixed_n=8, shard=(index, 3))
    profile(recipe, into=tmp_path / "whole", fixed_n=8)
    assert drawn(tmp_path / "shards") == drawn(tmp_path / "whole")
    assert Ledger(tmp_path / "shards").manifest()["cost"]["rollouts"] == 240


def test_a_truncated_rollout_is_a_failure_counted_apart(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 2, script={"default": {"pass_rate": 1.0, "truncated": 1.0}})
    summary = profile(recipe, into=tmp_path / "out", fixed_n=16)
    assert (summary.truncated, summary.passes, summary.reasons) == (32, 0, {"too_hard": 2, "truncated": 2})


def test_references_that_fail_themselves_are_set_aside_before_a_rollout_is_drawn(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 3, verifier={"kind": "numeric"})
    rows = [{"id": "a", "question": "x", "answer": "four"}, {"id": "b", "question": "y", "answer": "4"}]
    rows += [{"id": "c", "question": "z", "answer": " "}, {"id": "d", "question": " y ", "answer": "5"}]
    jsonl(tmp_path / "problems.jsonl", rows)
    summary = profile(recipe, into=tmp_path / "out", fixed_n=8)
    assert summary.outcomes["unverifiable"] == 2
    assert set(Ledger(tmp_path / "out").held()) == {"b"}
    found = {row["problem_id"]: row for row in Ledger(tmp_path / "out").estimates().iter_rows(named=True)}
    assert found["d"]["reasons"] == ["duplicate"]
    assert found["a"]["set_aside_why"]
    assert "empty" in found["c"]["set_aside_why"]


def test_plan_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 6)
    first = plan(recipe, into=tmp_path / "out", fixed_n=10)
    assert (first.problems, first.rollouts, first.held, first.tokens) == (6, 60, 0, None)
    assert "what is 4, asked 0" in first.first_prompt
    assert not (tmp_path / "out").exists()
    profile(recipe, into=tmp_path / "out", fixed_n=10)
    more = plan(recipe, into=tmp_path / "out", fixed_n=12)
    assert (more.rollouts, more.held) == (12, 60)
    mean = Ledger(tmp_path / "out").rollouts(["completion_tokens"])["completion_tokens"].to_numpy().mean()
    assert more.tokens == pytest.approx(12 * mean)


# -- what is refused --------------------------------------------------------------------------------------------------


def test_another_protocol_is_refused_and_the_change_is_named(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 3)
    profile(recipe, into=tmp_path / "out", fixed_n=4)
    changed = load(recipe, ("sampling.temperature=0.5", "prompt.system=be brief"))
    with pytest.raises(ProtocolChanged) as raised:
        profile(changed, into=tmp_path / "out", fixed_n=4)
    assert "sampling.temperature was 1.0, the recipe says 0.5" in raised.value.message
    assert "prompt.system was None, the recipe says 'be brief'" in raised.value.message
    with pytest.raises(ProtocolChanged, match=r"sampling\.seed was 0, the recipe says 3"):
        profile(load(recipe, ("sampling.seed=3",)), into=tmp_path / "out", fixed_n=4)
    assert len(drawn(tmp_path / "out")) == 12


def test_another_engine_or_band_is_the_same_protocol(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 3)
    profile(recipe, into=tmp_path / "out", fixed_n=4)
    profile(load(recipe, ("band.low=0.1", "engine.timeout=5", "budget.cap=99")), into=tmp_path / "out", fixed_n=4)
    assert len(drawn(tmp_path / "out")) == 12
    manifest = Ledger(tmp_path / "out").manifest()
    assert manifest["band"]["low"] == 0.1
    assert len(manifest["sessions"]) == 2


@pytest.mark.parametrize(
    ("overrides", "kind", "said"),
    [
        (("band.lo=0.1",), RecipeError, r"band\.lo: unknown key \(did you mean 'low'"),
        (("sampling.max_tokens=many",), RecipeError, r"sampling\.max_tokens"),
        (("band.low=0.9",), RecipeError, r"low \(0\.9\) is above high \(0\.8\)"),
        (("problems.answer_pattern=four",), RecipeError, "has no group"),
        (("problems.answer=solution",), ProblemsError, "solution"),
        (("problems.source=./nowhere.jsonl",), ProblemsError, r"nowhere\.jsonl"),
        (("engine.kind=transformer",), RecipeError, "unknown engine 'transformer'"),
        (("engine.kind=transformers", "engine.options={}", "model.path=./no/model"), EngineError, "there is no folder"),
        (("verifier.kind=maths",), RecipeError, "unknown verifier 'maths'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, overrides: tuple[str, ...], kind: type[CurateError], said: str
) -> None:
    recipe = rehearsal(tmp_path, 3)
    with pytest.raises(kind, match=said):
        profile(load(recipe, overrides), into=tmp_path / "out", fixed_n=4)
    assert not (tmp_path / "out").exists()


def test_a_broken_problem_file_is_named_with_its_line(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 3)
    with (tmp_path / "problems.jsonl").open("a") as file:
        file.write('{"id": "p9", "question": "cut of')
    with pytest.raises(ProblemsError) as raised:
        profile(recipe, into=tmp_path / "out", fixed_n=4)
    assert raised.value.where is not None
    assert raised.value.where.endswith("problems.jsonl:4")


@pytest.mark.parametrize("n", [0, -1, 2**20])
def test_a_fixed_number_of_rollouts_that_makes_no_sense_is_refused(tmp_path: Path, n: int) -> None:
    with pytest.raises(UsageError, match="--fixed: must lie between 1 and 1048575"):
        profile(rehearsal(tmp_path, 3), into=tmp_path / "out", fixed_n=n)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_an_engine_that_is_not_installed_says_which_command_installs_it(tmp_path: Path) -> None:
    recipe = load(rehearsal(tmp_path, 1), ("engine.kind=vllm", "engine.options={}"))
    with pytest.raises(EngineMissing, match=r"pip install 'curate-rlvr\[vllm\]'"):
        profile(recipe, into=tmp_path / "out", fixed_n=1)


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["error", "short", "hang"])
def test_failed_requests_are_asked_again_and_are_no_failures_of_the_model(tmp_path: Path, kind: str) -> None:
    faults = {"faults": [{"kind": kind, "share": 0.4, "times": 2}]}
    timeout = {"timeout": 0.2}
    profile(rehearsal(tmp_path / "well", 20), into=tmp_path / "unbroken", fixed_n=12)
    summary = profile(
        rehearsal(tmp_path / "ill", 20, script=faults, engine=_keep(tmp_path / "ill", timeout)),
        into=tmp_path / "out",
        fixed_n=12,
    )
    assert drawn(tmp_path / "out") == drawn(tmp_path / "unbroken")
    assert summary.reasons.get("engine_error") is None
    assert Ledger(tmp_path / "out").failed_requests().height > 0


def _keep(folder: Path, changes: dict[str, object]) -> dict[str, object]:
    return {"kind": "scripted", "options": {"script": str(folder / "script.yaml")}, **changes}


def test_a_problem_whose_requests_keep_failing_is_left_for_another_run(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 4, script={"faults": [{"kind": "error", "share": 0.5, "times": 9}]})
    summary = profile(recipe, into=tmp_path / "out", fixed_n=4)
    errored = summary.reasons["engine_error"]
    assert 0 < errored < 4
    estimates = Ledger(tmp_path / "out").estimates().filter(pl.col("reasons").list.contains("engine_error"))
    assert estimates["n"].to_list() == [0] * errored
    assert estimates["n_missing"].to_list() == [4] * errored
    # The next run asks for the same seeds again, and has all of them once the engine is well.
    yaml_file(tmp_path / "script.yaml", {})
    again = profile(recipe, into=tmp_path / "out", fixed_n=4)
    assert "engine_error" not in again.reasons
    assert again.rollouts == 16


def test_an_engine_that_fails_every_request_ends_the_run(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 100, script={"faults": [{"kind": "error", "share": 1.0, "times": 99}]})
    with pytest.raises(EngineError, match="requests failed in a row") as raised:
        profile(recipe, into=tmp_path / "out", fixed_n=4)
    assert "nothing drawn is lost" in str(raised.value)


def test_an_engine_that_dies_loses_nothing_that_was_drawn(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 40, script={"capacity": 8, "faults": [{"kind": "dead", "at": 25}]})
    with pytest.raises(EngineError, match="dead"):
        profile(recipe, into=tmp_path / "out", fixed_n=4)
    assert len(drawn(tmp_path / "out")) == 100
    assert Ledger(tmp_path / "out").estimates()["n"].sum() == 100


@pytest.mark.parametrize("kind", ["empty", "huge", "surrogates"])
def test_any_completion_can_be_recorded(tmp_path: Path, kind: str) -> None:
    recipe = rehearsal(tmp_path, 3, script={"faults": [{"kind": kind, "share": 1.0}]})
    summary = profile(recipe, into=tmp_path / "out", fixed_n=4)
    assert (summary.rollouts, summary.unscored) == (12, 0)
    length = {"empty": 0, "huge": 10_000_009, "surrogates": 12}[kind]
    assert sum(len(row[3]) == length for row in drawn(tmp_path / "out")) == 3


def test_budgets_end_a_run_with_everything_safe_and_another_continues(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 10, budget={"max_rollouts": 30})
    for done in (30, 60, 80):
        if done < 80:
            with pytest.raises(Stopped, match="budget"):
                profile(recipe, into=tmp_path / "out", fixed_n=8)
        else:
            profile(recipe, into=tmp_path / "out", fixed_n=8)
        assert len(drawn(tmp_path / "out")) == done
    profile(rehearsal(tmp_path, 10), into=tmp_path / "whole", fixed_n=8)
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")


# -- ends -------------------------------------------------------------------------------------------------------------

SLOW = {"capacity": 16, "default": {"seconds": 0.02}}


def start(recipe: Path, into: Path, fixed: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "curate.cli.main",
        "profile",
        str(recipe),
        "--fixed",
        str(fixed),
        "--into",
        str(into),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_rollouts(into: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not list(into.glob("rollouts/*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no rollout was flushed"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_flushes_says_how_to_resume_and_exits_3(tmp_path: Path, number: signal.Signals) -> None:
    recipe = rehearsal(tmp_path, 200, script=SLOW)
    process = start(recipe, tmp_path / "out", 64)
    wait_for_rollouts(tmp_path / "out", process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert f"stopped by {number.name}" in said
    assert "run the same command again to continue" in said
    assert "Traceback" not in said
    held = len(drawn(tmp_path / "out"))
    assert 0 < held < 200 * 64
    assert Ledger(tmp_path / "out").estimates()["n"].sum() == held


def test_a_run_that_is_killed_ten_times_ends_with_the_rollouts_of_an_unbroken_one(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 60, script=SLOW)
    moments = random.Random(5)
    flushed: set[tuple[object, ...]] = set()
    for _ in range(10):
        process = start(recipe, tmp_path / "out", 40)
        try:
            process.communicate(timeout=moments.uniform(0.6, 3.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        now = set(drawn(tmp_path / "out"))
        assert flushed <= now, "a flushed rollout was lost"
        flushed = now
    last = start(recipe, tmp_path / "out", 40)
    _, said = last.communicate(timeout=120)
    assert last.returncode == 0, said
    profile(recipe, into=tmp_path / "whole", fixed_n=40)
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")
    whole = Ledger(tmp_path / "whole").estimates()
    assert Ledger(tmp_path / "out").estimates().equals(whole)


def test_a_disk_that_fills_up_in_mid_run_is_named_and_nothing_flushed_is_lost(tmp_path: Path) -> None:
    # Texts that do not compress, growing along the source: the first flush fits below the limit, a later one does not.
    rng = random.Random(0)
    texts = {f"p{number}": {"right": rng.randbytes(20 * number).hex() + r" \boxed{4}"} for number in range(120)}
    script = {"capacity": 16, "default": {"seconds": 0.02}, "problems": texts}
    recipe = rehearsal(tmp_path, 120, script=script)
    code = (
        "import resource, sys; from curate.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); main(sys.argv[1:])"
    )
    arguments = ["profile", str(recipe), "--fixed", "32", "--into", str(tmp_path / "out")]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "no room to write" in run.stderr
    assert "free some space and run the same command again" in run.stderr
    assert "Traceback" not in run.stderr
    flushed = set(drawn(tmp_path / "out"))
    profile(recipe, into=tmp_path / "out", fixed_n=32)
    assert flushed
    assert flushed <= set(drawn(tmp_path / "out"))
    profile(recipe, into=tmp_path / "whole", fixed_n=32)
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")


def test_a_second_run_on_the_same_profile_refuses(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 200, script=SLOW)
    process = start(recipe, tmp_path / "out", 64)
    try:
        wait_for_rollouts(tmp_path / "out", process)
        with pytest.raises(LedgerBusy, match=f"process {process.pid}"):
            profile(recipe, into=tmp_path / "out", fixed_n=64)
    finally:
        process.kill()
        process.communicate()


def test_json_goes_to_stdout_and_progress_to_stderr(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 3)
    command = [sys.executable, "-m", "curate.cli.main", "profile", str(recipe), "--fixed", "4", "--json"]
    said = subprocess.run([*command, "--into", str(tmp_path / "out")], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["rollouts"] == 12
    assert "rollouts/s" in said.stderr


def test_a_summary_that_came_without_its_rollouts_is_begun_anew(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 5)
    profile(recipe, into=tmp_path / "out", fixed_n=10)
    before = Ledger(tmp_path / "out").estimates()
    for folder in ("rollouts", "verdicts"):
        shutil.rmtree(tmp_path / "out" / folder)
    profile(recipe, into=tmp_path / "out", fixed_n=10)
    assert Ledger(tmp_path / "out").estimates().equals(before)
    assert Ledger(tmp_path / "out").manifest()["cost"]["rollouts"] == 50
