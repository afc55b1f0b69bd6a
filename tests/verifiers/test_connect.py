"""Making a verifier from a recipe: what is accepted, and how a mistake is named."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

from curate.errors import RecipeError
from curate.recipe import VerifierSection
from curate.verifiers import KINDS, connect


def test_every_kind_connects_and_names_its_version() -> None:
    for kind in KINDS:
        assert connect(VerifierSection(kind=kind)).version.startswith(f"{kind} ")


def test_the_version_of_math_names_the_library_that_decides() -> None:
    assert f"math-verify {version('math-verify')}" in connect(VerifierSection()).version


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError) as raised:
        connect(VerifierSection(kind="maths"))
    assert raised.value.where == "verifier.kind"
    assert "math" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("kind", "options", "where"),
    [
        ("math", {"timeout": 0.5}, "verifier.options.timeout"),
        ("math", {"timeout": 0}, "verifier.options.timeout"),
        ("math", {"timeout": True}, "verifier.options.timeout"),
        ("math", {"tolerance": -1}, "verifier.options.tolerance"),
        ("math", {"tolerance": float("nan")}, "verifier.options.tolerance"),
        ("math", {"targets": ["latex", "html"]}, "verifier.options.targets"),
        ("math", {"targets": "latex"}, "verifier.options.targets"),
        ("math", {"tolerence": 0.1}, "verifier.options.tolerence"),
        ("math", {"order": "up"}, "verifier.options.order"),
        ("exact", {"case": "no"}, "verifier.options.case"),
        ("numeric", {"rel_tolerance": "1%"}, "verifier.options.rel_tolerance"),
        ("choice", {"letters": ["A"]}, "verifier.options.letters"),
    ],
)
def test_a_bad_option_is_named(kind: str, options: dict[str, Any], where: str) -> None:
    with pytest.raises(RecipeError) as raised:
        connect(VerifierSection(kind=kind, options=options))
    assert raised.value.where == where


def test_a_misspelt_option_is_answered_with_the_right_one() -> None:
    with pytest.raises(RecipeError, match="did you mean 'tolerance'"):
        connect(VerifierSection(options={"tolerence": 0.1}))


def test_connecting_imports_no_algebra() -> None:
    program = (
        "import sys; from curate.recipe import VerifierSection; from curate.verifiers import KINDS, connect\n"
        "[connect(VerifierSection(kind=kind)) for kind in KINDS]\n"
        "assert not {'sympy', 'math_verify', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
