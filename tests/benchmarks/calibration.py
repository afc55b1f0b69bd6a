"""How often the decided problems lie where they were decided to, and how often the confidence sequence covers.

Run by ``make bench``. Each row is 200 simulated profiles whose prior is learned from the run itself, stopped by the
rule that ``curate profile`` goes by. Columns:

    claimed    mean posterior mass of the side decided for, over the decided problems
    right      share of the decided that lie there, with its standard error over the profiles
    least sure the same share among those decided with a mass below 0.92, who claim least
    covered    share of all problems whose 95% confidence sequence, as it stands when the rule stops, holds the truth

The last shape is no real one: a lump of equal problems a little inside the band's lower edge, where a prior that is
learned from few problems can put the lump on the wrong side.
"""

from __future__ import annotations

import argparse

import numpy as np
from stopping import CONFIDENCE, Problems, adaptive, shapes

from curate.statistics import Grid, Prior, confidence_sequence, estimate, make_grid

BAND = (0.2, 0.8)


def lump(grid: Grid, p: float = 0.22, width: float = 0.03, share: float = 0.7) -> Prior:
    """A share of the problems about one pass rate, the others spread as Jeffreys would have them."""
    at = np.exp(-(((grid.theta - np.arcsin(np.sqrt(p))) / width) ** 2) / 2) * grid.widths
    return Prior(grid, share * at / at.sum() + (1 - share) * grid.widths / grid.widths.sum())


def row(truth: Prior, size: int, profiles: int, seed: int) -> tuple[np.ndarray, float]:
    """Claimed, right, right among the least sure, covered; and the standard error of right."""
    sums, shares = np.zeros(6), []
    for number in range(profiles):
        problems = Problems(truth, size, np.random.default_rng((seed, number)))
        n, prior = adaptive(problems, truth.grid, BAND)
        found = estimate(prior, n, problems.k(n), *BAND)
        masses = np.stack([found.p_below, found.p_in_band, found.p_above])
        top, side = masses.max(axis=0), masses.argmax(axis=0)
        right = side == np.where(problems.p < BAND[0], 0, np.where(problems.p > BAND[1], 2, 1))
        decided, least = top >= CONFIDENCE, (top >= CONFIDENCE) & (top < CONFIDENCE + 0.02)
        low, high = confidence_sequence(n, problems.k(n))
        covered = ((low <= problems.p) & (problems.p <= high)).mean()
        sums += [top[decided].sum(), right[decided].sum(), decided.sum(), right[least].sum(), least.sum(), covered]
        shares.append(right[decided].mean())
    claimed, good, decided_, good_least, least_, covered_ = sums
    figures = np.array([claimed / decided_, good / decided_, good_least / least_, covered_ / profiles])
    return figures, float(np.std(shares) / np.sqrt(profiles))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--problems", type=int, nargs="+", default=[200, 641], help="problems of one profile")
    parser.add_argument("--profiles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    grid = make_grid(BAND)
    print(f"band {BAND[0]}-{BAND[1]}, confidence {CONFIDENCE}, {settings.profiles} profiles a row\n")
    print("| shape | problems | claimed | right | least sure | covered |\n|---|---:|---:|---:|---:|---:|")
    for name, truth in (shapes(grid) | {"a lump at 0.22": lump(grid)}).items():
        for size in settings.problems:
            (claimed, right, least, covered), error = row(truth, size, settings.profiles, settings.seed)
            print(f"| {name} | {size} | {claimed:.3f} | {right:.3f} ± {error:.3f} | {least:.3f} | {covered:.3f} |")


if __name__ == "__main__":
    main()
