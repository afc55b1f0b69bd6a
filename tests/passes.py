"""A profile to audit, with every kind of pass in it, written rollout by rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builders import FINGERPRINT, manifest, problem, rollout, verdict

from curate.ledger import Ledger
from curate.records import Problem, Reason, VerdictKind
from curate.summary import Session, sum_up

Said = tuple[str, VerdictKind, str | None]
PASS, FAIL, UNSCORED = VerdictKind.PASS, VerdictKind.FAIL, VerdictKind.UNSCORED


def written(folder: Path, said: Mapping[str, Sequence[Said]], problems: Sequence[Problem]) -> Ledger:
    """A finished profile: of each problem its rollouts as completion, verdict and extracted answer."""
    ledger = Ledger(folder)
    with ledger.writing():
        ledger.write_problems(problems, [one.question for one in problems])
        ledger.write_manifest(manifest())
        drawn = [(name, index, *one) for name, all_ in said.items() for index, one in enumerate(all_)]
        ledger.append_rollouts([rollout(name, index, completion=text) for name, index, text, _, _ in drawn])
        ledger.append_verdicts(
            FINGERPRINT, [verdict(name, index, kind, answer=answer) for name, index, _, kind, answer in drawn]
        )
        sum_up(ledger, session())
    return ledger


def session() -> Session:
    return Session("profile", "test 1", "2026-01-01T00:00:00+00:00", 1.0, 1, 1, 1, 0, 0, 0)


class Product:
    """One of the products 472*6 to 499*6, and what a rollout may say of it."""

    def __init__(self, number: int) -> None:
        a = 472 + number
        ones, tens = a % 10, a // 10 % 10
        second = tens * 6 + ones * 6 // 10
        first, last = f"{ones}*6={ones * 6}; {tens}*6+{ones * 6 // 10}=", f"; 4*6+{second // 10}="
        top = 24 + second // 10
        self.question, self.answer = f"What is {a}*6?", str(a * 6)
        self.worked: Said = (f"{first}{second}{last}{top}; \\boxed{{{a * 6}}}", PASS, self.answer)
        self.false_step: Said = (f"{first}{second + 1}{last}{top}; \\boxed{{{a * 6}}}", PASS, self.answer)
        self.bare: Said = (f"\\boxed{{{a * 6}}}", PASS, self.answer)
        self._begun = f"{first}{second}{last}"

    def failed(self, count: int) -> list[Said]:
        """Rollouts whose last step is false, each in its own way, as wrong answers scatter."""
        wrong = [(str(30 + number), str(3000 + number)) for number in range(count)]
        return [(f"{self._begun}{top}; \\boxed{{{answer}}}", FAIL, answer) for top, answer in wrong]

    def problem(self, name: str, **changes: Any) -> Problem:
        return problem(name, **{"question": self.question, "answers": (self.answer,), **changes})


def every_kind(folder: Path) -> Ledger:
    """Half of most problems' 32 rollouts pass: honestly, by false steps, bare; one has a wrong reference."""
    a, b, c, d, e, f, g, h = map(Product, range(8))
    said: dict[str, Sequence[Said]] = {
        "honest": [a.worked] * 16 + a.failed(16),
        "honest too": [b.worked] * 20 + b.failed(12),
        "false": [c.false_step] * 12 + [c.worked] * 4 + c.failed(16),
        "bare": [d.bare] * 16 + d.failed(16),
        "mixed": [e.bare] * 8 + [e.worked] * 8 + e.failed(16),
        "unscored": [f.worked] * 16 + f.failed(16) + [(f.bare[0], UNSCORED, None)] * 4,
        "label": [(g.worked[0], FAIL, g.answer)] * 30 + g.failed(2),
    }
    problems = [one.problem(name) for name, one in zip(said, (a, b, c, d, e, f, g), strict=True)]
    problems[-1] = g.problem("label", answers=("2823",))
    problems += [
        a.problem("again", set_aside=Reason.DUPLICATE, set_aside_why="same question as honest"),
        h.problem("broken", set_aside=Reason.UNVERIFIABLE, set_aside_why="parses to nothing"),
    ]
    return written(folder, said, problems)
