"""What cells mean, by hand-worked cases."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ProblemsError
from curate.problems.rows import MISSING, clip, jsonable, lookup, normalise, read_question, references
from curate.records import Message


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("  42 ", ("42",)),
        ("7.0", ("7.0",)),
        ("007", ("007",)),
        ("1,250", ("1,250",)),
        (7, ("7",)),
        (7.0, ("7",)),
        (-0.0, ("0",)),
        (0.1, ("0.1",)),
        (7.25, ("7.25",)),
        (1e300, ("1e+300",)),
        (10**30, ("1000000000000000000000000000000",)),
        (Decimal("7.50"), ("7.50",)),
        (Decimal("7.00"), ("7",)),
        (Decimal("1E+3"), ("1000",)),
        (Decimal("NaN"), ()),
        (float("inf"), ("inf",)),
        (True, ("true",)),
        (False, ("false",)),
        (date(2026, 1, 31), ("2026-01-31",)),
        (["a", " b ", "a"], ("a", "b")),
        ([1, 2.0, "2", [3, None]], ("1", "2", "3")),
        (("x",), ("x",)),
        (None, ()),
        ("", ()),
        ([], ()),
        (["", None], ()),
        (float("nan"), ()),
    ],
)
def test_references_are_exact_text(cell: Any, expected: tuple[str, ...]) -> None:
    assert references(cell, "answer") == expected


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"value": 1}, "holds a mapping"),
        ([{"value": 1}], "holds a mapping"),
        (b"junk", "holds bytes"),
    ],
)
def test_what_is_no_reference_is_refused_by_column(cell: Any, words: str) -> None:
    with pytest.raises(ProblemsError, match=f"column 'answer' {words}"):
        references(cell, "answer")


def test_a_column_of_the_very_name_goes_before_a_nested_one() -> None:
    row = {"a.b": 1, "a": {"b": 2, "c": {"d": None}}}
    assert lookup(row, "a.b") == 1
    assert lookup(row, "a.c.d") is None
    assert lookup(row, "a.x") is MISSING
    assert lookup(row, "a.b.c") is MISSING
    assert lookup(row, "x") is MISSING


def test_a_chat_asks_with_its_last_user_turn() -> None:
    turns = [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": [{"type": "text", "text": "and "}, {"type": "text", "text": "2+2?"}]},
    ]
    question, messages = read_question(turns, "prompt")
    assert question == "and 2+2?"
    assert messages == (Message("user", "1+1?"), Message("assistant", "2"), Message("user", "and 2+2?"))


def test_text_is_kept_as_it_is() -> None:
    assert read_question(" a \n", "question") == (" a \n", ())
    assert read_question(12.0, "question") == ("12", ())
    assert read_question(None, "question") == ("", ())
    assert read_question([], "question") == ("", ())
    assert read_question([{"role": "system", "content": "Be brief."}], "question")[0] == ""


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"role": "user", "content": "a"}, "holds a mapping"),
        (["a"], "a list that is no chat"),
        ([{"from": "human", "value": "a"}], "a list that is no chat"),
        ([{"role": "user", "content": None}], "a list that is no chat"),
        ([{"role": "user", "content": [{"type": "image", "image": "x"}]}], "parts that are not text"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "ends with an assistant turn"),
    ],
)
def test_what_is_no_question_is_refused_by_column(cell: Any, words: str) -> None:
    with pytest.raises(ProblemsError, match=words):
        read_question(cell, "prompt")


def test_metadata_becomes_what_json_can_hold() -> None:
    cell = {
        "n": float("nan"),
        "i": float("-inf"),
        "d": Decimal("1.50"),
        "t": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "b": b"abc",
        "l": [(1, True), {"x": None}],
        3: "three",
    }
    assert jsonable(cell) == {
        "n": None,
        "i": "-inf",
        "d": "1.50",
        "t": "2026-01-31T12:00:00+00:00",
        # sha256 of "abc" as FIPS 180-2 gives it: ba7816bf 8f01cfea ...
        "b": "3 bytes, sha256 ba7816bf8f01cfea",
        "l": [[1, True], {"x": None}],
        "3": "three",
    }


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4) | st.dates()


@given(st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
def test_metadata_is_always_strict_json(value: Any) -> None:
    made = jsonable(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


@given(st.text())
def test_normalising_is_idempotent_and_keeps_what_carries_meaning(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == once.strip()
    assert "  " not in once


def test_normalising_touches_white_space_and_composition_only() -> None:
    assert normalise(" A\u00a0b,\n\tc! ") == "A b, c!"
    assert normalise("e\u0301") == "\u00e9"
    assert normalise("\ufb01") == "\ufb01"  # a ligature is another character, as NFKC would not have it


def test_clipping_keeps_the_end() -> None:
    assert clip("short") == "short"
    assert clip("abcdef", 4) == "…def"
