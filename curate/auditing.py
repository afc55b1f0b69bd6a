"""Auditing: is a rare pass real, can a problem be guessed, and is its reference right? Asked of a profile's rollouts.

Owns the run: it reads the ledger a file at a time, has every rollout measured, joins what probes drew, and writes what
was seen in each rollout beside what follows for each problem. Must not sample, nor decide what a signal means: the
audit's rooms measure, ``decide`` says what counts as a reason. A flag is a cause to look and never a verdict: every one
of them comes with its evidence.

Of all rollouts the numbers are held in memory, some hundred bytes each, and never the completions. Nothing is
written before all of it is known, so a run that is broken off leaves the audit that stood before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from curate import decide
from curate.audit import bulk, references
from curate.audit.answers import answer_spaces
from curate.audit.relative import relative
from curate.errors import LedgerError
from curate.ledger import Ledger
from curate.probing import cot_pass, read_probe
from curate.recipe import BandSection
from curate.statistics import genuine, guessing
from curate.statistics.prior import Prior
from curate.summary import Session, Summary, estimate_anew, now, summarise, tally

QUEUE = 20
"""Suspect references that the result lists; all are in ``audit.parquet``."""

FLAGS = ("wrong_step", "unsupported", "skipped", "repetitive", "unneeded", "refuted")
"""What makes a passing rollout count as a shortcut pass: a false stated step, an answer that does not follow from the
last step, work skipped, a text that repeats itself; and where it was probed, an answer that comes as well without any
of the reasoning, or reasoning that a judge's votes do not find to support it."""


@dataclass(frozen=True)
class Suspect:
    """A reference that is probably wrong."""

    problem_id: str
    references: tuple[str, ...]
    probability: float
    """That it is wrong, under the model of ``audit.references``: a cause to look."""
    reached: int
    """Rollouts that reached the reference."""
    competing: tuple[tuple[str, int], ...]
    """The other answers and their counts, the commonest first."""
    why: str
    """``majority``, ``truncated``, ``fails_itself``, ``contradicted``, joined by commas."""
    note: str


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    path: Path
    rollouts: int
    passes: int
    spoken_of: int
    """Passes with a stated step that could be checked."""
    flagged: dict[str, int]
    """Passes by flag; one pass may have several. ``any`` counts each once."""
    probes: dict[str, int]
    """What probes were held and used, by kind: problems of ``guess``, rollouts of ``early`` and ``judge``."""
    cot_pass: tuple[int, float, float] | None
    """K, Pass@K and CoT-Pass@K (arXiv 2506.14245) for the group size, where a judge's votes allow it."""
    unmeasured: int
    """Rollouts that an error of ours left without signals."""
    guess_verdicts: dict[str, int]
    """Problems whose answer can be guessed, by what their passes say about it."""
    reasons: dict[str, int]
    """Problems by the audit's reasons."""
    kept_before: int
    """Problems that the band alone keeps."""
    suspects: tuple[Suspect, ...]
    """The first ``QUEUE`` of the references to look at."""
    summary: Summary


