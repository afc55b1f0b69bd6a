"""A recipe says what it says, and every complaint names the key."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from curate import recipe
from curate.errors import RecipeError
from curate.records import ModelIdentity

SMALLEST: dict[str, Any] = {
    "name": "sums",
    "problems": {"source": "sums.jsonl"},
    "model": {"path": "model"},
    "engine": {"kind": "scripted"},
}


def written(folder: Path, text: str) -> Path:
    path = folder / "sums.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(*overrides: str, raw: object = SMALLEST) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        recipe.parse(raw, where="sums.yaml", overrides=overrides)
    return caught.value


# -- what is read ---------------------------------------------------------------------------------------------------


def test_the_smallest_recipe_takes_the_documented_defaults() -> None:
    made = recipe.parse(SMALLEST)
    assert (made.problems.question, made.problems.answer, made.problems.split) == ("question", "answer", "train")
    assert (made.band.low, made.band.high, made.band.confidence, made.band.group_size) == (0.2, 0.8, 0.9, 8)
    assert (made.budget.pilot, made.budget.step, made.budget.cap) == (8, 4, 128)
    assert (made.sampling.temperature, made.sampling.top_p, made.sampling.max_tokens) == (1.0, 1.0, 4096)
    assert made.prompt.template == "{{ question }}\n\nReason step by step and put the final answer in \\boxed{}."


def test_a_file_reads_as_it_is_written(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
name: gsm8k-small
problems: {source: openai/gsm8k, config: main, answer_pattern: '####\\s*(.+)$'}
prompt:
  template: "{{ question }}\\nThink."
model: {path: some/model, revision: abc}
engine: {kind: vllm, options: {tensor_parallel_size: 2}}
sampling: {stop: ["\\n\\n"], top_k: 20}
""",
    )
    made = recipe.load(path, overrides=("band.low=0.1", "engine.options.dtype=float16", "problems.limit=10"))
    assert made.problems.answer_pattern == r"####\s*(.+)$"
    assert made.prompt.template == "{{ question }}\nThink."
    assert made.engine.options == {"tensor_parallel_size": 2, "dtype": "float16"}
    assert made.sampling.stop == ("\n\n",)
    assert (made.sampling.top_k, made.band.low, made.problems.limit) == (20, 0.1, 10)


def test_overrides_apply_in_order_and_leave_the_mapping_alone() -> None:
    made = recipe.parse(SMALLEST, overrides=("band.low=0.1", "band.low=0.3"))
    assert made.band.low == 0.3
    assert "band" not in SMALLEST


def test_a_date_is_text_in_a_file_and_on_the_command_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "name: a\nproblems: {source: x, revision: 2026-01-31}\nmodel: {path: m}\nengine: {kind: scripted}\n",
    )
    assert recipe.load(path).problems.revision == "2026-01-31"
    assert recipe.parse(SMALLEST, overrides=("problems.revision=2026-01-31",)).problems.revision == "2026-01-31"


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "key", "words"),
    [
        ("band.hgih=0.5", "band.hgih", "unknown key"),
        ("band.low=0.9", "band", "low (0.9) is above high (0.8)"),
        ("band.low=-0.1", "band.low", "greater than or equal to 0, got -0.1"),
        ("band.low=.nan", "band.low", "finite number"),
        ("sampling.temperature=.inf", "sampling.temperature", "finite number"),
        ("sampling.top_p=0", "sampling.top_p", "greater than 0"),
        ("sampling.stop=END", "sampling.stop", "got 'END'"),
        ("verifier.pass_at=.nan", "verifier.pass_at", "finite number"),
        ("problems.limit=0", "problems.limit", "greater than or equal to 1"),
        ("problems.source=", "problems.source", "valid string, got None"),
        ("problems.source=''", "problems.source", "at least 1 character"),
        ("problems.revision=123456", "problems.revision", "valid string, got 123456"),
        ("problems.answer_pattern='####.+'", "problems.answer_pattern", "has no group"),
        ("problems.answer_pattern='(?:####).+'", "problems.answer_pattern", "has no group"),
        ("problems.answer_pattern='(####'", "problems.answer_pattern", "not a regular expression"),
        ("name='two words'", "name", "should match pattern"),
        ("budget.cap=1048576", "budget.cap", "less than 1048576"),
    ],
)
def test_a_wrong_value_is_refused_by_key(override: str, key: str, words: str) -> None:
    error = complaint(override)
    assert error.where == f"sums.yaml: {key}"
    assert words in error.message


