"""The scripted engine does what its script says, by the seed alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats

from curate.engines import Engine, connect
from curate.errors import EngineError, RecipeError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, Message, Prompt, Request


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    """Makes an engine from a script given as a mapping."""

    def make(script: Any, **sampling: Any) -> Engine:
        path = tmp_path / "script.yaml"
        path.write_text(yaml.safe_dump(script))
        section = EngineSection(kind="scripted", options={"script": str(path)})
        return connect(ModelSection(path="any"), section, SamplingSection(**sampling))

    return make


def asked(problem_id: str, n: int, seed: int = 0, text: str = "question") -> Request:
    return Request(problem_id, Prompt(text=text), 0, n, seed)


def drawn(engine: Engine, *requests: Request) -> list[Any]:
    """What each request comes to, asked one after another: completions, or the error."""

    async def one(request: Request) -> Any:
        try:
            return await asyncio.wait_for(engine.generate(request), 5)
        except (EngineError, TimeoutError) as error:
            return error

    async def whole() -> list[Any]:
        await engine.start()
        return [await one(request) for request in requests]

    return asyncio.run(whole())


def passes(completions: list[Completion]) -> int:
    return sum(one.text == r"\boxed{4}" for one in completions)


@pytest.mark.parametrize("pass_rate", [0.02, 0.5, 0.9])
def test_rollouts_pass_as_often_as_the_script_says(engine: Any, pass_rate: float) -> None:
    (completions,) = drawn(engine({"default": {"pass_rate": pass_rate}}), asked("p", 20_000))
    assert stats.binomtest(passes(completions), 20_000, pass_rate).pvalue > 1e-4


def test_certain_rates_are_certain(engine: Any) -> None:
    script = {"default": {"pass_rate": 0.0}, "problems": {"easy": {"pass_rate": 1.0}}}
    hard, easy = drawn(engine(script), asked("hard", 1000), asked("easy", 1000))
    assert (passes(hard), passes(easy)) == (0, 1000)


def test_a_rollout_depends_on_its_seed_alone(engine: Any) -> None:
    made = engine({"default": {"truncated": 0.3}})
    (whole,) = drawn(made, asked("p", 16, 100))
    apart = drawn(made, *(asked("p", 1, 100 + i) for i in reversed(range(16))))
    assert [one for (one,) in reversed(apart)] == whole
    assert len(set(whole)) > 8


def test_tokens_and_truncation(engine: Any) -> None:
    (completions,) = drawn(engine({"default": {"truncated": 0.25, "tokens": 50}}, max_tokens=10_000), asked("p", 8000))
    cut = [one for one in completions if one.finish_reason == "length"]
    assert {one.completion_tokens for one in cut} == {10_000}
    assert stats.binomtest(len(cut), 8000, 0.25).pvalue > 1e-4
    whole = [one.completion_tokens for one in completions if one.finish_reason == "stop"]
    assert min(whole) >= 1
    # The mean of 6000 exponential lengths lies within 4 standard errors, 50/sqrt(6000) each, of 50.
    assert abs(sum(whole) / len(whole) - 50) < 3


def test_answers_and_prompts(engine: Any) -> None:
    script = {
        "default": {"right": r"\boxed{{answer}}", "answer_pattern": r"= (\d+)", "pass_rate": 1.0},
        "problems": {"named": {"answer": 7}},
        "prompts": {"^user: hard": {"pass_rate": 0.0, "wrong": "not {answer}"}},
    }
    chat = Request("c", Prompt(messages=(Message("system", "s"), Message("user", "1 = 1, 2 = 22"))), 0, 1, 0)
    hard = Request("h", Prompt(messages=(Message("user", "hard: x = 5"),)), 0, 1, 0)
    texts = [one.text for (one,) in drawn(engine(script), asked("named", 1), chat, hard)]
    assert texts == [r"\boxed{7}", r"\boxed{22}", "not 5"]


def test_an_answer_that_nobody_gave(engine: Any) -> None:
    (error,) = drawn(engine({"default": {"right": "{answer}"}}), asked("p", 1))
    assert isinstance(error, EngineError)
    assert "'p'" in str(error)


def test_errors_clear_when_asked_again(engine: Any) -> None:
    made = engine({"faults": [{"kind": "error", "share": 0.3}]})
    first = drawn(made, *(asked("p", 1, seed) for seed in range(2000)))
    failed = [seed for seed, one in enumerate(first) if isinstance(one, RequestError)]
    assert stats.binomtest(len(failed), 2000, 0.3).pvalue > 1e-4
    assert not any(isinstance(one, RequestError) for one in drawn(made, *(asked("p", 1, seed) for seed in failed)))
    again = engine({"faults": [{"kind": "error", "share": 0.3, "times": 2}]})
    twice = drawn(again, *(asked("p", 1, failed[0]) for _ in range(3)))
    assert [isinstance(one, RequestError) for one in twice] == [True, True, False]


def test_faults_by_position(engine: Any) -> None:
    script = {"faults": [{"kind": "error", "at": 1}, {"kind": "short", "at": 2}, {"kind": "dead", "at": 4}]}
    outcomes = drawn(engine(script), *(asked("p", 5) for _ in range(6)))
    assert len(outcomes[0]) == 5
    assert isinstance(outcomes[1], RequestError)
    assert outcomes[2] == outcomes[0][:2]
    assert len(outcomes[3]) == 5
    for dead in outcomes[4:]:
        assert isinstance(dead, EngineError)
        assert not isinstance(dead, RequestError)


def test_a_hanging_request_can_be_cancelled(engine: Any) -> None:
    async def whole() -> list[Completion]:
        made = engine({"faults": [{"kind": "hang", "at": 0}]})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(made.generate(asked("p", 1)), 0.05)
        return await made.generate(asked("p", 1))

    assert len(asyncio.run(whole())) == 1


def test_texts_that_break_things(engine: Any) -> None:
    script = {"faults": [{"kind": kind, "at": at} for at, kind in enumerate(("empty", "huge", "surrogates"))]}
    empty, huge, surrogates = (got[0].text for got in drawn(engine(script), *(asked("p", 1, 1) for _ in range(3))))
    assert empty == ""
    assert len(huge) >= 10_000_000
    with pytest.raises(UnicodeEncodeError):
        surrogates.encode()


def test_passing_rollouts_may_come_back_sooner(engine: Any) -> None:
    script = {
        "default": {"seconds": 30.0, "pass_seconds": 0.0},
        "problems": {"easy": {"pass_rate": 1.0}, "hard": {"pass_rate": 0.0}},
    }

    async def whole() -> set[bool]:
        made = engine(script)
        hard = asyncio.create_task(made.generate(asked("hard", 8)))
        easy = asyncio.create_task(made.generate(asked("easy", 8)))
        done, _ = await asyncio.wait([hard, easy], timeout=5, return_when=asyncio.FIRST_COMPLETED)
        hard.cancel()
        return {task is easy for task in done}

    assert asyncio.run(whole()) == {True}


def test_the_identity_is_what_decides_the_rollouts(engine: Any) -> None:
    first = engine({"default": {"pass_rate": 0.3}}).identity()
    assert first.path == "any"
    assert first.revision.startswith("sha256:")
    slower = {"default": {"pass_rate": 0.3, "seconds": 1.0}, "capacity": 2, "faults": [{"kind": "dead", "at": 9}]}
    assert engine(slower).identity() == first
    assert engine({"default": {"pass_rate": 0.4}}).identity() != first
    assert engine({"default": {"pass_rate": 0.3}, "problems": {"p": {"pass_rate": 1}}}).identity() != first


def test_the_capacity_is_the_scripts(engine: Any) -> None:
    assert engine({"capacity": 7}).capacity == 7


@pytest.mark.parametrize(
    ("script", "place"),
    [
        ({"default": {"pass_rate": 1.5}}, "default.pass_rate"),
        ({"defaults": {}}, "defaults"),
        ({"default": {"answer_pattern": "no group"}}, "default.answer_pattern"),
        ({"prompts": {"(": {}}}, "prompts"),
        ({"prompts": {"x": {"tokens": 0}}}, "prompts.x.tokens"),
        ([], "script.yaml"),
        ({"problems": {"p": {"passes": 1}}}, "problems.p.passes"),
        ({"faults": [{"kind": "error"}]}, "faults.0"),
        ({"faults": [{"kind": "explode", "at": 1}]}, "faults.0.kind"),
    ],
)
def test_scripts_that_cannot_be(engine: Any, script: Any, place: str) -> None:
    with pytest.raises(RecipeError) as caught:
        engine(script)
    assert str(caught.value.where).endswith(place)
    assert "script.yaml" in str(caught.value.where)


def test_options_that_cannot_be(tmp_path: Path) -> None:
    def opened(**options: Any) -> Engine:
        return connect(ModelSection(path="m"), EngineSection(kind="scripted", options=options), SamplingSection())

    with pytest.raises(RecipeError) as caught:
        opened()
    assert caught.value.where == "engine.options.script"
    with pytest.raises(RecipeError) as caught:
        opened(script="s", skript="t")
    assert caught.value.where == "engine.options.skript"
    with pytest.raises(RecipeError, match="cannot read the script"):
        opened(script=str(tmp_path / "none.yaml"))


def test_an_engine_of_no_known_kind() -> None:
    with pytest.raises(RecipeError, match="unknown engine 'magic'") as caught:
        connect(ModelSection(path="m"), EngineSection(kind="magic"), SamplingSection())
    assert "scripted" in str(caught.value.hint)
