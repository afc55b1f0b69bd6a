"""How long the audit of a million rollouts takes, and in what memory.

    python tests/benchmarks/audit_throughput.py [--rollouts 100000] [--characters 2000] [--workers 2]

Rollouts are put together from pieces of the kind that solutions have: sentences, equations in plain text and LaTeX,
lists, code, a final answer, with 13 to 15 equality signs in 2,000 characters as Qwen2.5-Math's solutions of MATH have.
One in a hundred loops, one in a hundred is in Chinese, every other one passes. Of two
thousand bodies each rollout begins one with a number of its own, as the audit asks for it: no two are alike, and making
them takes next to no time. The seconds that the machine gave to this process and its workers are printed beside those
on the wall: other work on the machine lengthens these more. Not a test: it prints, and asserts nothing.
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

from curate.audit import steps, text
from curate.audit.bulk import audit_rollouts
from curate.audit.relative import relative

FRAME = 5_000
BODIES = 2_000
TARGET = 180.0
"""Seconds in which a million rollouts of 2,000 characters must be audited on two cores."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rollouts", type=int, default=100_000)
    arguments.add_argument("--characters", type=int, default=2_000)
    arguments.add_argument("--workers", type=int, default=2)
    asked = arguments.parse_args()

    one_core(asked.characters)
    watch = Watch()
    began, used = time.perf_counter(), processor_seconds()
    measured = pl.concat(audit_rollouts(frames(asked.rollouts, asked.characters), asked.workers))
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


def one_core(characters: int) -> None:
    """The time of the parts, one rollout after another."""
    rows = [row for frame in frames(1_000, characters) for row in frame.select("completion", "answer").iter_rows()]
    for name, measure in {"text.signals": text.signals, "steps.check": steps.check}.items():
        best = min(timed(measure, rows) for _ in range(5))
        print(f"{name:14s} {best / len(rows) * 1e6:10.0f} µs a rollout of {characters} characters, one core")


def timed(measure: object, rows: list[tuple[str, str]]) -> float:
    assert callable(measure)
    began = time.process_time()
    for completion, answer in rows:
        measure(completion, answer)
    return time.process_time() - began


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


def frames(count: int, characters: int) -> Iterator[pl.DataFrame]:
    """Rollouts of eight to a problem, in frames of five thousand."""
    rng = Random(0)
    bodies = [rollout(rng, characters - 10) for _ in range(BODIES)]
    for first in range(0, count, FRAME):
        numbers = range(first, min(count, first + FRAME))
        yield pl.DataFrame(
            {
                "problem_id": [f"p{number // 8}" for number in numbers],
                "index": pl.Series([number % 8 for number in numbers], dtype=pl.Int32),
                "completion": [f"{number:8d}. {bodies[number % BODIES][0]}" for number in numbers],
                "answer": [bodies[number % BODIES][1] for number in numbers],
                "verdict": ["pass" if number % 2 else "fail" for number in numbers],
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


def chinese(rng: Random) -> str:
    """One step of a solution in Chinese."""
    a, b = rng.randrange(2, 200), rng.randrange(2, 60)
    return rng.choice(
        (f"由题意可知，每班有{a}名学生，一共有{b}个班。", f"所以一共有 ${a} \\times {b} = {a * b}$ 名学生，")
    )


if __name__ == "__main__":
    main()
