"""What a pass rate means for a group of G rollouts that a trainer draws together.

Owns the probability that a group is mixed or has a lone success, and the advantage that such a success gets. Takes and
gives numpy arrays; must not import any other room.

Group-relative trainers subtract the group's mean reward and, most of them, divide by its standard deviation. A group
without both passes and failures teaches nothing; one with a lone success gives it the largest advantage there is,
whether it was earned or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from curate.statistics.posterior import expectation
from curate.statistics.prior import Floats, Prior

Scaling = Literal["population", "sample", "none"]
"""What the centred reward is divided by: the standard deviation with ddof = 0, with ddof = 1 (TRL, verl), or nothing
(Dr. GRPO)."""


@dataclass(frozen=True, eq=False)
class GroupNumbers:
    """Probabilities about the next group of each problem; every array has the shape of the counts."""

    p_mixed: Floats
    """The group has a pass and a failure: it teaches something."""
    p_lone: Floats
    """The group has exactly one pass."""


def group_numbers(prior: Prior, n: ArrayLike, k: ArrayLike, group_size: int) -> GroupNumbers:
    """Average ``1 - p^G - (1-p)^G`` and ``G p (1-p)^(G-1)`` over each problem's posterior.

    The average, because both bend: at 0 passes of 8 the point estimate k/n says that no group is ever mixed. For a
    problem that is always or never solved both go to 0. With G = 1 nothing is mixed; with G = 2 the two are equal.

    Args:
        prior: The prior.
        n: Scored rollouts of each problem.
        k: Passes of each problem; same shape as n.
        group_size: G, at least 1.

    Raises:
        ValueError: counts or a group size that cannot be.
    """
    if group_size < 1:
        raise ValueError(f"a group has at least one rollout, got {group_size}")
    size, log_p, log_q = group_size, prior.grid.log_p, prior.grid.log_q
    mixed = 1.0 - np.exp(size * log_p) - np.exp(size * log_q)
    lone = size * np.exp(log_p + (size - 1) * log_q)
    return GroupNumbers(*np.clip(expectation(prior, n, k, np.stack([mixed, lone])), 0.0, 1.0))


def success_advantage(group_size: int, successes: int = 1, scaling: Scaling = "sample", epsilon: float = 0.0) -> float:
    """The advantage of a passing rollout in a group, rewards being 0 and 1.

    A lone success gets ``sqrt(G-1)`` by the population's standard deviation, ``(G-1)/sqrt(G)`` by the sample's,
    ``1 - 1/G`` unscaled. The fewer the successes, the more each gets; where all pass, 0.

    Args:
        group_size: G, at least 2.
        successes: How many of the group pass, from 1 to G.
        scaling: What the centred reward is divided by.
        epsilon: Added to the standard deviation: TRL has 1e-4, verl 1e-6, a formula 0.

    Raises:
        ValueError: a group that cannot be, or that has no success.
    """
    if group_size < 2 or not 1 <= successes <= group_size:
        raise ValueError(f"no passing rollout to speak of: {successes} of {group_size}")
    if successes == group_size:
        return 0.0
    mean = successes / group_size
    if scaling == "none":
        return 1.0 - mean
    degrees = group_size - 1 if scaling == "sample" else group_size
    return float((1.0 - mean) / (np.sqrt(group_size * mean * (1.0 - mean) / degrees) + epsilon))
