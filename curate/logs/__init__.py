"""Logs: rollouts that other tools drew, read so that they are verified, estimated and filtered like our own.

Owns what compares the rows of a log with each other. Must not verify nor write: the caller hands problems and
rollouts to the ledger. Each format has a file that turns its rows into plain rows; all are checked here alike.

A log is read twice: once to check all of it, so that a broken one is refused before anything is written, and once for
the rollouts themselves, which are never in memory together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError, UsageError
from curate.logs import counts
from curate.logs.cells import NotOfFormat
from curate.logs.formats import COUNTS, FORMATS, files_of, reader
from curate.logs.known import Known
from curate.logs.origin import Asked, Origin
from curate.logs.rollouts import OPTIONAL, REQUIRED, step_of
from curate.logs.scan import SHOWN, Entry, Scan, Seen, no_such_log
from curate.problems.duplicates import set_duplicates_aside
from curate.problems.rows import missing_column
from curate.recipe import digest
from curate.records import Problem, Rollout

__all__ = ["FORMATS", "Entry", "LogBatch", "Steps", "read", "reading", "steps"]

_MOST = 40
"""Steps or models that a complaint lists."""

_EACH = 1000
"""Rows between two breaths of a reader."""


@dataclass(frozen=True, slots=True)
class LogBatch:
    """What a log holds, checked to its end."""

    problems: tuple[Problem, ...]
    """In order of first appearance; repeated questions and those without a reference are set aside as ever."""
    n_rollouts: int
    n_rewards: int
    """Rollouts that come with a reward."""
    n_unknown_finish: int
    """Rollouts of which the log does not say how they ended: taken as ``stop``, so truncation may be undercounted."""
    n_errors: int
    """Rows that are failed requests and no rollouts, whatever the log took them for."""
    errors: tuple[str, ...]
    """The first few of them: place and cause."""
    n_bad_lines: int
    """Rows left out; 0 unless that was asked for."""
    bad_lines: tuple[str, ...]
    """The first few of them: place and complaint."""
    n_others: int
    """Rows of other steps or models than the one asked for."""
    unused_columns: tuple[str, ...]
    """Columns of the log that mean nothing here, in order of appearance."""
    step: int | None
    """Of the policy in training; None where the log has none."""
    origin: Origin
    """What the log says of its protocol; the model is the rows' own, or the one that was named."""
    asked: str
    """Names the way in which it was read: other columns or another reward make it another log."""
    texts: bool
    """False: the rollouts are counts, without completions."""
    _again: Callable[[], Iterator[Entry]] = field(repr=False, compare=False)

    def entries(self) -> Iterator[Entry]:
        """Each rollout with the reward that the log gives it, and each failed request, in the order of the log.

        Reads the files once more.

        Raises:
            ProblemsError: the files are no longer what they were.
        """
        return self._again()

    def rollouts(self) -> Iterator[tuple[Rollout, float | None]]:
        """The rollouts among the entries."""
        return ((one, reward) for one, reward in self._again() if isinstance(one, Rollout))


@dataclass(frozen=True, slots=True)
class Steps:
    """Which steps of a policy in training a log has."""

    files: Mapping[int, tuple[Path, ...]]
    """In order, each with those files of the log that it is in."""
    n_bad_lines: int
    """Rows that tell no step; 0 unless leaving them out was asked for."""
    bad_lines: tuple[str, ...]
    """The first few of them: place and complaint."""


def read(paths: str | Path | Iterable[str | Path], format: str, **asked: Any) -> LogBatch:
    """Read and check a whole log: :func:`reading`, to its end."""
    steps = reading(paths, format, **asked)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            batch: LogBatch = end.value
            return batch


