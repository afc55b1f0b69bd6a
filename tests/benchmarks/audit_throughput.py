"""How long the audit of a million rollouts takes, and in what memory.

    python tests/benchmarks/audit_throughput.py [--rollouts 100000] [--characters 2000] [--workers 2] [--dense]

Rollouts are put together from pieces of the kind that solutions have: sentences, equations in plain text and LaTeX,
lists, code, a final answer, with 13 to 15 equality signs in 2,000 characters as Qwen2.5-Math's solutions of MATH have.
One in a hundred loops, one in a hundred is in Chinese, every other one passes. With ``--dense`` all of them are the
dearest that occur: displayed chains of LaTeX fractions and nothing else, 75 equalities in 2,000 characters; all pass.

There are ten thousand bodies, and each rollout begins one with a number of its own. Their steps differ, and they come
round again only after far more steps than the step check remembers; the rollouts of a real problem repeat each other's
steps, which is faster. The seconds that the machine gave to this process and its workers are printed beside those on
the wall: other work on the machine lengthens these more. Not a test: it prints, and asserts nothing.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time
from collections.abc import Iterator
from random import Random

import polars as pl
import psutil

from curate.audit.bulk import audit_rollouts, measure
from curate.audit.relative import relative

FRAME = 5_000
BODIES = 10_007
TARGET = 180.0
"""Seconds in which a million rollouts of 2,000 characters must be audited on two cores."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rollouts", type=int, default=100_000)
    arguments.add_argument("--characters", type=int, default=2_000)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--dense", action="store_true")
    asked = arguments.parse_args()

    one_core(asked.characters, asked.dense)
    watch = Watch()
    began, used = time.perf_counter(), processor_seconds()
    measured = pl.concat(audit_rollouts(frames(asked.rollouts, asked.characters, asked.dense), asked.workers))
    found = relative(measured)
    seconds = time.perf_counter() - began
    used = processor_seconds() - used
    rate = asked.rollouts / seconds
    print(f"audited        {rate:10.0f} rollouts/s  ({asked.rollouts} rollouts, {seconds:.1f} s)")
    print(f"a million      {1e6 / rate:10.0f} s on the wall, {TARGET:.0f} s wanted")
    print(f"               {used / asked.rollouts * 1e6 / 2:10.0f} s on two cores with nothing else to do")
    print(f"memory at most {watch.stop():10.0f} MiB, this process and its workers")
    flags = found.select(pl.col("repetitive", "garbled", "bare", "skipped", "answer_first").sum()).row(0, named=True)
    print("flagged:", ", ".join(f"{name} {count}" for name, count in flags.items()))


