"""What answers mean: texts, ends and tokens, and whose fault an error is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.engines.openai.answers import (
    Fault,
    Refused,
    Said,
    apportion,
    completions,
    quoted,
    refusal,
    said,
    wait_asked_for,
)
from curate.errors import EngineError, RequestError
from curate.records import Completion

URL = "http://host/v1"


def chat(content: object, reason: object = "stop", **message: object) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": reason}


def answer(*choices: dict[str, Any], tokens: int = 10) -> dict[str, Any]:
    return {"choices": list(choices), "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}


def text_of(choice: dict[str, Any]) -> str:
    (one,) = completions(answer(choice), 1, 100)
    return one.text


def test_choices_come_in_the_order_of_their_indices() -> None:
    choices = [{"index": i, "text": text, "finish_reason": "stop"} for i, text in ((2, "c"), (0, "a"), (1, "b"))]
    assert completions(answer(*choices, tokens=3), 3, 100) == [Completion(text, "stop", 3, 1) for text in "abc"]


def test_fewer_choices_than_asked_for_are_no_error_and_more_are() -> None:
    assert len(completions(answer(chat("a")), 4, 100)) == 1
    with pytest.raises(RequestError, match="2 choices where 1"):
        completions(answer(chat("a"), chat("b")), 1, 100)


def test_json_sent_as_text_is_read() -> None:
    assert completions(json.dumps(answer(chat("a"))), 1, 100) == [Completion("a", "stop", 3, 10)]


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (chat("plain"), "plain"),
        (chat(None), ""),
        (chat("4", reasoning_content="2+2"), "<think>2+2</think>4"),
        (chat("4", reasoning="\n2+2\n"), "<think>\n2+2\n</think>4"),
        (chat("", reasoning="2+2"), "<think>2+2</think>"),
        (chat(None, reasoning_content="2+"), "<think>2+"),
        (chat("4", reasoning_content=None), "4"),
        (chat("\ud800"), "\ud800"),
    ],
)
def test_the_text_is_what_the_model_wrote(choice: dict[str, Any], text: str) -> None:
    assert text_of(choice) == text


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls", "abort", None, 7, ["stop"]])
def test_a_rollout_that_ended_otherwise_is_a_failed_request(reason: object) -> None:
    with pytest.raises(RequestError, match="neither stop nor length"):
        completions(answer(chat("a"), chat("b", reason)), 2, 100)


@pytest.mark.parametrize("content", [7, [{"type": "text", "text": "a"}], {}])
def test_a_content_that_is_no_text_is_a_failed_request(content: object) -> None:
    with pytest.raises(RequestError, match="no text"):
        completions(answer(chat(content)), 1, 100)


@pytest.mark.parametrize(
    "body",
    [
        *("", "<html>", '{"choi', "7", None, 7, [], {}),
        *({"choices": None}, {"choices": []}, {"choices": {}}, {"choices": ["a"]}),
        *({"choices": [{"finish_reason": "stop"}]}, {"error": {"message": "overloaded"}}),
    ],
)
def test_what_the_api_does_not_promise_is_the_servers_fault(body: object) -> None:
    with pytest.raises(Fault):
        completions(body, 1, 100)


def test_a_fault_tells_what_the_server_said() -> None:
    with pytest.raises(Fault, match="overloaded"):
        completions({"error": {"message": "overloaded"}}, 1, 100)


def test_one_choice_has_all_tokens_and_no_usage_has_none() -> None:
    assert completions(answer(chat("abc"), tokens=17), 1, 100)[0].completion_tokens == 17
    for usage in (None, {}, {"prompt_tokens": None, "completion_tokens": "many"}):
        (one,) = completions({"choices": [chat("abc")], "usage": usage}, 1, 100)
        assert (one.prompt_tokens, one.completion_tokens) == (0, 0)


def test_token_ids_are_counted() -> None:
    choices = [{**chat("aaaa"), "token_ids": [1, 2]}, {**chat("b"), "token_ids": [1, 2, 3, 4, 5]}]
    assert [one.completion_tokens for one in completions(answer(*choices, tokens=7), 2, 100)] == [2, 5]


@pytest.mark.parametrize(
    ("total", "lengths", "cut", "shares"),
    [
        (10, [30, 20], [False, False], [6, 4]),
        # 10 * 1/3 = 3.33 each: the one token left goes to the first of equal remainders.
        (10, [5, 5, 5], [False] * 3, [4, 3, 3]),
        # 7 * 2/4 = 3.5 and 7 * 1/4 = 1.75 twice: 3 + 1 + 1, the two left go to the remainders .75.
        (7, [20, 10, 10], [False] * 3, [3, 2, 2]),
        # Cut at 100; the other 6 are shared 4 : 2.
        (106, [9, 40, 20], [True, False, False], [100, 4, 2]),
        (200, [1, 1], [True, True], [100, 100]),
        (6, [0, 0, 0], [False] * 3, [2, 2, 2]),
        (0, [3, 4], [False] * 2, [0, 0]),
        # Two cut ones would have 200: the total cannot be theirs, so all share it.
        (150, [10, 10, 10], [True, True, False], [50, 50, 50]),
        # Nobody is left to take what is above 100 each.
        (210, [10, 20], [True, True], [70, 140]),
    ],
)
def test_tokens_are_shared_by_length_beside_those_that_were_cut(
    total: int, lengths: list[int], cut: list[bool], shares: list[int]
) -> None:
    assert apportion(total, lengths, cut, 100) == shares


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(0, 500), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 300),
)
def test_shares_add_up(total: int, choices: list[tuple[int, bool]], max_tokens: int) -> None:
    shares = apportion(total, [length for length, _ in choices], [cut for _, cut in choices], max_tokens)
    assert sum(shares) == total
    assert min(shares) >= 0


def test_a_rollout_cut_before_the_limit_is_not_the_models() -> None:
    assert completions(answer(chat("a", "length"), tokens=100), 1, 100)[0].finish_reason == "length"
    with pytest.raises(RequestError, match="after 60 tokens") as caught:
        completions(answer(chat("a", "length"), tokens=60), 1, 100)
    assert caught.value.where == "sampling.max_tokens"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message": "m", "code": "c", "param": "p"}, Said("m", "c", "p")),
        ({"message": "m", "code": 400, "param": None}, Said("m", "400", "")),
        ({"detail": "Not Found"}, Said("Not Found")),
        ({"detail": [{"loc": ["body", "seed"]}]}, Said('[{"loc": ["body", "seed"]}]')),
        ({}, Said("fallback")),
        (None, Said("fallback")),
        (" ", Said("fallback")),
        ("gateway", Said("gateway")),
    ],
)
def test_errors_are_read_in_every_dialect(body: object, expected: Said) -> None:
    assert said(body, "fallback") == expected


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_passes_is_a_fault(status: int) -> None:
    fault = refusal(URL, status, Said("m"), {}, 3.0)
    assert isinstance(fault, Fault)
    assert (fault.busy, fault.after) == (status == 429, 3.0)


@pytest.mark.parametrize(
    ("status", "what", "asked", "where"),
    [
        (401, Said("m"), {}, "engine.options.api_key_env"),
        (403, Said("m"), {}, "engine.options.api_key_env"),
        (429, Said("m", "insufficient_quota"), {}, "engine.options.api_key_env"),
        (404, Said("m"), {}, "engine.options.base_url"),
        (405, Said("m"), {}, "engine.options.base_url"),
        (400, Said("m", "", "seed"), {"seed": 5}, "seed = 5"),
        (422, Said('[{"loc": ["body", "seed"]}]'), {"seed": 5, "prompt": "1+1"}, "seed = 5"),
        (400, Said("Unrecognized argument: top_k"), {"top_k": 5}, "top_k = 5"),
        (400, Said("m", "unsupported_parameter", "max_tokens"), {"max_tokens": 9}, "max_tokens = 9"),
    ],
)
def test_what_every_request_would_meet_ends_the_run(status: int, what: Said, asked: dict[str, Any], where: str) -> None:
    error = refusal(URL, status, what, asked, None)
    assert isinstance(error, EngineError)
    assert not isinstance(error, RequestError)
    assert error.where == where
    assert error.hint
    assert URL in error.message


@pytest.mark.parametrize(
    ("what", "asked"),
    [
        (Said("prompt too long: 'max_tokens' is 9", "", "max_tokens"), {"max_tokens": 9}),
        (Said("cannot read 'plant a seed'"), {"seed": 5, "prompt": "plant a seed"}),
        (Said("cannot read 'a seed'"), {"seed": 5, "messages": [{"role": "user", "content": "a seed"}]}),
        (Said("nothing seeded here"), {"seed": 5}),
        (Said("top_k"), {"seed": 5}),
    ],
)
def test_what_only_this_request_meets_does_not(what: Said, asked: dict[str, Any]) -> None:
    assert isinstance(refusal(URL, 400, what, asked, None), Refused)


def test_how_long_to_wait() -> None:
    assert wait_asked_for({"retry-after": "2.5"}) == 2.5
    assert wait_asked_for({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    later = wait_asked_for({"retry-after": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)})
    assert later is not None
    assert 3000 < later <= 3600
    for unreadable in ("", "soon", "nan", "inf", "-5 days"):
        assert wait_asked_for({"retry-after": unreadable}) is None
    assert wait_asked_for({"retry-after": "-5"}) == 0.0
    assert wait_asked_for({}) is None


def test_quotations_are_short_and_on_one_line() -> None:
    assert quoted(" a\n\n b ") == "a b"
    assert len(quoted("x" * 5000)) == 400
