"""``curate show``: a profile, or one problem of it, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from curate.cli.options import as_json, print_json, profile_argument


@click.command(name="show")
@profile_argument
@click.argument("problem_id", required=False)
@click.option(
    "--limit", default=6, show_default=True, type=click.IntRange(min=0), help="Rollouts of a problem to print."
)
@click.option("--no-pager", is_flag=True, help="Print it all at once; a pipe never gets a pager.")
@as_json
def command(profile: Path, problem_id: str | None, limit: int, no_pager: bool, as_json: bool) -> None:
    """Show where the profile DIR stands, or one problem with its rollouts, passes first.

    What a terminal would act on instead of showing it, escape sequences in a completion say, is printed as its code,
    such as ⟨U+001B⟩.

    \b
    Example:
      curate show profiles/demo
      curate show profiles/demo ID
    """
    from curate import viewing
    from curate.cli import view_texts

    if problem_id is None:
        view = viewing.overview(profile)
        if as_json:
            print_json(view)
        else:
            view_texts.page(lambda out: view_texts.print_overview(view, out), pager=not no_pager)
        return
    problem: Any = viewing.problem(profile, problem_id)
    if as_json:
        print_json(problem)
    else:
        view_texts.page(lambda out: view_texts.print_problem(problem, limit, out), pager=not no_pager)
