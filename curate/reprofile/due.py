"""Due: what must be profiled again, why, and what it would cost.

Owns the decision. Must not sample. It goes in two stages, because a new checkpoint's ability is found from a few dozen
anchor problems, and from the ability follows which outcomes may have changed: anchors first, and once their rollouts
are there, the problems whose outcome the old profiles and the new ability together no longer tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import beliefs, decide
from curate.allocation import table_of
from curate.layout import EARLIER
from curate.ledger import Ledger
from curate.recipe import BandSection, BudgetSection
from curate.records import Reason
from curate.reprofile.drift import known_to_differ, protocol_differences
from curate.reprofile.forecast import Forecast, counts, forecast, spread_of
from curate.reprofile.history import profiles
from curate.reprofile.policy import Policy, by_clock, check, may_be_new
from curate.reprofile.releases import release_manifest
from curate.reprofile.schedules import Item, Schedule
from curate.reprofile.targets import Target, newest
from curate.statistics import ability
from curate.statistics.prior import FEWEST_PROBLEMS, Ints, Prior
from curate.statistics.stopping import operating_characteristics
from curate.summary import STEP, step_of
from curate.viewing import grouping

UNLIKELY = 0.01
"""A topic whose shift is less probable than this, were all to move alike, is not predicted but profiled again."""
LEAST = 0.01
"""With a budget, the likeliest changes are drawn until it is spent, but none that is less probable than this."""
QUARANTINED = (Reason.UNVERIFIABLE, Reason.SUSPECT_LABEL, Reason.ENGINE_ERROR)
"""Reasons that say nothing of the model: such a problem is looked at again, whatever its pass rate was."""


@dataclass(frozen=True)
class _Known:
    """What the profiles say, read once."""

    old: list[Ledger]
    new: list[Ledger]
    base: Ledger
    manifest: Mapping[str, Any]
    band: BandSection
    estimates: pl.DataFrame
    """What was last said of each problem of the base, with the audit's reasons where there is one."""
    target: Target
    notes: list[str]


def schedule(
    paths: str | Path | Sequence[str | Path], *, model: str | None = None, policy: Policy | None = None
) -> Schedule:
    """Say what is due for profiling again, and what it would cost.

    Args:
        paths: Profiles of one or several checkpoints, or a folder that holds them; or one release, or the Hub id of
            one. Profiles of another protocol than the last one's are left out, and that is noted.
        model: The checkpoint to ask about: a folder, a folder of checkpoints, or a Hub id. None looks for a newer one
            of the same model.
        policy: When a profile is due; None: when there is a new checkpoint.

    Returns:
        What is due. What a profile of the new checkpoint among ``paths`` has measured already is not due again.

    Raises:
        UsageError: there is no profile there, or the policy is none.
        LedgerError: a profile cannot be read.
        EngineError: the checkpoint asked for cannot be found.
    """
    asked = policy or Policy()
    check(asked)
    named = [paths] if isinstance(paths, str | Path) else list(paths)
    released = release_manifest(named[0]) if len(named) == 1 else None
    if released is not None:
        return _of_release(str(named[0]), released, newest(released, model), asked)
    known = _read(profiles(named), model)
    if known.new:
        return _go_on(known, asked)
    due, reasons, notes, expected = _is_due(known, asked)
    if not due:
        return _schedule(known, asked, (), reasons, notes, expected)
    return _begin(known, asked, reasons, notes, expected)


def _read(found: list[Ledger], model: str | None) -> _Known:
    manifests = {ledger.path: ledger.manifest() for ledger in found}
    protocol = manifests[found[-1].path]["protocol"]
    differing = {path: protocol_differences(manifest["protocol"], protocol) for path, manifest in manifests.items()}
    strangers = [path for path, fields in differing.items() if known_to_differ(fields)]
    ledgers = [one for one in found if one.path not in strangers]
    notes = [f"left out, made under another protocol: {', '.join(map(str, strangers))}"] if strangers else []
    unsure = [str(one.path) for one in ledgers if differing[one.path]]
    notes += [f"whether under the same protocol is not known: {', '.join(unsure)}"] if unsure else []
    target = newest(manifests[ledgers[-1].path], model)
    new = [one for one in ledgers if _is_of(manifests[one.path], target)]
    old = [one for one in ledgers if one not in new]
    if not old:
        # Nothing but the newest checkpoint was profiled: there is nothing newer to compare it with.
        old, new = new, []
    # A profile of some problems only, such as one that was scheduled, is none to go by where there is one of more.
    sizes = {one.path: one.estimates().height for one in old}
    base = max(old, key=lambda one: (sizes[one.path], old.index(one)))
    return _Known(
        old=old,
        new=new,
        base=base,
        manifest=manifests[base.path],
        band=BandSection.model_validate(manifests[base.path]["band"]),
        estimates=_latest(base, old[old.index(base) + 1 :]),
        target=target,
        notes=notes,
    )


