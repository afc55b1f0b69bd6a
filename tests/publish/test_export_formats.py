"""Exporting: each trainer's columns as its documentation has them, the protocol's own prompts, and what is refused."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from builders import problem, yaml_file
from datasets import load_dataset
from pyarrow import parquet
from released import demo_release, release_of

from curate import export
from curate.errors import CurateError, ReleaseError, UsageError
from curate.publish.trainers import TRAINERS, packed, unpacked
from curate.records import Message, Reason

TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
TRACE = [("problem_id", pa.string()), ("pass_rate", pa.float64())]
EXTRA = pa.struct(
    [
        ("split", pa.string()),
        ("index", pa.int64()),
        *TRACE,
        ("question", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("metadata", pa.string()),
    ]
)
SCHEMAS = {
    "trl": [
        ("prompt", pa.list_(TURN)),
        ("solution", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("question", pa.string()),
        ("metadata", pa.string()),
        *TRACE,
    ],
    "verl": [
        ("data_source", pa.string()),
        ("prompt", pa.list_(TURN)),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        ("extra_info", EXTRA),
    ],
    "openrlhf": [("input", pa.list_(TURN)), ("label", pa.string()), ("datasource", pa.string()), *TRACE],
    "open-instruct": [("messages", pa.list_(TURN)), ("ground_truth", pa.string()), ("dataset", pa.string()), *TRACE],
    "skyrl": [
        ("data_source", pa.string()),
        ("prompt", pa.list_(TURN)),
        ("env_class", pa.string()),
        ("reward_spec", pa.struct([("method", pa.string()), ("ground_truth", pa.string())])),
        ("extra_info", EXTRA),
    ],
    "nemo-rl": [("input", pa.string()), ("output", pa.string()), *TRACE],
}
"""From each trainer's documentation and loader, in the versions that docs/trainers.md names."""


