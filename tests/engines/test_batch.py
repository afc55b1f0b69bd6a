"""A batch that fails is drawn in halves, so that one bad row costs no other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.importorskip("torch")

from curate.engines.batch import in_halves
from curate.errors import RequestError
from curate.records import Completion


def said(row: int) -> Completion:
    return Completion(text=str(row), finish_reason="stop", prompt_tokens=1, completion_tokens=1)


def test_too_little_memory_is_met_with_smaller_batches() -> None:
    sizes: list[int] = []

    def draw(rows: Sequence[int]) -> list[Completion]:
        sizes.append(len(rows))
        if len(rows) > 3:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return [said(row) for row in rows]

    assert in_halves(draw, range(10)) == [said(row) for row in range(10)]
    assert sizes == [10, 5, 2, 3, 5, 2, 3]


def test_one_bad_row_is_the_only_one_that_fails() -> None:
    def draw(rows: Sequence[int]) -> list[Completion]:
        if 6 in rows:
            raise IndexError("index out of range in self")
        return [said(row) for row in rows]

    drawn = in_halves(draw, range(8))
    assert [one for one in drawn if isinstance(one, Completion)] == [said(row) for row in (0, 1, 2, 3, 4, 5, 7)]
    error = drawn[6]
    assert isinstance(error, RequestError)
    assert "IndexError: index out of range" in str(error)


def test_a_row_that_fails_alone_keeps_its_own_error() -> None:
    def draw(rows: Sequence[int]) -> list[Completion]:
        raise RequestError("the model gave logits that are not numbers")

    assert [str(one) for one in in_halves(draw, [1, 2])] == ["the model gave logits that are not numbers"] * 2
