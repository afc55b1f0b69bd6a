"""How many of the outcomes that changed ``curate schedule`` finds, against random choice at the same cost.

Run by ``make bench``. The history is real: 641 problems at 44 and more visits of a GRPO run, 8 rollouts at each. A
profile is three visits pooled (24 rollouts of a problem); the history is the profiles at three earlier visits. The new
checkpoint is ``distance`` visits after the last. The schedule is asked twice, as a person would: for the anchors, whose
rollouts (8 each) are taken from a visit that the truth does not see, and then for the rest, with a budget that counts
the anchors. Each row is the mean over the seeds, which draw 500 of the problems.

What changed, told in four ways:

    pooled     k/24 of the three visits about the new one lies on another side of the band than the old profile's k/24.
               24 rollouts flip near an edge by chance alone, so this counts noise too
    apart      the same, but the history saw two visits of each three, and three others tell the old side
    denoised   each problem counts with the probability of a change, from the posteriors of both counts
    sure       both posteriors hold 90% of their mass on a side, and not the same

``random`` is what as many problems drawn at random find of the pooled changes, the mean of 200 draws.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from curate.ledger import Ledger
from curate.recipe import VerifierSection, verifier_fingerprint
from curate.records import Problem, Rollout, Verdict, VerdictKind
from curate.reprofile.due import schedule
from curate.reprofile.policy import Policy
from curate.statistics import estimate, fit_prior, make_grid
from curate.summary import estimate_anew

BAND = (0.2, 0.8)
PAIRS = [(10, 5), (20, 5), (30, 5), (10, 10), (20, 10), (30, 10), (10, 20), (20, 20), (10, 30)]
"""Last visit of the history, and distance of the new one."""
FINGERPRINT = verifier_fingerprint(VerifierSection(), "benchmark")


def visits() -> np.ndarray | None:
    """Passes of 8, shape (problems, visits)."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", default))
    source = folder / "rollouts" / "oneshot_dsr_sub_trajectory_half.jsonl"
    if not source.is_file():
        return None
    return np.array([json.loads(line)["n_correct_by_visit"][:44] for line in source.read_text().splitlines()])


def write(folder: Path, names: list[str], k: np.ndarray, n: int, revision: str, step: int) -> Path:
    """A profile of counts."""
    ledger = Ledger(folder)
    told = {
        "name": "run",
        "created": "2026-01-01T00:00:00+00:00",
        "updated": f"2026-01-01T{step // 60:02}:{step % 60:02}:00+00:00",
        "model": {"path": f"run/checkpoint-{step}", "revision": revision, "chat_template": "none"},
        "protocol": {"model.revision": revision},
        "protocol_fingerprint": revision,
        "verifier_fingerprint": FINGERPRINT,
        "seed": 0,
        "band": {"low": BAND[0], "high": BAND[1], "confidence": 0.9, "group_size": 8},
        "pilot": 8,
        "recipe": None,
        "problems": {"source": "benchmark", "fingerprint": "0", "rows": len(names)},
        "versions": {},
    }
    pairs = [(name, index, index < passes) for name, passes in zip(names, k, strict=True) for index in range(n)]
    kinds = {True: VerdictKind.PASS, False: VerdictKind.FAIL}
    with ledger.writing():
        ledger.write_problems([Problem(name, f"question {name}", ("1",)) for name in names], ["" for _ in names])
        ledger.write_manifest(told)
        ledger.append_rollouts([Rollout(name, index, 0, "", "stop", 1, 1, "none", 0.0) for name, index, _ in pairs])
        ledger.append_verdicts(
            FINGERPRINT, [Verdict(name, index, kinds[ok], float(ok), None, "", 0.0) for name, index, ok in pairs]
        )
        estimate_anew(ledger)
    return folder


def side(k: np.ndarray, n: int) -> np.ndarray:
    """Below, in, above the band, of k/n."""
    rate = k / n
    return np.where(rate < BAND[0], 0, np.where(rate > BAND[1], 2, 1))


def masses(k: np.ndarray, n: int) -> np.ndarray:
    """Posterior mass below, in and above, shape (problems, 3)."""
    counts = np.full(k.size, n)
    found = estimate(fit_prior(counts, k, make_grid(edges=BAND)), counts, k, *BAND)
    return np.stack([found.p_below, found.p_in_band, found.p_above], axis=1)