def reading(
    paths: str | Path | Iterable[str | Path],
    format: str,
    *,
    columns: Mapping[str, str | None] | None = None,
    skip_bad_lines: bool = False,
    problems: Iterable[str | Path] = (),
    step: int | None = None,
    model: str | None = None,
    reward: str | None = None,
    answer_pattern: str | None = None,
    strays: bool = True,
) -> Generator[int, None, LogBatch]:
    """Read and check a whole log, a few rows at a time.

    A row is one rollout: ``question``, ``answer`` and ``completion``, and where the log has them ``problem_id``
    (else a content hash, as for problems), ``index`` (else the order of appearance within the problem),
    ``finish_reason``, ``reward`` (None and NaN: not scored), ``prompt_tokens``, ``completion_tokens`` and ``metadata``
    (a mapping; that of a problem's first row counts), ``error`` (what is no null and not empty makes the row a failed
    request), ``step`` and ``model``. Rows of one problem need not stand together.

    Args:
        paths: One file or several, read in this order as one log; a folder stands for the files of the format in it.
        format: A key of FORMATS.
        columns: Where the log calls a column otherwise: our name to the log's, with dots into nested columns; None
            leaves an optional column unread.
        skip_bad_lines: Leave out what would be refused, and count it. A file that cannot be read is refused always.
        problems: Files that have question and reference of the problems, for logs that only name them.
        step: Of a policy in training, the one to read. Rollouts of several steps are never read as one.
        model: What drew the rollouts. Of a log with several models, the one to read.
        reward: Which of several rewards, metrics or scorers is the log's verdict; ``none``: none of them.
        answer_pattern: A regular expression whose first group, in its last match, is the reference.
        strays: Whether bad rows that tell no step are counted; not where ``steps`` has counted them.

    Yields:
        How many rows have been read, so that the caller may breathe.

    Returns:
        The log.

    Raises:
        UsageError: unknown format or column, no file, one file twice, or several steps or models and none is named.
        ProblemsError: a row is broken, gives another question or reference to a known problem_id, or repeats an
            index; names the place. Or: there is no good row at all.
    """
    module = reader(format)
    files = files_of(paths, format)
    given = dict(columns or {})
    if reward is not None and module is reader("jsonl"):
        # A plain row has no rewards by name but its columns.
        given["reward"] = None if reward == "none" else reward
    mapping = _mapping(given, counts.COLUMNS if format == COUNTS else ())
    known = [*problems]
    scan = Scan(
        files=files,
        format=format,
        asked=Asked(format, reward, given, files),
        mapping=mapping,
        known=Known(known, given) if known else None,
        pattern=_pattern(answer_pattern),
        skip_bad_lines=skip_bad_lines,
        step=step,
        model=model,
        strays=strays,
    )
    seen = Seen()
    yield from _breathing(scan.entries(seen))
    drawn = {name for of_step, name in seen.strands if step in (None, of_step)} - {None}
    if len(drawn) == 1 and model is not None and model not in drawn:
        # The only model of the log goes by another name there.
        scan, seen = replace(scan, model=None), Seen()
        yield from _breathing(scan.entries(seen))
    elif len(drawn) > 1 and model in drawn and any(name is None for _, name in seen.strands):
        # Which of the models drew a rollout that names none, nobody knows.
        scan, seen = replace(scan, nameless=False), Seen()
        yield from _breathing(scan.entries(seen))
    none_fits = seen.taken is None and bool(seen.strands) and not (step is not None and seen.bad_of_step)
    if seen.mixed or none_fits or (len(drawn) > 1 and scan.model not in drawn):
        raise _which(seen, files, step, scan.model)
    if not seen.n_rollouts + seen.n_errors:
        place, error = seen.first_bad or (", ".join(map(str, files)), None)
        if error and not seen.fits:
            raise no_such_log(format, place, error)
        complaint = f"no row can be read; the first: {error.message}" if error else "it holds no rows"
        raise ProblemsError(complaint, where=place, hint=error.hint if error else None)
    _refuse_unknown_columns(scan, seen, reward)
    used = {str(column).split(".")[0] for column in mapping.values()} | set(mapping.values())
    of_step, named = seen.taken or (None, None)
    return LogBatch(
        problems=tuple(set_duplicates_aside([problem for problem, _ in seen.problems.values()])),
        n_rollouts=seen.n_rollouts,
        n_rewards=seen.n_rewards,
        n_unknown_finish=seen.n_unknown_finish,
        n_errors=seen.n_errors,
        errors=tuple(seen.errors),
        n_bad_lines=seen.n_bad,
        bad_lines=tuple(seen.bad),
        n_others=seen.n_others,
        unused_columns=tuple(name for name in seen.columns if name not in used),
        step=of_step,
        origin=_origin(files, format, model or named),
        asked=digest([given, reward, answer_pattern, skip_bad_lines]),
        texts=format != COUNTS,
        _again=lambda: (entry for entry in scan.entries(Seen()) if entry is not None),
    )


def steps(
    paths: str | Path | Iterable[str | Path],
    format: str,
    *,
    columns: Mapping[str, str | None] | None = None,
    reward: str | None = None,
    skip_bad_lines: bool = False,
) -> Steps:
    """Which steps of a policy in training a log has; its arguments are those of :func:`reading`.

    Raises:
        UsageError: it has none.
        ProblemsError: a row that is broken, or tells no step where others do; names the place. Or: a file as a whole
            cannot be read, or no row of it all; or no row is one of the format.
    """
    files = files_of(paths, format)
    given = dict(columns or {})
    mapping = _mapping(given, counts.COLUMNS if format == COUNTS else ())
    found: dict[int, dict[Path, None]] = {}
    bad, stepless = _Left(), _Left()
    unlike: tuple[str, NotOfFormat] | None = None
    fits = False
    for path in files:
        for place, row in reader(format).read(path, Asked(format, reward, given, files)):
            if isinstance(row, NotOfFormat):
                unlike = unlike or (place, row)
            else:
                fits = True
            try:
                if isinstance(row, ProblemsError):
                    raise row
                step = step_of(row, mapping)
            except ProblemsError as error:
                bad.add(place, error)
                continue
            if step is None:
                stepless.add(place, ProblemsError("this row has no step, others of the log have one"))
            else:
                found.setdefault(step, {})[path] = None
    if unlike and not fits:
        raise no_such_log(format, *unlike)
    if not found and not bad.count:
        raise UsageError("no row of the log has a step", where=", ".join(map(str, files[:3])))
    count, left = bad.count + stepless.count, [*bad.first, *stepless.first]
    if left and not (found and skip_bad_lines):
        place, first = left[0]
        message = f"no row can be read; the first: {first.message}" if skip_bad_lines else first.message
        hint = first.hint or "--skip-bad-lines leaves such rows out, and counts them"
        raise ProblemsError(message, where=place, hint=None if skip_bad_lines else hint)
    told = tuple(f"{place}: {cause.message}" for place, cause in left[:SHOWN])
    return Steps({step: tuple(found[step]) for step in sorted(found)}, count, told)


