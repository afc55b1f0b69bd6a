"""What an earlier profile saves, on the drift of a real training run and on simulated drift.

Run by ``make bench``. Every arm of one row sees the same draws of the same problems: a checkpoint is profiled fresh,
and ``--like`` what was measured of earlier ones, with rollouts drawn at its pass rates.

On the real run a checkpoint's pass rates are known through 24 rollouts of each of 641 problems, three visits pooled, so
they stand here twice: ``pooled``, k / 24 itself, and ``smooth``, a draw from the posterior of those 24. Both make two
checkpoints less alike than they are. What was known before is told in two ways, and never rests on the visits that make
the new checkpoint's pass rates:

    adaptive    one earlier profile by the adaptive rule, drawn at the pass rates of three visits so far before
    N x 8       the 8 rollouts of each of the last N visits that far before, every visit a checkpoint: real counts

``missed`` is the share of all problems not decided for the side on which they lie: wrong and undecided. Columns:

    fresh, warm   rollouts of a problem and ``missed``, both at the default price
    rollouts      warm rollouts over fresh ones at the fresh one's ``missed``, the warm one's price varied
    missed        warm over fresh ``missed`` at the fresh one's rollouts, the same
    fine          as ``rollouts``, against a fresh profile with a pilot of 4 and steps of 1, about as small as the warm
                  one's: what the history saves and the smaller steps do not

``shuffled`` gives each problem another one's history, ``reversed`` turns passes into failures: both say nothing true.
They are tried on the rows ``pooled, adaptive`` and ``pooled, 3 x 8``.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from curate.allocation import Adaptive, into_classes
from curate.recipe import BandSection, BudgetSection
from curate.records import Problem, Prompt
from curate.statistics import Prior, estimate, fit_prior, jeffreys, make_grid
from curate.statistics.posterior import masses
from curate.tracks import Mark, Track

BAND, CAP, PRICES = BandSection(), 128, (48.0, 96.0, 128.0, 256.0, 768.0)
GRID = make_grid(edges=(BAND.low, BAND.high))
VISITS = 3

History = tuple[np.ndarray, np.ndarray]
"""Rollouts and passes at each earlier checkpoint, shape (checkpoints, problems)."""
Case = Callable[[np.random.Generator], tuple[History, np.ndarray]]
"""What was known before, and the pass rates at the new checkpoint."""


def visits() -> np.ndarray | None:
    """Passes of 8 at each visit of the real run, shape (problems, visits)."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", default))
    source = folder / "rollouts" / "oneshot_dsr_sub_trajectory_half.jsonl"
    if not source.is_file():
        return None
    rows = [json.loads(line)["n_correct_by_visit"] for line in source.read_text().splitlines()]
    return np.array([row[: min(map(len, rows))] for row in rows])


def pooled(passes: np.ndarray, start: int, rng: np.random.Generator, smooth: bool) -> np.ndarray:
    """The pass rates of three visits together."""
    k = passes[:, start : start + VISITS].sum(axis=1)
    n = np.full(k.size, 8 * VISITS)
    if not smooth:
        return np.asarray(k / n)
    below = np.cumsum(masses(fit_prior(n, k, GRID), n, k), axis=1)
    cell = np.minimum((below < rng.random((k.size, 1))).sum(axis=1), GRID.p.size - 1)
    return np.asarray(np.sin(GRID.boundaries[cell] + rng.random(k.size) * GRID.widths[cell]) ** 2)


def real(passes: np.ndarray, distance: int, smooth: bool, seen: int) -> Case:
    """Two checkpoints of the real run, so many visits apart, anywhere in it.

    Args:
        passes: Shape (problems, visits).
        distance: From the last visit that was seen before; between the first visits where both are three visits pooled.
        smooth: As for ``pooled``.
        seen: How many visits were seen before, 8 rollouts at each; 0 for one adaptive profile.
    """

    def case(rng: np.random.Generator) -> tuple[History, np.ndarray]:
        last = int(rng.integers(max(seen - 1, 0), passes.shape[1] - distance - VISITS + 1))
        after = pooled(passes, last + distance, rng, smooth)
        if not seen:
            return profiled(pooled(passes, last, rng, smooth), rng), after
        k = passes[:, last - seen + 1 : last + 1].T
        return (np.full_like(k, 8), k), after

    return case


def simulated(size: int, shift: float, spread: float, topic: float = 0.0) -> Case:
    """Problems of the usual U shape whose logits move by a shift, each by some more, a third of them by a topic's."""

    def case(rng: np.random.Generator) -> tuple[History, np.ndarray]:
        logits = rng.normal(rng.choice([-3.0, 0.0, 3.0], size), 1.5)
        moved = shift + topic * (np.arange(size) % 3 == 0) + spread * rng.normal(size=size)
        return profiled(1 / (1 + np.exp(-logits)), rng), 1 / (1 + np.exp(-logits - moved))

    return case


def profiled(p: np.ndarray, rng: np.random.Generator) -> History:
    """What an adaptive profile counts at these pass rates."""
    n, k, _ = profile(draw(p, rng), None, BudgetSection(cap=CAP))
    return n[None], k[None]


