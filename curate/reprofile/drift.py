"""Drift: what moved between two profiles of the same problems, problem by problem and as a whole.

Owns the comparison of two profiles on disk. Must not sample or verify, and decides nothing by a rule of its own: where
the two profiles have different bands, both are decided by the second one's, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import beliefs, decide
from curate.errors import UsageError
from curate.ledger import Ledger
from curate.logs.origin import UNKNOWN
from curate.problems import stored
from curate.problems.pairs import Pairs, match
from curate.recipe import BandSection
from curate.records import Outcome
from curate.statistics.difference import Difference, difference, p_unchanged, q_values
from curate.summary import step_of
from curate.viewing import grouping

OUTCOMES = tuple(outcome.value for outcome in Outcome)
CHECKPOINT = frozenset({"model.path", "model.revision", "step", "log"})
"""What two protocols may differ in and still be one way of measuring: the checkpoint, or the log that tells of it."""
Z95 = 1.96


@dataclass(frozen=True)
class Side:
    """One of the two profiles."""

    path: Path
    name: str
    model: str
    revision: str
    step: int | None
    """The training step, where the profile tells it."""
    updated: str
    problems: int
    in_band: int
    """Problems in the band; what an audit says against them does not count here."""
    mean_pass_rate: float | None
    """Over the compared problems; None without any."""


@dataclass(frozen=True)
class Change:
    """One common problem."""

    problem_id: str
    """In the second profile."""
    before: str
    after: str
    """Outcomes."""
    n_before: int
    k_before: int
    n_after: int
    k_after: int
    pass_rate_before: float | None
    pass_rate_after: float | None
    """Posterior means by each profile's own counts alone; None, as all below, where one has no scored rollout of it."""
    difference: float | None
    """Posterior mean of the change."""
    low: float | None
    high: float | None
    """95% credible interval of it."""
    p_decrease: float | None
    """Posterior probability that the pass rate fell."""
    p_unchanged: float | None
    """Probability that it did not change at all."""
    q: float | None
    """False discovery rate of calling it and all that changed more surely changed."""
    changed: bool
    """Whether q is at most the rate asked for."""
    group: str | None

    @property
    def fell(self) -> bool:
        """Whether it surely changed, and rather for the worse."""
        return self.changed and self.p_decrease is not None and self.p_decrease > 0.5

    @property
    def rose(self) -> bool:
        """Whether it surely changed, and rather for the better."""
        return self.changed and not self.fell


@dataclass(frozen=True)
class GroupDrift:
    """How one source or topic moved."""

    name: str
    problems: int
    """Compared ones."""
    before: float
    after: float
    """Mean pass rates."""
    low: float
    high: float
    """95% interval of the mean change."""
    fell: int
    rose: int
    """Problems that changed significantly."""
    entered: int
    left: int


@dataclass(frozen=True)
class Comparison:
    """What moved between two profiles."""

    before: Side
    after: Side
    band: BandSection
    warnings: tuple[str, ...]
    """What makes the comparison less than one of two checkpoints, in words."""
    protocol: dict[str, tuple[Any, Any]]
    """Fields of the protocol that differ beyond the checkpoint: both values."""
    common: int
    only_before: int
    only_after: int
    by_content: int
    """Common problems that have another id, matched by question and references."""
    compared: int
    """Common problems with a scored rollout in both."""
    migration: dict[str, dict[str, int]]
    """Common problems by outcome before, then by outcome after; they add up to ``common``."""
    entered: tuple[str, ...]
    left: tuple[str, ...]
    """Problems in the band after and not before, and the other way round."""
    fdr: float
    fell: int
    rose: int
    """Problems that changed significantly."""
    share_changed: float
    """Share of the compared problems that is estimated to have changed, named or not."""
    mean_change: float | None
    mean_low: float | None
    mean_high: float | None
    """Mean change of the pass rate over the compared problems, with its 95% interval."""
    group_key: str | None
    groups: tuple[GroupDrift, ...]
    """By mean change, the largest fall first."""
    changes: tuple[Change, ...]
    """All common problems: those that fell significantly, largest fall first; those that rose, largest rise first; then
    the others, the least certainly unchanged first."""