@dataclass(slots=True)
class _Left:
    """Rows that tell no step: how many, and the first few."""

    count: int = 0
    first: list[tuple[str, ProblemsError]] = field(default_factory=list)
    _last: str | None = None

    def add(self, place: str, error: ProblemsError) -> None:
        """One more, unless it is another rollout of the same row."""
        if place == self._last:
            return
        self._last = place
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append((place, error))


def _breathing(entries: Iterator[Entry | None]) -> Iterator[int]:
    for number, _ in enumerate(entries, start=1):
        if number % _EACH == 0:
            yield number


def _which(seen: Seen, files: tuple[Path, ...], step: int | None, model: str | None) -> UsageError:
    """The complaint that a log holds several steps or models, or none of the one asked for, with their counts."""
    by_step: Counter[Any] = Counter()
    by_model: Counter[Any] = Counter()
    for (of_step, drawn_by), count in seen.strands.items():
        by_step[of_step] += count
        if drawn_by is not None and step in (None, of_step):
            by_model[drawn_by] += count
    about_steps = len(by_step) > 1 if step is None else step not in by_step
    tally, asked = (by_step, step) if about_steps else (by_model, model)
    what = "steps of a policy in training" if about_steps else "models"
    option = "--step N, or --every-step for a profile of each" if about_steps else "--model NAME"
    ordered = sorted(tally.items(), key=lambda pair: (pair[0] is None, pair[0]))
    shown = [f"{'none' if name is None else name} ({count:,} rows)" for name, count in ordered]
    more = f", and {len(shown) - _MOST} more" if len(shown) > _MOST else ""
    begins = f"the log holds several {what}" if asked is None else f"the log has no {asked!r} among its {what}"
    return UsageError(
        f"{begins}: {', '.join(shown[:_MOST])}{more}",
        where=", ".join(map(str, files[:3])) + (", ..." if len(files) > 3 else ""),
        hint=f"choose one with {option}: pass rates of two are never pooled",
    )


def _origin(files: tuple[Path, ...], format: str, model: str | None) -> Origin:
    """What all files of a log say of their protocol together.

    Raises:
        UsageError: two of them say something else.
    """
    module = reader(format)
    whole = Origin(model=model)
    for path in files:
        told: Origin = module.origin(path)
        if model is not None:
            told = replace(told, model=model)
        if field_ := whole.differs(told):
            raise UsageError(
                f"the files differ in {field_}: {getattr(whole, field_)!r}, then {getattr(told, field_)!r}",
                where=str(path),
                hint="import them apart: pass rates of two protocols are never pooled",
            )
        whole = whole.with_more(told)
    return whole


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"not a regular expression: {error}", where="answer_pattern") from error
    if not pattern.groups:
        raise UsageError("the pattern has no group", where="answer_pattern", hint=r"e.g. '####\s*(.+)$'")
    return pattern


def _refuse_unknown_columns(scan: Scan, seen: Seen, reward: str | None) -> None:
    """Refuse a column that was named and that neither a row of the log nor the problems' files have.

    Raises:
        UsageError: names the option and the columns that there are.
    """
    there = seen.named | (set() if scan.known is None else scan.known.named)
    for name, column in scan.asked.columns.items():
        if column and column not in there:
            error = missing_column(column, name, [dict.fromkeys(seen.columns)])
            option = "--reward" if name == "reward" and column == reward else f"--column {name}={column}"
            raise UsageError(error.message, where=option, hint=error.hint)


def _mapping(columns: Mapping[str, str | None], more: tuple[str, ...]) -> dict[str, str | None]:
    """Where each of our columns is in the log; ``more`` are those that only the format's own reader looks up."""
    names = (*REQUIRED, *OPTIONAL, *more)
    for name, column in columns.items():
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(names)}"
            raise UsageError(f"rollouts have no column {name!r}", where="--column", hint=hint)
        if column is None and name in REQUIRED:
            raise UsageError(f"the column {name!r} cannot be left out", where="--column")
    return {name: columns.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