def audit(folder: str | Path, *, workers: int | None = None, report: Callable[[int, int], None] | None = None) -> Audit:
    """Audit a profile: write ``audit.parquet``, and ``audit/rollouts.parquet`` with the signals of each rollout.

    Nothing is sampled. Probes that were drawn (``curate.probing``) are used. An older audit is replaced; ``filter`` and
    ``show`` go by the new one. Estimates that a killed run left behind its rollouts are brought up to date.

    Args:
        folder: The profile.
        workers: Processes that measure rollouts; None takes one for each core.
        report: Called with (measured, all) rollouts as the work goes on.

    Raises:
        LedgerError: there is no finished profile, or its rollouts are not on this disk.
    """
    ledger = Ledger(folder)
    manifest = ledger.manifest()
    started, begun = now(), time.monotonic()
    band = BandSection.model_validate(manifest["band"])
    probes = {kind: read_probe(folder, kind) for kind in ("guess", "early", "judge")}
    with ledger.writing():
        ledger.estimates()
        rollouts, said = _measured(ledger, manifest["verifier_fingerprint"], workers, report)
        rollouts = _flagged(rollouts, probes["early"], probes["judge"])
        estimates = _current_estimates(ledger, rollouts)
        problems, queue = _problems(ledger, rollouts, said, probes["guess"], band)
        ledger.write_audit(problems, rollouts)
        session = Session("audit", "none", started, round(time.monotonic() - begun, 3), 0, 0, 0, 0, 0, 0)
        manifest = ledger.manifest()
        ledger.write_manifest({**manifest, "sessions": [*manifest.get("sessions", []), vars(session)]})
    before = summarise(estimates, manifest["name"], band, ledger.path)
    summary = summarise(decide.with_audit(estimates, problems), manifest["name"], band, ledger.path)
    passes = rollouts.filter(pl.col("verdict") == "pass")
    return Audit(
        path=ledger.path,
        rollouts=rollouts.height,
        passes=passes.height,
        spoken_of=int((passes["steps_stated"] > 0).sum()),
        flagged={**{name: int(passes[name].sum()) for name in FLAGS}, "any": int(passes["shortcut"].sum())},
        probes={kind: counts.height for kind, counts in probes.items() if counts is not None},
        cot_pass=_cot_pass(folder, band.group_size) if probes["judge"] is not None else None,
        unmeasured=int(rollouts["audit_error"].is_not_null().sum()),
        guess_verdicts=tally(problems["guess_verdict"].drop_nulls()),
        reasons=tally(problems["reasons"].explode().drop_nulls()),
        kept_before=before.kept,
        suspects=_suspects(queue),
        summary=summary,
    )


# -- rollouts ---------------------------------------------------------------------------------------------------------

_NARROW: dict[pl.DataType, type[pl.DataType]] = {pl.Int64(): pl.Int32, pl.Float64(): pl.Float32}
"""A million rollouts are held in half the memory so."""