def compare(a: str | Path, b: str | Path, *, by: str | None = None, fdr: float = 0.05) -> Comparison:
    """Compare two profiles of the same problems, such as those of two checkpoints.

    Problems are matched by id, and those of other ids by question and references. Each one's change is judged by the
    posterior of the difference, with the false discovery rate controlled over all compared problems
    (``curate.statistics.difference``).

    Args:
        a: The first profile's folder.
        b: The second one's. Its band is the one that both are decided by.
        by: The metadata key whose groups are compared; None takes a usual one (family, subject, topic, level, source).
        fdr: The false discovery rate at which a change is called significant, in (0, 1).

    Returns:
        What moved. Where the two protocols differ in more than the checkpoint, ``warnings`` says so.

    Raises:
        LedgerError: one of them is no finished profile.
        UsageError: they have no problem in common, the rate is none, or no problem has the key.
    """
    if not 0.0 < fdr < 1.0:
        raise UsageError(f"a false discovery rate lies above 0 and below 1, got {fdr:g}", where="--fdr")
    old, new = Ledger(a), Ledger(b)
    manifests = old.manifest(), new.manifest()
    problems = new.problems()
    pairs = match(stored(old.problems()), stored(problems))
    if not pairs.after:
        raise UsageError(
            "the two profiles have no problem in common",
            where=f"{old.path} and {new.path}",
            hint="they are matched by id where the content is the same, and by question and references",
        )
    band = BandSection.model_validate(manifests[1]["band"])
    frames = tuple(_decided(ledger, manifest, band) for ledger, manifest in zip((old, new), manifests, strict=True))
    # From each one's own counts, also where it was begun like another: what that one knew would be counted twice.
    first, second = (beliefs.learn(frame, band) for frame in frames)
    key, groups = grouping(problems, by)
    table = _table(pairs, *frames).join(groups, on="problem_id", how="left", maintain_order="left")
    scored = table.filter((pl.col("n_before") > 0) & (pl.col("n_after") > 0))
    n_before, k_before, n_after, k_after = (
        scored[name].to_numpy() for name in ("n_before", "k_before", "n_after", "k_after")
    )
    found = difference(first, n_before, k_before, second, n_after, k_after)
    judged = _judged(scored, found, fdr)
    changes = _ordered(
        table.join(judged.drop("group", "before", "after"), on="problem_id", how="left", maintain_order="left")
    )
    entered, left = _crossings(changes)
    said = [
        _side(ledger, manifest, frame, judged, which)
        for ledger, manifest, frame, which in zip((old, new), manifests, frames, ("before", "after"), strict=True)
    ]
    differing = protocol_differences(manifests[0]["protocol"], manifests[1]["protocol"])
    mean, low, high = _mean(judged)
    return Comparison(
        before=said[0],
        after=said[1],
        band=band,
        warnings=tuple(_warnings(manifests, differing, pairs)),
        protocol=differing,
        common=len(pairs.after),
        only_before=pairs.only_before,
        only_after=pairs.only_after,
        by_content=pairs.by_content,
        compared=judged.height,
        migration=_migration(changes),
        entered=entered,
        left=left,
        fdr=fdr,
        fell=judged.filter(_fell()).height,
        rose=judged.filter(_rose()).height,
        share_changed=float((1.0 - judged["p_unchanged"]).mean() or 0.0),  # type: ignore[arg-type]
        mean_change=mean,
        mean_low=low,
        mean_high=high,
        group_key=key,
        groups=_groups(changes, judged) if key else (),
        changes=tuple(Change(**row) for row in changes.drop("variance").iter_rows(named=True)),
    )


def _decided(ledger: Ledger, manifest: Mapping[str, Any], band: BandSection) -> pl.DataFrame:
    """The estimates, decided anew where the profile's band is another."""
    if BandSection.model_validate(manifest["band"]) == band:
        return ledger.estimates()
    return decide.estimate(ledger.estimates(), band, beliefs.from_frame(ledger.prior()))


