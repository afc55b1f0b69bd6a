"""The pool through its public door: order, hangs, deaths, concurrency, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psutil
import pytest

from curate.errors import VerifierError
from curate.recipe import VerifierSection
from curate.records import Case, Comparison, Judgement, VerdictKind
from curate.verifiers import connect, judge_all
from curate.verifiers.pool import VerifierPool

T = TypeVar("T")

# A tower of powers: evaluating it takes longer than anyone has.
HANGS = "\\boxed{5^{5^{5^{5^5}}}}"


def section(kind: str = "math", *, workers: int = 1, timeout: int = 5, pass_at: float = 1.0) -> VerifierSection:
    return VerifierSection(kind=kind, options={"timeout": timeout}, workers=workers, pass_at=pass_at)


def case(reference: str, answer: str) -> Case:
    return Case((reference,), f"We find \\boxed{{{answer}}}.")


def with_pool(made: VerifierSection, use: Callable[[VerifierPool], Awaitable[T]]) -> T:
    async def run() -> T:
        pool = connect(made)
        try:
            return await use(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def workers_of_this_process() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "curate.verifiers.worker" in " ".join(child.cmdline())
    ]


def kinds(judgements: list[Judgement]) -> list[str]:
    return [str(judgement.kind) for judgement in judgements]


def test_judgements_come_in_the_order_of_their_cases() -> None:
    cases = [case(str(i), str(i if i % 3 else i + 1)) for i in range(100)]
    judgements = judge_all(section(workers=2), cases)
    assert kinds(judgements) == ["pass" if i % 3 else "fail" for i in range(100)]
    assert [judgement.answer for judgement in judgements] == [str(i if i % 3 else i + 1) for i in range(100)]
    assert {judgement.reason for judgement in judgements} == {"equal", "different"}


def test_no_cases_give_no_judgements() -> None:
    assert judge_all(section("exact"), []) == []


def test_any_accepted_reference_passes() -> None:
    both = Case(("3", "7"), r"\boxed{7}")
    neither = Case(("3", "7"), r"\boxed{8}")
    assert kinds(judge_all(section(), [both, neither])) == ["pass", "fail"]


def test_one_bad_reference_does_not_hide_a_good_one() -> None:
    assert kinds(judge_all(section(), [Case(("", "7"), r"\boxed{7}"), Case(("", "7"), r"\boxed{8}")])) == [
        "pass",
        "fail",
    ]


def test_three_ways_not_to_be_scored_or_answered() -> None:
    judgements = judge_all(
        section(), [Case(("5",), "I really have no idea."), Case(("",), r"\boxed{5}"), Case((), "5")]
    )
    assert [(j.kind, j.reward, j.answer, j.reason) for j in judgements] == [
        (VerdictKind.FAIL, 0.0, None, "no answer"),
        (VerdictKind.UNSCORED, None, "5", "reference not parsed"),
        (VerdictKind.UNSCORED, None, None, "no reference"),
    ]


def test_a_reward_of_exactly_pass_at_passes() -> None:
    cases = [case("5", "5"), case("5", "6")]
    assert kinds(judge_all(section("exact", pass_at=1.0), cases)) == ["pass", "fail"]
    assert kinds(judge_all(section("exact", pass_at=0.0), cases)) == ["pass", "pass"]
    assert kinds(judge_all(section("exact", pass_at=1.5), cases)) == ["fail", "fail"]


def test_a_hang_costs_only_itself() -> None:
    cases = [case("1", "1"), Case(("5",), HANGS), *(case(str(i), str(i)) for i in range(2, 9))]
    judgements = judge_all(section(timeout=1), cases)
    assert kinds(judgements) == ["pass", "unscored", *["pass"] * 7]
    assert judgements[1].reason == "timeout"
    assert judgements[1].reward is None
    assert judgements[1].answer == "5^{5^{5^{5^5}}}"


def test_a_worker_that_does_not_react_is_replaced() -> None:
    async def use(pool: VerifierPool) -> list[Judgement]:
        await pool.start()
        (worker,) = workers_of_this_process()
        worker.suspend()
        judgements = await pool.judge([case("1", "1"), case("2", "2"), case("3", "4")])
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        return judgements

    judgements = with_pool(section(timeout=1), use)
    assert [judgement.reason for judgement in judgements] == ["timeout", "equal", "different"]


def test_a_worker_killed_while_idle_costs_nothing() -> None:
    async def use(pool: VerifierPool) -> list[Judgement]:
        await pool.judge([case("0", "0")])
        (worker,) = workers_of_this_process()
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        return await pool.judge([case("1", "1"), case("2", "3")])

    assert kinds(with_pool(section(), use)) == ["pass", "fail"]


def test_a_worker_killed_at_work_costs_one_case() -> None:
    async def use(pool: VerifierPool) -> list[Judgement]:
        await pool.start()
        (worker,) = workers_of_this_process()
        asked = asyncio.create_task(pool.judge([Case(("5",), HANGS), case("1", "1"), case("2", "2")]))
        spent = sum(worker.cpu_times()[:2])
        while not asked.done() and sum(worker.cpu_times()[:2]) < spent + 0.3:  # until it is at work on the first
            await asyncio.sleep(0.02)
        worker.send_signal(signal.SIGKILL)
        return await asked

    judgements = with_pool(section(timeout=60), use)
    assert [judgement.reason for judgement in judgements] == ["worker died", "equal", "equal"]
    assert kinds(judgements) == ["unscored", "pass", "pass"]


def test_many_calls_at_once_get_their_own_answers() -> None:
    async def use(pool: VerifierPool) -> list[list[Judgement]]:
        return await asyncio.gather(
            *(pool.judge([case(str(i), str(i + j)) for j in range(3)]) for i in range(40)),
        )

    for judgements in with_pool(section(workers=2), use):
        assert kinds(judgements) == ["pass", "fail", "fail"]


def test_an_answer_seen_before_takes_no_time() -> None:
    async def use(pool: VerifierPool) -> tuple[list[Judgement], list[Judgement]]:
        twice = [case("x+1", "1+x"), case("x+1", "1+x")]
        return await pool.judge(twice), await pool.judge(twice)

    first, second = with_pool(section(), use)
    assert first[0].seconds > 0.0
    assert [judgement.seconds for judgement in (first[1], *second)] == [0.0, 0.0, 0.0]
    assert kinds(first + second) == ["pass"] * 4


def test_cancelling_one_caller_leaves_another_its_judgement() -> None:
    async def use(pool: VerifierPool) -> list[Judgement]:
        await pool.start()
        shared = [Case(("5",), HANGS)]
        gives_up = asyncio.create_task(pool.judge(shared))
        waits = asyncio.create_task(pool.judge(shared))
        await asyncio.sleep(0.1)
        gives_up.cancel()
        return await waits

    assert [judgement.reason for judgement in with_pool(section(timeout=1), use)] == ["timeout"]


def test_cancelling_a_caller_before_its_cases_are_sent_leaves_another_its_judgements() -> None:
    async def use(pool: VerifierPool) -> list[Judgement]:
        await pool.start()
        shared = [case(str(i), str(i)) for i in range(600)]
        gives_up = asyncio.create_task(pool.judge(shared))
        await asyncio.sleep(0)  # it has looked at some of its cases, and lets others run
        gives_up.cancel()
        return await asyncio.wait_for(pool.judge(shared), 60)

    assert kinds(with_pool(section("exact"), use)) == ["pass"] * 600


def test_what_an_earlier_pool_compared_is_not_given_to_a_worker_again() -> None:
    cases = [case("x+1", "1+x"), case("2", "3"), Case(("5",), HANGS), Case(("3", "7"), r"\boxed{7}")]
    told: list[Comparison] = []

    async def use(pool: VerifierPool) -> tuple[list[Judgement], int, int]:
        pool.remember(list(told), told.append)
        judgements = await pool.judge([*cases, *cases])
        assert await pool.check_references([("2",)]) == [None]
        return judgements, pool.compared, pool.reused

    first, *counts = with_pool(section(timeout=1), use)
    assert counts == [5, 4]
    # The hanging case is no comparison that anybody could rely on.
    assert sorted((one.answers, one.answer, one.reward, one.reason) for one in told) == [
        (("2",), "2", 1.0, "equal"),
        (("2",), "3", 0.0, "different"),
        (("3", "7"), "7", 1.0, "equal"),
        (("x+1",), "1+x", 1.0, "equal"),
    ]
    again, *counts = with_pool(section(timeout=1), use)
    assert counts == [1, 8]
    assert len(told) == 4
    assert [(j.kind, j.reward, j.answer, j.reason) for j in again] == [
        (j.kind, j.reward, j.answer, j.reason) for j in first
    ]


def test_memory_does_not_grow_with_the_number_of_judgements() -> None:
    async def use(pool: VerifierPool) -> tuple[int, int]:
        await pool.start()
        process, held = psutil.Process(), 0
        for part in range(100):
            # One in fifty is new; the others come again and again, as real answers do.
            cases = [case("4", str(i if i % 50 else part * 2000 + i)) for i in range(2000)]
            await pool.judge(cases)
            if part == 10:
                held = process.memory_info().rss
        return process.memory_info().rss - held, pool.compared + pool.reused

    grown, judged = with_pool(section("exact"), use)
    assert judged == 200_000
    assert grown < 50 * 2**20, f"{grown / 2**20:.0f} MiB for 180,000 judgements"


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("\ud800 \\boxed{5} \udfff", "equal"),
        ("\\boxed{\ud800}", "different"),
        ("word " * 2_000_000 + "\\boxed{5}", "equal"),
        ("word " * 2_000_000, "no answer"),
        ("\\boxed{" * 50_000, "no answer"),
        ("\\boxed{" + "(" * 100_000 + "5" + ")" * 100_000 + "}", "different"),
        ("\\boxed{" + "7" * 100_000 + "}", "different"),
        ("\x00\\boxed{5}", "equal"),
    ],
    ids=["surrogates", "surrogate answer", "10 MB", "10 MB of nothing", "boxes", "nesting", "digits", "null"],
)
def test_strange_completions_are_judged(completion: str, reason: str) -> None:
    (judgement,) = judge_all(section(timeout=2), [Case(("5",), completion)])
    assert judgement.reason == reason


PATHOLOGICAL = {
    "a tower of powers": r"9^{9^{9^9}}",
    "towers on both sides": r"9^{9^{9^{9}}}+1",
    "a tower of factorials": r"((((9!)!)!)!)!",
    "a huge binomial": r"\binom{1000000000}{500000000}",
    "a huge product": r"\prod_{k=1}^{1000000000} k",
    "a huge residue": r"7^{10^{10^{10}}} \pmod{13}",
    "a huge polynomial": r"(a+b+c+d+e+f+g+h)^{200}",
    "a sine of a tower": r"\sin(10^{10^{10}})",
    "100,000 digits": "7" * 100_000,
    "100,000 signs": "+" * 100_000 + "5",
    "9,000 signs": "+" * 9_000 + "5",
    "100,000 braces": "{" * 100_000 + "}" * 100_000,
    "braces that do not match": "}{" * 4_000,
    "5,000 brackets": "(" * 4_900 + "5" + ")" * 4_900,
    "nested fractions": r"\frac{1}{1+" * 600 + "x" + "}" * 600,
    "a large matrix": r"\begin{pmatrix}" + r"\\".join("&".join("x" * 60) for _ in range(60)) + r"\end{pmatrix}",
    "a long list": "1," * 4_900 + "2",
    "long text": r"\text{a}" * 1_200,
    "characters without width": "\u202e6\u202c\u200b\ufeff",
    "roots": "√" * 9_000 + "5",
    "10 MB": "6" * 10_000_000,
}


def test_no_answer_holds_a_worker_or_takes_the_pool_down() -> None:
    async def use(pool: VerifierPool) -> dict[str, Judgement]:
        await pool.start()
        found = {}
        for name, answer in PATHOLOGICAL.items():
            reference = r"9^{9^{9^{9}}}" if "both" in name else "5"
            (found[name],) = await pool.judge([case(reference, answer)])
            assert kinds(await pool.judge([case("x+1", f"1+x+{len(found)}-{len(found)}")])) == ["pass"], name
        return found

    found = with_pool(section(timeout=1), use)
    # The alarm rings after 1 s, a worker that does not hear it is killed at 1.75; the rest is for a busy machine.
    assert {name: judgement.seconds for name, judgement in found.items() if judgement.seconds > 3.0} == {}
    assert {name for name, judgement in found.items() if judgement.kind is VerdictKind.PASS} == set()
    for judgement in found.values():
        assert judgement.kind is VerdictKind.FAIL or judgement.reason in {"timeout", "reference not parsed"}


def test_memory_that_runs_out_is_no_failure_of_the_model() -> None:
    made = VerifierSection(options={"timeout": 20, "memory": 512}, workers=1)  # 2^(4 * 10^10) takes 5,000 MB
    judgements = judge_all(made, [case("5", r"\lfloor 2^{40000000000} \rfloor"), case("x+1", "1+x")])
    assert [(judgement.kind, judgement.reason) for judgement in judgements] == [
        (VerdictKind.UNSCORED, "worker died"),
        (VerdictKind.PASS, "equal"),
    ]


def test_nothing_is_left_after_close_and_closing_twice_is_fine() -> None:
    async def run() -> None:
        pool = connect(section(workers=2))
        await pool.start()
        await pool.judge([case(str(i), "1") for i in range(50)])
        assert workers_of_this_process()
        await pool.close()
        await pool.close()
        assert workers_of_this_process() == []
        with pytest.raises(VerifierError, match="closed"):
            await pool.judge([case("1", "1")])
        with pytest.raises(VerifierError, match="closed"):
            await pool.start()

    asyncio.run(run())


def test_closing_ends_a_judgement_that_is_under_way() -> None:
    async def run() -> None:
        pool = connect(section(timeout=60))
        await pool.start()
        asked = asyncio.create_task(pool.judge([Case(("5",), HANGS), case("1", "1")]))
        await asyncio.sleep(0.2)
        await pool.close()
        with pytest.raises(VerifierError, match="closed"):
            await asked

    asyncio.run(run())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker ends when it next reads its pipe")
def test_workers_die_with_their_parent() -> None:
    program = f"""