def draw(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Marks of all rollouts that any rule could ask for."""
    return np.where(rng.random((p.size, CAP)) < p[:, None], int(Mark.PASS), int(Mark.FAIL)).astype(np.uint8)


def profile(
    marks: np.ndarray, known: pl.DataFrame | None, budget: BudgetSection
) -> tuple[np.ndarray, np.ndarray, Prior]:
    """Rollouts and passes of each problem when the rule is asked as the scheduler asks it, and what it believes."""
    rule = Adaptive(BAND, budget, known)
    of = {} if known is None else dict(known.select("problem_id", "prior_class").iter_rows())
    tracks = [
        Track(Problem(str(number), "", ()), Prompt(), pilot=budget.pilot, prior_class=of.get(str(number), 0))
        for number in range(len(marks))
    ]
    asked: Sequence[Track] = rule.begin(tracks)
    while asked:
        for track in asked:
            while (until := rule.target(track)) > len(track.marks):
                track.marks[:] = marks[int(track.problem.problem_id), :until].tobytes()
        asked = rule.released(True)
    n = np.array([len(track.marks) for track in tracks])
    k = np.array([track.marks.count(int(Mark.PASS)) for track in tracks])
    return n, k, rule.prior or jeffreys(GRID)


def earlier(n: np.ndarray, k: np.ndarray) -> pl.DataFrame:
    """Earlier profiles, as a new one keeps them."""
    gathered = pl.DataFrame(
        {"problem_id": [str(number) for number in range(n.shape[1])], "n": n.T.tolist(), "k": k.T.tolist()}
    )
    return into_classes(gathered, BAND, BudgetSection(cap=CAP))


def measure(marks: np.ndarray, p: np.ndarray, known: pl.DataFrame | None, budget: BudgetSection) -> np.ndarray:
    """Rollouts of a problem, ``missed``, undecided, and the share wrong of those decided."""
    n, k, belief = profile(marks, known, budget)
    of = np.zeros(n.size, int) if known is None else known["prior_class"].to_numpy()
    side = np.empty(n.size, int)
    for number, prior in enumerate((belief, *belief.classes)):
        inside = of == number
        side[inside] = estimate(prior, n[inside], k[inside], BAND.low, BAND.high).side(BAND.confidence)
    lies = np.where(p < BAND.low, 0, np.where(p > BAND.high, 2, 1))
    decided = side != 3
    return np.array([n.mean(), (side != lies).mean(), 1 - decided.mean(), (decided & (side != lies)).mean()])


def ratios(fresh: np.ndarray, warm: np.ndarray) -> tuple[float, float]:
    """Rollouts at the fresh arm's ``missed``, and ``missed`` at its rollouts, warm over fresh, at the default price."""
    rollouts, missed = fresh[:2]
    order = np.argsort(warm[:, 0])
    falling = np.minimum.accumulate(warm[order, 1])
    needed = np.interp(-missed, -falling, warm[order, 0]) if falling[-1] <= missed else np.inf
    return float(needed / rollouts), float(np.interp(rollouts, warm[order, 0], falling) / missed)


def row(name: str, case: Case, history: str, replicates: int, seed: int) -> None:
    """Print one row."""
    fresh, fine, warm = np.zeros(4), np.zeros(4), np.zeros((len(PRICES), 4))
    for replicate in range(replicates):
        rng = np.random.default_rng((seed, replicate))
        (n, k), after = case(rng)
        if history == "shuffled":
            other = rng.permutation(n.shape[1])
            n, k = n[:, other], k[:, other]
        known = earlier(n, n - k if history == "reversed" else k)
        marks = draw(after, rng)
        fresh += measure(marks, after, None, BudgetSection(cap=CAP))
        fine += measure(marks, after, None, BudgetSection(cap=CAP, pilot=4, step=1))
        warm += [measure(marks, after, known, BudgetSection(cap=CAP, price=price)) for price in PRICES]
    fresh, fine, warm = fresh / replicates, fine / replicates, warm / replicates
    at = PRICES.index(float(CAP))
    rollouts, missed = ratios(fresh, warm)
    print(
        f"  {name:36s} {history:9s} {fresh[0]:6.2f} {fresh[1]:.3f}  {warm[at, 0]:6.2f} {warm[at, 1]:.3f}"
        f"  {rollouts:8.3f} {missed:7.3f} {ratios(fine, warm)[0]:6.3f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--replicates", type=int, default=4, help="pairs of checkpoints of each row")
    parser.add_argument("--only", default="", help="only the rows whose name contains this")
    parser.add_argument("--history", nargs="+", default=["true", "shuffled", "reversed"])
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    rows: dict[str, Case] = {}
    passes = visits()
    if passes is not None:
        for distance in (5, 20):
            for seen, known in ((0, "adaptive"), (1, "1 x 8"), (3, "3 x 8"), (10, "10 x 8")):
                rows[f"real, {distance} visits, pooled, {known}"] = real(passes, distance, False, seen)
            rows[f"real, {distance} visits, smooth, adaptive"] = real(passes, distance, True, 0)
    rows |= {
        "no drift, 600 problems": simulated(600, 0.0, 0.0),
        "shift 0.5, spread 0.3": simulated(600, 0.5, 0.3),
        "shift 1.5, spread 0.6": simulated(600, 1.5, 0.6),
        "a third moves by 2, spread 0.3": simulated(600, 0.2, 0.3, topic=2.0),
        "shift 0.5, 120 problems": simulated(120, 0.5, 0.3),
    }
    print(f"  {'':46s} {'fresh':>12s}  {'warm':>12s}  rollouts  missed   fine")
    for name, case in rows.items():
        for history in settings.history:
            told = history == "true" or name.endswith(("pooled, adaptive", "pooled, 3 x 8"))
            if settings.only in name and told:
                row(name, case, history, settings.replicates, settings.seed)


if __name__ == "__main__":
    main()
