"""Profiles for the report's tests: one with a problem of every kind and texts that mean harm, and one that is large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from builders import FINGERPRINT, manifest, problem, rollout, verdict

from curate import beliefs, decide
from curate.layout import PROBLEMS, ROLLOUTS, VERDICTS
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import FailedRequest, Reason, VerdictKind

PASS, FAIL, UNSCORED = VerdictKind.PASS, VerdictKind.FAIL, VerdictKind.UNSCORED

SCRIPT = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'></script><!--"
"""What runs, wherever it is taken for markup."""

TRICKS = "left\u202eright\u200b\x1b[2J\x00 " + r"\(\frac{1}{2}\)" + " {{ 7*7 }} \u2028 &amp; " + "y" * 30_000
"""A bidirectional override, a blank of no width, an escape sequence, NUL, LaTeX, a template, a line of 30,000 signs."""


def finish(ledger: Ledger) -> None:
    """Estimate every problem, as the end of a run does."""
    counts = decide.count(ledger, FINGERPRINT, 8)
    prior = beliefs.learn(counts, BandSection())
    ledger.write_prior(beliefs.to_frame(prior))
    ledger.write_estimates(decide.estimate(counts, BandSection(), prior))


def every_kind(folder: Path) -> Ledger:
    """Sixty problems of graded pass rates in two families, and one of each kind that needs a rule of its own."""
    graded = {f"graded-{number:02}": (number * 7) % 61 for number in range(60)}
    family = {name: {"family": "odd" if int(name[-1]) % 2 else "even <b>"} for name in graded}
    problems = [
        problem(name, metadata=family[name], question=f"What is {name}?", answers=(reference(name),)) for name in graded
    ]
    other = {"metadata": {"family": "odd"}}
    problems += [
        problem("harm", question=f"Who {SCRIPT}?", answers=(SCRIPT,), **other),
        problem("tricks\u202e", question="Which tricks?", answers=("4",), **other),
        problem("cut", **other),
        problem("unheard", **other),
        problem("mostly unscored", **other),
        problem("-dashed", **other),
        problem("again", set_aside=Reason.DUPLICATE, set_aside_why="repeats graded-00", **other),
        problem("empty", answers=(), set_aside=Reason.UNVERIFIABLE, **other),
    ]
    ledger = Ledger(folder)
    with ledger.writing():
        prompts = ["" if found.set_aside else f"<user>{found.question}<assistant>" for found in problems]
        prompts[2] = "a prompt of another form"
        ledger.write_problems(problems, prompts)
        ledger.write_manifest(manifest(name="every kind", problems={"source": SCRIPT, "fingerprint": "0", "rows": 68}))
        kinds = {name: [PASS] * passes + [FAIL] * (60 - passes) for name, passes in graded.items()}
        kinds |= {"harm": [PASS, FAIL] * 16, "tricks\u202e": [FAIL, PASS] * 4, "cut": [PASS, *[FAIL] * 15]}
        kinds |= {"mostly unscored": [PASS, *[UNSCORED] * 7], "-dashed": [FAIL] * 32}
        drawn = [(name, index, kind) for name, said in kinds.items() for index, kind in enumerate(said)]
        ledger.append_rollouts(
            [
                rollout(
                    name,
                    index,
                    completion=_completion(name, index),
                    completion_tokens=20 + index,
                    finish_reason="length" if name == "cut" and kind is FAIL else "stop",
                )
                for name, index, kind in drawn
            ]
        )
        ledger.append_verdicts(
            FINGERPRINT,
            [
                verdict(name, index, kind, answer=_answer(name, index, kind), reason="equal" if kind is PASS else "no")
                for name, index, kind in drawn
            ],
        )
        ledger.append_errors(
            [FailedRequest("unheard", 0, 8, "down", 0.0), FailedRequest("tricks\u202e", 8, 8, "x", 0.0)]
        )
        finish(ledger)
    return ledger


def reference(name: str) -> str:
    """The answer of a problem: each graded one has its own, so that none can be guessed."""
    return str(1000 + 37 * int(name[-2:])) if name.startswith("graded") else "4"


def _completion(name: str, index: int) -> str:
    if name == "harm":
        return f"{index}: {SCRIPT}"
    answer = reference(name)
    work = f"{int(answer) - 1}+1={answer}"
    return f"{index}: {TRICKS}" if name.startswith("tricks") else rf"{index}: {work}; \boxed{{{answer}}}"


def _answer(name: str, index: int, kind: VerdictKind) -> str | None:
    if name == "harm":
        return SCRIPT if kind is PASS else f"wrong {SCRIPT} {index % 8}"
    return reference(name) if kind is PASS else "5" if index % 4 else None


def large(folder: Path, problems: int, characters: int) -> Ledger:
    """Many problems; of each a pass and a failure of so many characters are on this disk, and the counts of 32."""
    ledger = Ledger(folder)
    rng = np.random.default_rng(0)
    ids = [f"{number:08x}" for number in range(problems)]
    words = np.array(["so", "the", "train", "hence", r"\frac{3}{4}", "12+7=19", "数", "<b>", "&", "therefore", "x^2"])
    stock = [" ".join(words[rng.integers(0, len(words), characters // 2)])[: characters - 9] for _ in range(200)]
    questions = [
        f"Problem {number}: a train leaves at {number % 24} o'clock. When is it there?" for number in range(problems)
    ]
    with ledger.writing():
        pl.DataFrame(
            {
                "problem_id": ids,
                "question": questions,
                "answer": [str(number) for number in range(problems)],
                "answers": [[str(number)] for number in range(problems)],
                "prompt": [f"<user>{question}<assistant>" for question in questions],
                "set_aside": [None] * problems,
                "set_aside_why": [""] * problems,
                "metadata": ["{}"] * problems,
                "messages": [[] for _ in range(problems)],
            },
            schema=PROBLEMS,
        ).write_parquet(folder / "problems.parquet")
        ledger.write_manifest(manifest(name="large"))
        for part in range(0, problems, 10_000):
            names = [name for name in ids[part : part + 10_000] for _ in range(2)]
            index = [0, 1] * (len(names) // 2)
            columns = {
                "problem_id": names,
                "index": index,
                "seed": index,
                "completion": [f"{row:08} {stock[row % 200]}" for row in range(len(names))],
                "finish_reason": ["stop"] * len(names),
                "prompt_tokens": [9] * len(names),
                "completion_tokens": [100 + row % 900 for row in range(len(names))],
                "engine": ["test 1"] * len(names),
                "created": [0.0] * len(names),
            }
            _write(ledger.path / "rollouts" / f"{part:08}.parquet", pl.DataFrame(columns, schema=ROLLOUTS))
            said = pl.DataFrame(columns).select(
                "problem_id",
                "index",
                verdict=pl.when(pl.col("index") == 0).then(pl.lit("pass")).otherwise(pl.lit("fail")),
                reward=(1 - pl.col("index")).cast(pl.Float64),
                answer=pl.col("index").cast(pl.String),
                reason=pl.lit("told"),
                seconds=pl.lit(0.0),
            )
            _write(ledger.path / "verdicts" / FINGERPRINT / f"{part:08}.parquet", said.cast(dict(VERDICTS)))
        counts = pl.DataFrame({"problem_id": ids, "n": 32, "k": [number * 7 % 33 for number in range(problems)]})
        empty = {name: 0 for name in decide.COUNTS if name not in counts.columns} | {"mean_tokens": 100.0}
        whole = counts.with_columns(**{name: pl.lit(value) for name, value in empty.items()}).with_columns(
            set_aside=pl.lit(None), set_aside_why=pl.lit("")
        )
        whole = whole.select(decide.COUNTS.names()).cast(dict(decide.COUNTS))
        prior = beliefs.learn(whole, BandSection())
        ledger.write_prior(beliefs.to_frame(prior))
        ledger.write_estimates(decide.estimate(whole, BandSection(), prior))
    return ledger


def _write(file: Path, frame: pl.DataFrame) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file, compression="zstd")
