"""How many rollouts each rule needs, how many problems it decides, and how many of them wrongly.

Run by ``make bench``. Every rule of one table sees the same draws of the same problems. Columns:

    rollouts   mean rollouts of a problem
    decided    share of problems decided for a side with posterior mass at least 0.9
    wrong      share of the decided that lie elsewhere
    missed     share of all problems not decided for the side on which they lie: wrong ones and undecided ones
    forced     share of all problems wrong if each were put on its most probable side

Under each table: the adaptive rule's rollouts over those that the exact Bayes-optimal rule, which knows the shape and
draws with the same pilot, step and cap, needs on the same problems for the same share decided; and over the fixed n
that has the same ``missed``, and the same ``forced`` (n up to 512, so "<" means that even 512 rollouts each are not
enough).

The real shape is known through 24 rollouts of 641 problems only, so it stands here twice: as the smooth density that
``curate`` would learn from them, and as the maximum-likelihood mixture without any smoothing, by EM stopped after
700 rounds, which is a row of lumps.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from curate.allocation import Adaptive
from curate.recipe import BandSection, BudgetSection
from curate.records import Problem, Prompt
from curate.statistics import (
    LEARN_FROM,
    Grid,
    Prior,
    Side,
    StoppingTable,
    estimate,
    fit_prior,
    jeffreys,
    make_grid,
    operating_characteristics,
    stopping_table,
)
from curate.tracks import Mark, Track

PILOT, STEP, CAP, LONGEST, CONFIDENCE = 8, 4, 128, 512, 0.9
FIXED = (8, 16, 32, 64, 128)
LADDER = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
BANDS = ((0.2, 0.8), (0.125, 0.875), (0.02, 0.98))


def real_counts() -> np.ndarray | None:
    """Passes of 24 of 641 real problems: the first three visits of each, pooled."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", default))
    source = folder / "rollouts" / "oneshot_dsr_sub_trajectory_half.jsonl"
    if not source.is_file():
        return None
    return np.array([sum(json.loads(line)["n_correct_by_visit"][:3]) for line in source.read_text().splitlines()])


def lumps(n: np.ndarray, k: np.ndarray, grid: Grid, rounds: int = 700, atoms: int = 1001) -> Prior:
    """The nonparametric maximum-likelihood mixture over equal steps of p, by so many rounds of EM (Laird 1978)."""
    from scipy import stats

    p = np.linspace(0.0, 1.0, atoms)
    fits = stats.binom.pmf(k[:, None], n[:, None], p)
    weights = np.full(atoms, 1 / atoms)
    for _ in range(rounds):
        joint = fits * weights
        weights = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    cells = np.bincount(np.abs(grid.p - p[:, None]).argmin(axis=1), weights, minlength=grid.p.size) + 1e-9
    return Prior(grid, cells / cells.sum())


def shapes(grid: Grid) -> dict[str, Prior]:
    """The true distributions of pass rates, each as a prior."""
    from scipy import stats

    edges = np.sin(grid.boundaries) ** 2
    uniform, u_shaped = (Prior(grid, np.diff(stats.beta(a, a).cdf(edges))) for a in (1.0, 0.3))
    found = {"uniform": uniform, "U-shaped Beta(.3, .3)": u_shaped}
    passes = real_counts()
    if passes is not None:
        found = {
            "real, smooth": fit_prior(np.full(passes.size, 24), passes, grid),
            "real, lumpy": lumps(np.full(passes.size, 24), passes, grid),
        } | found
    return found


class Problems:
    """Simulated problems with all their draws made beforehand, so that every rule sees the same."""

    def __init__(self, truth: Prior, size: int, rng: np.random.Generator) -> None:
        cell = rng.choice(truth.weights.size, size, p=truth.weights / truth.weights.sum())
        self.p = np.sin(truth.grid.boundaries[cell] + rng.random(size) * truth.grid.widths[cell]) ** 2
        draws = rng.random((size, LONGEST)) < self.p[:, None]
        self.passes = np.concatenate([np.zeros((size, 1), int), draws.cumsum(axis=1)], axis=1)

    def k(self, n: np.ndarray) -> np.ndarray:
        """Passes among the first n draws of each problem."""
        return self.passes[np.arange(n.size), n]

    def learn(self, n: np.ndarray, grid: Grid) -> Prior:
        """The prior that a run learns from the first rollouts of each problem."""
        first = np.minimum(n, LEARN_FROM)
        return fit_prior(first, self.k(first), grid)


