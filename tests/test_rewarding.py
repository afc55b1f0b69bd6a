"""The verifier of a release as a trainer's reward: each convention, and the pass rates' own verifier or none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from builders import problem
from released import release_of

import curate
from curate.errors import RecipeError, ReleaseError, UsageError, VerifierError


@pytest.fixture(autouse=True)
def _no_workers_left() -> Iterator[None]:
    yield
    curate.close_rewards()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    problems = [problem("p", answers=("4", "four")), problem("q", question="which?", answers=("yes",))]
    return release_of(tmp_path, problems)


def test_trl_gets_a_list_and_none_where_nothing_was_decided(out: Path) -> None:
    reward = curate.reward(out, trainer="trl", workers=1)
    assert reward.__name__ == "curate_reward"
    chat = [[{"role": "assistant", "content": text}] for text in ("\\boxed{Four}", "\\boxed{5}", "yes")]
    found = reward(
        prompts=[[{"role": "user", "content": "2+2?"}]] * 3,
        completions=chat,
        completion_ids=[[1], [2], [3]],
        answers=[["4", "four"], ["4", "four"], [" "]],
        problem_id=["p", "p", "r"],
        trainer_state=None,
    )
    assert found == [1.0, 0.0, None]
    assert reward(completions=["\\boxed{4}"], answers=[["4"]]) == [1.0]


def test_verl_gets_the_same_keys_always_and_0_where_nothing_was_decided(out: Path) -> None:
    score = curate.reward(out, trainer="verl", workers=1)
    told = {"answers": ["4", "four"], "question": "2+2?", "metadata": "{}"}
    assert score(data_source="x", solution_str="\\boxed{four}", ground_truth="4", extra_info=told) == {
        "score": 1.0,
        "acc": 1.0,
        "unscored": 0.0,
    }
    assert score(data_source="x", solution_str="5", ground_truth="4") == {"score": 0.0, "acc": 0.0, "unscored": 0.0}
    assert score(data_source="x", solution_str="5", ground_truth=" ") == {"score": 0.0, "acc": 0.0, "unscored": 1.0}


def test_openrlhf_gets_a_number_for_one_and_its_special_tokens_are_no_answer(out: Path) -> None:
    reward = curate.reward(out, trainer="openrlhf", workers=1)
    prompt = "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    found = reward([f"{prompt}It is\nfour<|im_end|>\n<|endoftext|>"], [prompt], ['["4", "four"]'])
    assert found == {"rewards": 1.0, "scores": 1.0, "extra_logs": {"unscored": 0.0}}
    found = reward([f"{prompt}4", f"{prompt}5", f"{prompt}6"], [prompt] * 3, ["4", "4", " "])
    assert found == {"rewards": [1.0, 0.0, 0.0], "scores": [1.0, 0.0, 0.0], "extra_logs": {"unscored": 1.0}}
    other = curate.reward(out, trainer="openrlhf", ends=("<stop>",), workers=1)
    assert other(["q: four<stop>"], ["q: "], ["four"])["rewards"] == 1.0
    assert other(["q: four</s>"], ["q: "], ["four"])["rewards"] == 0.0


def test_plain_takes_a_label_or_what_is_known_of_the_problem(out: Path) -> None:
    judge = curate.reward(out, workers=1)
    assert judge("\\boxed{four}", '["4", "four"]') == 1.0
    assert judge("\\boxed{4}", "5") == 0.0
    assert judge("\\boxed{4}", " ") is None
    known = {"answers": ["4", "four"], "question": "2+2?", "metadata": "{}"}
    assert judge("\\boxed{four}", "4", known) == 1.0


def test_an_id_as_the_label_gives_the_verifier_the_whole_problem(tmp_path: Path) -> None:
    options = {"options": ["red", "green"]}
    out = release_of(
        tmp_path,
        [problem("p", question="which?", answers=("B",), metadata=options)],
        verifier__kind="choice",
        verifier__options={"column": "options"},
        verifier__version="choice 1",
    )
    judge = curate.reward(out, label="problem_id", workers=1)
    assert judge("\\boxed{green}", "p") == 1.0
    assert judge("\\boxed{red}", "p") == 0.0
    assert curate.reward(out, workers=1)("\\boxed{green}", "B") == 0.0, "without its options green is no letter"
    with pytest.raises(UsageError, match="no problem of the release has the id 'r'"):
        judge("\\boxed{green}", "r")


def test_the_verifier_has_the_options_that_measured(tmp_path: Path) -> None:
    out = release_of(tmp_path, [problem("p")], verifier__options={"case": True})
    judge = curate.reward(out, workers=1)
    assert (judge("\\boxed{Four}", "Four"), judge("\\boxed{four}", "Four")) == (1.0, 0.0)


def test_another_version_than_the_one_that_measured_is_refused(tmp_path: Path) -> None:
    out = release_of(tmp_path, [problem("p")], verifier__version="exact 0")
    with pytest.raises(VerifierError, match="measured by exact 0, and exact 1 is installed"):
        curate.reward(out)
    assert curate.reward(out, any_version=True, workers=1)("\\boxed{4}", "4") == 1.0


def test_rewards_that_a_log_brought_have_no_verifier(tmp_path: Path) -> None:
    out = release_of(tmp_path, [problem("p")], verifier__kind="logged", verifier__version="logged")
    with pytest.raises(VerifierError, match="the log's own"):
        curate.reward(out)


def test_a_function_whose_file_is_elsewhere_is_named(tmp_path: Path) -> None:
    out = release_of(tmp_path, [problem("p")], verifier__kind="mine.py:accuracy", verifier__version="reward 1")
    with pytest.raises(RecipeError, match=r"mine\.py"):
        curate.reward(out)


def test_what_makes_no_sense_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no reward function for 'skyrl'") as caught:
        curate.reward(out, trainer="skyrl")
    assert "wrap plain" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no reward function for 'Verl'") as caught:
        curate.reward(out, trainer="Verl")
    assert caught.value.hint == "did you mean 'verl'?"
    with pytest.raises(UsageError, match="expected reference or problem_id"):
        curate.reward(out, label="answer")
    with pytest.raises(ReleaseError, match="there is no finished release here"):
        curate.reward(tmp_path / "nowhere")


def test_many_threads_may_ask_at_once(out: Path) -> None:
    score = curate.reward(out, trainer="verl", workers=2)

    def asked(number: int) -> float:
        found: float = score(data_source="x", solution_str=f"\\boxed{{{number % 7}}}", ground_truth="4")["score"]
        return found

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(asked, range(70)))
    assert found == [float(number % 7 == 4) for number in range(70)]


def test_its_workers_end_with_the_process_that_asked(out: Path) -> None:
    code = (
        "import curate, psutil, sys\n"
        f"assert curate.reward({str(out)!r}, workers=1)('\\\\boxed{{4}}', '4') == 1.0\n"
        "print(*[child.pid for child in psutil.Process().children(recursive=True)])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    workers = [int(pid) for pid in said.stdout.split()]
    assert workers
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=10)
    assert alive == []


def test_no_worker_stays_when_rewards_are_closed(out: Path) -> None:
    score = curate.reward(out, trainer="verl", workers=1)
    told = {"data_source": "x", "solution_str": "\\boxed{4}", "ground_truth": "4"}
    assert score(**told)["score"] == 1.0
    workers = [one for one in psutil.Process().children() if "curate.verifiers.worker" in " ".join(one.cmdline())]
    assert workers
    curate.close_rewards()
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in workers)
    with pytest.raises(VerifierError, match="closed"):
        score(**told)
