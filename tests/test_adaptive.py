"""Adaptive profiling: what is drawn follows from the verdicts alone, however often the run was broken off."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import drawn, problem, rehearsal

from curate import beliefs
from curate.allocation import Adaptive, Fixed
from curate.errors import EngineError, Stopped
from curate.ledger import Ledger
from curate.planning import plan
from curate.profiling import profile
from curate.recipe import BandSection, BudgetSection
from curate.recorder import Recorder
from curate.records import Case, Completion, Judgement, ModelIdentity, Prompt, Request, VerdictKind
from curate.scheduler import Scheduler, Tally
from curate.tracks import Track


def spread(problems: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Pass rates of the usual shape: many at both ends, the rest anywhere."""
    rng = random.Random(seed)
    rates = [rng.choice([0.0, 0.0, 0.01, 1.0, rng.random(), rng.random()]) for _ in range(problems)]
    return {f"p{number}": {"pass_rate": rate} for number, rate in enumerate(rates)}


def test_clear_problems_stop_early_and_doubtful_ones_go_on_in_steps(tmp_path: Path) -> None:
    rates = {**spread(200), "p0": {"pass_rate": 0.0}, "p1": {"pass_rate": 0.5}, "p2": {"pass_rate": 1.0}}
    summary = profile(rehearsal(tmp_path, 200, script={"problems": rates}), into=tmp_path / "out")
    found = {row["problem_id"]: row for row in Ledger(tmp_path / "out").estimates().iter_rows(named=True)}
    counts = {row["n"] for row in found.values()}
    assert min(counts) == 8
    assert max(counts) <= 128
    assert all(n % 4 == 0 for n in counts)
    assert found["p0"]["n"] + found["p2"]["n"] < 30
    assert summary.rollouts < 200 * 40
    assert summary.outcomes.get("undecided", 0) < 20
    held = Ledger(tmp_path / "out").held()
    assert all(indices == list(range(len(indices))) for indices in held.values())


def test_short_passing_rollouts_that_come_first_change_nothing(tmp_path: Path) -> None:
    profiles = []
    for name, pace in (("even", {}), ("biased", {"seconds": 0.02, "pass_seconds": 0.002})):
        script = {"capacity": 64, "default": {"tokens": 20, **pace}, "problems": spread(150)}
        profile(rehearsal(tmp_path / name, 150, script=script), into=tmp_path / name / "out")
        profiles.append(Ledger(tmp_path / name / "out"))
    assert drawn(profiles[0].path) == drawn(profiles[1].path)
    assert profiles[0].estimates().equals(profiles[1].estimates())


@pytest.mark.parametrize("fault", ["error", "short", "hang"])
def test_failed_requests_change_nothing(tmp_path: Path, fault: str) -> None:
    script: dict[str, Any] = {"problems": spread(100)}
    profile(rehearsal(tmp_path / "well", 100, script=script), into=tmp_path / "whole")
    script["faults"] = [{"kind": fault, "share": 0.33, "times": 2}]
    profile(rehearsal(tmp_path / "ill", 100, script=script, engine={"timeout": 0.3}), into=tmp_path / "out")
    assert Ledger(tmp_path / "out").failed_requests().height > 0
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")
    assert Ledger(tmp_path / "out").estimates()["k"].equals(Ledger(tmp_path / "whole").estimates()["k"])


@pytest.mark.parametrize("fault", ["huge", "surrogates"])
def test_completions_of_any_kind_change_no_verdict_and_no_count(tmp_path: Path, fault: str) -> None:
    script: dict[str, Any] = {"problems": spread(60)}
    profile(rehearsal(tmp_path / "well", 60, script=script), into=tmp_path / "whole")
    script["faults"] = [{"kind": fault, "share": 0.05}]
    profile(rehearsal(tmp_path / "ill", 60, script=script), into=tmp_path / "out")
    assert drawn(tmp_path / "out") != drawn(tmp_path / "whole")
    assert Ledger(tmp_path / "out").estimates().equals(Ledger(tmp_path / "whole").estimates())


