"""How many of the problems that ``curate compare`` calls changed did not change, and how many of the changed it finds.

Run by ``make bench``. Each row is many simulated pairs of profiles, whose priors are learned from themselves. A false
discovery rate of 5% is asked for. Columns, each for three ways of calling a problem changed, by the posterior tails
with the procedure of Benjamini and Hochberg, by the local false discovery rate, and by both as ``compare`` does:

    false   mean share of unchanged problems among those called changed; where nothing changed, the share of pairs in
            which anything was called changed
    found   share of the changed problems that were called so

What changed:

    nothing    the same pass rates; real, as 641 problems' 24 rollouts show them, or Beta(.3, .3)
    redrawn    a fifth of the problems have another pass rate, drawn anew
    by half    a fifth moved by exactly a half, up or down
    shifted    three in ten moved by N(1, .8) in logits
    few        2% are drawn anew

``adaptive``: both profiles are stopped by the rule that ``curate profile`` goes by.
"""

from __future__ import annotations

import argparse

import numpy as np
from stopping import Problems, adaptive, shapes

from curate.statistics import Prior, fit_prior, make_grid
from curate.statistics.difference import difference, p_unchanged, q_values

BAND = (0.2, 0.8)
RATE = 0.05


class Given(Problems):
    """Problems of given pass rates."""

    def __init__(self, p: np.ndarray, rng: np.random.Generator) -> None:
        self.p = p
        draws = rng.random((p.size, 128)) < p[:, None]
        self.passes = np.concatenate([np.zeros((p.size, 1), int), draws.cumsum(axis=1)], axis=1)


def draw(truth: Prior, size: int, rng: np.random.Generator) -> np.ndarray:
    """Pass rates of a shape."""
    return Problems(truth, size, rng).p


def moved(kind: str, p: np.ndarray, truth: Prior, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The pass rates afterwards, and which of them changed."""
    share = {"nothing": 0.0, "redrawn": 0.2, "by half": 0.2, "shifted": 0.3, "few": 0.02}[kind]
    which = np.arange(p.size) < share * p.size
    after = p.copy()
    if kind in ("redrawn", "few"):
        after[which] = draw(truth, int(which.sum()), rng)
    elif kind == "by half":
        after[which] = (p[which] + 0.5) % 1.0
    elif kind == "shifted":
        logits = np.log(p[which] / (1 - p[which])) + rng.normal(1.0, 0.8, which.sum())
        after[which] = 1 / (1 + np.exp(-logits))
    return after, which


def called(before: np.ndarray, after: np.ndarray, rollouts: int | None, rng: np.random.Generator) -> list[np.ndarray]:
    """Which problems each of the three ways calls changed."""
    grid, sides = make_grid(edges=BAND), []
    for p in (before, after):
        problems = Given(p, rng)
        if rollouts is None:
            n, prior = adaptive(problems, grid, BAND)
        else:
            n = np.full(p.size, rollouts)
            prior = fit_prior(n, problems.k(n), grid)
        sides.append((prior, n, problems.k(n)))
    found = difference(*sides[0], *sides[1])
    unchanged = p_unchanged(found.log_factor)
    nothing = np.zeros(before.size)
    return [q_values(*pair) <= RATE for pair in ((found.tail, nothing), (nothing, unchanged), (found.tail, unchanged))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=60)
    settings = parser.parse_args()
    known = shapes(make_grid(edges=BAND))
    u_shaped = known["U-shaped Beta(.3, .3)"]
    real = known.get("real, smooth", u_shaped)
    print(f"{settings.pairs} pairs of profiles of {settings.problems} problems a row\n")
    print("| what changed | rollouts | tails: false | local: false | both: false | tails: found | local | both |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    cases = [("nothing", "real", real), ("nothing", "Beta(.3, .3)", u_shaped)]
    cases += [(kind, "real", real) for kind in ("redrawn", "by half", "shifted", "few")]
    for kind, shape, truth in cases:
        for rollouts in (8, 32, None):
            false, found = np.zeros(3), np.zeros(3)
            pairs = settings.pairs if rollouts else settings.pairs // 4
            for seed in range(pairs):
                rng = np.random.default_rng(seed)
                before = draw(truth, settings.problems, rng)
                after, which = moved(kind, before, truth, rng)
                for way, named in enumerate(called(before, after, rollouts, rng)):
                    false[way] += (named & ~which).sum() / max(1, named.sum())
                    found[way] += (named & which).sum() / max(1, which.sum())
            told = [f"{share / pairs:.1%}" for share in false]
            told += [f"{share / pairs:.1%}" if kind != "nothing" else "-" for share in found]
            print(f"| {kind}, {shape} | {rollouts or 'adaptive'} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
