"""The kinds that need no algebra: exact, numeric and choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import jsonl

import curate
from curate.ledger import Ledger
from curate.recipe import VerifierSection
from curate.records import Case
from curate.verifiers import make
from curate.verifiers.protocol import Comparer, Judge


def compared(kind: str, reference: str, completion: str, **options: Any) -> tuple[float | None, str] | None:
    """Reward and reason; None where the completion has no answer."""
    verifier = make(kind, options)
    assert isinstance(verifier, Comparer)
    answer = verifier.extract(completion)
    return None if answer is None else verifier.compare(reference, answer)


@pytest.mark.parametrize(
    ("reference", "completion", "options", "reward"),
    [
        ("Paris", r"It is \boxed{Paris}", {}, 1.0),
        ("Paris", "Let me think.\nparis", {}, 1.0),
        ("Paris", "paris", {"case": True}, 0.0),
        ("New  York", "new york", {}, 1.0),
        ("New  York", "New York", {"whitespace": True}, 0.0),
        ("0.5", "1/2", {}, 0.0),
        ("b", "a\nb", {"answer": "all"}, 0.0),
        ("a\nb", "a\nb", {"answer": "all", "whitespace": True}, 1.0),
        ("b", r"\boxed{a}" + "\nb", {"answer": "last_line"}, 1.0),
        ("b", r"\boxed{a}" + "\nb", {}, 0.0),
        ("é", "e\u0301", {}, 1.0),
    ],
)
def test_exact(reference: str, completion: str, options: dict[str, Any], reward: float) -> None:
    assert compared("exact", reference, completion, **options) == (reward, "equal" if reward else "different")


def test_exact_without_answer_or_reference() -> None:
    assert compared("exact", "a", "  \n ") is None
    assert compared("exact", "a", "a", answer="boxed") is None
    assert compared("exact", "  ", "a") == (None, "reference not parsed")


@pytest.mark.parametrize(
    ("reference", "completion", "options", "reward"),
    [
        ("0.5", r"\boxed{\frac{1}{2}}", {}, 1.0),
        ("1,234", "The answer is 1234.", {}, 1.0),
        ("0.5", "50%", {}, 1.0),
        ("3", r"\boxed{x = 3}", {}, 1.0),
        ("3", r"\boxed{3\text{ m}}", {}, 1.0),
        ("3", r"\boxed{3 dollars}", {}, 1.0),
        ("0.1", r"\boxed{0.10000000000000001}", {}, 0.0),
        ("100", r"\boxed{101}", {}, 0.0),
        ("100", r"\boxed{101}", {"rel_tolerance": 0.01}, 1.0),
        ("100", r"\boxed{101.0001}", {"rel_tolerance": 0.01}, 0.0),
        ("0", r"\boxed{0.1}", {"rel_tolerance": 0.5}, 0.0),
        ("0", r"\boxed{0.1}", {"abs_tolerance": 0.1}, 1.0),
        ("3", r"\boxed{\sqrt{9}}", {}, 0.0),
    ],
)
def test_numeric(reference: str, completion: str, options: dict[str, Any], reward: float) -> None:
    assert compared("numeric", reference, completion, **options) == (reward, "equal" if reward else "different")


def test_numeric_wants_a_number_for_reference() -> None:
    assert compared("numeric", "x", r"\boxed{3}") == (None, "reference not parsed")


def chosen(
    completion: str, reference: str = "B", choices: Any = None, **options: Any
) -> tuple[float | None, str | None, str]:
    verifier = make("choice", options)
    assert isinstance(verifier, Judge)
    ruling = verifier.judge(Case((reference,), completion, metadata={"choices": choices} if choices else {}))
    return ruling.reward, ruling.answer, ruling.reason


@pytest.mark.parametrize(
    "completion",
    [
        "B",
        "(B)",
        "b.",
        "B) because it is larger",
        r"\boxed{B}",
        r"\boxed{\text{(B)}}",
        r"$\boxed{\textbf{(B)}\ 12}$",
        "The answer is B.",
        "A is wrong, so the correct answer is (B).",
        "Answer: **B**",
        "I would go for **B) the second one**",
        "Not A.\nSo option B",
        "It is not A, since that makes no sense, so I take B",
        "B不是 A",
    ],
)
def test_a_letter_is_read_however_it_is_written(completion: str) -> None:
    assert chosen(completion) == (1.0, "B", "equal")


def test_the_text_of_an_option_stands_for_its_letter() -> None:
    choices = ["red", "green", "blue"]
    assert chosen(r"\boxed{Green}", choices=choices) == (1.0, "B", "equal")
    assert chosen("After all this it must be\nblue.", choices=choices) == (0.0, "C", "different")
    assert chosen("B", reference="green", choices=choices) == (1.0, "B", "equal")
    assert chosen("green", choices={"text": ["red", "green"], "label": ["A", "B"]}) == (1.0, "B", "equal")
    assert chosen("green", choices={"A": "red", "B": "green"}) == (1.0, "B", "equal")
    assert chosen("red", choices=["red", "red"]) == (0.0, None, "no answer")


def test_a_reference_that_is_no_choice_is_set_aside_before_any_rollout(tmp_path: Path) -> None:
    options = ["8636", "12"]
    rows = [
        {"question": "1?", "answer": "8636"},
        {"question": "2?", "answer": "8636", "choices": options},
        {"question": "3?", "answer": "B"},
        {"question": "4?", "answer": "F"},
    ]
    log = jsonl(tmp_path / "log.jsonl", [{**row, "completion": "B", "metadata": row} for row in rows])
    section = VerifierSection(kind="choice", workers=1)
    curate.import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=section)
    told = Ledger(tmp_path / "out").problems().select("set_aside", "set_aside_why").rows()
    aside = ("unverifiable", "reference not parsed")
    assert told == [aside, (None, ""), (None, ""), aside]


def test_prose_is_not_mistaken_for_a_letter() -> None:
    assert chosen("A plan is all we need") == (0.0, None, "no answer")
    assert chosen("A or B, who knows") == (0.0, None, "no answer")
    assert chosen("There is no good choice here") == (0.0, None, "no answer")
    assert chosen("F", reference="B") == (0.0, None, "no answer")
    assert chosen("F", reference="F", letters="ABCDEF") == (1.0, "F", "equal")


def test_a_reference_that_is_no_letter_is_unscored() -> None:
    assert chosen("B", reference="maybe") == (None, None, "reference not parsed")