import asyncio, os, psutil
from curate.recipe import VerifierSection
from curate.records import Case
from curate.verifiers import connect
async def run():
    pool = connect(VerifierSection(options={{"timeout": 60}}, workers=1))
    await pool.start()
    asked = asyncio.create_task(pool.judge([Case(("5",), {HANGS!r})]))
    await asyncio.sleep(0.3)
    print(psutil.Process().children()[0].pid, flush=True)
    os._exit(9)
asyncio.run(run())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    pid = int(done.stdout)
    give_up = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < give_up, "the worker outlived its parent"
        time.sleep(0.02)


def test_workers_do_not_write_to_stdout_and_ignore_ctrl_c(capfd: pytest.CaptureFixture[str]) -> None:
    async def use(pool: VerifierPool) -> list[Judgement]:
        await pool.start()
        (worker,) = workers_of_this_process()
        worker.send_signal(signal.SIGINT)
        judgements = await pool.judge([case("x", "y"), case("1", "\\frac{1"), case("2", "2")])
        assert worker.is_running()
        assert os.getpgid(worker.pid) != os.getpgid(0)
        return judgements

    assert kinds(with_pool(section(), use)) == ["fail", "fail", "pass"]
    assert capfd.readouterr().out == ""


def test_references_are_run_against_themselves() -> None:
    async def use(pool: VerifierPool) -> list[str | None]:
        return await pool.check_references([("7",), (r"\frac{1}{2}", "0.5"), ("",), (), ("", "3"), (r"\frac{1}{",)])

    assert with_pool(section(), use) == [
        None,
        None,
        "reference not parsed",
        "no reference",
        None,
        "reference not parsed",
    ]


def test_judging_works_where_a_loop_already_runs() -> None:
    async def notebook() -> list[Judgement]:
        return judge_all(section("exact"), [case("a", "A")])

    assert kinds(asyncio.run(notebook())) == ["pass"]