Rule = Callable[[Problems, Grid, tuple[float, float]], tuple[np.ndarray, Prior]]


def adaptive(problems: Problems, grid: Grid, band: tuple[float, float]) -> tuple[np.ndarray, Prior]:
    """The rule that ``curate profile`` goes by, asked as its scheduler asks it."""
    low, high = band
    rule = Adaptive(
        BandSection(low=low, high=high, confidence=CONFIDENCE), BudgetSection(pilot=PILOT, step=STEP, cap=CAP)
    )
    passed = np.diff(problems.passes, axis=1)
    marks = np.where(passed, int(Mark.PASS), int(Mark.FAIL)).astype(np.uint8)
    tracks = [Track(Problem(str(number), "", ()), Prompt(), pilot=PILOT) for number in range(problems.p.size)]
    asked: Sequence[Track] = rule.begin(tracks)
    while asked:
        for track in asked:
            while (until := rule.target(track)) > len(track.marks):
                track.marks[:] = marks[int(track.problem.problem_id), :until].tobytes()
        asked = rule.released(True)
    return np.array([len(track.marks) for track in tracks]), rule.prior or jeffreys(grid)


def adaptive_jeffreys(problems: Problems, grid: Grid, band: tuple[float, float]) -> tuple[np.ndarray, Prior]:
    """The same table, but the prior is never learned."""
    prior = jeffreys(grid)
    table = stopping_table(prior, *band, confidence=CONFIDENCE, pilot=PILOT, step=STEP, cap=CAP)
    return until(problems, lambda n, k: table.continue_(n, k)), prior


def threshold(problems: Problems, grid: Grid, band: tuple[float, float]) -> tuple[np.ndarray, Prior]:
    """Draw until the Jeffreys posterior decides, never give up before the cap."""
    prior = jeffreys(grid)
    table = stopping_table(prior, *band, confidence=CONFIDENCE, cap=CAP)
    return until(problems, lambda n, k: table.sides[n, k] == 3), prior


def pilot_then_commit(problems: Problems, grid: Grid, band: tuple[float, float]) -> tuple[np.ndarray, Prior]:
    """Draw 8; what is neither never nor always solved gets 64."""
    pilot = np.full(problems.p.size, PILOT)
    mixed = (problems.k(pilot) > 0) & (problems.k(pilot) < PILOT)
    n = np.where(mixed, 64, PILOT)
    return n, problems.learn(n, grid)


def sprt(problems: Problems, grid: Grid, band: tuple[float, float]) -> tuple[np.ndarray, Prior]:
    """Wald's test at each edge with error 0.1 and an indifference zone of 0.05 (half the edge, if that is less)."""
    bound = np.log(0.9 / 0.1)

    def undecided(n: np.ndarray, k: np.ndarray) -> np.ndarray:
        ratios = []
        for edge in band:
            zone = min(0.05, edge / 2, (1 - edge) / 2)
            rise, fall = (edge + zone) / (edge - zone), (1 - edge - zone) / (1 - edge + zone)
            ratios.append(k * np.log(rise) + (n - k) * np.log(fall))
        below, above = ratios[0] <= -bound, ratios[1] >= bound
        inside = (ratios[0] >= bound) & (ratios[1] <= -bound)
        return ~(below | above | inside)

    n = until(problems, undecided)
    return n, problems.learn(n, grid)