def _latest(base: Ledger, later: Sequence[Ledger]) -> pl.DataFrame:
    """What was last said of each problem of the base: by itself, or by a later profile of some of its problems."""
    frames = []
    for ledger in (base, *later):
        estimates, audit = ledger.estimates(), ledger.audit()
        current = audit is not None and not decide.outdated(estimates, audit)
        frames.append(decide.with_audit(estimates, audit if current else None))
    newer = [frame.filter(pl.col("n") > 0) for frame in reversed(frames[1:])]
    known = pl.concat([*newer, frames[0]], how="diagonal").unique("problem_id", keep="first")
    return frames[0].select("problem_id").join(known, on="problem_id", how="left", maintain_order="left")


def _is_of(manifest: Mapping[str, Any], target: Target) -> bool:
    if target.revision is None:
        return False
    return bool(manifest["model"]["revision"] == target.revision)


# -- whether ----------------------------------------------------------------------------------------------------------


def _is_due(known: _Known, policy: Policy) -> tuple[bool, list[str], list[str], float | None]:
    """Whether a new checkpoint that nothing was measured of is due; reasons, notes and expected changes."""
    last = known.old[-1].manifest()
    due, reasons, notes = by_clock(last, known.target, policy)
    expected = None
    if policy.changed is not None and not due and may_be_new(last, known.target):
        ahead = _ahead(known)
        if ahead is None:
            due = True
            reasons.append("how far the checkpoint moved cannot be told without anchors")
        else:
            found = forecast(known.old, [], known.estimates, known.band, ahead=ahead)
            expected = float(found.p_change.mean())
            due = expected >= policy.changed
            reasons.append(
                f"{expected:.0%} of the outcomes are expected to change, the policy says {policy.changed:.0%}"
            )
    return due, reasons, notes, expected


def _ahead(known: _Known) -> float | None:
    """How far the ability should have moved: as fast as between the last two profiles whose steps are known."""
    steps = [*(step_of(ledger.manifest()) for ledger in known.old), known.target.step][-3:]
    before, last, target = steps if len(steps) == 3 else (None, None, None)
    # Another checkpoint of the same step is one that was made otherwise: its steps tell nothing.
    if before is None or last is None or target is None or not before < last < target:
        return None
    at = ability.fit(*counts(known.old, known.estimates["problem_id"])).ability
    return float((at[-1] - at[-2]) / (last - before) * (target - last))


# -- what -------------------------------------------------------------------------------------------------------------


def _begin(known: _Known, policy: Policy, reasons: list[str], notes: list[str], expected: float | None) -> Schedule:
    """The first stage: anchors, or everything where anchors would not help."""
    asked = known.estimates.filter(pl.col("set_aside").is_null())
    sampled = known.estimates.filter(pl.col("n") > 0).height
    few = policy.budget is None and asked.height <= 4 * policy.anchors
    if policy.anchors == 0 or sampled < FEWEST_PROBLEMS or few:
        if policy.anchors:
            notes.append("too few problems for anchors to save anything")
        prior = beliefs.from_frame(known.base.prior())
        item = _item("all", asked["problem_id"].to_list(), known, prior)
        return _schedule(known, policy, (item,), reasons, notes, expected)
    found = forecast(known.old, [], known.estimates, known.band, ahead=_ahead(known) or 0.0)
    size = policy.anchors
    if policy.budget is not None:
        size = max(1, min(size, int(policy.budget * known.estimates.height)))
    able = np.flatnonzero(known.estimates["set_aside"].is_null().to_numpy())
    order = ability.anchors(found.fitted, found.ability, known.estimates.height)
    chosen = order[np.isin(order, able)][:size]
    names = known.estimates["problem_id"].gather(chosen).to_list()
    item = _item("anchors", names, known, spread_of(found, chosen, known.band))
    notes.append("once these are profiled, the same command says which others may have changed")
    return _schedule(known, policy, (item,), reasons, notes, expected)


