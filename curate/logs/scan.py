"""Scanning: one pass over a log, every row checked by itself and against those before it.

Owns what makes the rows of a log fit together: one question for one id, indices that do not repeat, one step and one
model. Must not read files itself nor know a format's columns: the formats hand on plain rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.logs.cells import NotOfFormat
from curate.logs.formats import COUNTS, FORMATS, reader
from curate.logs.known import Known
from curate.logs.origin import Asked
from curate.logs.rollouts import PlainRow, parse, step_of
from curate.problems.files import Row
from curate.problems.rows import MISSING, content_id, lookup, question_key
from curate.records import FailedRequest, Problem, Rollout

SHOWN = 5
"""Bad rows and errors that a complaint lists."""

Entry = tuple[Rollout | FailedRequest, float | None]


@dataclass(slots=True)
class Seen:
    """What one pass over a log remembers of its rows: per problem, never a completion."""

    problems: dict[str, tuple[Problem, str]] = field(default_factory=dict)
    """With the place where each first stood."""
    indices: dict[str, set[int]] = field(default_factory=dict)
    indexed: tuple[bool, str] | None = None
    """Whether the log gives indices, and where that was first seen."""
    columns: dict[str, None] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    """Columns that the user named and that a row has."""
    fits: bool = False
    """Whether any row had the shape of the format."""
    strands: Counter[tuple[int | None, str | None]] = field(default_factory=Counter)
    """Rows by step and model, those that were not asked for included."""
    taken: tuple[int | None, str | None] | None = None
    """Step and model of the rows that were taken, once there is one; a failed request need not know its model."""
    mixed: bool = False
    """Whether rows of a second step or model came, none of them having been asked for."""
    n_others: int = 0
    bad: list[str] = field(default_factory=list)
    first_bad: tuple[str, ProblemsError] | None = None
    n_bad: int = 0
    bad_place: str | None = None
    """Where the last bad row stands: one row may hold many rollouts, and is one bad row."""
    bad_of_step: bool = False
    """Whether a bad row is of the step that was asked for."""
    errors: list[str] = field(default_factory=list)
    n_errors: int = 0
    n_rollouts: int = 0
    n_rewards: int = 0
    n_unknown_finish: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """One way to go over a log."""

    files: tuple[Path, ...]
    format: str
    asked: Asked
    mapping: Mapping[str, str | None]
    known: Known | None
    pattern: re.Pattern[str] | None
    skip_bad_lines: bool
    step: int | None
    model: str | None
    nameless: bool = True
    """Whether rollouts that name no model are taken: not where the log names several."""
    strays: bool = True
    """Whether bad rows that tell no step are counted: not where ``steps`` has counted them."""

    @property
    def named(self) -> tuple[str, ...]:
        """The log's own columns that the user named."""
        return tuple(column for column in self.asked.columns.values() if column)

    def entries(self, seen: Seen) -> Iterator[Entry | None]:
        """Every entry; None for a row that is left out."""
        rows = self._rows()
        for created, place, row in rows:
            seen.fits = seen.fits or not isinstance(row, NotOfFormat)
            if self.format == COUNTS and place == seen.bad_place:
                # The rest of a count without its beginning would be another count.
                yield None
                continue
            try:
                yield self._entry(seen, place, row, created)
            except ProblemsError as error:
                if not self.skip_bad_lines:
                    if not seen.fits and all(isinstance(other, NotOfFormat) for _, _, other in rows):
                        raise no_such_log(self.format, place, error) from error
                    hint = error.hint or "--skip-bad-lines leaves such rows out, and counts them"
                    raise ProblemsError(error.message, where=place, hint=hint) from error
                self._leave_out(seen, place, row, error)
                yield None

    def _rows(self) -> Iterator[tuple[float, str, Row | ProblemsError]]:
        """Each row as the format hands it on, after its file's time of writing and its place."""
        module: Any = reader(self.format)
        for path in self.files:
            created = path.stat().st_mtime
            for place, row in module.read(path, self.asked):
                yield created, place, row

    def _leave_out(self, seen: Seen, place: str, row: Row | ProblemsError, error: ProblemsError) -> None:
        """Count a bad row, once, where it is of the step asked for or of no step that can be told."""
        try:
            step = None if isinstance(row, ProblemsError) else step_of(row, self.mapping)
        except ProblemsError:
            step = None
        if step is None and not self.strays:
            return
        if None not in (step, self.step) and step != self.step:
            seen.n_others += 1
            return
        seen.bad_of_step = seen.bad_of_step or step is not None
        if place == seen.bad_place:
            return
        seen.bad_place = place
        seen.n_bad += 1
        seen.first_bad = seen.first_bad or (place, error)
        if len(seen.bad) < SHOWN:
            seen.bad.append(f"{place}: {error.message}")

    def _entry(self, seen: Seen, place: str, row: Row | ProblemsError, created: float) -> Entry | None:
        if isinstance(row, ProblemsError):
            raise row
        if not row.keys() <= seen.columns.keys():
            seen.columns.update(dict.fromkeys(row))
        seen.named.update(column for column in self.named if lookup(row, column) is not MISSING)
        plain = parse(row if self.known is None else self.known.fill(row), self.mapping, self.pattern)
        seen.strands[plain.step, plain.model] += 1
        other_step = self.step is not None and plain.step != self.step
        # A request that failed need not know its model.
        unnamed = plain.model is None and (self.nameless or plain.error is not None)
        other_model = self.model is not None and plain.model != self.model and not unnamed
        if other_step or other_model or _mixes(seen, plain):
            seen.n_others += 1
            return None
        index = _place_among(seen, plain, place, self.format == COUNTS)
        name = plain.problem.problem_id
        if plain.error is not None:
            seen.n_errors += 1
            if len(seen.errors) < SHOWN:
                seen.errors.append(f"{place}: {plain.error}")
            return FailedRequest(name, index, 1, plain.error, created), None
        seen.n_rollouts += 1
        seen.n_rewards += plain.reward is not None
        seen.n_unknown_finish += plain.finish_reason is None
        rollout = Rollout(
            problem_id=name,
            index=index,
            seed=-1,
            completion=plain.completion,
            finish_reason=plain.finish_reason or "stop",
            prompt_tokens=plain.prompt_tokens,
            completion_tokens=plain.completion_tokens,
            engine=f"import {self.format}",
            created=created,
        )
        return rollout, plain.reward


