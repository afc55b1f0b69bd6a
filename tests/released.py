"""Releases for the tests of what is made of one: the demo's own, and small ones by hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builders import FINGERPRINT, manifest, rollout, verdict

from curate import beliefs, decide
from curate.ledger import Ledger
from curate.publish.release import filter
from curate.recipe import BandSection
from curate.records import Problem, VerdictKind

DEMO = Path(__file__).resolve().parent.parent / "profiles" / "demo"


def committed_demo(folder: Path) -> Path:
    """The demo's profile as it is committed, without the rollouts that may lie beside it."""
    folder.mkdir(parents=True)
    for file in (one for one in DEMO.iterdir() if one.is_file() and not one.name.startswith(".")):
        shutil.copy(file, folder)
    return folder


def demo_release(folder: Path) -> Path:
    """The release of the committed demo profile."""
    return filter(DEMO, to=folder).path


def release_of(folder: Path, problems: Sequence[Problem], **protocol: Any) -> Path:
    """A release of problems of which each passed half of 64 rollouts, under a protocol with these changes."""
    told = {
        **{"prompt.system": None, "prompt.template": "{{ question }}", "prompt.chat": True},
        **{"verifier.kind": "exact", "verifier.options": {}, "verifier.pass_at": 1.0, "verifier.version": "exact 1"},
        **{key.replace("__", "."): value for key, value in protocol.items()},
    }
    told = {key: value for key, value in told.items() if value != "absent"}
    ledger = Ledger(folder / "profile")
    with ledger.writing():
        ledger.write_problems(problems, [problem.question for problem in problems])
        ledger.write_manifest(manifest(protocol=told))
        drawn = [(one.problem_id, index) for one in problems if one.set_aside is None for index in range(64)]
        ledger.append_rollouts([rollout(name, index) for name, index in drawn])
        kinds = (VerdictKind.PASS, VerdictKind.FAIL)
        ledger.append_verdicts(FINGERPRINT, [verdict(name, index, kinds[index % 2]) for name, index in drawn])
    counts = decide.count(ledger, FINGERPRINT, 8)
    prior = beliefs.learn(counts, BandSection())
    ledger.write_prior(beliefs.to_frame(prior))
    ledger.write_estimates(decide.estimate(counts, BandSection(), prior))
    return filter(ledger.path, to=folder / "out").path
