"""The training script, run for a few steps, and the tokenizer and chat template that it writes."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.demo.families import FAMILIES, SMALL, problem_set
from curate.demo.train import CHARACTERS, MIXTURE, Examples

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

MODEL = Path(str(files("curate.demo"))) / "model"
PROBLEMS = MODEL.parent / "problems.jsonl"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(MODEL)


def test_a_few_steps_write_a_whole_demo_and_the_same_seed_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "curate.demo.train", "--steps", "3", "--seed", "7", "--to"]
    runs = [subprocess.Popen([*command, tmp_path / name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    for run in runs:
        _, complaint = run.communicate()
        assert run.returncode == 0, complaint
    names = sorted(path.name for path in MODEL.iterdir())
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert sorted(path.name for path in (folder / "model").iterdir()) == names
        assert (folder / "problems.jsonl").read_bytes() == PROBLEMS.read_bytes()
    for name in names:
        assert (tmp_path / "a/model" / name).read_bytes() == (tmp_path / "b/model" / name).read_bytes()
    weights = "model.safetensors"
    assert (tmp_path / "a/model" / weights).read_bytes() != (MODEL / weights).read_bytes()
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "a/model").num_parameters() == 342_336


def test_the_shipped_model_is_at_most_two_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 2_000_000


def test_every_family_is_trained() -> None:
    assert list(MIXTURE) == list(FAMILIES)


def test_training_leaves_the_files_problems_out_but_for_the_small_families(tokenizer: Any) -> None:
    examples = Examples(tokenizer, seed=1)
    texts = [text for _ in range(40) for text in tokenizer.batch_decode(examples.batch()[0])]
    asked = {text.split("<user>")[1].split("<assistant>")[0] for text in texts}
    assert len(texts) == 40 * 32
    shared = {exercise.family for exercise in problem_set() if exercise.question in asked}
    assert shared == set(SMALL)


def test_examples_teach_the_answer_and_the_end_only(tokenizer: Any) -> None:
    ids, labels = Examples(tokenizer, seed=2).batch()
    for row, learnt in zip(ids, labels, strict=True):
        answer = tokenizer.decode([token for token in learnt.tolist() if token != -100])
        assert answer.endswith(r"}</s>")
        whole = tokenizer.decode(row.tolist()).rstrip("<pad>")
        assert whole.rsplit("<assistant>", 1)[1].startswith(answer.removesuffix(">"))


@given(st.text(CHARACTERS, max_size=60).filter(lambda text: "<" not in text))
def test_ascii_text_round_trips_one_token_a_character(text: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text


def test_the_files_questions_and_solutions_round_trip(tokenizer: Any) -> None:
    for exercise in problem_set():
        for text in (exercise.question, exercise.worked, exercise.bare):
            assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text


def test_other_characters_are_unknown_rather_than_dropped(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("3×4")) == ["3", "<unk>", "4"]


def test_a_rendered_chat_begins_once_and_is_not_begun_again_by_the_tokenizer(tokenizer: Any) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2+9?"}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text == "<s><system>Be brief.<user>What is 2+9?<assistant>"
    plain = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.encode(text) == plain
    assert plain.count(tokenizer.bos_token_id) == 1
    assert tokenizer.eos_token_id not in plain
    answered = [*chat, {"role": "assistant", "content": r"\boxed{11}"}]
    assert tokenizer.apply_chat_template(answered, tokenize=False) == text + r"\boxed{11}</s>"
