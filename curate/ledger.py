"""The ledger: a profile on disk. What cost GPU hours is written here once, and read from here ever after.

Owns the files of ``profiles/<name>/``: immutable parquet files of rollouts, verdicts, comparisons and failed requests,
each written whole or not at all, and the small files beside them. Must not know how rollouts are drawn or judged:
profiling, importing and verifying write here, everything to its right only reads.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from curate import durable, parts
from curate.errors import LedgerBusy, LedgerCorrupt, LedgerError
from curate.layout import COMPARISONS, EARLIER, ERRORS, HISTORY, PRIOR, PROBLEMS, ROLLOUTS, VERDICTS
from curate.records import Comparison, FailedRequest, Problem, Rollout, Verdict

FORMAT = 1
"""Version of the layout; a profile of another one is refused."""
RELEASE_MARK = "profile_updated"
"""The key that a release's manifest has, and a profile's has not."""


class Ledger:
    """One profile folder.

    Args:
        path: The folder, ``profiles/<name>``. It need not exist before something is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # -- the small files ------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether a profile was begun here."""
        return (self.path / "manifest.json").exists()

    def manifest(self) -> dict[str, Any]:
        """The manifest: recipe, protocol, versions, counts and cost.

        Raises:
            LedgerError: there is no profile here, one of another layout, or a release.
            LedgerCorrupt: the manifest is not readable.
        """
        file = self.path / "manifest.json"
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise LedgerError(
                "there is no profile here", where=str(self.path), hint="make one with: curate profile RECIPE"
            ) from error
        except (OSError, ValueError) as error:
            raise LedgerCorrupt(f"unreadable manifest: {error}", where=str(file)) from error
        if RELEASE_MARK in found:
            raise LedgerError(
                "this is a release, as `curate filter` writes it, and no profile",
                where=str(self.path),
                hint=f"name the profile that it was made from, such as profiles/{found.get('name', 'NAME')}",
            )
        if found.get("format") != FORMAT:
            raise LedgerError(
                f"this profile has layout {found.get('format')!r}; this version of curate reads {FORMAT}",
                where=str(file),
            )
        return found

    def has_texts(self) -> bool:
        """Whether its rollouts have completions: counts that were imported have none."""
        texts: bool = self.manifest().get("imported", {}).get("texts", True)
        return texts

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace the manifest, whole or not at all."""
        text = json.dumps({"format": FORMAT, **manifest}, indent=2, ensure_ascii=False) + "\n"
        durable.write(self.path / "manifest.json", lambda file: file.write_text(text, encoding="utf-8"))

    def problems(self) -> pl.DataFrame:
        """All problems of the profile, those set aside included, in source order."""
        return self._read_one("problems.parquet", PROBLEMS)

    def write_problems(self, problems: Sequence[Problem], prompts: Sequence[str]) -> None:
        """Replace the problems. ``prompts[i]`` is what the model sees of ``problems[i]``; empty where set aside."""
        rows = [
            {
                "problem_id": problem.problem_id,
                "question": parts.clean(problem.question),
                "answer": parts.clean(problem.answers[0]) if problem.answers else None,
                "answers": [parts.clean(answer) for answer in problem.answers],
                "prompt": parts.clean(prompt),
                "set_aside": problem.set_aside,
                "set_aside_why": parts.clean(problem.set_aside_why),
                "metadata": parts.clean(json.dumps(problem.metadata, ensure_ascii=False, default=str)),
                "messages": [{"role": turn.role, "content": parts.clean(turn.content)} for turn in problem.messages],
            }
            for problem, prompt in zip(problems, prompts, strict=True)
        ]
        frame = pl.DataFrame(rows, schema=PROBLEMS)
        durable.write(self.path / "problems.parquet", lambda file: frame.write_parquet(file, compression="zstd"))

    def estimates(self) -> pl.DataFrame:
        """One row for each problem, as last estimated.

        Raises:
            LedgerError: nothing was estimated yet.
        """
        if not (self.path / "estimates.parquet").exists():
            command = "import" if "imported" in self.manifest() else "profile"
            raise LedgerError(
                "this profile has no estimates yet: what made it was broken off",
                where=str(self.path),
                hint=f"run the same `curate {command}` command again: it continues where it stopped",
            )
        return self._read_one("estimates.parquet", None)

    def write_estimates(self, frame: pl.DataFrame) -> None:
        """Replace the estimates, whole or not at all."""
        durable.write(self.path / "estimates.parquet", lambda file: frame.write_parquet(file, compression="zstd"))

    def prior(self) -> pl.DataFrame:
        """The prior that the estimates were made with, cell by cell."""
        return self._read_one("prior.parquet", PRIOR)

    def write_prior(self, frame: pl.DataFrame) -> None:
        """Replace the prior, whole or not at all."""
        durable.write(self.path / "prior.parquet", lambda file: frame.write_parquet(file, compression="zstd"))

    def history(self) -> pl.DataFrame:
        """Where the profile stood each time that it was summed up, oldest first; no rows where that is not known."""
        exists = (self.path / "history.parquet").exists()
        return self._read_one("history.parquet", HISTORY) if exists else pl.DataFrame(schema=HISTORY)

    def write_history(self, frame: pl.DataFrame) -> None:
        """Replace the history, whole or not at all."""
        durable.write(self.path / "history.parquet", lambda file: frame.write_parquet(file, compression="zstd"))

    def earlier(self) -> pl.DataFrame | None:
        """What earlier profiles knew of the problems when this one was begun; None where it was begun without."""
        return self._read_one("earlier.parquet", EARLIER) if (self.path / "earlier.parquet").exists() else None

    def write_earlier(self, frame: pl.DataFrame) -> None:
        """Keep what earlier profiles know, so that they may be moved or deleted."""
        durable.write(self.path / "earlier.parquet", lambda file: frame.write_parquet(file, compression="zstd"))

    def audit(self) -> pl.DataFrame | None:
        """One row for each problem, as last audited; None where no audit was made."""
        return self._read_one("audit.parquet", None) if (self.path / "audit.parquet").exists() else None

    def audited_rollouts(self) -> pl.LazyFrame | None:
        """The signals of each rollout, as last audited; None where they are not on this disk."""
        file = self.path / "audit" / "rollouts.parquet"
        return pl.scan_parquet(file, glob=False) if file.exists() else None

    def write_audit(self, problems: pl.DataFrame, rollouts: pl.LazyFrame) -> None:
        """Replace the audit: first what was seen in each rollout, then what follows for each problem."""
        signals = self.path / "audit" / "rollouts.parquet"
        durable.write(signals, lambda file: rollouts.sink_parquet(file, compression="zstd", row_group_size=1 << 14))
        durable.write(self.path / "audit.parquet", lambda file: problems.write_parquet(file, compression="zstd"))

    def probe(self, kind: str, fingerprint: str) -> Ledger:
        """What a probe drew, a small profile below this one's folder; it need not exist yet."""
        return Ledger(self.path / "probes" / f"{kind}-{fingerprint}")

    def probes(self, kind: str) -> list[Ledger]:
        """The probes of one kind that were made."""
        found = [Ledger(place) for place in sorted((self.path / "probes").glob(f"{kind}-*"))]
        return [one for one in found if one.exists()]

    def forget_audit(self, problem_ids: Collection[str]) -> None:
        """Take back what the audit says of some problems; it is out of date then, until another one is made."""
        if (audit := self.audit()) is not None:
            kept = audit.filter(~pl.col("problem_id").is_in(list(problem_ids)))
            durable.write(self.path / "audit.parquet", lambda file: kept.write_parquet(file, compression="zstd"))

    # -- the append-only files ------------------------------------------------------------------------------------

    def append_rollouts(self, rollouts: Sequence[Rollout]) -> None:
        """Write one immutable file of rollouts. Lone surrogates, which no file can hold, become U+FFFD."""
        columns = parts.from_records(rollouts, ROLLOUTS)
        columns["completion"] = [parts.clean(text) for text in columns["completion"]]
        self._append("rollouts", columns, ROLLOUTS)

    def append_verdicts(self, fingerprint: str, verdicts: Sequence[Verdict]) -> None:
        """Write one immutable file of verdicts under their verifier's fingerprint."""
        columns = parts.from_records(verdicts, VERDICTS)
        columns["answer"] = [None if text is None else parts.clean(text) for text in columns["answer"]]
        columns["reason"] = [parts.clean(text) for text in columns["reason"]]
        self._append(f"verdicts/{fingerprint}", columns, VERDICTS)

    def append_comparisons(self, fingerprint: str, comparisons: Sequence[Comparison]) -> None:
        """Write one immutable file of comparisons under their verifier's fingerprint.

        A comparison whose texts no file can hold is left out: with another text it would be another comparison.
        """
        kept = [
            one
            for one in comparisons
            if all(parts.clean(text) == text for text in (*one.answers, one.answer, one.reason))
        ]
        self._append(f"comparisons/{fingerprint}", parts.from_records(kept, COMPARISONS), COMPARISONS)

    def append_errors(self, errors: Sequence[FailedRequest]) -> None:
        """Write one immutable file of failed requests. They are no rollouts: the same indices are asked again."""
        columns = parts.from_records(errors, ERRORS)
        columns["error"] = [parts.clean(text) for text in columns["error"]]
        self._append("errors", columns, ERRORS)

    def rollouts(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rollouts, or the named columns of them.

        Raises:
            LedgerCorrupt: a file is unreadable, or one rollout was recorded twice.
        """
        return parts.read_all(self.path / "rollouts", ROLLOUTS, list(columns) if columns is not None else None)

    def scan_rollouts(self) -> pl.LazyFrame:
        """All rollouts as a lazy frame, for work that must not hold every completion in memory."""
        return parts.scan(self.path / "rollouts", ROLLOUTS)

    def scan_verdicts(self, fingerprint: str) -> pl.LazyFrame:
        """All verdicts of one verifier as a lazy frame, those that a newer one has replaced included."""
        return parts.scan(self.path / f"verdicts/{fingerprint}", VERDICTS)

    def verdicts(self, fingerprint: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All verdicts of one verifier; the newest where a rollout was judged more than once."""
        wanted = list(columns) if columns is not None else None
        found = parts.read_all(self.path / f"verdicts/{fingerprint}", VERDICTS, wanted)
        return found.unique(["problem_id", "index"], keep="last", maintain_order=True)

    def unjudged(self, judged: pl.DataFrame) -> Iterator[list[Rollout]]:
        """Rollouts that are not among the judged, a file of them at a time, so that no more of them are in memory.

        Args:
            judged: ``problem_id`` and ``index`` of those that are.

        Raises:
            LedgerCorrupt: a file is unreadable.
        """
        key = ["problem_id", "index"]
        files = parts.files(self.path / "rollouts")
        keys = [parts.read(file, key) for file in files]
        if not files:
            return
        waiting = pl.concat(keys).with_row_index("row").join(judged.select(key), on=key, how="anti")["row"].sort()
        first = 0
        for file, names in zip(files, keys, strict=True):
            begin, end = waiting.search_sorted(first), waiting.search_sorted(first + names.height)
            if begin < end:
                rows = parts.read(file, None)[waiting[begin:end] - first]
                yield [Rollout(**row) for row in rows.iter_rows(named=True)]
            first += names.height

    def judged(self, fingerprint: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rollouts that one verifier judged, a file of them at a time, with the newest verdict of each.

        Args:
            fingerprint: The verifier. Its verdicts are read again for every ``TOGETHER`` rollouts, never all held.
            columns: The columns wanted, of a rollout or a verdict.

        Raises:
            LedgerCorrupt: a file is unreadable.
        """
        key = ["problem_id", "index"]
        drawn = [name for name in columns if name in ROLLOUTS and name not in key]
        told = [*key, *(name for name in columns if name in VERDICTS and name not in key)]
        for files, frames in parts.together(self.path / "rollouts", key):
            keys = pl.concat(frames)
            verdicts = [pl.DataFrame(schema=VERDICTS).select(told)]
            for _, some in parts.together(self.path / f"verdicts/{fingerprint}", told):
                verdicts.append(pl.concat(some).join(keys, on=key, how="semi", maintain_order="left"))
            newest = pl.concat(verdicts).unique(key, keep="last", maintain_order=True).with_columns(found=True)
            said = keys.join(newest, on=key, how="left", maintain_order="left")
            for file, names in zip(files, frames, strict=True):
                both = said.head(names.height).hstack(parts.read(file, drawn))
                yield both.filter("found").select(columns)
                said = said.slice(names.height)

    def comparisons(self, fingerprint: str, most: int) -> list[Comparison]:
        """What one verifier compared, oldest first; about the newest ``most`` where there are more.

        Raises:
            LedgerCorrupt: a file is unreadable.
        """
        frames: list[pl.DataFrame] = []
        for file in reversed(parts.files(self.path / f"comparisons/{fingerprint}")):
            if sum(frame.height for frame in frames) >= most:
                break
            frames.append(parts.read(file, None))
        return [
            Comparison(tuple(answers), answer, reward, reason)
            for frame in reversed(frames)
            for answers, answer, reward, reason in frame.select(COMPARISONS.names()).iter_rows()
        ]

    def failed_requests(self) -> pl.DataFrame:
        """All failed requests, whether or not they succeeded later."""
        return parts.read_all(self.path / "errors", ERRORS, None)

    def held(self) -> dict[str, list[int]]:
        """Sorted rollout indices that the ledger holds, by problem.

        Raises:
            LedgerCorrupt: a rollout was recorded twice.
        """
        frame = self.rollouts(["problem_id", "index"])
        if frame.is_duplicated().any():
            twice = frame.filter(frame.is_duplicated()).row(0, named=True)
            raise LedgerCorrupt(
                f"rollout {twice['index']} of problem {twice['problem_id']} is recorded twice",
                where=str(self.path / "rollouts"),
                hint="two shard layouts were run at once; remove the later file",
            )
        return {
            str(row["problem_id"]): row["index"]
            for row in frame.group_by("problem_id").agg(pl.col("index").sort()).iter_rows(named=True)
        }

    # -- one writer -----------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, shard: tuple[int, int] | None = None) -> Iterator[None]:
        """Hold the profile for writing, alone or as one shard among several of the same count.

        Args:
            shard: ``(i, n)`` with 1 <= i <= n, or None for the whole profile.

        Raises:
            LedgerBusy: another process writes the profile, or this shard of it.
            LedgerUnwritable: the folder cannot be written.
        """
        with durable.writable(self.path), ExitStack() as locks:
            self.path.mkdir(parents=True, exist_ok=True)
            locks.enter_context(durable.locked(self.path / ".lock", shared=shard is not None))
            if shard is None:
                durable.sweep(self.path)
            else:
                locks.enter_context(durable.locked(self.path / f".lock-{shard[0]}-of-{shard[1]}"))
                self._refuse_other_layouts(shard[1])
            held = locks.pop_all()
        with held:
            yield

    @contextmanager
    def summing_up(self) -> Iterator[None]:
        """Wait for the right to replace the small files: shards that end together do so one after the other."""
        with durable.locked(self.path / ".lock-summary", wait=True):
            yield

    def _refuse_other_layouts(self, count: int) -> None:
        for file in self.path.glob(".lock-*-of-*"):
            if file.name.endswith(f"-of-{count}"):
                continue
            try:
                with durable.locked(file):
                    pass
            except LedgerBusy as error:
                raise LedgerBusy(
                    f"shards of another count are running ({file.name.removeprefix('.lock-')})",
                    where=str(self.path),
                    hint="run every shard of one profile with the same N",
                ) from error

    # -- files ----------------------------------------------------------------------------------------------------

    def _append(self, folder: str, columns: dict[str, list[Any]], schema: pl.Schema) -> None:
        if not any(columns.values()):
            return
        frame = pl.DataFrame(columns, schema=schema)
        name = f"{folder}/{time.time_ns()}-{uuid.uuid4().hex[:8]}.parquet"
        durable.write(self.path / name, lambda file: frame.write_parquet(file, compression="zstd"))

    def _read_one(self, name: str, schema: pl.Schema | None) -> pl.DataFrame:
        file = self.path / name
        if not file.exists():
            self.manifest()
            raise LedgerCorrupt("the profile has no such file", where=str(file))
        frame = parts.read(file, None)
        if schema is not None and frame.schema != schema:
            raise LedgerCorrupt(f"unexpected columns: {', '.join(frame.columns)}", where=str(file))
        return frame
