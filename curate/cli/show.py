"""``curate show``: a profile, or one problem of it, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from curate.cli.options import as_json, print_json, profile_argument


@click.command(name="show")
@profile_argument
@click.argument("problem_id", required=False)
@click.option("--limit", default=6, show_default=True, help="How many rollouts of a problem to print.")
@as_json
def command(profile: Path, problem_id: str | None, limit: int, as_json: bool) -> None:
    """Show where the profile DIR stands, or one problem with its rollouts, passes first.

    \b
    Example:
      curate show profiles/demo
      curate show profiles/demo ID
    """
    from curate import viewing
    from curate.cli import texts

    if problem_id is None:
        view = viewing.overview(profile)
        print_json(view) if as_json else texts.print_overview(view)
        return
    problem: Any = viewing.problem(profile, problem_id)
    print_json(problem) if as_json else texts.print_problem(problem, limit)