def test_an_unknown_key_points_to_the_nearest_or_lists_all() -> None:
    assert complaint("band.hgih=0.5").hint == "did you mean 'high'?"
    assert complaint("band.x=0.5").hint == "known keys: low, high, confidence, group_size"
    assert complaint("smapling.seed=1").hint == "did you mean 'sampling'?"


def test_a_section_alone_points_to_its_own_keys() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.parse_section(recipe.BandSection, {"x": 1}, where="--band")
    assert caught.value.where == "--band: x"
    assert caught.value.hint == "known keys: low, high, confidence, group_size"


def test_missing_sections_are_counted() -> None:
    error = complaint(raw={"name": "sums"})
    assert error.message == "required key is missing (and 2 more)"
    assert error.where == "sums.yaml: problems"


@pytest.mark.parametrize("raw", [None, [], "text", 3])
def test_what_is_no_mapping_is_no_recipe(raw: object) -> None:
    assert complaint(raw=raw).message == "a recipe is a mapping of sections"


def test_keys_that_are_no_text_are_refused() -> None:
    assert "not date" in complaint(raw={**SMALLEST, date(2026, 1, 1): 1}).message.replace("datetime.date", "date")
    circular: dict[str, Any] = {**SMALLEST, "engine": {"kind": "scripted", "options": {}}}
    circular["engine"]["options"]["self"] = circular
    assert "cannot be written as JSON" in complaint(raw=circular).message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("band.low", "cannot read 'band.low'"),
        ("=3", "cannot read '=3'"),
        ("band.low=[", "is not YAML"),
        ("band.low={a: 2024-13-45}", "is not YAML"),
        ("name.first=a", "'name' in 'name.first' is not a section"),
    ],
)
def test_a_malformed_override_is_refused(override: str, words: str) -> None:
    error = complaint(override)
    assert error.where == "--set"
    assert words in error.message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: a\nproblems: [\n", 3, "not YAML"),
        ("name: a\nband: {low: 0.1}\nname: b\n", 3, "the key 'name' is there twice"),
        ("name: a\nband:\n  low: 0.1\n  low: 0.2\n", 4, "the key 'low' is there twice"),
    ],
)
def test_broken_yaml_names_the_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RecipeError, match=words) as caught:
        recipe.load(path)
    assert caught.value.where == f"{path}:{line}"


def test_merged_keys_may_be_overridden(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "name: a\nproblems: {source: x}\nmodel: {path: m}\n"
        "engine: {kind: scripted, options: {a: &base {x: 1, y: 2}, b: {<<: *base, x: 3}}}\n",
    )
    assert recipe.load(path).engine.options["b"] == {"x": 3, "y": 2}


def test_a_date_that_the_calendar_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="month must be in"):
        recipe.load(written(tmp_path, "name: 2026-13-01\n"))


def test_a_recipe_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file") as caught:
        recipe.load(tmp_path / "none.yaml")
    assert caught.value.where == str(tmp_path / "none.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: caf\u00e9\n".encode("latin-1"))
    with pytest.raises(RecipeError, match="not UTF-8"):
        recipe.load(path)


# -- fingerprints ---------------------------------------------------------------------------------------------------


def test_a_digest_is_of_canonical_json() -> None:
    canonical = '{"a":[1,2.5,null],"b":"é"}'
    assert recipe.digest({"b": "é", "a": [1, 2.5, None]}) == hashlib.sha256(canonical.encode()).hexdigest()[:16]


