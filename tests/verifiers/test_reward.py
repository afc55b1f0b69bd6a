"""Reward functions of the trainers as verifiers: found, called as their trainer would, and never able to harm a run."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest
from builders import jsonl, rehearsal

from curate import profile
from curate.errors import LedgerError, RecipeError, VerifierError
from curate.importing import import_rollouts
from curate.ledger import Ledger
from curate.recipe import VerifierSection, verifier_fingerprint
from curate.records import Case, Judgement, Message, Prompt, VerdictKind
from curate.verifiers import connect, judge_all

WITHOUT = "the trainers are not installed; `make test` installs what tests/requirements-trainers.txt names"

CHAT = Prompt(
    messages=(Message("system", "be brief"), Message("user", "what is 2+2?")), text="<s>be brief<u>what is 2+2?<a>"
)


def write(folder: Path, code: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(code))
    return file


def section(kind: str, **options: Any) -> VerifierSection:
    return VerifierSection(kind=kind, options=options, workers=1)


def judged(folder: Path, code: str, *cases: Case, function: str = "f", **options: Any) -> list[Judgement]:
    """The judgements of a function that is written to a file."""
    return judge_all(section(f"{write(folder, code)}:{function}", **options), cases)


def case(completion: str = "4", answer: str = "4", **fields: Any) -> Case:
    return Case((answer,), completion, **{"question": "what is 2+2?", **fields})


def rewards(judgements: Sequence[Judgement]) -> list[float | None]:
    return [judgement.reward for judgement in judgements]


def echo(folder: Path, signature: str, shown: str, *cases: Case, **options: Any) -> list[str]:
    """What a function with this signature was given: it raises what is to be shown, and the reasons tell."""
    code = f"""
        class Told(Exception):
            pass
        def f({signature}):
            raise Told({shown})
    """
    told = judged(folder, code, *cases, **options)
    assert {judgement.kind for judgement in told} == {VerdictKind.UNSCORED}
    return [judgement.reason.removeprefix("error: Told: ") for judgement in told]


# -- the styles -------------------------------------------------------------------------------------------------------


def test_plain_is_completion_and_answer(tmp_path: Path) -> None:
    code = """
        def f(completion, answer):
            return completion.strip() == answer
    """
    found = judged(tmp_path, code, case("4"), case(" 4 "), case("5"))
    assert [str(judgement.kind) for judgement in found] == ["pass", "pass", "fail"]
    assert {judgement.reason for judgement in found} == {"rewarded"}


def test_a_plain_function_with_names_of_its_own_is_called_by_place_when_the_style_is_named(tmp_path: Path) -> None:
    code = """
        def f(out, gold, *, partial=0.5):
            return 1 if out == gold else partial
    """
    assert rewards(judged(tmp_path, code, case("4"), case("5"), style="plain")) == [1.0, 0.5]
    assert rewards(judged(tmp_path, code, case("5"), style="plain", arguments={"partial": 0.25})) == [0.25]


def test_trl_gets_lists_of_one_and_text_where_the_prompt_is_text(tmp_path: Path) -> None:
    shown = "(prompts, completions, completion_ids, solution, level)"
    given = case("four", prompt=Prompt(text="2+2?"), metadata={"level": 3})
    (told,) = echo(tmp_path, "prompts, completions, completion_ids, solution, level", shown, given)
    assert told == "(['2+2?'], ['four'], [None], ['4'], [3])"


def test_trl_gets_messages_where_the_prompt_is_a_chat(tmp_path: Path) -> None:
    given = case("four", prompt=CHAT)
    assert echo(tmp_path, "completions, **kwargs", "completions", given) == [
        "[[{'role': 'assistant', 'content': 'four'}]]"
    ]
    assert echo(tmp_path, "prompts, completions", "prompts[0][0], len(prompts[0])", given) == [
        "({'role': 'system', 'content': 'be brief'}, 2)"
    ]


def test_trl_completions_can_be_told_as_the_other_kind(tmp_path: Path) -> None:
    shown = "(prompts, completions)"
    assert echo(tmp_path, "prompts, completions", shown, case("four"), completions="chat") == [
        "([[{'role': 'user', 'content': 'what is 2+2?'}]], [[{'role': 'assistant', 'content': 'four'}]])"
    ]
    assert echo(tmp_path, "prompts, completions", shown, case("four", prompt=CHAT), completions="text") == [
        "(['<s>be brief<u>what is 2+2?<a>'], ['four'])"
    ]


def test_trl_passes_every_column_to_a_function_that_takes_them_all(tmp_path: Path) -> None:
    given = case(metadata={"level": 3, "solution": "two and two make four"})
    shown = "[kw[name] for name in ('level', 'solution', 'answer', 'question', 'trainer_state')]"
    assert echo(tmp_path, "completions, **kw", shown, given) == [
        "[[3], ['two and two make four'], ['4'], ['what is 2+2?'], None]"
    ]


def test_trl_may_log_and_may_be_async_and_keeps_one_loop(tmp_path: Path) -> None:
    code = """
        import asyncio
        loops = set()
        async def f(completions, answer, log_metric, **kwargs):
            await asyncio.sleep(0)
            log_metric("seen", 1.0)
            loops.add(id(asyncio.get_running_loop()))
            return [float(len(loops))]
    """
    assert rewards(judged(tmp_path, code, case(), case(), case())) == [1.0, 1.0, 1.0]


def test_verl_is_given_its_four(tmp_path: Path) -> None:
    shown = "(data_source, solution_str, ground_truth, extra_info)"
    row = {"data_source": "openai/gsm8k", "extra_info": {"index": 7}, "reward_model": {"ground_truth": "IV"}}
    signature = "data_source, solution_str, ground_truth, extra_info=None"
    assert echo(tmp_path, signature, shown, case("four", metadata=row)) == [
        "('openai/gsm8k', 'four', '4', {'index': 7})"
    ]
    flat = {"level": 3, "reward_model": {"ground_truth": "IV"}}
    named = {"data_source": "mine", "columns": {"ground_truth": "reward_model.ground_truth"}}
    assert echo(tmp_path, signature, shown, case("four", metadata=flat), **named) == [f"('mine', 'four', 'IV', {flat})"]


def test_verl_without_a_data_source_is_unscored(tmp_path: Path) -> None:
    code = """
        def f(data_source, solution_str, ground_truth):
            return 1.0
    """
    (found,) = judged(tmp_path, code, case())
    assert (found.kind, found.reason) == (
        VerdictKind.UNSCORED,
        "error: no column 'data_source' for the parameter of that name",
    )


def test_verl_returns_a_number_or_a_mapping(tmp_path: Path) -> None:
    code = """
        def f(solution_str, ground_truth):
            return {"score": -1.0, "acc": True, "pred": solution_str} if ground_truth == "4" else 0.5
    """
    assert rewards(judged(tmp_path, code, case(), case(answer="5"))) == [-1.0, 0.5]
    found = judged(tmp_path, code, case(), case(answer="5"), key="acc")
    assert rewards(found) == [1.0, None]
    assert found[1].reason == "error: returned 0.5, no mapping with 'acc'"


def test_openrlhf_is_called_by_place_with_what_the_model_saw(tmp_path: Path) -> None:
    shown = "(queries, prompts, labels)"
    assert echo(tmp_path, "queries, prompts, labels, **kwargs", shown, case("four", prompt=Prompt(text="2+2=")))[0] == (
        "(['2+2=four'], ['2+2='], ['4'])"
    )
    code = """
        def f(q, p, l):
            return {"rewards": [0.5], "scores": [1.0]} if q[0].removeprefix(p[0]) == l[0] else [0.0]
    """
    both = [case("4", prompt=CHAT), case("5", prompt=CHAT)]
    assert rewards(judged(tmp_path, code, *both, style="openrlhf")) == [0.5, 0.0]
    assert rewards(judged(tmp_path, code, *both, style="openrlhf", key="scores")) == [1.0, None]


def test_openrlhf_may_return_a_tensor(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code = """
        import torch
        def f(queries, prompts, labels):
            reward = torch.tensor([float(label in query) for query, label in zip(queries, labels)])
            whole = {"rewards": reward, "scores": reward, "extra_logs": {"mean": reward.mean()}}
            return whole if "d" in queries[0] else reward
    """
    assert rewards(judged(tmp_path, code, case("4 d"), case("4"), case("5"), case("5 d"))) == [1.0, 1.0, 0.0, 0.0]
    assert (
        "torch"
        not in subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from curate.recipe import VerifierSection; from curate.verifiers import connect;"
                f"connect(VerifierSection(kind={str(tmp_path / 'mine.py') + ':f'!r})); print(*sys.modules)",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    )


OPEN_INSTRUCT = """
    from abc import ABC, abstractmethod
    from dataclasses import dataclass

    @dataclass
    class VerificationResult:
        score: float
        cost: float = 0.0

    class VerifierFunction(ABC):
        def __init__(self, name, weight=1.0, verifier_config=None):
            self.name, self.weight, self.verifier_config = name, weight, verifier_config

        @abstractmethod
        def __call__(self, tokenized_prediction, prediction, label, query=None) -> VerificationResult: ...

    class Same(VerifierFunction):
        def __init__(self, verifier_config=None, right=1.0):
            super().__init__("same", verifier_config=verifier_config)
            self.right = right

        def __call__(self, tokenized_prediction, prediction, label, query=None) -> VerificationResult:
            return VerificationResult(score=self.right * (prediction == label))

    class Inherits(Same):
        pass

    same = Same(right=0.25)
