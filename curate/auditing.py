"""Auditing: is a rare pass real, can a problem be guessed, and is its reference right? Asked of a profile's rollouts.

Owns the run: it reads the ledger a file at a time, has every rollout measured, joins what probes drew, and writes what
was seen in each rollout beside what follows for each problem. Must not sample, nor decide what a signal means: the
audit's rooms measure, ``decide`` says what counts as a reason. A flag is a cause to look and never a verdict: every one
of them comes with its evidence.

Rollouts are measured in the order in which they were drawn, and what was seen in each is set down on disk; then it is
taken up again by whole problems, some at a time. So memory grows with the problems and not with the rollouts. The audit
that stood before is replaced when all is known, so a run that is broken off leaves it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from curate import beliefs, decide
from curate.audit import bulk, references
from curate.audit.answers import AnswerSpace, AnswerSpaces
from curate.audit.relative import relative, typical_work
from curate.errors import LedgerError
from curate.ledger import Ledger
from curate.probing import cot_pass, read_probe
from curate.recipe import BandSection
from curate.spool import Spool
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
        LedgerError: there is no finished profile, or its rollouts are not on this disk or have no texts.
    """
    ledger = Ledger(folder)
    manifest = ledger.manifest()
    started, begun = now(), time.monotonic()
    band = BandSection.model_validate(manifest["band"])
    probes = {kind: read_probe(folder, kind) for kind in ("guess", "early", "judge")}
    if not ledger.has_texts():
        raise LedgerError("this profile was imported as counts: there are no texts to audit", where=str(ledger.path))
    with ledger.writing():
        ledger.estimates()
        names = ledger.problems()["problem_id"]
        with Spool(ledger.path / "audit", names) as measured, Spool(ledger.path / "audit", names) as flagged:
            for batch in _measured(ledger, manifest["verifier_fingerprint"], workers, report):
                measured.add(batch)
            seen = _seen(measured, ledger.problems(), probes, flagged)
            estimates = _current_estimates(ledger, seen.counts)
            problems, queue = _problems(ledger, seen, probes["guess"], band)
            ledger.write_audit(problems, flagged.scan())
        session = Session("audit", "none", started, round(time.monotonic() - begun, 3), 0, 0, 0, 0, 0, 0)
        manifest = ledger.manifest()
        ledger.write_manifest({**manifest, "sessions": [*manifest.get("sessions", []), vars(session)]})
    before = summarise(estimates, manifest["name"], band, ledger.path)
    summary = summarise(decide.with_audit(estimates, problems), manifest["name"], band, ledger.path)
    return Audit(
        path=ledger.path,
        rollouts=seen.sums["rollouts"],
        passes=seen.sums["passes"],
        spoken_of=seen.sums["spoken_of"],
        flagged={name: seen.sums[name] for name in (*FLAGS, "any")},
        probes={kind: counts.height for kind, counts in probes.items() if counts is not None},
        cot_pass=_cot_pass(folder, band.group_size) if probes["judge"] is not None else None,
        unmeasured=seen.sums["unmeasured"],
        guess_verdicts=tally(problems["guess_verdict"].drop_nulls()),
        reasons=tally(problems["reasons"].explode().drop_nulls()),
        kept_before=before.kept,
        suspects=_suspects(queue),
        summary=summary,
    )


# -- rollouts ---------------------------------------------------------------------------------------------------------

_NARROW: dict[pl.DataType, type[pl.DataType]] = {pl.Int64(): pl.Int32, pl.Float64(): pl.Float32}
"""A million rollouts are set down in half the room so."""


@dataclass(frozen=True)
class _Seen:
    """What the rollouts show, put together problem by problem."""

    counts: pl.DataFrame
    """What ``_counts`` says of each problem that has rollouts."""
    answered: pl.DataFrame
    """What ``references.counted`` says of each problem that was answered."""
    spaces: list[AnswerSpace]
    """Of each problem, in the profile's order."""
    sums: dict[str, int]
    """Over all rollouts, as ``_sums`` names them."""


def _measured(
    ledger: Ledger, fingerprint: str, workers: int | None, report: Callable[[int, int], None] | None
) -> Iterator[pl.DataFrame]:
    """The signals of every judged rollout, and what it answered."""
    total = ledger.scan_rollouts().select(pl.len()).collect().item()
    done = 0
    for batch in bulk.audit_rollouts(ledger.judged(fingerprint, bulk.INPUTS), workers):
        yield batch.with_columns(
            pl.col(name).cast(_NARROW[kind]) for name, kind in batch.schema.items() if kind in _NARROW
        )
        done += batch.height
        if report is not None:
            report(done, max(done, total))
    if not done:
        raise LedgerError(
            "the rollouts of this profile are not on this disk",
            where=str(ledger.path),
            hint="they are where it was made; profiling again with the same recipe draws the same",
        )