def _go_on(known: _Known, policy: Policy) -> Schedule:
    """The second stage: what the rollouts of the new checkpoint do not tell already."""
    names = known.estimates["problem_id"]
    drawn = counts(known.new, names)[0].sum(axis=0) > 0
    unfinished = [name for ledger in known.new for name in _unfinished(ledger)]
    if unfinished:
        item = _item("unfinished", unfinished, known, beliefs.from_frame(known.base.prior()))
        return _schedule(known, policy, (item,), ["the new checkpoint's profile was broken off"], [], None)
    if drawn[known.estimates["set_aside"].is_null().to_numpy()].all():
        return _schedule(known, policy, (), ["the checkpoint is the one that was profiled"], [], None)
    key, groups = grouping(known.base.problems())
    topics = (
        None
        if key is None
        else names.to_frame()
        .join(groups, on="problem_id", how="left", maintain_order="left")["group"]
        .fill_null("none")
        .to_list()
    )
    found = forecast(known.old, known.new, known.estimates, known.band, topics)
    expected = float(found.p_change.mean())
    notes = [
        f"{shift.topic} moved by {shift.shift:+.2f} logits besides the rest (p = {shift.p_value:.1g}): not predicted"
        for shift in (*found.shifts, *found.thirds)
        if shift.p_value < UNLIKELY
    ]
    untrusted = _untrusted(found, topics)
    if policy.changed is not None and expected < policy.changed and not untrusted.any():
        told = f"{expected:.0%} of the outcomes are expected to change, the policy says {policy.changed:.0%}"
        return _schedule(known, policy, (), [told], notes, expected)
    able = known.estimates["set_aside"].is_null().to_numpy() & ~drawn
    quarantined = known.estimates["reasons"].list.eval(pl.element().is_in([r.value for r in QUARANTINED])).list.any()
    again = quarantined.to_numpy() & ~drawn
    room = (
        known.estimates.height if policy.budget is None else int(policy.budget * known.estimates.height) - drawn.sum()
    )
    doubtful = LEAST if policy.budget is not None else 1.0 - known.band.confidence
    chosen: dict[str, Ints] = {}
    for kind, wanted in (
        ("untrusted", able & untrusted & ~again),
        ("straddling", able & ~untrusted & ~again & (found.p_change > doubtful)),
        ("quarantined", again),
    ):
        which = np.flatnonzero(wanted)
        which = which[np.argsort(-found.p_change[which], kind="stable")][: max(0, int(room))]
        room -= which.size
        chosen[kind] = which
    items = tuple(
        _item(kind, names.gather(which).to_list(), known, spread_of(found, which, known.band))
        for kind, which in chosen.items()
        if which.size
    )
    reasons = (
        [f"{expected:.0%} of the outcomes are expected to change"]
        if items
        else ["the new checkpoint was measured wherever its outcome was in doubt"]
    )
    return _schedule(known, policy, items, reasons, notes, expected)


def _unfinished(ledger: Ledger) -> list[str]:
    """Problems of a profile that have not even their pilot."""
    known = ledger.earlier()
    pilots = pl.DataFrame(schema=EARLIER) if known is None else known
    estimates = ledger.estimates().join(pilots.select("problem_id", "pilot"), on="problem_id", how="left")
    drawn, pilot = pl.col("n") + pl.col("n_unscored"), pl.col("pilot").fill_null(ledger.manifest()["pilot"])
    short = estimates.filter(pl.col("set_aside").is_null() & (drawn < pilot))
    names: list[str] = short["problem_id"].to_list()
    return names