"""


@pytest.mark.parametrize("name", ["Same", "Inherits"])
def test_open_instruct_classes_are_made_once(tmp_path: Path, name: str) -> None:
    assert rewards(judged(tmp_path, OPEN_INSTRUCT, case("4"), case("5"), function=name)) == [1.0, 0.0]
    half = {"arguments": {"right": 0.5}}
    assert rewards(judged(tmp_path, OPEN_INSTRUCT, case("4"), function=name, **half)) == [0.5]


def test_open_instruct_instances_are_taken_as_they_are(tmp_path: Path) -> None:
    assert rewards(judged(tmp_path, OPEN_INSTRUCT, case("4"), function="same")) == [0.25]


# -- columns and references -------------------------------------------------------------------------------------------


def test_a_parameter_may_be_another_column(tmp_path: Path) -> None:
    columns = {"gold": "answer", "hint": "notes.hint", "asked": "question"}
    given = case(metadata={"notes": {"hint": "even"}})
    assert echo(tmp_path, "completion, gold, hint, asked", "(gold, hint, asked)", given, columns=columns) == [
        "('4', 'even', 'what is 2+2?')"
    ]


def test_a_missing_column_is_named_and_a_default_stands(tmp_path: Path) -> None:
    assert echo(tmp_path, "completion, level=1", "level", case(), case(metadata={"level": 2})) == ["1", "2"]
    (found,) = judged(tmp_path, "def f(completion, level): return 1", case())
    assert found.reason == "error: no column 'level' for the parameter of that name"
    (found,) = judged(tmp_path, "def f(completion, level): return 1", case(), columns={"level": "grade"})
    assert found.reason == "error: no column 'grade' for the parameter 'level'"


def test_of_several_references_the_best_rewarded_counts(tmp_path: Path) -> None:
    code = """
        def f(completion, answer):
            return None if answer == "?" else {"4": 1.0, "four": 0.5}[answer] * (completion == answer)
    """
    cases = [Case(("?", "four", "4"), given) for given in ("4", "four", "5")]
    assert rewards(judged(tmp_path, code, *cases)) == [1.0, 0.5, 0.0]


def test_only_a_function_that_asks_for_a_reference_needs_one(tmp_path: Path) -> None:
    code = """
        def f(completion): return len(completion) < 3
        def g(completion, answer): return 1
    """
    (found,) = judged(tmp_path, code, Case((), "4"))
    assert found.kind is VerdictKind.PASS
    (found,) = judged(tmp_path, code, Case((), "4"), function="g")
    assert (found.kind, found.reason) == (VerdictKind.UNSCORED, "no reference")


# -- what is no reward ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("None", "not scored"),
        ("float('nan')", "error: returned nan, which is no reward"),
        ("float('inf')", "error: returned inf, which is no reward"),
        ("-float('inf')", "error: returned -inf, which is no reward"),
        ("10**400", "error: returned a number too large to be a reward"),
        ("'1.0'", "error: returned '1.0', which is no number"),
        ("[1.0]", "error: returned [1.0], which is no number"),
        ("1j", "error: returned 1j, which is no number"),
        ("{'acc': 1.0}", "error: returned a mapping without 'score': ['acc']"),
        ("1 / 0", "error: ZeroDivisionError: division by zero"),
        ("np.array([1.0, 0.0])", "error: returned array([1., 0.]), which is no number"),
        ("np.float32('nan')", "error: returned nan, which is no reward"),
    ],
)
def test_what_is_no_reward_is_unscored_and_says_what_came_back(tmp_path: Path, returned: str, reason: str) -> None:
    code = f"""
        import numpy as np
        def f(completion, answer):
            return {returned}
    """
    (found,) = judged(tmp_path, code, case())
    assert (found.kind, found.reward, found.reason) == (VerdictKind.UNSCORED, None, reason)


@pytest.mark.parametrize("returned", ["True", "1", "np.float32(1)", "np.bool_(True)", "np.array(1.0)", "Fraction(1)"])
def test_numbers_of_any_make_are_rewards(tmp_path: Path, returned: str) -> None:
    code = f"""
        import numpy as np
        from fractions import Fraction
        def f(completion, answer):
            return {returned}
    """
    assert rewards(judged(tmp_path, code, case())) == [1.0]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("[None]", "not scored"),
        ("[]", "error: returned 0 rewards for one completion"),
        ("[1.0, 0.0]", "error: returned 2 rewards for one completion"),
        ("1.0", "error: returned 1.0 and no list of one reward"),
        ("None", "error: returned None and no list of one reward"),
        ("'1'", "error: returned '1' and no list of one reward"),
        ("[float('nan')]", "error: returned nan, which is no reward"),
        ("['1']", "error: returned '1', which is no number"),
    ],
)
def test_trl_must_return_one_reward_in_a_list(tmp_path: Path, returned: str, reason: str) -> None:
    (found,) = judged(tmp_path, f"def f(completions, **kwargs): return {returned}", case())
    assert (found.kind, found.reason) == (VerdictKind.UNSCORED, reason)


# -- nothing that a function does costs another rollout ---------------------------------------------------------------

HARMFUL = """
    import asyncio, ctypes, os, signal, sys, time

    def f(completion, answer):
        if completion == "loops":
            while True:
                pass
        if completion == "sleeps":
            time.sleep(600)
        if completion == "swallows":
            try:
                time.sleep(600)
            except:
                return 0.0
        if completion == "swallows on":
            while True:
                try:
                    time.sleep(600)
                except:
                    pass
        if completion == "disarms":
            signal.alarm(0)
            time.sleep(1.3)
            return 0.0
        if completion == "hangs in C":
            ctypes.PyDLL(None).sleep(600)
        if completion == "leaves":
            os._exit(3)
        if completion == "exits":
            sys.exit("enough")
        if completion == "prints":
            print("x" * 100_000, flush=True)
            os.write(1, b"\\x00" * 64)
            sys.stdout.buffer.write(b"y" * 64)
            print(input() if False else sys.stdin.read())
        return 1.0

    async def waits(completion, answer):
        await asyncio.sleep(600 if completion == "sleeps" else 0)
        return 1.0