def _seen(measured: Spool, problems: pl.DataFrame, probes: Mapping[str, pl.DataFrame | None], flagged: Spool) -> _Seen:
    """Compare the rollouts of each problem, set down their flags, and put together what follows."""
    typical = typical_work(measured.problems(["verdict", "finish_reason", "work_tokens"]))
    spaces = AnswerSpaces(problems["question"].to_list(), list(map(tuple, problems["answers"].to_list())))
    places = problems.select("problem_id", "answers").with_row_index("place")
    counts, answered, sums = list[pl.DataFrame](), list[pl.DataFrame](), Counter[str]()
    for rollouts in measured.problems():
        frame = _flagged(relative(rollouts, typical), probes["early"], probes["judge"])
        flagged.add(frame.drop("answer"))
        counts.append(_counts(frame))
        sums.update(_sums(frame))
        known = places.join(frame, on="problem_id", how="semi")
        tallies = references.tally(frame, known).join(known, on="problem_id", maintain_order="left")
        answered.append(references.counted(tallies))
        for place, answers, times in tallies.group_by("place").agg("answer", "count").iter_rows():
            spaces.hear(place, dict(zip(answers, times, strict=True)))
    return _Seen(pl.concat(counts), pl.concat(answered), spaces.told(), dict(sums))


def _sums(rollouts: pl.DataFrame) -> dict[str, int]:
    passed = pl.col("verdict") == "pass"
    tests = {
        "passes": passed,
        "spoken_of": passed & (pl.col("steps_stated") > 0),
        **{name: passed & pl.col(name) for name in FLAGS},
        "any": pl.col("shortcut"),
        "unmeasured": pl.col("audit_error").is_not_null(),
    }
    found = rollouts.select(pl.len().alias("rollouts"), *(test.sum().alias(name) for name, test in tests.items()))
    return found.row(0, named=True)


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
    return frame.with_columns(shortcut=shortcut)


def _current_estimates(ledger: Ledger, counts: pl.DataFrame) -> pl.DataFrame:
    """The estimates, made anew where a run that was killed drew more than it estimated."""
    counted = ledger.problems().select("problem_id").join(counts, on="problem_id", how="left")
    if decide.outdated(ledger.estimates(), counted.with_columns(pl.col(_COUNTED).fill_null(0))):
        estimate_anew(ledger)
    return ledger.estimates()


def _cot_pass(folder: str | Path, k: int) -> tuple[int, float, float] | None:
    try:
        return k, *cot_pass(folder, k)
    except LedgerError:  # not all passes of any problem were judged
        return None


# -- problems ---------------------------------------------------------------------------------------------------------


def _problems(
    ledger: Ledger, seen: _Seen, probe: pl.DataFrame | None, band: BandSection
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The evidence of each problem in source order, and the queue of references, with those who answered otherwise."""
    problems = ledger.problems()
    queue = references.ranked(seen.answered, references.signs(problems))
    frame = (
        problems.select("problem_id")
        .join(seen.counts, on="problem_id", how="left", maintain_order="left")
        .with_columns(pl.col(_COUNTED).fill_null(0))
        .join(queue, on="problem_id", how="left", maintain_order="left")
    )
    earlier = ledger.earlier()
    if earlier is not None:
        frame = decide.with_classes(frame, earlier)
    belief = beliefs.from_frame(ledger.prior())
    frame = pl.concat([frame, _guesses(problems, frame, seen.spaces, probe, belief, band)], how="horizontal")
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
    spaces: list[AnswerSpace],
    probe: pl.DataFrame | None,
    belief: Prior,
    band: BandSection,
) -> pl.DataFrame:
    """What a guess would do on each problem, and whether its passes are more than that."""
    a, b = (np.array([getattr(space, name) for space in spaces]) for name in ("a", "b"))
    if probe is not None:
        a, b = _probed(problems, probe, a, b)
    n, k = frame["n_audited"].to_numpy(), frame["n_passes"].to_numpy()
    few = np.array([space.few for space in spaces])
    sampled = n > 0
    verdicts, flagged, luck = np.empty(n.size, object), np.zeros(n.size, np.bool_), np.zeros(n.size)
    for one, rows in beliefs.each_class(frame, belief):
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
    for one, rows in beliefs.each_class(frame, belief):
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
