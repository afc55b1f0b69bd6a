"""``curate audit``: are the passes real, can the problems be guessed, and are the references right?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from curate.cli.options import as_json, print_json, profile_argument


@click.command(name="audit")
@profile_argument
@click.option("--workers", type=click.IntRange(min=1), help="Processes that read rollouts.  [default: one a core]")
@as_json
def command(profile: Path, workers: int | None, as_json: bool) -> None:
    """Audit the rollouts of the profile DIR: shortcuts, lucky guesses, suspect references. Nothing is sampled.

    What is found is written beside the estimates; filter and show go by it. A flag is a cause to look, never a verdict.

    \b
    Example:
      curate audit profiles/demo
      curate filter profiles/demo --to out/demo
    """
    from tqdm import tqdm

    from curate import auditing
    from curate.cli import texts

    interval = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(unit=" rollouts", file=sys.stderr, mininterval=interval, dynamic_ncols=True) as shown:

        def report(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        found = auditing.audit(profile, workers=workers, report=report)
    print_json(found) if as_json else texts.print_audit(found)