"""


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("loops", "timeout"),
        ("sleeps", "timeout"),
        ("swallows", "timeout"),
        ("swallows on", "timeout"),
        ("disarms", "timeout"),
        ("hangs in C", "timeout"),
        ("leaves", "worker died"),
        ("exits", "worker died"),
        ("prints", "rewarded"),
    ],
)
def test_a_function_harms_only_its_own_rollout(
    tmp_path: Path, completion: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = judged(tmp_path, HARMFUL, case("before"), case(completion), case("after"), timeout=1)
    assert [judgement.reason for judgement in found] == ["rewarded", reason, "rewarded"]
    assert found[1].reward == (1.0 if reason == "rewarded" else None)
    assert capfd.readouterr().out == ""


def test_what_a_function_started_ends_with_its_worker(tmp_path: Path) -> None:
    code = f"""
        import subprocess, sys
        def f(completion, answer):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
            while True:
                try:
                    child.wait()
                except:
                    pass
    """
    (found,) = judged(tmp_path, code, case(), timeout=1)
    assert found.reason == "timeout"
    with contextlib.suppress(psutil.NoSuchProcess):
        child = psutil.Process(int((tmp_path / "child").read_text()))
        assert child.status() == psutil.STATUS_ZOMBIE or child.wait(10) is None


def test_an_async_function_that_hangs_is_ended_and_the_next_one_runs(tmp_path: Path) -> None:
    found = judged(tmp_path, HARMFUL, case("sleeps"), case("after"), function="waits", timeout=1)
    assert [judgement.reason for judgement in found] == ["timeout", "rewarded"]


# -- finding the function ---------------------------------------------------------------------------------------------


def test_a_file_is_a_path_from_the_working_directory_and_sees_its_siblings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "RIGHT = 0.75", "rewards/siblings.py")
    write(tmp_path, "from siblings import RIGHT\ndef f(completion, answer): return RIGHT", "rewards/mine.py")
    monkeypatch.chdir(tmp_path)
    assert rewards(judge_all(section("rewards/mine.py:f"), [case()])) == [0.75]


def test_a_module_is_found_in_the_working_directory_without_running_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "import os; open('ran', 'a').write(f'{os.getpid()} ')", "made/__init__.py")
    write(tmp_path, "from .inner import f as reward", "made/math.py")
    write(tmp_path, "def f(completion, answer): return 1", "made/inner.py")
    monkeypatch.chdir(tmp_path)
    pool = connect(section("made.math:reward"))
    assert not (tmp_path / "ran").exists()
    assert "(plain, inner.py sha256:" in pool.version
    assert rewards(judge_all(section("made.math:reward"), [case()])) == [1.0]
    assert (tmp_path / "ran").exists()
    assert "made" not in sys.modules


@pytest.mark.parametrize(
    "code",
    [
        "import functools\n@functools.lru_cache\ndef f(completion, answer): return 1",
        "f = lambda completion, answer: 1",
        "def made():\n    def f(completion, answer): return 1\n    return f\nf = made()",
        "def __getattr__(name):\n    assert name == 'f', name\n    return lambda completion, answer: 1",
        "globals()['f'] = lambda completion, answer: 1",
        "if True:\n    def f(completion, answer): return 1\nelse:\n    def f(completions): return [0]",
        "class F:\n    def judge(self, completion, answer): return 1\nf = F().judge",
    ],
    ids=["decorated", "lambda", "made", "getattr", "globals", "branches", "method"],
)
def test_what_only_an_import_can_tell_is_told_by_the_worker(tmp_path: Path, code: str) -> None:
    file = write(tmp_path, code)
    assert connect(section(f"{file}:f")).version.startswith("reward 1 (mine.py sha256:")
    assert rewards(judge_all(section(f"{file}:f"), [case()])) == [1.0]


MIXED = """
    import json
    WEIGHT = 1.0
    def right_answer(completion, answer): return 1
    def strange(response, gold): return 1
    def both(completions, solution_str): return 1
    def nothing(): return 1
