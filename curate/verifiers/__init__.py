"""Verifiers: what tells a right answer from a wrong one. One protocol, one file for each kind, one pool for all.

Owns every verdict. Must not know engines or the ledger. Three outcomes everywhere: pass, fail, and unscored, which is
never counted as a failure. Nothing heavy is imported here: a kind's library loads in its workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

from curate.errors import RecipeError
from curate.records import Case, Judgement
from curate.verifiers.protocol import Verifier

if TYPE_CHECKING:  # workers import this module too, and need neither
    from curate.recipe import VerifierSection
    from curate.verifiers.pool import VerifierPool

KINDS: dict[str, str] = {
    "math": "curate.verifiers.math",
    "exact": "curate.verifiers.exact",
    "numeric": "curate.verifiers.numeric",
    "choice": "curate.verifiers.choice",
    "code": "curate.verifiers.code",
}
"""Kind -> module; each module has ``connect(options) -> Verifier``, cheap, in the parent and in every worker.
A kind with a colon is a trainer's reward function: ``reward.connect(kind, options)``."""


def connect(section: VerifierSection) -> VerifierPool:
    """Make the pool for the verifier that a recipe names; starts no process yet.

    Raises:
        RecipeError: unknown kind, or an option that it does not know or cannot use.
    """
    from curate.verifiers.pool import VerifierPool

    options = dict(section.options)
    verifier = make(section.kind, options)
    return VerifierPool(verifier, section.kind, options, pass_at=section.pass_at, workers=section.workers)


def make(kind: str, options: dict[str, Any]) -> Verifier:
    """Open a verifier in this process, without the pool around it: no timeout, no memory limit.

    Raises:
        RecipeError: unknown kind, or an option that it does not know or cannot use.
    """
    if ":" in kind:
        from curate.verifiers import reward

        return reward.connect(kind, options)
    if kind not in KINDS:
        hint = f"one of: {', '.join(KINDS)}; or a reward function: package.module:function, path/file.py:function"
        raise RecipeError(f"unknown verifier {kind!r}", where="verifier.kind", hint=hint)
    module: Any = import_module(KINDS[kind])
    verifier: Verifier = module.connect(options)
    return verifier


def judge_all(section: VerifierSection, cases: Sequence[Case]) -> list[Judgement]:
    """Judge cases and wait, for scripts and notebooks: a pool is started for them and closed again.

    Args:
        section: The verifier.
        cases: Any number.

    Returns:
        One judgement for each case, in their order.

    Raises:
        RecipeError: unknown kind or option.
        VerifierError: no worker can be started.
    """
    pool = connect(section)

    async def run() -> list[Judgement]:
        try:
            await pool.start()
            return await pool.judge(cases)
        finally:
            await pool.close()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    with ThreadPoolExecutor(1) as thread:  # a notebook's own loop runs in this thread
        return thread.submit(asyncio.run, run()).result()