def _measured(
    ledger: Ledger, fingerprint: str, workers: int | None, report: Callable[[int, int], None] | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The signals of every judged rollout, and what each of them answered."""
    numbers: list[pl.DataFrame] = []
    said: list[pl.DataFrame] = []
    total = ledger.scan_verdicts(fingerprint).select("problem_id", "index").unique().select(pl.len()).collect().item()
    done = 0
    for batch in bulk.audit_rollouts(_completions(ledger, fingerprint), workers):
        said.append(batch.select("problem_id", "verdict", "answer"))
        narrow = [pl.col(name).cast(_NARROW[kind]) for name, kind in batch.schema.items() if kind in _NARROW]
        numbers.append(batch.drop("answer").with_columns(narrow))
        done += batch.height
        if report is not None:
            report(done, max(done, total))
    if not numbers:
        raise LedgerError(
            "the rollouts of this profile are not on this disk",
            where=str(ledger.path),
            hint="they are where it was made; profiling again with the same recipe draws the same",
        )
    return relative(pl.concat(numbers)), pl.concat(said)


def _flagged(frame: pl.DataFrame, early: pl.DataFrame | None, judge: pl.DataFrame | None) -> pl.DataFrame:
    """Which passes count as shortcuts, and by which flags."""
    key = ["problem_id", "index"]
    nothing = pl.DataFrame(schema={"problem_id": pl.String, "index": pl.Int32, "n": pl.Int64, "k": pl.Int64})
    asked = nothing if early is None else early.filter(pl.col("cut") == 0.0)
    votes = nothing if judge is None else judge
    bare = asked.select(*key, early_n=pl.col("n"), early_k=pl.col("k"))
    said = votes.select(*key, judge_n=pl.col("n"), judge_k=pl.col("k"))
    frame = frame.join(bare, on=key, how="left").join(said, on=key, how="left")
    flags = {
        "wrong_step": pl.col("steps_false") > 0,
        "unsupported": ~pl.col("answer_follows"),
        "unneeded": pl.col("early_k") * 2 > pl.col("early_n"),
        "refuted": (pl.col("judge_k") * 2 <= pl.col("judge_n")) & (pl.col("judge_n") > 0),
    }
    frame = frame.with_columns(test.fill_null(False).alias(name) for name, test in flags.items())
    shortcut = (pl.col("verdict") == "pass") & pl.any_horizontal(FLAGS)
    return frame.with_columns(shortcut=shortcut).sort(key)


def _current_estimates(ledger: Ledger, rollouts: pl.DataFrame) -> pl.DataFrame:
    """The estimates, made anew where a run that was killed drew more than it estimated."""
    counted = ledger.problems().select("problem_id").join(_counts(rollouts), on="problem_id", how="left")
    if decide.outdated(ledger.estimates(), counted.with_columns(pl.col(_COUNTED).fill_null(0))):
        estimate_anew(ledger)
    return ledger.estimates()


def _cot_pass(folder: str | Path, k: int) -> tuple[int, float, float] | None:
    try:
        return k, *cot_pass(folder, k)
    except LedgerError:  # not all passes of any problem were judged
        return None


def _completions(ledger: Ledger, fingerprint: str) -> Iterator[pl.DataFrame]:
    for frame in ledger.judged(fingerprint):
        yield frame.select(bulk.INPUTS)


# -- problems ---------------------------------------------------------------------------------------------------------


def _problems(
    ledger: Ledger, rollouts: pl.DataFrame, said: pl.DataFrame, probe: pl.DataFrame | None, band: BandSection
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The evidence of each problem in source order, and the queue of references, with those who answered otherwise."""
    problems = ledger.problems()
    tallies = references.tally(said, problems)
    queue = references.suspects(tallies, references.signs(problems))
    frame = (
        problems.select("problem_id")
        .join(_counts(rollouts), on="problem_id", how="left", maintain_order="left")
        .with_columns(pl.col(_COUNTED).fill_null(0))
        .join(queue, on="problem_id", how="left", maintain_order="left")
    )
    earlier = ledger.earlier()
    if earlier is not None:
        frame = decide.with_classes(frame, earlier)
    belief = decide.from_frame(ledger.prior())
    frame = pl.concat([frame, _guesses(problems, frame, tallies, probe, belief, band)], how="horizontal")
    frame = pl.concat([frame, _genuine(frame, belief, band)], how="horizontal")
    frame = frame.with_columns(reasons=decide.audit_reasons())
    more = ("label_note", "competing_answers", "competing_counts")
    return frame.select("problem_id", *decide.EVIDENCE, *more, "reasons"), queue.join(
        problems.select("problem_id", "answers"), on="problem_id", how="left", maintain_order="left"
    )


_COUNTED = ("n_audited", "n_passes", "n_checked", "n_shortcut", "n_steps_false", "n_repetitive")


def _counts(rollouts: pl.DataFrame) -> pl.DataFrame:
    scored, passed = pl.col("verdict") != "unscored", pl.col("verdict") == "pass"
    tests = {
        "n_audited": scored,
        "n_passes": passed,
        "n_checked": passed & pl.col("audit_error").is_null(),
        "n_shortcut": pl.col("shortcut"),
        "n_steps_false": passed & pl.col("wrong_step"),
        "n_repetitive": passed & pl.col("repetitive"),
    }
    return rollouts.group_by("problem_id").agg(test.sum().cast(pl.Int64).alias(name) for name, test in tests.items())


def _guesses(
    problems: pl.DataFrame,
    frame: pl.DataFrame,
    tallies: pl.DataFrame,
    probe: pl.DataFrame | None,
    belief: Prior,
    band: BandSection,
) -> pl.DataFrame:
    """What a guess would do on each problem, and whether its passes are more than that."""
    said: dict[str, dict[str, int]] = {name: {} for name in problems["problem_id"]}
    for name, answer, count in tallies.select("problem_id", "answer", "count").iter_rows():
        said[name][answer] = count
    answers = [tuple(accepted) for accepted in problems["answers"]]
    spaces = answer_spaces(problems["question"].to_list(), answers, list(said.values()))
    a, b = (np.array([getattr(space, name) for space in spaces]) for name in ("a", "b"))
    if probe is not None:
        a, b = _probed(problems, probe, a, b)
    n, k = frame["n_audited"].to_numpy(), frame["n_passes"].to_numpy()
    few = np.array([space.few for space in spaces])
    sampled = n > 0
    verdicts, flagged, luck = np.empty(n.size, object), np.zeros(n.size, np.bool_), np.zeros(n.size)
    for one, rows in decide.each_class(frame, belief):
        # All problems are asked each time: the false discoveries are held over the whole set.
        said_of = guessing.guess_verdicts(n, k, a, b, prior=one, confidence=band.confidence)
        verdicts[rows] = np.array(said_of, object)[rows]
        flagged[rows] = guessing.guessable(n, k, a, b, few, prior=one, confidence=band.confidence)[rows]
        luck[rows] = guessing.p_luck(n[rows], k[rows], a[rows], b[rows], prior=one)
    open_ended = np.isnan(a)
    told = pl.DataFrame(
        {
            "guess_kind": [space.kind.value for space in spaces],
            "guess_rate": a / (a + b),
            "guess_p": guessing.guess_test(n, k, a, b),
            "guess_verdict": [verdict.value for verdict in verdicts],
            "p_luck": luck,
            "guessable": flagged,
        },
    ).with_columns(pl.col("guess_rate").fill_nan(None))
    asked = pl.Series(sampled & ~open_ended)
    return told.with_columns(
        pl.when(asked).then(pl.col("guess_p", "guess_verdict", "p_luck")),
        guessable=pl.col("guessable") & pl.Series(sampled),
    )


def _probed(problems: pl.DataFrame, probe: pl.DataFrame, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The guess rates with what a probe drew; an answer that looked open begins at Jeffreys once a bare one passed."""
    drawn = problems.select("problem_id").join(probe, on="problem_id", how="left", maintain_order="left")
    n, k = (drawn[name].fill_null(0).to_numpy() for name in ("n_guess", "k_guess"))
    found = np.isnan(a) & (k > 0)
    return np.where(found, 0.5, a) + k, np.where(found, 0.5, b) + n - k


def _genuine(frame: pl.DataFrame, belief: Prior, band: BandSection) -> pl.DataFrame:
    """The genuine pass rate and what a group would make of the passes."""
    n, k, checked, flagged = (frame[name].to_numpy() for name in ("n_audited", "n_passes", "n_checked", "n_shortcut"))
    a, b = genuine.genuine_prior(checked, checked - flagged)
    names = {
        "p_genuine": "p_genuine",
        "rate": "genuine_rate",
        "low": "genuine_low",
        "high": "genuine_high",
        "p_outvote": "p_outvote",
        "risk": "risk",
    }
    columns = {name: np.empty(n.size) for name in names.values()}
    for one, rows in decide.each_class(frame, belief):
        seen, real = checked[rows], (checked - flagged)[rows]
        found = genuine.genuine(one, n[rows], k[rows], seen, real, band.group_size, a=a, b=b)
        for said, name in names.items():
            columns[name][rows] = getattr(found, said)
    return pl.DataFrame(columns).with_columns(pl.when(pl.Series(n > 0)).then(pl.all()))


def _suspects(queue: pl.DataFrame) -> tuple[Suspect, ...]:
    listed = queue.filter(pl.col("label_why") != "").head(QUEUE)
    return tuple(
        Suspect(
            problem_id=row["problem_id"],
            references=tuple(row["answers"]),
            probability=row["p_label_wrong"],
            reached=row["reference_count"],
            competing=tuple(zip(row["competing_answers"], row["competing_counts"], strict=True)),
            why=row["label_why"],
            note=row["label_note"],
        )
        for row in listed.iter_rows(named=True)
    )