def _table(pairs: Pairs, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """One row for each common problem, with counts and outcomes of both."""
    names = pl.DataFrame({"before": pairs.before, "problem_id": pairs.after})
    columns = ("n", "k", "outcome")
    sides = []
    for which, frame, on in (("before", before, "before"), ("after", after, "problem_id")):
        side = frame.select(
            pl.col("problem_id").alias(on), *(pl.col(name).alias(f"{name}_{which}") for name in columns)
        )
        sides.append((side, on))
    joined = names
    for side, on in sides:
        joined = joined.join(side, on=on, how="left", maintain_order="left")
    return joined.drop("before").rename({"outcome_before": "before", "outcome_after": "after"})


def _judged(scored: pl.DataFrame, found: Difference, fdr: float) -> pl.DataFrame:
    unchanged = p_unchanged(found.log_factor)
    q = q_values(found.tail, unchanged)
    return scored.select("problem_id", "group", "before", "after").with_columns(
        pass_rate_before=found.before,
        pass_rate_after=found.after,
        difference=found.mean,
        low=found.low,
        high=found.high,
        p_decrease=found.p_decrease,
        p_unchanged=unchanged,
        q=q,
        changed=q <= fdr,
        variance=found.variance,
    )


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    """Significant falls, significant rises, the rest; those that could not be compared last."""
    rank = pl.when(_fell()).then(0).when(_rose()).then(1).otherwise(2)
    size = pl.when(pl.col("changed")).then(-pl.col("difference").abs()).otherwise(pl.col("p_unchanged"))
    figures = ("difference", "low", "high", "p_decrease", "p_unchanged", "q", "changed", "variance")
    return (
        table.with_columns(pl.col("changed").fill_null(False))
        .sort(rank, size, nulls_last=True, maintain_order=True)
        .select(
            *("problem_id", "before", "after", "n_before", "k_before", "n_after", "k_after"),
            *("pass_rate_before", "pass_rate_after", *figures, "group"),
        )
    )


def _fell() -> pl.Expr:
    return pl.col("changed") & (pl.col("p_decrease") > 0.5)


def _rose() -> pl.Expr:
    return pl.col("changed") & (pl.col("p_decrease") <= 0.5)


def _entered() -> pl.Expr:
    return (pl.col("after") == Outcome.IN_BAND) & (pl.col("before") != Outcome.IN_BAND)


def _left() -> pl.Expr:
    return (pl.col("before") == Outcome.IN_BAND) & (pl.col("after") != Outcome.IN_BAND)


def _crossings(changes: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    entered, left = (changes.filter(test)["problem_id"].to_list() for test in (_entered(), _left()))
    return tuple(entered), tuple(left)


def _migration(changes: pl.DataFrame) -> dict[str, dict[str, int]]:
    matrix = {before: dict.fromkeys(OUTCOMES, 0) for before in OUTCOMES}
    for before, after, count in changes.group_by("before", "after").agg(pl.len()).iter_rows():
        matrix[before][after] = count
    return matrix


def _mean(judged: pl.DataFrame) -> tuple[float, float, float] | tuple[None, None, None]:
    """Mean change and its interval: the problems' posteriors are independent, so their variances add."""
    if judged.is_empty():
        return None, None, None
    mean = float(judged["difference"].to_numpy().mean())
    half = Z95 * float(np.sqrt(judged["variance"].to_numpy().sum())) / judged.height
    return mean, mean - half, mean + half


def _groups(changes: pl.DataFrame, judged: pl.DataFrame) -> tuple[GroupDrift, ...]:
    found = []
    for (name,), rows in judged.group_by("group", maintain_order=True):
        _, low, high = _mean(rows)
        assert low is not None
        assert high is not None
        crossed = changes.filter(pl.col("group").eq_missing(name))
        found.append(
            GroupDrift(
                name="none" if name is None else str(name),
                problems=rows.height,
                before=float(rows["pass_rate_before"].to_numpy().mean()),
                after=float(rows["pass_rate_after"].to_numpy().mean()),
                low=low,
                high=high,
                fell=rows.filter(_fell()).height,
                rose=rows.filter(_rose()).height,
                entered=crossed.filter(_entered()).height,
                left=crossed.filter(_left()).height,
            )
        )
    return tuple(sorted(found, key=lambda group: group.after - group.before))


def _side(ledger: Ledger, manifest: Mapping[str, Any], frame: pl.DataFrame, judged: pl.DataFrame, which: str) -> Side:
    rates = judged[f"pass_rate_{which}"].to_numpy()
    return Side(
        path=ledger.path,
        name=manifest["name"],
        model=manifest["model"]["path"],
        revision=manifest["model"]["revision"],
        step=step_of(manifest),
        updated=manifest.get("updated", manifest["created"]),
        problems=frame.height,
        in_band=frame.filter(pl.col("outcome") == Outcome.IN_BAND).height,
        mean_pass_rate=float(rates.mean()) if rates.size else None,
    )


def protocol_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields of two protocols that differ beyond the checkpoint, with both values."""
    return {
        key: (before.get(key), after.get(key))
        for key in {**before, **after}
        if key not in CHECKPOINT and before.get(key) != after.get(key)
    }


def known_to_differ(fields: Mapping[str, tuple[Any, Any]]) -> bool:
    """Whether protocols differ in a field that both tell; what an import could not read in its log tells nothing."""
    return any(key != "imported" and UNKNOWN not in both for key, both in fields.items())


def _warnings(
    manifests: tuple[Mapping[str, Any], Mapping[str, Any]], differing: Mapping[str, tuple[Any, Any]], pairs: Pairs
) -> list[str]:
    said = [f"{key} was {old!r}, is {new!r}: not only the checkpoint changed" for key, (old, new) in differing.items()]
    old, new = (manifest["band"] for manifest in manifests)
    if (old["low"], old["high"], old["confidence"]) != (new["low"], new["high"], new["confidence"]):
        bands = " and ".join(f"[{band['low']:g}, {band['high']:g}] at {band['confidence']:g}" for band in (old, new))
        said.append(f"the bands are {bands}: both are decided by the second")
    if all(manifest["model"]["revision"] != "unknown" for manifest in manifests) and (
        manifests[0]["protocol"] == manifests[1]["protocol"]
    ):
        said.append("both are of the same checkpoint under the same protocol: what differs is chance")
    if pairs.other_content:
        said.append(
            f"{len(pairs.other_content):,} ids are the same and their question or references are not, "
            f"{pairs.other_content[0]} for one: these were not compared"
        )
    return said