def drawn_again(passes: np.ndarray, last: int, distance: int, seen: list[int], policy: Policy) -> np.ndarray:
    """Which problems the schedule has drawn again, anchors included.

    Args:
        passes: Shape (problems, visits).
        last: The last visit of the history.
        distance: Of the new checkpoint from it.
        seen: The visits that make a profile, relative to its own: ``[-2, -1, 0]``.
        policy: The policy.
    """
    names = [f"p{number}" for number in range(len(passes))]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for before in (0, 1, 2):
            visit = max(2, last - before * max(3, last // 4))
            k = passes[:, [visit + offset for offset in seen]].sum(axis=1)
            write(folder / "profiles" / f"v{visit}", names, k, 8 * len(seen), f"sha256:{visit}", visit)
        model = folder / f"checkpoint-{last + distance}"
        model.mkdir()
        (model / "config.json").write_text("{}")
        first = schedule(folder / "profiles", model=str(model), policy=policy)
        chosen = set(first.problem_ids)
        again = np.array([name in chosen for name in names])
        k = passes[again, last + distance + 2]
        revision = first.target.revision or ""
        write(folder / "profiles" / "new", [n for n in names if n in chosen], k, 8, revision, last + distance)
        second = schedule(folder / "profiles", model=str(model), policy=policy)
        chosen |= set(second.problem_ids)
        return np.array([name in chosen for name in names])


def row(all_passes: np.ndarray, last: int, distance: int, seeds: int, policy: Policy) -> dict[str, float]:
    """The figures of one pair, each the mean over the seeds."""
    found: list[dict[str, float]] = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        passes = all_passes[np.sort(rng.choice(len(all_passes), 500, replace=False))]
        new = passes[:, last + distance - 1 : last + distance + 2].sum(axis=1)
        old = passes[:, last - 2 : last + 1].sum(axis=1)
        again = drawn_again(passes, last, distance, [-2, -1, 0], policy)
        changed = side(old, 24) != side(new, 24)
        before, after = masses(old, 24), masses(new, 24)
        likely = 1.0 - (before * after).sum(axis=1)
        certain = (before.max(axis=1) >= 0.9) & (after.max(axis=1) >= 0.9)
        sure = certain & (before.argmax(axis=1) != after.argmax(axis=1))
        random = [changed[rng.permutation(len(passes))[: again.sum()]].sum() / changed.sum() for _ in range(200)]
        apart = drawn_again(passes, last, distance, [-2, 0], policy)
        between = passes[:, [last - 3, last - 1, last + 1]].sum(axis=1)
        moved = side(between, 24) != side(new, 24)
        found.append(
            {
                "drawn": again.mean(),
                "changed": changed.mean(),
                "pooled": changed[again].sum() / changed.sum(),
                "random": float(np.mean(random)),
                "apart": moved[apart].sum() / moved.sum(),
                "denoised": likely[again].sum() / likely.sum(),
                "sure": sure[again].sum() / max(1, sure.sum()),
                "sure ones": float(sure.sum()),
            }
        )
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--budget", type=float, default=0.4)
    parser.add_argument("--anchors", type=int, default=Policy().anchors)
    settings = parser.parse_args()
    passes = visits()
    if passes is None:
        print("the third-party data is not here")
        return
    policy = Policy(budget=settings.budget, anchors=settings.anchors)
    print(f"budget {policy.budget:.0%} of the problems, {policy.anchors} anchors in it; {settings.seeds} seeds a row\n")
    names = ("drawn", "changed", "pooled", "random", "apart", "denoised", "sure", "sure ones")
    print(f"| visit | distance | {' | '.join(names)} |\n|---:|---:|{'---:|' * len(names)}")
    rows = []
    for last, distance in PAIRS:
        found = row(passes, last, distance, settings.seeds, policy)
        rows.append(found)
        told = [f"{found[name]:.1f}" if name == "sure ones" else f"{found[name]:.1%}" for name in names]
        print(f"| {last} | {distance} | {' | '.join(told)} |", flush=True)
    means = {name: float(np.mean([one[name] for one in rows])) for name in names}
    told = [f"{means[name]:.1f}" if name == "sure ones" else f"{means[name]:.1%}" for name in names]
    print(f"| all | | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