"""


@pytest.mark.parametrize(
    ("kind", "said", "hint"),
    [
        ("{folder}/yours.py:f", "there is no file", "working directory"),
        ("{folder}/mine.txt:f", "is no Python file", "path/file.py:function"),
        ("{file}:wright_answer", "has no function 'wright_answer'", "did you mean 'right_answer'?"),
        ("{file}:WEIGHT", "is no function", "path/file.py:function"),
        ("{file}:json", "is no function", "path/file.py:function"),
        ("{file}:", "names no function", "path/file.py:function"),
        ("{file}:1", "names no function", "path/file.py:function"),
        ("no.such.module:f", "there is no module 'no.such.module'", "no module 'no'"),
        ("curate.no_such:f", "there is no module 'curate.no_such'", "no module 'curate.no_such'"),
        ("time:sleep", "there is no module 'time'", "among what is installed"),
        ("{file}:strange", "takes (response, gold), which fits no trainer's style", "plain: f(completion, answer)"),
        ("{file}:both", "which fits trl and verl", "verifier.options.style"),
        ("{file}:nothing", "takes (nothing), which fits no trainer's style", "openrlhf: reward_func"),
    ],
)
def test_what_cannot_be_a_reward_function_is_refused_before_anything_runs(
    tmp_path: Path, kind: str, said: str, hint: str
) -> None:
    file = write(tmp_path, MIXED)
    with pytest.raises(RecipeError) as raised:
        connect(section(kind.format(folder=tmp_path, file=file)))
    assert said in raised.value.message
    assert hint in str(raised.value.hint)
    assert str(raised.value.where).startswith("verifier.")


def test_a_file_that_is_no_python_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mine\.py, line 2: not Python"):
        connect(section(f"{write(tmp_path, 'x = 1' + chr(10) + 'def f(:')}:f"))


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        ("import no_such_library\ndef f(completion): return 1", {}, "No module named 'no_such_library'"),
        ("raise SystemExit('run me with torchrun')\ndef f(completion): return 1", {}, "run me with torchrun"),
        ("f = dict(a=1)", {}, "dict and no function"),
        ("f = (lambda: lambda out, gold: 1)()", {}, "fits no trainer's style"),
        ("globals()['g'] = 1", {}, "has no function 'f'"),
        ("def f(completion): return 1", {"arguments": {"wieght": 1}}, "no parameter 'wieght'"),
        ("def f(completion, weight): return 1", {"columns": {"wieght": "w"}}, "did you mean 'weight'"),
        ("class f:\n    def __init__(self, n): pass\n    def __call__(self, completion): return 1", {}, "'n'"),
    ],
    ids=["import", "exits", "no function", "no style", "no name", "argument", "column", "constructor"],
)
def test_what_shows_only_in_a_worker_is_said_when_the_pool_starts(
    tmp_path: Path, code: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(VerifierError) as raised:
        judged(tmp_path, code, case(), **options)
    assert "worker did not start" in raised.value.message
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"style": "ray"}, "verifier.options.style"),
        ({"columns": ["answer"]}, "verifier.options.columns"),
        ({"columns": {"gold": 1}}, "verifier.options.columns.gold"),
        ({"arguments": "x"}, "verifier.options.arguments"),
        ({"timeout": 0.5}, "verifier.options.timeout"),
        ({"tolerance": 1.0}, "verifier.options.tolerance"),
    ],
)
def test_a_bad_option_of_a_reward_function_is_named(tmp_path: Path, options: dict[str, Any], where: str) -> None:
    file = write(tmp_path, "def f(completion, answer): return 1")
    with pytest.raises(RecipeError) as raised:
        connect(section(f"{file}:f", **options))
    assert raised.value.where == where


# -- the fingerprint --------------------------------------------------------------------------------------------------


def test_the_fingerprint_follows_the_file_and_the_options_and_no_folder(tmp_path: Path) -> None:
    def fingerprint(folder: str, code: str, **options: Any) -> str:
        made = section(f"{write(tmp_path / folder, code)}:f", **options)
        pool = connect(made)
        assert str(tmp_path) not in pool.version
        return verifier_fingerprint(made, pool.version)

    code = "def f(completion, answer): return 1"
    first = fingerprint("here", code)
    assert fingerprint("there", code) == first
    assert fingerprint("here", code + "  # changed") != first
    assert fingerprint("here", code, style="plain") != first
    assert fingerprint("here", code, arguments={}) != first


def test_a_function_that_changes_while_a_run_goes_on_is_not_used(tmp_path: Path) -> None:
    kind = f"{write(tmp_path, 'def f(completion, answer): return 1')}:f"
    pool = connect(section(kind))
    write(tmp_path, "def f(completion, answer): return 0")

    async def run() -> None:
        try:
            await pool.start()
        finally:
            await pool.close()

    with pytest.raises(VerifierError, match="has changed since this run began"):
        asyncio.run(run())


# -- through the whole ------------------------------------------------------------------------------------------------

LENIENT = """
    def reward(prompts, completions, answer, **kwargs):
        assert prompts[0][-1]["content"].startswith("what is 4, asked"), prompts
        return [1.0 if one[0]["content"].strip().endswith(gold) else None for one, gold in zip(completions, answer)]
