"""Logs: rollouts that other tools drew, read so that they are verified, estimated and filtered like our own.

Owns what compares the rows of a log with each other. Must not verify nor write: the caller hands problems and
rollouts to the ledger. Each format has a file that turns its rows into plain rows; all are checked here alike.

A log is read twice: once to check all of it, so that a broken one is refused before anything is written, and once for
the rollouts themselves, which are never in memory together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError, UsageError
from curate.logs.rollouts import OPTIONAL, REQUIRED, PlainRow, parse
from curate.problems.duplicates import set_duplicates_aside
from curate.problems.rows import content_id, question_key
from curate.records import Problem, Rollout

FORMATS: dict[str, str] = {"jsonl": "curate.logs.plain", "parquet": "curate.logs.plain"}
"""Format -> module; each module has ``read(path, format)``, an iterator of places and plain rows."""

_SHOWN = 5


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
    n_bad_lines: int
    """Rows left out; 0 unless that was asked for."""
    bad_lines: tuple[str, ...]
    """The first few of them: place and complaint."""
    unused_columns: tuple[str, ...]
    """Columns of the log that mean nothing here, in order of appearance."""
    _again: Callable[[], Iterator[tuple[Rollout, float | None]]] = field(repr=False, compare=False)

    def rollouts(self) -> Iterator[tuple[Rollout, float | None]]:
        """Each rollout with the reward that the log gives it, in the order of the log; reads the files once more.

        Raises:
            ProblemsError: the files are no longer what they were.
        """
        return self._again()


@dataclass(slots=True)
class _Seen:
    """What one pass over a log remembers of its rows: per problem, never a completion."""

    problems: dict[str, tuple[Problem, str]] = field(default_factory=dict)
    """With the place where each first stood."""
    indices: dict[str, set[int]] = field(default_factory=dict)
    indexed: tuple[bool, str] | None = None
    """Whether the log gives indices, and where that was first seen."""
    columns: dict[str, None] = field(default_factory=dict)
    bad: list[tuple[str, ProblemsError]] = field(default_factory=list)
    n_bad: int = 0
    n_unknown_finish: int = 0


def read(
    paths: str | Path | Iterable[str | Path],
    format: str,
    *,
    columns: Mapping[str, str | None] | None = None,
    skip_bad_lines: bool = False,
) -> LogBatch:
    """Read and check a whole log.

    A row is one rollout: ``question``, ``answer`` and ``completion``, and where the log has them ``problem_id``
    (else a content hash, as for problems), ``index`` (else the order of appearance within the problem),
    ``finish_reason``, ``reward`` (None and NaN: not scored), ``prompt_tokens``, ``completion_tokens`` and ``metadata``
    (a mapping; that of a problem's first row counts). Rows of one problem need not stand together.

    Args:
        paths: One file or several, read in this order as one log.
        format: A key of FORMATS.
        columns: Where the log calls a column otherwise: our name to the log's, with dots into nested columns; None
            leaves an optional column unread.
        skip_bad_lines: Leave out what would be refused, and count it. A file that cannot be read is refused always.

    Raises:
        UsageError: unknown format or column, no file, or one file twice.
        ProblemsError: a row is broken, gives another question or reference to a known problem_id, or repeats an
            index; names the place. Or: there is no good row at all.
    """
    files = _files(paths)
    if format not in FORMATS:
        raise UsageError(f"unknown log format {format!r}", hint=f"one of: {', '.join(FORMATS)}")
    mapping = _mapping(columns or {})

    def scan(seen: _Seen) -> Iterator[tuple[Rollout, float | None]]:
        return _scan(files, format, mapping, skip_bad_lines, seen)

    seen = _Seen()
    n_rollouts = n_rewards = 0
    for _, reward in scan(seen):
        n_rollouts += 1
        n_rewards += reward is not None
    if not n_rollouts:
        place, error = seen.bad[0] if seen.bad else (", ".join(map(str, files)), None)
        complaint = f"no row can be read; the first: {error.message}" if error else "it holds no rows"
        raise ProblemsError(complaint, where=place, hint=error.hint if error else None)
    used = {str(column).split(".")[0] for column in mapping.values()} | set(mapping.values())
    return LogBatch(
        problems=tuple(set_duplicates_aside([problem for problem, _ in seen.problems.values()])),
        n_rollouts=n_rollouts,
        n_rewards=n_rewards,
        n_unknown_finish=seen.n_unknown_finish,
        n_bad_lines=seen.n_bad,
        bad_lines=tuple(f"{place}: {error.message}" for place, error in seen.bad),
        unused_columns=tuple(name for name in seen.columns if name not in used),
        _again=lambda: scan(_Seen()),
    )


def _scan(
    files: tuple[Path, ...], format: str, mapping: Mapping[str, str | None], skip_bad_lines: bool, seen: _Seen
) -> Iterator[tuple[Rollout, float | None]]:
    module: Any = import_module(FORMATS[format])
    for path in files:
        created = path.stat().st_mtime
        for place, row in module.read(path, format):
            try:
                if isinstance(row, ProblemsError):
                    raise row
                if not row.keys() <= seen.columns.keys():
                    seen.columns.update(dict.fromkeys(row))
                plain = parse(row, mapping)
                index = _place_among(seen, plain, place)
            except ProblemsError as error:
                if not skip_bad_lines:
                    hint = error.hint or "--skip-bad-lines leaves such rows out, and counts them"
                    raise ProblemsError(error.message, where=place, hint=hint) from error
                seen.n_bad += 1
                if len(seen.bad) < _SHOWN:
                    seen.bad.append((place, error))
                continue
            seen.n_unknown_finish += plain.finish_reason is None
            yield (
                Rollout(
                    problem_id=plain.problem.problem_id,
                    index=index,
                    seed=-1,
                    completion=plain.completion,
                    finish_reason=plain.finish_reason or "stop",
                    prompt_tokens=plain.prompt_tokens,
                    completion_tokens=plain.completion_tokens,
                    engine=f"import {format}",
                    created=created,
                ),
                plain.reward,
            )


def _place_among(seen: _Seen, plain: PlainRow, place: str) -> int:
    """Check a row against those before it, remember it, and give it its index. Remembers nothing of a bad row."""
    name = plain.problem.problem_id
    known, first = seen.problems.get(name, (plain.problem, place))
    if not _same(known, plain.problem):
        differs = "reference" if question_key(known) == question_key(plain.problem) else "question"
        raise ProblemsError(
            f"problem_id {name!r} has another {differs} than at {first}",
            hint="give every problem its own id, or leave problem_id out",
        )
    given = plain.index is not None
    indexed, since = seen.indexed or (given, place)
    if given != indexed:
        has, had = ("an", "none") if given else ("no", "one")
        raise ProblemsError(
            f"this row has {has} index, the row at {since} has {had}", hint="index all rows of a log or none"
        )
    taken = seen.indices.get(name, set())
    index = len(taken) if plain.index is None else plain.index
    if index in taken:
        raise ProblemsError(
            f"index {index} of problem {name!r} was there before", hint="leave index out to number rows as they come"
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


def _files(paths: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    files = tuple(Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths))
    if not files:
        raise UsageError("no log file is named")
    for position, path in enumerate(files):
        if not path.is_file():
            raise ProblemsError("there is no such file" if not path.exists() else "not a file", where=str(path))
        if path.resolve() in [other.resolve() for other in files[:position]]:
            raise UsageError("this log file is named twice", where=str(path))
    return files


def _mapping(columns: Mapping[str, str | None]) -> dict[str, str | None]:
    names = (*REQUIRED, *OPTIONAL)
    for name, column in columns.items():
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(names)}"
            raise UsageError(f"rollouts have no column {name!r}", hint=hint)
        if column is None and name in REQUIRED:
            raise UsageError(f"the column {name!r} cannot be left out")
    return {name: columns.get(name, name) for name in names}