def test_the_verifier_fingerprint_depends_on_what_a_verdict_depends_on() -> None:
    def fingerprint(*overrides: str, version: str = "1") -> str:
        return recipe.verifier_fingerprint(recipe.parse(SMALLEST, overrides=overrides).verifier, version)

    assert fingerprint() == fingerprint("verifier.workers=3", "band.low=0.1", "sampling.temperature=0.5")
    different = [
        fingerprint(),
        fingerprint("verifier.kind=exact"),
        fingerprint("verifier.pass_at=0.5"),
        fingerprint("verifier.options={a: 1}"),
        fingerprint(version="2"),
    ]
    assert len(set(different)) == len(different)


def test_the_protocol_holds_what_a_pass_rate_depends_on_and_nothing_else() -> None:
    identity = ModelIdentity("some/model", "c" * 40, "sha256:t")

    def changed(*overrides: str) -> set[str]:
        plain = recipe.protocol(recipe.parse(SMALLEST), identity, "1")
        other = recipe.protocol(recipe.parse(SMALLEST, overrides=overrides), identity, "1")
        assert plain.keys() == other.keys()
        return {key for key in plain if plain[key] != other[key]}

    assert changed("sampling.temperature=0.5") == {"sampling.temperature"}
    assert changed("prompt.system=Be brief.") == {"prompt.system"}
    assert changed("prompt.chat=false") == {"prompt.chat", "model.chat_template"}
    assert changed("sampling.stop=[a]") == {"sampling.stop"}
    assert changed("engine.kind=vllm", "sampling.seed=7", "budget.cap=16", "verifier.workers=2") == set()


def test_a_local_model_is_named_by_its_digest_alone() -> None:
    made = recipe.parse(SMALLEST)
    here = recipe.protocol(made, ModelIdentity("/here/model", "sha256:1", "none"), "1")
    there = recipe.protocol(made, ModelIdentity("/there/model", "sha256:1", "none"), "1")
    other = recipe.protocol(made, ModelIdentity("/here/model", "sha256:2", "none"), "1")
    assert here == there
    assert here != other


# -- paths ----------------------------------------------------------------------------------------------------------


def test_a_name_is_a_path_where_it_exists_or_is_written_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipe.resolve_path("openai/gsm8k") is None
    assert recipe.resolve_path("none.jsonl") == Path("none.jsonl")
    assert recipe.resolve_path("none.jsonl.gz") == Path("none.jsonl.gz")
    assert recipe.resolve_path("./none") == Path("none")
    assert recipe.resolve_path("/none") == Path("/none")
    (tmp_path / "openai" / "gsm8k").mkdir(parents=True)
    assert recipe.resolve_path("openai/gsm8k") == Path("openai/gsm8k")


def test_a_package_path_is_inside_the_installed_package() -> None:
    found = recipe.resolve_path("curate:recipe.py")
    assert found is not None
    assert found.resolve() == Path(recipe.__file__).resolve()
    inner = recipe.resolve_path("curate.engines:none.json")
    assert inner is not None
    assert inner.resolve() == Path(recipe.__file__).resolve().parent / "engines" / "none.json"


@pytest.mark.parametrize("name", ["no_such_package:x.jsonl", "os:x.jsonl", "sys:x.jsonl"])
def test_a_package_that_is_none_leaves_the_name_to_be_complained_of(name: str) -> None:
    assert recipe.resolve_path(name) == Path(name)


def test_a_folder_without_an_init_file_is_a_package_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare_package_of_a_test").mkdir()
    (tmp_path / "bare_package_of_a_test" / "x.jsonl").write_text("{}\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = recipe.resolve_path("bare_package_of_a_test:x.jsonl")
    assert found is not None
    assert found.resolve() == (tmp_path / "bare_package_of_a_test" / "x.jsonl").resolve()