def rows(release: Path, trainer: str, to: Path, **asked: Any) -> list[dict[str, Any]]:
    """What a trainer would read, as Arrow reads it."""
    export(release, trainer=trainer, to=to, **asked)
    if to.suffix == ".parquet":
        found: list[dict[str, Any]] = parquet.read_table(to).to_pylist()
        return found
    return [json.loads(line) for line in to.read_text().splitlines()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_release(tmp_path_factory.mktemp("demo") / "out")


@pytest.mark.parametrize("trainer", sorted(SCHEMAS))
def test_columns_and_types_are_the_trainers(demo: Path, trainer: str, tmp_path: Path) -> None:
    written = export(demo, trainer=trainer, to=tmp_path / "train.parquet")
    schema = parquet.read_schema(written.path)
    assert [(field.name, field.type) for field in schema] == SCHEMAS[trainer]
    assert written.rows == json.loads((demo / "manifest.json").read_text())["rows"]["default"]
    assert list(written.columns) == [name for name, _ in SCHEMAS[trainer]]


@pytest.mark.parametrize("trainer", sorted(SCHEMAS))
def test_json_and_parquet_hold_the_same(demo: Path, trainer: str, tmp_path: Path) -> None:
    assert rows(demo, trainer, tmp_path / "a.jsonl") == rows(demo, trainer, tmp_path / "a.parquet")


def test_a_row_of_each_trainer(tmp_path: Path) -> None:
    out = release_of(
        tmp_path,
        [problem("p", question="2+2?", answers=("4", "four"), metadata={"level": 3})],
        prompt__system="Be brief.",
        prompt__template="Q: {{ question }}",
    )
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q: 2+2?"}]

    def only(trainer: str, **options: Any) -> dict[str, Any]:
        (row,) = rows(out, trainer, tmp_path / "train.jsonl", options=options)
        trace = row.get("extra_info", row)
        assert trace["problem_id"] == "p"
        assert 0.4 < trace["pass_rate"] < 0.6  # 32 of 64 passed
        return row

    found = only("trl")
    assert (found["prompt"], found["solution"], found["answers"]) == (chat, "4", ["4", "four"])
    assert (found["question"], found["metadata"]) == ("2+2?", '{"level": 3}')
    found = only("verl")
    assert (found["data_source"], found["prompt"], found["ability"]) == ("curate/test", chat, "general")
    assert found["reward_model"] == {"style": "rule", "ground_truth": "4"}
    assert (found["extra_info"]["index"], found["extra_info"]["split"]) == (0, "train")
    assert (found["extra_info"]["answers"], found["extra_info"]["metadata"]) == (["4", "four"], '{"level": 3}')
    found = only("openrlhf", datasource="sums")
    assert (found["input"], found["label"], found["datasource"]) == (chat, '["4", "four"]', "sums")
    found = only("open-instruct", dataset="math")
    assert (found["messages"], found["ground_truth"], found["dataset"]) == (chat, '["4", "four"]', "math")
    found = only("skyrl", env_class="gsm8k")
    assert (found["prompt"], found["env_class"]) == (chat, "gsm8k")
    assert found["reward_spec"] == {"method": "rule", "ground_truth": "4"}
    found = only("nemo-rl", system_prompt_file=str(tmp_path / "system.txt"), label="problem_id")
    assert (found["input"], found["output"]) == ("Q: 2+2?", "p")
    assert (tmp_path / "system.txt").read_text() == "Be brief."


def test_the_prompt_of_a_base_model_is_the_text_to_the_last_line_end(tmp_path: Path) -> None:
    out = release_of(tmp_path, [problem("p")], prompt__template="{{ question }}\nA:\n", prompt__chat=False)
    text = "question of p\nA:\n"
    assert rows(out, "trl", tmp_path / "a.parquet")[0]["prompt"] == text
    assert rows(out, "openrlhf", tmp_path / "a.parquet")[0]["input"] == text
    for trainer in ("verl", "skyrl", "open-instruct", "nemo-rl"):
        with pytest.raises(UsageError, match="always applies a chat template") as caught:
            export(out, trainer=trainer, to=tmp_path / "b.parquet")
        assert "--option raw=true" in str(caught.value.hint)
        assert not (tmp_path / "b.parquet").exists()
    raw = rows(out, "verl", tmp_path / "b.parquet", options={"raw": True})
    assert raw[0]["prompt"] == [{"role": "user", "content": text}]


def test_a_problem_that_is_a_chat_keeps_its_turns(tmp_path: Path) -> None:
    turns = (Message("user", "2+2?"), Message("assistant", "4"), Message("user", "+1?"))
    problems = [problem("chat", question="+1?", messages=turns), problem("plain")]
    out = release_of(tmp_path, problems, prompt__system="S", prompt__template="T {{ question }}")
    assert load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))["messages"] == [
        [{"role": turn.role, "content": turn.content} for turn in turns],
        [],
    ]
    chat, plain = rows(out, "verl", tmp_path / "a.parquet")
    assert [(turn["role"], turn["content"]) for turn in chat["prompt"]] == [
        ("system", "S"),
        *((turn.role, turn.content) for turn in turns),
    ]
    assert [turn["content"] for turn in plain["prompt"]] == ["S", "T question of plain"]
    with pytest.raises(UsageError, match=r"takes one user turn after a system message.*system, user, assistant, user"):
        export(out, trainer="nemo-rl", to=tmp_path / "a.jsonl")


def test_a_template_sees_the_metadata(tmp_path: Path) -> None:
    out = release_of(
        tmp_path, [problem("p", metadata={"unit": "cm"})], prompt__template="{{ question }} in {{ metadata.unit }}"
    )
    assert rows(out, "nemo-rl", tmp_path / "a.jsonl")[0]["input"] == "question of p in cm"


def test_open_instruct_would_drop_a_last_turn_of_the_assistant(tmp_path: Path) -> None:
    turns = (Message("user", "2+2?"), Message("assistant", "It is"))
    out = release_of(tmp_path, [problem("p", question="2+2?", messages=turns)])
    with pytest.raises(UsageError, match="drops an assistant's turn"):
        export(out, trainer="open-instruct", to=tmp_path / "a.jsonl")