def _untrusted(found: Forecast, topics: Sequence[str] | None) -> np.ndarray:
    """Problems whose topic, or whose third by difficulty, moved unlike the rest."""
    bad = np.zeros(found.p_change.size, bool)
    if topics is not None:
        bad |= np.isin(np.asarray(topics), [shift.topic for shift in found.shifts if shift.p_value < UNLIKELY])
    edges = np.quantile(found.fitted.location, [1 / 3, 2 / 3])
    third = np.array(("easy", "middle", "hard"))[np.searchsorted(edges, found.fitted.location)]
    bad |= np.isin(third, [shift.topic for shift in found.thirds if shift.p_value < UNLIKELY])
    return bad


def _item(kind: str, names: list[str], known: _Known, prior: Prior) -> Item:
    """Some problems with what the stopping rule is expected to spend on them."""
    recipe = known.manifest.get("recipe") or {}
    budget = BudgetSection.model_validate(recipe.get("budget") or {"pilot": known.manifest["pilot"]})
    rows = known.estimates.filter(pl.col("problem_id").is_in(names))
    sampled = rows.filter(pl.col("set_aside").is_null()).height
    each = operating_characteristics(table_of(prior, known.band, budget), prior).rollouts
    rollouts = round(each * sampled)
    # An imported rollout whose tokens nobody counted has 0 of them.
    told = pl.col("mean_tokens") > 0
    mean = next((mean for frame in (rows, known.estimates) if (mean := frame.filter(told)["mean_tokens"].mean())), None)
    tokens = round(rollouts * mean) if isinstance(mean, float) else None
    return Item(kind, tuple(names), len(names), rollouts, tokens)


def _schedule(
    known: _Known, policy: Policy, items: tuple[Item, ...], reasons: list[str], notes: list[str], expected: float | None
) -> Schedule:
    cost = known.manifest.get("cost", {})
    rollouts = sum(item.rollouts or 0 for item in items)
    tokens = [item.tokens for item in items]
    # What an import took is no time of drawing.
    drawn = 0 if known.manifest.get("imported") else cost.get("rollouts", 0)
    speed = cost["seconds"] / drawn if drawn else None
    return Schedule(
        due=bool(items),
        reasons=tuple(reasons),
        notes=(*known.notes, *notes),
        target=known.target,
        base=known.base.path,
        into=_into(known),
        items=items,
        problems=known.estimates.height,
        measured=int((counts(known.new, known.estimates["problem_id"])[0].sum(axis=0) > 0).sum()) if known.new else 0,
        expected_changes=expected,
        rollouts=rollouts,
        tokens=None if None in tokens else sum(one for one in tokens if one is not None),
        seconds=None if speed is None else rollouts * speed,
        like=tuple(ledger.path for ledger in known.old),
        policy=policy,
    )


def _into(known: _Known) -> Path:
    """The folder of the new checkpoint's profile: the one that was begun, or one beside the base."""
    if known.new:
        return known.new[-1].path
    folder = known.base.path.parent / _name(known)
    if folder.exists() and known.target.revision is not None:  # another checkpoint of the same step
        return folder.with_name(f"{folder.name}-{known.target.revision.removeprefix('sha256:')[:8]}")
    return folder


def _name(known: _Known) -> str:
    """A name for the profile of the new checkpoint."""
    name = STEP.sub("", str(known.manifest["name"])).rstrip("-_.") or "profile"
    if known.target.step is not None:
        return f"{name}-step-{known.target.step}"
    if known.target.revision is not None:
        return f"{name}-{known.target.revision.removeprefix('sha256:')[:8]}"
    return f"{name}-{datetime.now(UTC):%Y-%m-%d}"


def _of_release(name: str, manifest: Mapping[str, Any], target: Target, policy: Policy) -> Schedule:
    """Whether a release is due: its problems are not read, so it is all or nothing."""
    due, reasons, notes = by_clock(manifest, target, policy)
    problems = sum(manifest["outcomes"].values())
    if policy.changed is not None:
        notes.append("a release does not tell how far a checkpoint moved: point at its profiles for --changed")
    items = (Item("all", (), problems, None, None),) if due else ()
    return Schedule(
        due=due,
        reasons=tuple(reasons),
        notes=tuple(notes),
        target=target,
        base=Path(name),
        into=None,
        items=items,
        problems=problems,
        measured=0,
        expected_changes=None,
        rollouts=None,
        tokens=None,
        seconds=None,
        like=(),
        policy=policy,
    )
