"""curate: measure how often a model solves each problem, and keep those in its competence band.

Everything that a command does is one call here. The calls load on use, because a command line that only prints its
help should not import an engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.auditing import audit as audit_profile
    from curate.importing import import_every_step as import_every_step
    from curate.importing import import_rollouts as import_rollouts
    from curate.planning import plan as plan
    from curate.probing import probe_early as probe_early
    from curate.probing import probe_guess as probe_guess
    from curate.probing import probe_judge as probe_judge
    from curate.profiling import profile as profile
    from curate.publish.export import export as export
    from curate.publish.hub import publish as publish_release
    from curate.publish.release import filter as filter
    from curate.publish.report import report as report
    from curate.recipe import load as load_recipe
    from curate.reprofile.drift import compare as compare
    from curate.reprofile.due import schedule as schedule
    from curate.reprofile.emit import emit as emit_schedule
    from curate.reprofile.history import history as history
    from curate.reprofile.policy import Policy as Policy
    from curate.reprofile.running import run_schedule as run_schedule
    from curate.rewarding import close_rewards as close_rewards
    from curate.rewarding import reward as reward
    from curate.verifying import verify as verify

_CALLS = {
    "profile": ("curate.profiling", "profile"),
    "plan": ("curate.planning", "plan"),
    **{name: ("curate.importing", name) for name in ("import_rollouts", "import_every_step")},
    "verify": ("curate.verifying", "verify"),
    # Modules of these names are the rooms of audits and releases, so the calls have longer ones.
    "audit_profile": ("curate.auditing", "audit"),
    "publish_release": ("curate.publish.hub", "publish"),
    **{name: ("curate.probing", name) for name in ("probe_guess", "probe_early", "probe_judge")},
    "filter": ("curate.publish.release", "filter"),
    "export": ("curate.publish.export", "export"),
    "reward": ("curate.rewarding", "reward"),
    "close_rewards": ("curate.rewarding", "close_rewards"),
    "report": ("curate.publish.report", "report"),
    "compare": ("curate.reprofile.drift", "compare"),
    "history": ("curate.reprofile.history", "history"),
    "schedule": ("curate.reprofile.due", "schedule"),
    "Policy": ("curate.reprofile.policy", "Policy"),
    "run_schedule": ("curate.reprofile.running", "run_schedule"),
    "emit_schedule": ("curate.reprofile.emit", "emit"),
    "load_recipe": ("curate.recipe", "load"),
}

__all__ = [
    "Policy",
    "audit_profile",
    "close_rewards",
    "compare",
    "emit_schedule",
    "export",
    "filter",
    "history",
    "import_every_step",
    "import_rollouts",
    "load_recipe",
    "plan",
    "probe_early",
    "probe_guess",
    "probe_judge",
    "profile",
    "publish_release",
    "report",
    "reward",
    "run_schedule",
    "schedule",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Load a call when it is first used."""
    if name not in _CALLS:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    module, call = _CALLS[name]
    return getattr(import_module(module), call)