def test_system_messages_that_differ_do_not_fit_into_one_file(tmp_path: Path) -> None:
    def asked(name: str) -> tuple[Message, ...]:
        return (Message("system", f"You are {name}."), Message("user", "2+2?"))

    out = release_of(tmp_path, [problem(name, question="2+2?", messages=asked(name)) for name in ("a", "b")])
    with pytest.raises(UsageError, match="reads the system message from a file"):
        export(out, trainer="nemo-rl", to=tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match="do not all begin with the same"):
        export(out, trainer="nemo-rl", to=tmp_path / "a.jsonl", options={"system_prompt_file": str(tmp_path / "s")})


def test_a_release_of_imported_rollouts_needs_the_recipe_of_its_prompts(tmp_path: Path) -> None:
    out = release_of(
        tmp_path, [problem("p")], prompt__system="absent", prompt__template="absent", prompt__chat="absent"
    )
    with pytest.raises(UsageError, match="does not say which prompt"):
        export(out, trainer="trl", to=tmp_path / "a.jsonl")
    raw = {
        "name": "r",
        "problems": {"source": "x.jsonl"},
        "model": {"path": "m"},
        "engine": {"kind": "vllm"},
        "prompt": {"template": "{{ question }}!", "chat": False},
    }
    recipe = yaml_file(tmp_path / "recipe.yaml", raw)
    assert rows(out, "trl", tmp_path / "a.jsonl", recipe=recipe)[0]["prompt"] == "question of p!"
    assert tomllib.loads(export(out, trainer="prime-rl", to=tmp_path / "a.toml").path.read_text())


def test_a_recipe_of_another_prompt_is_refused(demo: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="measured under another prompt"):
        export(demo, trainer="trl", to=tmp_path / "a.jsonl", recipe="recipes/gsm8k-vllm.yaml")


def test_prime_rl_is_told_which_ids_to_include(tmp_path: Path) -> None:
    names = ['a "quoted"', "b\\c", "ü\n\x7f"]
    out = release_of(tmp_path, [problem(name) for name in names])
    file = export(out, trainer="prime-rl", to=tmp_path / "ids.toml").path
    assert tomllib.loads(file.read_text()) == {"orchestrator": {"train": {"select": {"include": {"ids": names}}}}}
    export(out, trainer="prime-rl", to=file, options={"table": "select.include"})
    assert tomllib.loads(file.read_text()) == {"select": {"include": {"ids": names}}}


def test_the_control_is_exported_too_and_two_exports_are_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    kept = export(demo, trainer="verl", to=tmp_path / "a.parquet")
    control = export(demo, trainer="verl", to=tmp_path / "control.parquet", config="control")
    assert (kept.rows, kept.config) == (control.rows, "default")
    assert (tmp_path / "a.parquet").read_bytes() != (tmp_path / "control.parquet").read_bytes()
    for ending, trainer in ((".parquet", "verl"), (".jsonl", "trl"), (".toml", "prime-rl")):
        once = export(demo, trainer=trainer, to=tmp_path / f"1{ending}").path.read_bytes()
        assert once == export(demo, trainer=trainer, to=tmp_path / f"2{ending}").path.read_bytes()


def test_problems_without_a_reference_are_left_out_and_counted(tmp_path: Path) -> None:
    out = release_of(
        tmp_path,
        [problem("a"), problem("b", answers=(), set_aside=Reason.UNVERIFIABLE, set_aside_why="no answer")],
    )
    with pytest.raises(ReleaseError, match="no problem has a reference"):
        export(out, trainer="trl", to=tmp_path / "a.jsonl", config="excluded")
    written = export(out, trainer="trl", to=tmp_path / "a.jsonl")
    assert (written.rows, written.without_reference, written.several) == (1, 0, 0)


@pytest.mark.parametrize(
    "answers", [("4",), ("4", "four"), ('["4"]',), ("[1, 2]",), ("[",), ('["a", "b"]', "c"), ("",), ("[]",)]
)
def test_references_that_are_packed_come_back(answers: tuple[str, ...]) -> None:
    assert unpacked(packed(answers)) == answers


