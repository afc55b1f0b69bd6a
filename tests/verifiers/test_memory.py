"""The memory: the newest rulings, never more than its bounds, and only what is certain outlives a run."""

from __future__ import annotations

import pytest

from curate.records import Comparison
from curate.verifiers.memory import CACHE, CACHE_CHARACTERS, Memory, comparison
from curate.verifiers.protocol import Ruling

RIGHT = Ruling(1.0, "4", "equal", 0.25)


def test_the_oldest_rulings_go_first_when_there_are_too_many() -> None:
    memory = Memory()
    keys = [(("4",), str(number)) for number in range(CACHE + 50_000)]
    for key in keys:
        memory.keep(key, RIGHT)
    assert [memory.get(key) is not None for key in keys] == [False] * 50_000 + [True] * CACHE


def test_long_answers_count_by_their_length() -> None:
    memory = Memory()
    room = CACHE_CHARACTERS // 100_000
    keys = [(("4",), f"{number:0100000}") for number in range(room + 20)]
    for key in keys:
        memory.keep(key, RIGHT)
    assert [memory.get(key) is not None for key in keys] == [False] * 20 + [True] * room


def test_a_ruling_comes_back_as_it_was_and_takes_no_time() -> None:
    memory = Memory()
    memory.keep((("3", "4"), "4"), RIGHT)
    memory.recall(Comparison(("9",), "3", 0.375, "close"))
    assert memory.get((("3", "4"), "4")) == Ruling(1.0, "4", "equal", 0.0)
    assert memory.get((("9",), "3")) == Ruling(0.375, "3", "close", 0.0)
    assert memory.get((("4", "3"), "4")) is None, "other references are another question"


@pytest.mark.parametrize("reason", ["timeout", "error: ZeroDivisionError", "worker died", "reference not parsed"])
def test_what_is_not_scored_does_not_outlive_the_run(reason: str) -> None:
    assert comparison((("4",), "4"), Ruling(None, "4", reason)) is None
    assert comparison((("4",), "5"), Ruling(0.0, "5", "different")) == Comparison(("4",), "5", 0.0, "different")


def test_the_death_of_a_worker_is_not_remembered_at_all() -> None:
    memory = Memory()
    memory.keep((("4",), "4"), Ruling(None, "4", "worker died"))
    memory.keep((("4",), "5"), Ruling(None, "5", "timeout"))
    assert memory.get((("4",), "4")) is None
    assert memory.get((("4",), "5")) is not None
