"""Statistics: what counts of passes say. Numbers in, numbers out.

Owns the prior over a set's pass rates, the posterior of each problem, the guarantee that needs no prior, the stopping
rule, and what a pass rate means for a group. Must not import any other room nor touch a file, a model or a clock, so
that every figure a profile shows can be recomputed from ``n`` and ``k`` alone. Everything is vectorised over problems.

In order of use: ``make_grid`` with the band's edges, ``fit_prior``, ``estimate`` and ``confidence_sequence`` for what
is published, ``stopping_table`` for whether to draw on, ``group_numbers`` for what a trainer would see. For the audit,
``guess_test`` to ``guessable`` for what guessing explains, and ``genuine.genuine`` for what is left of the passes.
"""

from curate.statistics.confidence import clopper_pearson, confidence_sequence
from curate.statistics.genuine import Genuine, cot_pass_at, genuine_prior
from curate.statistics.groups import GroupNumbers, Scaling, group_numbers, success_advantage
from curate.statistics.guessing import (
    GuessVerdict,
    corrected,
    false_discoveries,
    guess_test,
    guess_verdicts,
    guessable,
    lucky_share,
    p_luck,
)
from curate.statistics.posterior import Estimates, Side, decide, estimate, expectation
from curate.statistics.prior import LEARN_FROM, Grid, Prior, fit_prior, jeffreys, make_grid
from curate.statistics.stopping import (
    OperatingCharacteristics,
    StoppingTable,
    frontier,
    operating_characteristics,
    stopping_table,
)

__all__ = [
    "LEARN_FROM",
    "Estimates",
    "Genuine",
    "Grid",
    "GroupNumbers",
    "GuessVerdict",
    "OperatingCharacteristics",
    "Prior",
    "Scaling",
    "Side",
    "StoppingTable",
    "clopper_pearson",
    "confidence_sequence",
    "corrected",
    "cot_pass_at",
    "decide",
    "estimate",
    "expectation",
    "false_discoveries",
    "fit_prior",
    "frontier",
    "genuine_prior",
    "group_numbers",
    "guess_test",
    "guess_verdicts",
    "guessable",
    "jeffreys",
    "lucky_share",
    "make_grid",
    "operating_characteristics",
    "p_luck",
    "stopping_table",
    "success_advantage",
]