def test_a_single_reference_is_packed_as_it_is() -> None:
    assert packed(("[1, 2]",)) == "[1, 2]"


def test_dates_are_refused_in_json_which_would_be_read_as_timestamps(tmp_path: Path) -> None:
    out = release_of(tmp_path, [problem("a", answers=("2024-01-31",)), problem("b", answers=("2024-02-29",))])
    with pytest.raises(UsageError, match="'output' looks like a date"):
        export(out, trainer="nemo-rl", to=tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match="'reward_model' looks like a date"):
        export(out, trainer="verl", to=tmp_path / "a.jsonl")
    assert rows(out, "nemo-rl", tmp_path / "a.parquet")[0]["output"] == "2024-01-31"


@pytest.mark.parametrize(
    ("asked", "said", "hint"),
    [
        ({"trainer": "verl2"}, "unknown trainer 'verl2'", "did you mean 'verl'?"),
        ({"trainer": "open_instruct"}, "unknown trainer 'open_instruct'", "did you mean 'open-instruct'?"),
        ({"trainer": "axolotl"}, "unknown trainer 'axolotl'", f"one of: {', '.join(TRAINERS)}"),
        ({"to": "a.csv"}, "verl reads .parquet and .jsonl files, not '.csv'", "--to a.parquet"),
        ({"to": "a"}, "not 'one without an ending'", "--to a.parquet"),
        ({"trainer": "prime-rl"}, "prime-rl reads .toml files", "--to a.toml"),
        ({"config": "kept"}, "this release has no config 'kept'", "it has default, excluded, control"),
        ({"options": {"data_sorce": "x"}}, "verl has no option 'data_sorce'", "did you mean 'data_source'?"),
        ({"options": {"raw": "yes"}}, "expected true or false, got 'yes'", None),
        ({"options": {"style": ["rule"]}}, "expected a text, got ['rule']", None),
        ({"trainer": "trl", "options": {"x": 1}}, "trl has no option 'x'", "it has none"),
        (
            {"trainer": "openrlhf", "options": {"label": "answer"}},
            "expected reference or problem_id, got 'answer'",
            None,
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], said: str, hint: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        export(demo, **{"trainer": "verl", "to": "a.parquet", **asked})
    assert said in caught.value.message
    if hint is not None:
        assert hint in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_release_says_so(tmp_path: Path) -> None:
    def said(folder: Path) -> str:
        with pytest.raises(ReleaseError) as caught:
            export(folder, trainer="trl", to=tmp_path / "a.jsonl")
        return str(caught.value)

    assert "there is no finished release here" in said(tmp_path / "nowhere")
    out = release_of(tmp_path, [problem("p")])
    assert "this is the manifest of a profile" in said(tmp_path / "profile")
    data = out / "default" / "train-00000-of-00001.parquet"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    assert "not the one that the manifest describes" in said(out)
    data.unlink()
    assert "unreadable" in said(out)
    (out / "manifest.json").write_text("{")
    assert "unreadable manifest" in said(out)
    (out / "manifest.json").write_text("[]")
    assert "the manifest of something else" in said(out)


def test_a_file_that_cannot_be_written_is_named(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CurateError, match="cannot write"):
        export(demo, trainer="trl", to=tmp_path / "file" / "a.jsonl")


@pytest.mark.parametrize("trainer", sorted(TRAINERS))
def test_the_page_names_every_column_and_option(trainer: str) -> None:
    page = (Path(__file__).resolve().parent.parent.parent / "docs" / "trainers.md").read_text()
    sections = {part.splitlines()[0].lower(): part for part in page.split("\n## ")[1:]}
    known = TRAINERS[trainer]
    for name in (*(known.columns(True) if known.prompted else ()), *known.options):
        assert re.search(rf"\b{name}\b", sections[trainer]), f"{name} is not explained"
    assert all(version in page for version in re.findall(r"\d+\.\d+\.\d+", known.reads))