def no_such_log(format: str, place: str, error: ProblemsError) -> ProblemsError:
    """The complaint that no row at all has the shape of the format; the first one's place and complaint."""
    hint = f"--format names what wrote it: {', '.join(FORMATS)}"
    return ProblemsError(
        f"this is no log of the format {format}: no row fits; the first: {error.message}",
        where=place,
        hint=f"{error.hint}; {hint}" if error.hint else hint,
    )


def _mixes(seen: Seen, plain: PlainRow) -> bool:
    """Whether a row is of another step or model than those before it; once one was, no more are looked at."""
    step, model = seen.taken or (plain.step, None)
    seen.mixed = seen.mixed or step != plain.step or (None not in (model, plain.model) and model != plain.model)
    seen.taken = step, model or plain.model
    return seen.mixed


def _place_among(seen: Seen, plain: PlainRow, place: str, counts: bool) -> int:
    """Check a row against those before it, remember it, and give it its index. Remembers nothing of a bad row."""
    name = plain.problem.problem_id
    known, first = seen.problems.get(name, (plain.problem, place))
    if not _same(known, plain.problem):
        differs = "reference" if question_key(known) == question_key(plain.problem) else "question"
        raise ProblemsError(
            f"problem_id {name!r} has another {differs} than at {first}",
            hint="give every problem its own id, or leave problem_id out",
        )
    taken = seen.indices.get(name, set())
    if plain.error is not None and plain.index is not None:
        # A request may fail several times before it is answered under the same index.
        seen.problems.setdefault(name, (plain.problem, place))
        return plain.index
    given = plain.index is not None
    indexed, since = seen.indexed or (given, place)
    if given != indexed:
        has, had = ("an", "none") if given else ("no", "one")
        raise ProblemsError(
            f"this row has {has} index, the row at {since} has {had}", hint="index all rows of a log or none"
        )
    index = len(taken) if plain.index is None else plain.index
    if index in taken and counts:
        raise ProblemsError(
            f"problem {name!r} was counted before, at {first}",
            hint="add up its n and k yourself, or give each row a problem_id of its own",
        )
    if index in taken:
        raise ProblemsError(
            f"index {index} of problem {name!r} was there before",
            hint="leave index out to number rows as they come: --column index=",
        )
    seen.problems.setdefault(name, (plain.problem, place))
    seen.indexed = indexed, since
    seen.indices.setdefault(name, taken).add(index)
    return index


def _same(a: Problem, b: Problem) -> bool:
    """Whether two rows ask the same and accept the same, white space aside as in a content hash."""
    if (a.question, a.messages, a.answers) == (b.question, b.messages, b.answers):
        return True
    return content_id(a.question, a.messages, a.answers) == content_id(b.question, b.messages, b.answers)
