"""``curate audit``: are the passes real, can the problems be guessed, and are the references right?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from curate.cli.options import as_json, placed, print_json, profile_argument


@click.command(name="audit")
@profile_argument
@click.option(
    "--probe",
    "probes",
    type=click.Choice(["guess", "early", "judge"]),
    multiple=True,
    help="Draw this probe first: bare answers, answers forced early, or a judge's votes. May be given again.",
)
@click.option("--draws", type=click.IntRange(min=1), help="Of each probe, another number than the recipe's.")
@click.option("--recipe", type=click.Path(path_type=Path), help="Whose model, engine and probes.  [default: DIR's]")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that read rollouts.  [default: one a core]")
@as_json
def command(
    profile: Path, probes: tuple[str, ...], draws: int | None, recipe: Path | None, workers: int | None, as_json: bool
) -> None:
    """Audit the rollouts of the profile DIR: shortcuts, lucky guesses, suspect references.

    What is found is written beside the estimates; filter and show go by it. A flag is a cause to look, never a verdict.
    Only a probe samples; what it drew is kept, and used by every later audit.

    \b
    Example:
      curate audit profiles/demo
      curate audit profiles/demo --probe guess
      curate filter profiles/demo --to out/demo
    """
    from tqdm import tqdm

    from curate import auditing
    from curate.cli import texts

    if probes:
        _draw(profile, probes, draws, recipe)
    interval = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(unit=" rollouts", file=sys.stderr, mininterval=interval, dynamic_ncols=True) as shown:

        def report(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        found = auditing.audit(profile, workers=workers, report=report)
    print_json(found) if as_json else texts.print_audit(found)


def _draw(profile: Path, probes: tuple[str, ...], draws: int | None, recipe: Path | None) -> None:
    from curate import probing
    from curate import recipe as recipes
    from curate.cli import progress

    settings = None if recipe is None else recipes.load(recipe)
    for kind in dict.fromkeys(probes):
        told = placed(lambda where: where if recipe is None else recipes.written_at(where, recipe))
        with told, progress.bar() as report:
            if kind == "guess":
                probing.probe_guess(profile, recipe=settings, draws=draws, report=report)
            elif kind == "early":
                probing.probe_early(profile, recipe=settings, draws=draws, report=report)
            else:
                probing.probe_judge(profile, recipe=settings, votes=draws, report=report)
