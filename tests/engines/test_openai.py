"""The openai engine against a loopback server: what it asks, what it forgives, and what it says."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
from builders import drawn, rehearsal
from openai_server import FAULTS, Answer, LoopbackServer, error, serving, text_of

from curate.engines import Engine, connect
from curate.errors import CurateError, EngineError, RecipeError, RequestError
from curate.profiling import profile
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, Message, Prompt, Request

SECRET = "sk-very-secret-1234567890"
CHAT = Prompt(messages=(Message("system", "be brief"), Message("user", "1+1")))


def opened(*servers: LoopbackServer | str, sampling: dict[str, Any] | None = None, **options: Any) -> Engine:
    """An engine that loses no time, on these servers."""
    urls = [server if isinstance(server, str) else server.url for server in servers]
    model = ModelSection(path=options.pop("model", "tiny"), revision=options.pop("revision", None))
    given = {"base_url": urls, "backoff": 0.005, "timeout": 5.0, **options}
    return connect(model, EngineSection(kind="openai", options=given), SamplingSection(**(sampling or {})))


def asked(n: int = 1, seed: int = 100, prompt: Prompt = CHAT) -> Request:
    return Request("p", prompt, 0, n, seed)


def draw(engine: Engine, *rounds: Sequence[Request] | Request) -> list[list[Completion]]:
    """Start the engine, make the requests (those of a round at once), and close it."""

    async def all_of_them() -> list[list[Completion]]:
        try:
            await engine.start()
            answers = []
            for one in rounds:
                requests = [one] if isinstance(one, Request) else one
                answers += await asyncio.gather(*(engine.generate(request) for request in requests))
            return answers
        finally:
            await engine.close()

    return asyncio.run(asyncio.wait_for(all_of_them(), 60))


def texts(completions: Sequence[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def right(n: int, seed: int = 100) -> list[str]:
    return [text_of(seed + i) for i in range(n)]


def widths(server: LoopbackServer) -> list[int]:
    """The n of every request."""
    return [body.get("n", 1) for body in server.asked]


# -- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "path", "key", "value"),
    [
        (
            CHAT,
            "/v1/chat/completions",
            "messages",
            [{"role": "system", "content": "be brief"}, {"role": "user", "content": "1+1"}],
        ),
        (Prompt(text="1+1="), "/v1/completions", "prompt", "1+1="),
    ],
)
def test_one_request_for_n_rollouts(prompt: Prompt, path: str, key: str, value: object) -> None:
    with serving() as server:
        engine = opened(server, sampling={"temperature": 0.7, "top_p": 0.9, "max_tokens": 50, "stop": ["x", "y"]})
        (answer,) = draw(engine, asked(8, prompt=prompt))
    assert server.asked == [
        {"path": path, "model": "tiny", key: value, "n": 8, "seed": 100, "temperature": 0.7, "top_p": 0.9}
        | {"max_tokens": 50, "stop": ["x", "y"]}
    ]
    assert answer == [Completion(text, "stop", 7, len(text)) for text in right(8)]
    assert engine.name == "openai server"


def test_defaults_that_a_vllm_server_takes_from_the_model_are_switched_off() -> None:
    with serving(owned_by="vllm") as server:
        engine = opened(server)
        draw(engine, asked())
        draw(opened(server, sampling={"top_k": 5}), asked())
        draw(opened(server, extra_body={"min_p": 0.1, "return_token_ids": True}), asked())
    neutral = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    found = [{name: body[name] for name in neutral} for body in server.asked]
    assert found == [neutral, neutral | {"top_k": 5}, neutral | {"min_p": 0.1}]
    assert server.asked[2]["return_token_ids"] is True
    assert engine.name == "openai vllm 9.8.7"


def test_the_limit_goes_by_the_name_the_server_knows() -> None:
    with serving() as server:
        draw(opened(server, max_tokens_as="max_completion_tokens", sampling={"max_tokens": 9}), asked())
    assert server.asked[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.asked[0]


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OTHER_KEY", f" {SECRET}\n")
    with serving(key=SECRET) as server:
        draw(opened(server, api_key_env="OTHER_KEY"), asked())
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        draw(opened(server), asked())
    with serving(key="none") as server:
        monkeypatch.delenv("OPENAI_API_KEY")
        draw(opened(server), asked())
    with pytest.raises(EngineError, match="NO_SUCH_KEY is not set"):
        draw(opened(server, api_key_env="NO_SUCH_KEY"))


# -- what servers make of n and of seeds ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "first", "then"),
    [
        (1, [8, 1, 1, 1, 1, 1, 1, 1], [1] * 8),
        (3, [8, 3, 2], [3, 3, 2]),
        (8, [8], [8]),
    ],
)
def test_a_server_that_gives_fewer_choices_is_asked_for_the_rest(most: int, first: list[int], then: list[int]) -> None:
    with serving(most=most) as server:
        answers = draw(opened(server), asked(8), asked(8, seed=500))
    assert [texts(answer) for answer in answers] == [right(8), right(8, 500)]
    assert widths(server)[:1] == first[:1]
    assert sorted(widths(server)) == sorted(first + then)


def test_a_server_that_refuses_n_is_asked_for_one_at_a_time() -> None:
    with serving(refuses_n=True) as server:
        answers = draw(opened(server), asked(4), asked(4, seed=500))
    assert [texts(answer) for answer in answers] == [right(4), right(4, 500)]
    assert widths(server) == [4] + [1] * 8


def test_another_refusal_is_not_blamed_on_n() -> None:
    def too_long(body: dict[str, Any]) -> Answer | None:
        return (400, error("maximum context length is 128 tokens"), {}) if body["prompt"] == "long" else None

    async def long_then_short(engine: Engine) -> list[Completion]:
        await engine.start()
        with pytest.raises(RequestError, match="maximum context length") as caught:
            await engine.generate(asked(4, prompt=Prompt(text="long")))
        assert server.url in str(caught.value)
        answer = await engine.generate(asked(4, prompt=Prompt(text="short")))
        await engine.close()
        return answer

    with serving(special=too_long) as server:
        assert texts(asyncio.run(long_then_short(opened(server)))) == right(4)
    assert widths(server) == [4, 1, 4]


def test_choices_that_share_one_seed_are_noticed() -> None:
    with serving(one_seed=True) as server:
        answers = draw(opened(server), asked(4), asked(4, seed=500))
    assert [texts(answer) for answer in answers] == [right(4), right(4, 500)]
    assert widths(server) == [4, 1, 1, 1, 1] + [1] * 4


def test_a_model_that_always_says_the_same_is_no_server_that_shares_a_seed() -> None:
    def same(body: dict[str, Any]) -> Answer:
        choices = [{"index": i, "text": "4", "finish_reason": "stop"} for i in range(body.get("n", 1))]
        return 200, {"choices": choices}, {}

    with serving(special=same) as server:
        request = asked(4, prompt=Prompt(text="2+2="))
        assert draw(opened(server), request, request) == [[Completion("4", "stop", 0, 0)] * 4] * 2
        assert widths(server) == [4, 1, 4, 1]
        draw(opened(server, sampling={"temperature": 0.0}), request)
        assert widths(server)[4:] == [4]


def test_seeds_of_any_size_arrive_whole() -> None:
    with serving() as server:
        draw(opened(server), asked(seed=2**62 - 1))
    assert server.asked[0]["seed"] == 2**62 - 1


def small_seeds(body: dict[str, Any]) -> Answer | None:
    return (400, error("seed must be below 2147483648"), {}) if body["seed"] >= 2**31 else None


def test_a_server_that_takes_only_small_seeds() -> None:
    seed = (5 << 40) + 77
    with serving(special=small_seeds) as server:
        with pytest.raises(EngineError, match="below 2147483648") as caught:
            draw(opened(server), asked(2, seed))
        assert not isinstance(caught.value, RequestError)
        assert "engine.options.seed_bits: 31" in str(caught.value)
        (answer,) = draw(opened(server, seed_bits=31), asked(2, seed))
    assert texts(answer) == right(2, 77)


def test_no_seed_is_sent_where_there_are_no_bits() -> None:
    def unseeded(body: dict[str, Any]) -> Answer:
        return 200, {"choices": [{"text": str("seed" in body), "finish_reason": "stop"}] * body.get("n", 1)}, {}

    with serving(special=unseeded) as server:
        (answer,) = draw(opened(server, seed_bits=0), asked(2, prompt=Prompt(text="1")))
    assert texts(answer) == ["False", "False"]


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_asked_again(kind: str) -> None:
    with serving(share=1.0, times=2, faults=(kind,)) as server:
        (answer,) = draw(opened(server, timeout=0.3), asked(3))
    assert texts(answer) == right(3)
    assert server.tries == {100: 3}


def test_a_request_that_keeps_failing_is_a_failed_request() -> None:
    with serving(share=1.0, times=99, faults=("500",)) as server:
        with pytest.raises(RequestError, match=r"answered 500: the engine fell over \(attempt 3\)") as caught:
            draw(opened(server, retries=2), asked(3))
        assert server.url in str(caught.value)
    assert server.tries == {100: 3}


def test_a_server_that_is_always_too_busy_is_given_up_on() -> None:
    always = serving(share=1.0, times=10**6, faults=("429",))
    with always as server, pytest.raises(RequestError, match="answered 429: slow down"):
        draw(opened(server, retries=0, patience=0.1), asked())
    assert server.tries[100] > 1


def test_a_server_that_asks_to_be_left_alone_is() -> None:
    def busy(_body: dict[str, Any]) -> Answer:
        return 429, error("come back in an hour"), {"Retry-After": "3600"}

    with serving(special=busy) as tired, serving() as well:
        answers = draw(opened(tired, well, retries=0), *[asked(2, seed) for seed in range(100, 110)])
    assert [texts(answer) for answer in answers] == [right(2, seed) for seed in range(100, 110)]
    assert len(tired.asked) == 1


def test_an_answer_without_an_end_is_a_failed_request_and_no_fault() -> None:
    def filtered(body: dict[str, Any]) -> Answer:
        message = {"role": "assistant", "content": "I"}
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "content_filter"}]}, {}

    with serving(special=filtered) as server, pytest.raises(RequestError, match="content_filter"):
        draw(opened(server), asked())
    assert len(server.asked) == 1


def test_a_cancelled_request_is_dropped() -> None:
    async def cancelled(engine: Engine) -> None:
        await engine.start()
        task = asyncio.create_task(engine.generate(asked(2)))
        while not server.faults:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not server.dropped:
            await asyncio.sleep(0.005)
        server.behaviour.share = 0.0
        assert texts(await engine.generate(asked(2))) == right(2)
        await engine.close()

    with serving(share=1.0, times=99, faults=("hang",)) as server:
        asyncio.run(asyncio.wait_for(cancelled(opened(server, max_in_flight=2)), 30))


# -- several servers --------------------------------------------------------------------------------------------------


def test_the_least_loaded_server_is_asked() -> None:
    with serving(delay=0.2) as one, serving(delay=0.2) as other:
        engine = opened(one, other, max_in_flight=8)
        assert engine.capacity == 16
        draw(engine, [asked(4, seed) for seed in (100, 200, 300, 400)])
        assert widths(one) == widths(other) == [4, 4]
        draw(opened(one, other), [asked(6), asked(1, 200), asked(1, 300), asked(1, 400)])
    assert sorted([widths(one)[2:], widths(other)[2:]], key=len) == [[6], [1, 1, 1]]


def test_no_server_has_more_in_flight_than_allowed() -> None:
    with serving(delay=0.01) as server:
        answers = draw(opened(server, max_in_flight=5), [asked(n, 100 * n) for n in (2, 3, 4, 5, 12, 1, 1)])
    assert [len(answer) for answer in answers] == [2, 3, 4, 5, 12, 1, 1]
    assert texts(answers[4]) == right(12, 1200)
    assert server.most_in_flight <= 5


def test_the_other_server_answers_where_one_fails() -> None:
    with serving(share=1.0, times=99, faults=("500",)) as ill, serving() as well:
        answers = draw(opened(ill, well, retries=1), *[asked(1, seed) for seed in range(100, 120)])
    assert [texts(answer) for answer in answers] == [right(1, seed) for seed in range(100, 120)]
    assert len(well.asked) == 20


def test_a_dead_server_is_set_aside_and_tried_again() -> None:
    async def through(engine: Engine) -> None:
        one.die()
        await engine.start()
        assert texts(await engine.generate(asked(2))) == right(2)
        one.start()
        other.die()
        assert texts(await engine.generate(asked(2, 200))) == right(2, 200)
        await engine.close()

    with serving() as one, serving() as other:
        asyncio.run(asyncio.wait_for(through(opened(one, other, retries=100)), 30))
        assert (widths(one), widths(other)) == ([2], [2])


def test_requests_wait_for_a_server_to_come_back() -> None:
    async def through(engine: Engine) -> list[list[Completion]]:
        await engine.start()
        server.die()
        waiting = [asyncio.create_task(engine.generate(asked(2, seed))) for seed in range(100, 110)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in waiting)
        server.start()
        answers = await asyncio.gather(*waiting)
        await engine.close()
        return answers

    with serving() as server:
        answers = asyncio.run(asyncio.wait_for(through(opened(server, retries=100)), 30))
    assert [texts(answer) for answer in answers] == [right(2, seed) for seed in range(100, 110)]


def test_a_server_that_came_back_as_another_is_noticed() -> None:
    async def through(engine: Engine) -> None:
        await engine.start()
        server.die()
        waiting = asyncio.create_task(engine.generate(asked()))
        await asyncio.sleep(0.1)
        server.behaviour.model = "huge"
        server.start()
        try:
            await waiting
        finally:
            await engine.close()

    with serving() as server, pytest.raises(EngineError, match="it serves 'huge'"):
        asyncio.run(asyncio.wait_for(through(opened(server, retries=100)), 30))


def test_without_any_server_the_run_ends_in_the_end() -> None:
    async def through(engine: Engine) -> None:
        await engine.start()
        one.die()
        other.die()
        try:
            await engine.generate(asked())
        finally:
            await engine.close()

    with serving() as one, serving() as other, pytest.raises(EngineError, match="no server has answered") as caught:
        asyncio.run(asyncio.wait_for(through(opened(one, other, retries=10**6, patience=0.2)), 30))
    assert not isinstance(caught.value, RequestError)
    assert all(f"{server.url}: " in str(caught.value) for server in (one, other))
    assert "same command again" in str(caught.value)


# -- starting, and what is said when that cannot be -------------------------------------------------------------------


def test_no_server_at_all() -> None:
    with serving() as server:
        server.die()
        with pytest.raises(EngineError, match="no server can be reached") as caught:
            draw(opened(server))
    assert server.url in str(caught.value)


def test_a_model_that_is_not_served() -> None:
    with serving(model="other") as server, pytest.raises(EngineError, match="does not serve 'tiny'") as caught:
        draw(opened(server))
    assert "'other' (from 'org/tiny')" in str(caught.value)
    assert caught.value.where == "model.path"


def test_a_server_that_lists_no_models_is_believed() -> None:
    with serving(lists_models=False) as server:
        (answer,) = draw(opened(server), asked(2))
    assert texts(answer) == right(2)


def test_a_wrong_path_is_named() -> None:
    def not_found(_body: dict[str, Any]) -> Answer:
        return 404, {"detail": "Not Found"}, {}

    with serving(special=not_found) as server, pytest.raises(EngineError, match="answered 404") as caught:
        draw(opened(server), asked())
    assert not isinstance(caught.value, RequestError)
    assert "/v1" in str(caught.value.hint)


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_the_key_is_never_repeated(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def echo(_body: dict[str, Any]) -> Answer:
        return status, error(f"you sent {SECRET}"), {}

    with serving(special=echo) as server, pytest.raises(EngineError, match=r"you sent \*\*\*") as caught:
        draw(opened(server, retries=1), asked())
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    for told in ("".join(traceback.format_exception(caught.value)), repr(caught.value), caplog.text):
        assert SECRET not in told
    seen: BaseException | None = caught.value
    while seen is not None:
        assert SECRET not in repr(vars(seen)) + str(seen)
        seen = seen.__cause__ or seen.__context__


def test_a_refused_key_names_its_variable() -> None:
    with serving(key=SECRET) as server, pytest.raises(EngineError, match="answered 401") as caught:
        draw(opened(server))
    assert caught.value.where == "engine.options.api_key_env"


def test_closed_and_not_started() -> None:
    async def closed(engine: Engine) -> None:
        with pytest.raises(EngineError, match="not started"):
            await engine.generate(asked())
        await engine.start()
        await engine.close()
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await engine.generate(asked())

    with serving() as server:
        asyncio.run(closed(opened(server)))


# -- the recipe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "where", "message"),
    [
        ({}, "engine.options.base_url", "required"),
        ({"base_url": []}, "engine.options.base_url", "at least 1 item"),
        ({"base_url": "localhost:8000"}, "engine.options.base_url", "http://"),
        ({"base_url": ["http://a/v1", "http://a/v1/"]}, "engine.options.base_url", "twice"),
        ({"base_url": "http://a", "retry": 3}, "engine.options.retry", "unknown option"),
        ({"base_url": "http://a", "retries": -1}, "engine.options.retries", "greater than or equal to 0"),
        ({"base_url": "http://a", "seed_bits": 7}, "engine.options.seed_bits", "may share a seed"),
        ({"base_url": "http://a", "extra_body": {"seed": 7}}, "engine.options.extra_body", "sampling.seed"),
        ({"base_url": "http://a", "api_key": SECRET}, "engine.options.api_key", "never stands in a recipe"),
        ({"base_url": "http://a", "api_key_env": SECRET}, "engine.options.api_key_env", "in capitals"),
        ({"base_url": f"http://me:{SECRET}@a/v1"}, "engine.options.base_url", "neither a key"),
        ({"base_url": ["http://a", f"http://a/v1?key={SECRET}"]}, "engine.options.base_url", "neither a key"),
        ({"base_url": "http://a", "extra_body": {"api-key": SECRET}}, "engine.options.extra_body", "never stands"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        connect(ModelSection(path="tiny"), EngineSection(kind="openai", options=options), SamplingSection())
    assert str(caught.value.where).startswith(where)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_the_identity_claims_no_more_than_is_known() -> None:
    identity = opened("http://a/v1").identity()
    assert (identity.path, identity.revision, identity.chat_template) == ("tiny", "unknown", "unknown")
    assert opened("http://a/v1", revision="abc").identity().revision == "abc"
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    revision = opened("http://a/v1", extra_body=extra).identity().revision
    assert revision == f"unknown with {json.dumps(extra)}"


def test_a_chat_is_shown_turn_by_turn() -> None:
    engine = opened("http://a/v1")
    assert engine.render(CHAT) == "system: be brief\nuser: 1+1"
    assert engine.render(Prompt(text="1+1=")) == "1+1="


def test_an_answer_that_was_begun_is_gone_on_with() -> None:
    begun = Prompt(messages=CHAT.messages, prefill="It is ")
    with serving(owned_by="vllm") as server:
        engine = opened(server)
        draw(engine, asked(prompt=begun), asked(prompt=Prompt(text="1+1=", prefill="2")))
        chat, text = server.asked
    assert chat["messages"][-1] == {"role": "assistant", "content": "It is "}
    assert len(chat["messages"]) == 3
    assert (chat["continue_final_message"], chat["add_generation_prompt"]) == (True, False)
    assert text["prompt"] == "1+1=2"
    assert "continue_final_message" not in text
    assert engine.render(begun).endswith("It is ")


def test_a_server_that_may_not_go_on_with_an_answer_is_not_asked_to() -> None:
    with serving() as server, pytest.raises(EngineError, match="an answer that was begun") as caught:
        draw(opened(server), asked(prompt=Prompt(messages=CHAT.messages, prefill="It is ")))
    assert "prefill" in str(caught.value.hint)
    assert server.asked == []


# -- whole runs -------------------------------------------------------------------------------------------------------


def recipe(folder: Path, *servers: LoopbackServer, **options: Any) -> Path:
    engine = {
        "kind": "openai",
        "options": {"base_url": [one.url for one in servers], "backoff": 0.005, "timeout": 0.5, **options},
    }
    return rehearsal(folder, engine=engine, model={"path": "tiny"})


def test_a_run_through_faults_is_the_run_without_them(tmp_path: Path) -> None:
    with serving() as well:
        profile(recipe(tmp_path / "a", well), into=tmp_path / "whole", fixed_n=16)
        with serving(share=1 / 3, times=2, most=1) as one, serving(share=1 / 3, times=2) as other:
            summary = profile(recipe(tmp_path / "b", one, other), into=tmp_path / "faulty", fixed_n=16)
    assert (summary.rollouts, summary.unscored) == (320, 0)
    assert drawn(tmp_path / "faulty") == drawn(tmp_path / "whole")
    assert set(one.faults | other.faults) == set(FAULTS)


def test_a_run_outlives_its_server(tmp_path: Path) -> None:
    def restart() -> None:
        server.die()
        time.sleep(0.2)
        server.start()

    def after_forty(_body: dict[str, Any]) -> Answer | None:
        if len(server.asked) == 40:
            restarting.start()
        return None

    with serving() as well:
        profile(recipe(tmp_path / "a", well), into=tmp_path / "whole", fixed_n=16)
    restarting = threading.Thread(target=restart)
    with serving(most=2, special=after_forty) as server:
        profile(recipe(tmp_path / "b", server, retries=100), into=tmp_path / "restarted", fixed_n=16)
        restarting.join()
    assert drawn(tmp_path / "restarted") == drawn(tmp_path / "whole")


def test_a_run_whose_server_is_gone_ends_and_can_be_continued(tmp_path: Path) -> None:
    def after_forty(_body: dict[str, Any]) -> Answer | None:
        if len(server.asked) >= 40:
            threading.Thread(target=server.die).start()
        return None

    into = tmp_path / "out"
    with serving(most=2) as server:
        server.behaviour.special = after_forty
        with pytest.raises(CurateError, match="no server has answered"):
            profile(recipe(tmp_path / "a", server, retries=10**6, patience=0.3), into=into, fixed_n=16)
        server.behaviour.special = lambda _body: None
        server.start()
        profile(recipe(tmp_path / "b", server), into=into, fixed_n=16)
    with serving() as well:
        profile(recipe(tmp_path / "c", well), into=tmp_path / "whole", fixed_n=16)
    assert drawn(into) == drawn(tmp_path / "whole")