@pytest.mark.parametrize("at", [3, 60, 110])
def test_a_run_whose_engine_dies_is_continued_to_the_unbroken_end(tmp_path: Path, at: int) -> None:
    script: dict[str, Any] = {"capacity": 32, "problems": spread(100)}
    whole = rehearsal(tmp_path / "well", 100, script=script)
    profile(whole, into=tmp_path / "whole")
    ill = rehearsal(tmp_path / "ill", 100, script={**script, "faults": [{"kind": "dead", "at": at}]})
    with pytest.raises(EngineError, match="dead"):
        profile(ill, into=tmp_path / "out")
    profile(whole, into=tmp_path / "out")
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")
    assert Ledger(tmp_path / "out").estimates().equals(Ledger(tmp_path / "whole").estimates())


def test_rewards_that_are_no_number_are_unscored_however_often_the_run_was_broken_off(tmp_path: Path) -> None:
    reward = tmp_path / "reward.py"
    reward.write_text("def f(completion, answer):\n    return 1.0 if answer in completion else float('nan')\n")
    verifier = {"kind": f"{reward}:f"}
    script: dict[str, Any] = {"capacity": 32, "problems": spread(60)}
    whole = rehearsal(tmp_path / "well", 60, script=script, verifier=verifier)
    summary = profile(whole, into=tmp_path / "whole")
    dying = {**script, "faults": [{"kind": "dead", "at": 40}]}
    with pytest.raises(EngineError, match="dead"):
        profile(rehearsal(tmp_path / "ill", 60, script=dying, verifier=verifier), into=tmp_path / "out")
    profile(whole, into=tmp_path / "out")
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")
    estimates = Ledger(tmp_path / "out").estimates()
    assert estimates.equals(Ledger(tmp_path / "whole").estimates())
    assert estimates["k"].equals(estimates["n"]), "what was not scored counts neither as a pass nor as a failure"
    assert summary.unscored == estimates["n_unscored"].sum() > 100


