"""The house rules that no linter knows: imports run one way, heavy ones load on use, every module says what it owns."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "curate"
MODULES = sorted(PACKAGE.rglob("*.py"))

RANK = {
    **dict.fromkeys(["errors", "records", "sections", "visible"], 0),
    **dict.fromkeys(["durable", "layout", "parts", "recipe", "signals", "tracks"], 1),
    "spool": 2,
    "ledger": 2,
    **dict.fromkeys(["problems", "recorder"], 3),
    **dict.fromkeys(["engines", "verifiers", "statistics", "audit", "demo", "earlier"], 4),
    **dict.fromkeys(["allocation", "beliefs", "judging", "logs"], 5),
    **dict.fromkeys(["continuing", "decide"], 6),
    **dict.fromkeys(["scheduler", "summary", "provenance"], 7),
    **dict.fromkeys(["profiling", "importing", "changes", "viewing", "asking"], 8),
    **dict.fromkeys(["planning", "verifying", "probing", "reprofile"], 9),
    **dict.fromkeys(["auditing", "publish"], 10),
    "rewarding": 11,
    "cli": 12,
}
"""Room -> how far to the right it stands: a room imports only rooms of a lower rank, and itself."""

OWNERS = {
    "torch": {"engines", "demo"},
    "transformers": {"engines", "demo"},
    "tokenizers": {"engines", "demo"},
    "vllm": {"engines"},
    "ray": {"engines"},
    "openai": {"engines"},
    "sympy": {"verifiers"},
    "math_verify": {"verifiers"},
    "datasets": {"problems", "publish"},
    "huggingface_hub": {"problems", "publish", "engines", "reprofile"},
    "scipy": {"statistics"},
}
"""Heavy library -> the rooms that may import it, each in a file that loads on use."""

NOT_BEFORE_USE = set(OWNERS) - {"scipy"}
HELP_ONLY = NOT_BEFORE_USE | {"scipy", "polars", "pydantic", "numpy", "rich", "tqdm", "jinja2", "yaml"}
MAX_LINES = 400


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> list[str]:
    """Every absolute module name that is imported below a node, ``from a import b`` as ``a.b``."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_the_house_rules(module: Path) -> None:
    text = module.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module begins by saying what it owns"
    assert text.count("\n") <= MAX_LINES, f"longer than {MAX_LINES} lines: does it still own one thing?"
    own = room(module)
    if own == "__init__":
        return
    for name in imports(tree):
        if name.startswith("curate."):
            other = name.split(".")[1]
            if other in RANK:
                assert other == own or RANK[other] < RANK[own], f"{own} must not import {other}"
    for library in {name.split(".")[0] for name in imports(tree)} & set(OWNERS):
        assert own in OWNERS[library], f"{library} belongs to {OWNERS[library]}"


def test_every_room_has_a_rank() -> None:
    rooms = {room(module) for module in MODULES} - {"__init__"}
    assert rooms <= set(RANK), "give a new room its place in RANK"


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in memory after a statement, in a fresh interpreter."""
    code = f"import sys; {statement}; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_help_loads_nothing_but_click() -> None:
    commands = ", ".join(
        f"curate.cli.{file.stem}" for file in (PACKAGE / "cli").glob("*.py") if not file.stem.endswith("texts")
    )
    loaded = loaded_by(f"import {commands}")
    assert "click" in loaded
    assert not loaded & HELP_ONLY


def test_no_engine_and_no_verifier_loads_before_it_is_used() -> None:
    rooms = [name for name, rank in RANK.items() if name != "cli" and (PACKAGE / name).with_suffix(".py").exists()]
    loaded = loaded_by(f"import {', '.join(f'curate.{name}' for name in rooms)}")
    assert "polars" in loaded
    assert not loaded & NOT_BEFORE_USE


@pytest.mark.parametrize("name", ["utils.py", "common.py", "helpers.py", "misc.py"])
def test_no_room_for_odds_and_ends(name: str) -> None:
    assert not list(PACKAGE.rglob(name))


def test_nothing_names_a_machine_or_a_registry() -> None:
    forbidden = re.compile(r"/(?:work|root|home)/\w|python" + r"hosted|py" + r"pi\.org|registry\.npm|deb\.debian")
    texts = [
        file
        for pattern in ("*.py", "*.md", "*.toml", "*.yaml", "*.txt", "Makefile", "run")
        for file in ROOT.rglob(pattern)
        if not {".venv", ".venv-vllm", "out", ".git"} & set(file.relative_to(ROOT).parts)
    ]
    assert len(texts) > 20
    named = [str(file.relative_to(ROOT)) for file in texts if forbidden.search(file.read_text(errors="replace"))]
    assert named == []