"""


def test_a_profile_is_made_by_the_reward_of_the_trainer(tmp_path: Path) -> None:
    file = write(tmp_path, LENIENT, "rewards.py")
    recipe = rehearsal(
        tmp_path,
        3,
        script={"default": {"right": "it is 4", "wrong": "no idea", "pass_rate": 0.5}},
        verifier={"kind": f"{file}:reward", "workers": 1},
    )
    summary = profile(recipe, into=tmp_path / "out", fixed_n=16)
    assert summary.rollouts == 48
    ledger = Ledger(tmp_path / "out")
    manifest = ledger.manifest()
    told = ledger.verdicts(manifest["verifier_fingerprint"], ["problem_id", "index", "verdict", "reason"])
    texts = {(name, index): text for name, index, text in ledger.rollouts(["problem_id", "index", "completion"]).rows()}
    assert told.height == 48
    for name, index, verdict, reason in told.rows():
        right = texts[name, index] == "it is 4"
        assert (verdict, reason) == (("pass", "rewarded") if right else ("unscored", "not scored"))
    assert manifest["protocol"]["verifier.kind"] == "rewards.py:reward"
    assert "rewards.py sha256:" in manifest["protocol"]["verifier.version"]
    assert manifest["recipe"]["verifier"]["kind"] == "rewards.py:reward"

    write(tmp_path, LENIENT + "\n    # kinder\n", "rewards.py")
    with pytest.raises(LedgerError, match=r"verifier\.version was 'reward 1"):
        profile(recipe, into=tmp_path / "out", fixed_n=16)


def test_an_import_is_judged_by_a_reward_function(tmp_path: Path) -> None:
    file = write(tmp_path, "def f(completions, answer): return [float(completions[0] == answer[0])]")
    rows = [{"question": "2+2?", "answer": "4", "completion": text} for text in ("4", "5", "4", "4")]
    imported = import_rollouts(
        jsonl(tmp_path / "log.jsonl", rows), format="jsonl", into=tmp_path / "out", verifier=section(f"{file}:f")
    )
    assert imported.rollouts == 4
    ledger = Ledger(tmp_path / "out")
    assert ledger.manifest()["protocol"]["verifier.kind"] == "mine.py:f"
    told = ledger.verdicts(ledger.manifest()["verifier_fingerprint"], ["problem_id", "index", "reward"])
    assert {index: reward for _, index, reward in told.rows()} == {0: 1.0, 1: 0.0, 2: 1.0, 3: 1.0}


# -- the trainers' own functions --------------------------------------------------------------------------------------


def test_the_accuracy_reward_of_trl(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason=WITHOUT)
    cases = [
        case(r"so it is \boxed{\frac{1}{2}}", r"$\frac{1}{2}$", prompt=CHAT),
        case(r"so it is \boxed{0.5}", r"$\frac{1}{2}$", prompt=CHAT),
        case(r"so it is \boxed{2}", r"$\frac{1}{2}$", prompt=CHAT),
        case(r"so it is \boxed{2}", "no formula", prompt=CHAT),
    ]
    made = section("trl.rewards:accuracy_reward")
    assert connect(made).version.startswith("reward 1 (trl, accuracy_rewards.py sha256:")
    assert connect(made).version.endswith(f", trl {version('trl')})")
    assert rewards(judge_all(made, cases)) == [1.0, 1.0, 0.0, None]


def test_the_format_reward_of_trl() -> None:
    pytest.importorskip("trl", reason=WITHOUT)
    cases = [case("<think>\nhm\n</think>\n4", prompt=CHAT), case("4", prompt=CHAT)]
    assert rewards(judge_all(section("trl.rewards:think_format_reward"), cases)) == [1.0, 0.0]


def verl_file(name: str) -> str:
    """A file of verl's rewards by its path: the package itself imports Ray."""
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(WITHOUT)
    return str(Path(next(iter(spec.submodule_search_locations))) / "utils" / "reward_score" / f"{name}.py")


def test_the_gsm8k_score_of_verl() -> None:
    kind = f"{verl_file('gsm8k')}:compute_score"
    cases = [case("so #### 1,072", "1072"), case("so #### 7", "1072"), case("so 1072", "1072")]
    assert rewards(judge_all(section(kind), cases)) == [1.0, 0.0, 0.0]
    assert rewards(judge_all(section(kind, arguments={"method": "flexible"}), cases[1:])) == [0.0, 1.0]


def test_the_math_score_of_verl() -> None:
    kind = f"{verl_file('math_reward')}:compute_score"
    cases = [case(r"\boxed{\frac12}", r"\frac{1}{2}"), case(r"\boxed{0.5}", r"\frac{1}{2}"), case("4", "4")]
    assert rewards(judge_all(section(kind), cases)) == [1.0, 1.0, 0.0]


def test_the_dapo_score_of_verl_is_a_mapping() -> None:
    kind = f"{verl_file('math_dapo')}:compute_score"
    cases = [case("so\nAnswer: 34", "34"), case("so\nAnswer: 35", "34")]
    assert rewards(judge_all(section(kind), cases)) == [1.0, -1.0]
    assert rewards(judge_all(section(kind, key="acc"), cases)) == [1.0, 0.0]