def until(problems: Problems, goes_on: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Draw by steps, from the pilot to the cap, while the rule goes on."""
    n = np.full(problems.p.size, PILOT)
    while True:
        on = goes_on(n, problems.k(n)) & (n < CAP)
        if not on.any():
            return n
        n = np.where(on, np.minimum(n + STEP, CAP), n)


def optimum(problems: Problems, best_rules: StoppingTable, price: float) -> tuple[float, float]:
    """Share decided and mean rollouts of the rule that knows the shape, at one price of a decision."""
    n = until(problems, lambda n, k: best_rules.continue_(n, k, 1 / price))
    return float((best_rules.sides[n, problems.k(n)] != Side.UNDECIDED).mean()), float(n.mean())


def fixed(size: int) -> Rule:
    """The same number of rollouts for every problem, the prior learned from them."""

    def rule(problems: Problems, grid: Grid, band: tuple[float, float]) -> tuple[np.ndarray, Prior]:
        n = np.full(problems.p.size, size)
        return n, problems.learn(n, grid)

    return rule


def measure(problems: Problems, rule: Rule, grid: Grid, band: tuple[float, float]) -> np.ndarray:
    """Rollouts, decided, wrong, missed and forced, the last four as shares of all problems."""
    n, prior = rule(problems, grid, band)
    estimates = estimate(prior, n, problems.k(n), *band)
    side, best = (
        estimates.side(CONFIDENCE),
        np.argmax([estimates.p_below, estimates.p_in_band, estimates.p_above], axis=0),
    )
    lies = np.where(problems.p < band[0], 0, np.where(problems.p > band[1], 2, 1))
    decided = side != 3
    return np.array(
        [n.mean(), decided.mean(), (decided & (side != lies)).mean(), (side != lies).mean(), (best != lies).mean()]
    )


def table(truth: Prior, band: tuple[float, float], size: int, profiles: int, seed: int) -> None:
    """Print the figures of every rule on one shape and one band."""
    rules: dict[str, Rule] = {f"fixed n = {n}": fixed(n) for n in FIXED}
    rules |= {
        "adaptive, learned prior": adaptive,
        "adaptive, Jeffreys": adaptive_jeffreys,
        "until decided, Jeffreys": threshold,
        "pilot 8, then commit 64": pilot_then_commit,
        "SPRT at both edges": sprt,
    }
    ladder = {f"ladder {n}": fixed(n) for n in LADDER}
    sums = {name: np.zeros(5) for name in rules | ladder}
    prices = np.geomspace(2, 20_000, 40)
    best_rules = stopping_table(
        truth, *band, confidence=CONFIDENCE, pilot=PILOT, step=STEP, cap=CAP, price=1.0, costs=tuple(1 / prices)
    )
    knowing = np.zeros((2, prices.size))
    for profile in range(profiles):
        problems = Problems(truth, size, np.random.default_rng((seed, profile)))
        knowing += np.transpose([optimum(problems, best_rules, price) for price in prices])
        for name, rule in (rules | ladder).items():
            sums[name] += measure(problems, rule, truth.grid, band) / profiles
    print(f"  {'rule':26s} rollouts decided  wrong missed forced")
    for name in rules:
        rollouts, decided, wrong, missed, forced = sums[name]
        print(
            f"  {name:26s} {rollouts:8.2f} {decided:7.3f} {wrong / max(decided, 1e-9):6.3f} {missed:6.3f} {forced:6.3f}"
        )
    best = operating_characteristics(
        stopping_table(truth, *band, confidence=CONFIDENCE, pilot=PILOT, step=STEP, cap=CAP), truth
    )
    print(
        f"  {'exact optimum, price 128':26s} {best.rollouts:8.2f} {best.share_decided:7.3f} {best.error_rate:6.3f} "
        f"{1 - best.share_decided + best.share_wrong:6.3f}"
    )
    ours = sums["adaptive, learned prior"]
    shares, needed = knowing / profiles
    bound = (
        f"{ours[0] / np.interp(ours[1], shares, needed):.3f}"
        if ours[1] <= shares[-1]
        else "none: it decides more than the optimum would at any price, and errs more"
    )
    print(f"  adaptive / optimum at the same share decided, on the same problems: {bound}")
    for column, name in ((3, "missed"), (4, "forced")):
        errors = np.array([sums[f"ladder {n}"][column] for n in LADDER])
        if errors.min() > ours[column]:
            print(f"  adaptive / fixed n with the same '{name}': < {ours[0] / LONGEST:.3f}")
        else:
            falling = np.minimum.accumulate(errors)[::-1]
            same = float(np.interp(ours[column], falling, np.array(LADDER)[::-1]))
            print(f"  adaptive / fixed n with the same '{name}': {ours[0] / same:.3f} (n = {same:.0f})")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--problems", type=int, nargs="+", default=[641, 5000], help="problems of one simulated profile"
    )
    parser.add_argument("--draws", type=int, default=10000, help="simulated problems in all, for each table")
    parser.add_argument("--shape", help="only the shapes whose name contains this")
    parser.add_argument("--band", type=float, nargs=2, action="append", help="only this band, not all three")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    for band in settings.band or BANDS:
        for name, truth in shapes(make_grid(tuple(band))).items():
            if settings.shape and settings.shape not in name:
                continue
            for size in settings.problems:
                profiles = max(1, settings.draws // size)
                print(f"\n{name}; band {band[0]}-{band[1]}; {profiles} profiles of {size} problems")
                table(truth, band, size, profiles, settings.seed)


if __name__ == "__main__":
    main()
