"""Many rollouts at once: the same signals in the same order whoever computes them, and no more read than needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from operator import attrgetter

import polars as pl
import pytest

from curate.audit.bulk import BATCH, INPUTS, SIGNALS, audit_rollouts
from curate.audit.steps import check
from curate.audit.text import TextSignals, signals


def rollouts(count: int, first: int = 0) -> pl.DataFrame:
    numbers = range(first, first + count)
    return pl.DataFrame(
        {
            "problem_id": [f"p{number // 8}" for number in numbers],
            "index": [number % 8 for number in numbers],
            "completion": [f"{number}+{number}={2 * number}, so \\boxed{{{2 * number}}}" for number in numbers],
            "answer": [str(2 * number) if number % 3 else None for number in numbers],
            "verdict": ["fail" if number % 5 == 4 else "pass" for number in numbers],
            "finish_reason": ["stop"] * count,
        },
        schema_overrides={"index": pl.Int32, "answer": pl.String},
    )


def test_each_rollout_gets_its_signals() -> None:
    frame = rollouts(5)
    (found,) = audit_rollouts([frame], workers=1)
    assert found.columns == [*(name for name in INPUTS if name != "completion"), *SIGNALS]
    assert found["audit_error"].to_list() == [None] * 5
    for completion, answer, row in zip(frame["completion"], frame["answer"], found.iter_rows(named=True), strict=True):
        expected = signals(completion, answer)
        for name in TextSignals.__slots__:
            assert row[name] == attrgetter(name)(expected)
        steps = check(completion, answer)
        checked = (row["steps_stated"], row["steps_false"], row["answer_follows"], row["first_false"])
        assert checked == ((1, 0, steps.follows, None) if row["verdict"] == "pass" else (None,) * 4)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing_but_the_time(workers: int) -> None:
    frames = [rollouts(2 * BATCH + 1), rollouts(1, 9000), rollouts(BATCH, 10_000)]
    here = list(audit_rollouts(frames, workers=1))
    there = list(audit_rollouts(frames, workers=workers))
    assert [frame.height for frame in there] == [BATCH, BATCH, 1, 1, BATCH]
    assert all(a.equals(b) for a, b in zip(here, there, strict=True))
    assert pl.concat(there)["index"].to_list() == pl.concat(frames)["index"].to_list()


def test_frames_are_read_as_they_are_needed() -> None:
    read: list[int] = []

    def source() -> Iterator[pl.DataFrame]:
        for number in range(30):
            read.append(number)
            yield rollouts(10, 10 * number)

    measured = audit_rollouts(source(), workers=2)
    assert read == []
    next(measured)
    assert len(read) <= 5  # two under way for each of two workers, and the next
    measured.close()
    assert len(read) <= 5


def test_nothing_to_measure() -> None:
    assert list(audit_rollouts([])) == []
    assert list(audit_rollouts([rollouts(0)])) == []


def test_any_text_travels() -> None:
    texts = ["", "\x00\x01", "�" * 50, "的" * 3000, "x" * 100_000, "\\boxed{", "\u2028\r\n"]
    frame = rollouts(len(texts)).with_columns(completion=pl.Series(texts))
    found = pl.concat(audit_rollouts([frame, frame], workers=2))
    assert found["characters"].to_list() == [len(text) for text in texts] * 2
    assert found["audit_error"].null_count() == found.height


def test_an_error_of_the_source_ends_the_workers() -> None:
    def source() -> Iterator[pl.DataFrame]:
        yield rollouts(BATCH)
        yield rollouts(BATCH)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(audit_rollouts(source(), workers=2))


def test_a_script_without_a_main_guard_can_use_workers() -> None:
    script = f"""
import polars as pl
from curate.audit.bulk import audit_rollouts
print("begun")
row = dict(problem_id="p", index=0, completion="2+2=4", answer="4", verdict="pass", finish_reason="stop")
frames = [pl.DataFrame([row] * {BATCH})] * 2
print(sum(frame["work_tokens"].sum() for frame in audit_rollouts(frames, workers=2)))
"""
    said = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=True, timeout=120)
    # Before the last 4, which is the answer, stand 2, +, 2 and =.
    assert said.stdout.split() == ["begun", str(4 * 2 * BATCH)]
