"""Time and peak memory of estimating a million problems. Run by ``make bench``."""

from __future__ import annotations

import resource
import time

import numpy as np

from curate.statistics import confidence_sequence, estimate, fit_prior, group_numbers, make_grid

PROBLEMS = 1_000_000


def main() -> None:
    """Print one line for each kind of counts."""
    rng = np.random.default_rng(0)
    rates = rng.beta(0.4, 0.4, PROBLEMS)
    kinds = {
        "adaptive, up to 128": rng.choice(np.arange(8, 129, 4), PROBLEMS),
        "any n up to 128": rng.integers(1, 129, PROBLEMS),
        "any n up to 4096 (nearly all distinct)": rng.integers(1, 4097, PROBLEMS),
    }
    for name, n in kinds.items():
        k = rng.binomial(n, rates)
        start = time.perf_counter()
        first = np.minimum(n, 32)
        prior = fit_prior(first, rng.binomial(first, rates), make_grid((0.2, 0.8)))
        learned = time.perf_counter()
        estimate(prior, n, k, 0.2, 0.8)
        estimated = time.perf_counter()
        confidence_sequence(n, k)
        bounded = time.perf_counter()
        group_numbers(prior, n, k, 8)
        grouped = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{name:40s} {np.unique(n * 5000 + k).size:8d} distinct: fit {learned - start:5.2f} s, estimate "
            f"{estimated - learned:5.2f} s, confidence sequence {bounded - estimated:5.2f} s, group numbers "
            f"{grouped - bounded:5.2f} s; peak {peak:.2f} GiB so far"
        )


if __name__ == "__main__":
    main()