def processor_seconds() -> float:
    """What this process and the workers that have ended were given."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def one_core(characters: int, dense: bool) -> None:
    """The time of the parts, one batch of rollouts after another, each with steps that were not seen before."""
    batches = list(frames(5_000, characters, dense, size=100))
    spent = {"text.signals": 0.0, "steps.check": 0.0}
    for batch in batches:
        for name, verdict in {"text.signals": "fail", "steps.check": "pass"}.items():
            given = batch.with_columns(verdict=pl.lit(verdict))
            began = time.process_time()
            measure(given)
            spent[name] += time.process_time() - began
    spent["steps.check"] -= spent["text.signals"]
    for name, seconds in spent.items():
        each = seconds / sum(batch.height for batch in batches) * 1e6
        print(f"{name:14s} {each:10.0f} µs a rollout of {characters} characters, one core")


class Watch:
    """The most memory that this process and its children held, looked at ten times a second."""

    def __init__(self) -> None:
        self._most = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            total = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self._most = max(self._most, total / 2**20)

    def stop(self) -> float:
        """End the watch: MiB at most."""
        self._ended.set()
        self._thread.join()
        return self._most


NAMES = ("Ada", "Ben", "the baker", "each child", "the train", "every student in the class", "the larger tank")
THINGS = ("apples", "dollars", "minutes", "litres of water", "tickets", "kilometres", "marbles", "pages")


def frames(count: int, characters: int, dense: bool = False, size: int = FRAME) -> Iterator[pl.DataFrame]:
    """Rollouts of eight to a problem, in frames of five thousand."""
    rng = Random(0)
    made = chains if dense else rollout
    bodies = [made(rng, characters - 10) for _ in range(min(count, BODIES))]
    for first in range(0, count, size):
        numbers = range(first, min(count, first + size))
        yield pl.DataFrame(
            {
                "problem_id": [f"p{number // 8}" for number in numbers],
                "index": pl.Series([number % 8 for number in numbers], dtype=pl.Int32),
                "completion": [f"{number:8d}. {bodies[number % BODIES][0]}" for number in numbers],
                "answer": [bodies[number % BODIES][1] for number in numbers],
                "verdict": ["pass" if dense or number % 2 else "fail" for number in numbers],
                "finish_reason": ["stop"] * len(numbers),
            }
        )


def rollout(rng: Random, characters: int) -> tuple[str, str]:
    """A completion of about so many characters, and its answer."""
    answer = str(rng.randrange(10_000))
    end = rng.choice(
        (f"The final answer is $\\boxed{{{answer}}}$.", f"\\[\n\\boxed{{{answer}}}\n\\]", f"#### {answer}")
    )
    kind = rng.random()
    pieces: list[str] = []
    length = len(end)
    piece = chinese(rng) if kind < 0.01 else sentence(rng)
    while length + len(piece) < characters:
        pieces.append(piece)
        length += len(piece)
        if kind >= 0.02 or kind < 0.01 or len(pieces) < 4:
            piece = chinese(rng) if kind < 0.01 else sentence(rng)
    return "".join(pieces) + end, answer


def sentence(rng: Random) -> str:
    """One step of a solution."""
    a, b = rng.randrange(2, 200), rng.randrange(2, 60)
    who, what = rng.choice(NAMES), rng.choice(THINGS)
    return rng.choice(
        (
            f"First, {who} has {a} {what} and gets {b} more, so there are {a} + {b} = {a + b} {what} now. ",
            f"\n\nWe multiply the number of {what} by {b}:\n\\[\n{a} \\times {b} = {a * b}\n\\]\n",
            f"\n{b % 9 + 1}. **Find the share of {who}**: \\(\\frac{{{a}}}{{{b}}} \\approx {a / b:.3f}\\) of them.\n",
            f"This means that {who} needs at most {a} {what}, which is what the question asks us to compare with {b}. ",
            f"Since $x^2 - {a}x + {b} = 0$, we get $x = \\frac{{{a} \\pm \\sqrt{{{a * a - 4 * b}}}}}{{2}}$ for {who}. ",
            f"Wait, let me check that again: {a * b}/{b} = {a}, which agrees with the {what} that {who} had before. ",
            f"Now that we know how many {what} there are, it remains to see which of them belong to {who} at the end. ",
            f"Notice that {who} cannot give away more {what} than were there, so the cases below {b} need no look. ",
            f"\n\n**Step {b % 7 + 1}: understand the question.** It is about {what}, and what {who} does with them.\n",
            f"By symmetry the same holds for the other half, where {who} is replaced and the {what} stay as they are. ",
            f"\n```python\ntotal = {a}\nfor i in range({b}):\n    total += i * {a}\nprint(total)\n```\n",
        )
    )


def chains(rng: Random, characters: int) -> tuple[str, str]:
    """A completion of nothing but displayed equations, and its answer, which is what the last one comes to."""
    text = ""
    while True:
        a, b, c = rng.randrange(2, 200), rng.randrange(2, 60), rng.randrange(2, 60)
        piece = (
            f"\\[ \\frac{{{a}}}{{{b}}} \\times {c} = \\frac{{{a * c}}}{{{b}}} \\approx {a * c / b:.2f} \\]\n"
            f"\\[ {a} \\cdot {b} + {c} = {a * b} + {c} = {a * b + c} \\]\n"
        )
        text += piece
        if len(text) + len(piece) > characters:
            return f"{text}\\boxed{{{a * b + c}}}", str(a * b + c)


def chinese(rng: Random) -> str:
    """One step of a solution in Chinese."""
    a, b = rng.randrange(2, 200), rng.randrange(2, 60)
    return rng.choice(
        (f"由题意可知，每班有{a}名学生，一共有{b}个班。", f"所以一共有 ${a} \\times {b} = {a * b}$ 名学生，")
    )


if __name__ == "__main__":
    main()