def test_a_run_that_is_killed_twenty_times_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    script = {"capacity": 24, "default": {"seconds": 0.03}, "problems": spread(150)}
    recipe = rehearsal(tmp_path, 150, script=script)
    moments = random.Random(7)
    command = [sys.executable, "-m", "curate.cli.main", "profile", str(recipe), "--into", str(tmp_path / "out")]
    for _ in range(20):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(0.8, 2.2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    profile(recipe, into=tmp_path / "out")
    profile(recipe, into=tmp_path / "whole")
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")
    assert Ledger(tmp_path / "out").estimates().equals(Ledger(tmp_path / "whole").estimates())


def test_a_budget_is_kept_to_and_what_it_leaves_is_undecided(tmp_path: Path) -> None:
    script = {"problems": spread(100)}
    recipe = rehearsal(tmp_path, 100, script=script, budget={"max_rollouts": 840})
    with pytest.raises(Stopped, match="budget"):
        profile(recipe, into=tmp_path / "out")
    estimates = Ledger(tmp_path / "out").estimates()
    assert estimates["n"].sum() == 840
    assert estimates["n"].min() == 8
    undecided = estimates.filter(pl.col("outcome") == "undecided")
    assert undecided.height > 0
    assert undecided["reasons"].to_list() == [["undecided"]] * undecided.height
    profile(rehearsal(tmp_path, 100, script=script), into=tmp_path / "out")
    profile(rehearsal(tmp_path, 100, script=script), into=tmp_path / "whole")
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")


def test_tokens_are_a_budget_too(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 100, script={"capacity": 16, "problems": spread(100)}, budget={"max_tokens": 17_000})
    with pytest.raises(Stopped, match="budget"):
        profile(recipe, into=tmp_path / "out")
    tokens = Ledger(tmp_path / "out").rollouts(["completion_tokens"])["completion_tokens"].sum()
    assert 17_000 <= tokens < 19_000, "what was in flight when it was spent is kept, and no more"


def test_a_finished_profile_is_not_changed_by_the_same_command(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 300, script={"problems": spread(300)})
    first = profile(recipe, into=tmp_path / "out")
    before, estimates = drawn(tmp_path / "out"), Ledger(tmp_path / "out").estimates()
    assert plan(recipe, into=tmp_path / "out").rollouts == 0
    again = profile(recipe, into=tmp_path / "out")
    assert drawn(tmp_path / "out") == before
    assert Ledger(tmp_path / "out").estimates().equals(estimates)
    assert again.outcomes == first.outcomes


def test_a_profile_that_holds_more_than_the_rule_asks_for_draws_nothing(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 60, script={"problems": spread(60)})
    profile(recipe, into=tmp_path / "out", fixed_n=128)
    before = drawn(tmp_path / "out")
    profile(recipe, into=tmp_path / "out")
    assert drawn(tmp_path / "out") == before


def test_plan_predicts_from_a_similar_profile_and_says_when_it_guesses(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path / "a", 300, script={"problems": spread(300)})
    summary = profile(recipe, into=tmp_path / "a" / "out")
    other = rehearsal(tmp_path / "b", 300, script={"problems": spread(300)}, sampling={"seed": 1})
    guess = plan(other, into=tmp_path / "b" / "out")
    assert guess.guess
    assert "guess" in guess.rests_on
    assert guess.tokens is None
    told = plan(other, into=tmp_path / "b" / "out", like=[tmp_path / "a" / "out"])
    assert not told.guess
    actual = profile(other, into=tmp_path / "b" / "out", like=[tmp_path / "a" / "out"])
    assert told.rollouts == pytest.approx(actual.rollouts, rel=0.25)
    assert told.tokens == pytest.approx(20 * actual.rollouts, rel=0.3)
    assert summary.problems == 300


# -- the scheduler behind its own seam --------------------------------------------------------------------------------


class Watched:
    """An engine without a clock: one request ends at a time, any of those in flight, when ``drive`` says so."""

    name = "watched"

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_flight: dict[asyncio.Future[None], int] = {}
        self.history: list[int] = []
        self.choice = random.Random(3)

    def identity(self) -> ModelIdentity:
        return ModelIdentity("m", "unknown", "none")

    def render(self, prompt: Prompt) -> str:
        return prompt.text

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def generate(self, request: Request) -> list[Completion]:
        end = asyncio.get_running_loop().create_future()
        self.in_flight[end] = request.n
        await end
        del self.in_flight[end]
        right = int(request.problem_id) % 3
        texts = ["right" if right == 2 or (right and offset % 2) else "wrong" for offset in range(request.n)]
        return [Completion(text, "stop", 1, 9) for text in texts]

    async def drive(self) -> None:
        while True:
            for _ in range(20):  # until everyone has had a turn
                await asyncio.sleep(0)
            self.history.append(sum(self.in_flight.values()))
            if self.in_flight:
                self.choice.choice(list(self.in_flight)).set_result(None)


class Verbatim:
    """A judge that passes ``right``."""

    async def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        kinds = [VerdictKind.PASS if case.completion == "right" else VerdictKind.FAIL for case in cases]
        return [Judgement(kind, None, None, "", 0.0) for kind in kinds]


@pytest.mark.parametrize("allocation", [Fixed(24), Adaptive(BandSection(), BudgetSection())])
def test_the_engine_stays_at_its_capacity_until_the_queue_is_dry(tmp_path: Path, allocation: Fixed | Adaptive) -> None:
    engine, tally = Watched(256), Tally()
    recorder = Recorder(Ledger(tmp_path), "0")
    tracks = [Track(problem(str(number)), Prompt(text="?"), pilot=8) for number in range(1000)]
    scheduler = Scheduler(engine, Verbatim(), recorder, allocation, tally, seed=0, timeout=60.0)

    async def run() -> None:
        driving = asyncio.create_task(engine.drive())
        await scheduler.run(tracks)
        driving.cancel()

    asyncio.run(run())
    assert tally.finished == tally.problems == 1000
    before_dry = engine.history[: len(engine.history) * 9 // 10]
    assert min(before_dry) >= 256
    assert max(engine.history) < 256 + 32


def test_plan_goes_by_what_a_killed_run_left(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path / "r", 60, script={"default": {"pass_rate": 1.0}}, budget={"max_rollouts": 480})
    profile(recipe, into=tmp_path / "out")
    (tmp_path / "out" / "estimates.parquet").unlink()
    found = plan(recipe, into=tmp_path / "out")
    assert (found.held, found.rollouts, found.guess) == (480, 0, False)
    assert found.rests_on == "the rollouts that this profile holds"


@pytest.mark.parametrize(("problems", "learned"), [(49, 0), (50, 50), (58, 50), (200, 160)])
def test_the_prior_is_learned_from_fifty_problems_on(tmp_path: Path, problems: int, learned: int) -> None:
    profile(rehearsal(tmp_path / "r", problems, script={}), into=tmp_path / "out")
    assert beliefs.from_frame(Ledger(tmp_path / "out").prior()).problems == learned
