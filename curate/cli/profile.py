"""``curate profile``: measure every problem of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli.options import Shard, as_json, placed, print_json

if TYPE_CHECKING:
    from curate.planning import Plan


@click.command(name="profile")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--into", type=click.Path(path_type=Path), help="The profile's folder.  [default: profiles/<recipe name>]"
)
@click.option(
    "--fixed",
    metavar="N",
    type=int,
    help="Draw N rollouts of every problem, in doubt or not.",
)
@click.option("--shard", type=Shard(), help="Only the I-th of N parts of the problems; all may write into one folder.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and draw nothing.")
@click.option(
    "--like",
    metavar="DIR",
    multiple=True,
    help="An earlier profile of the same problems: what it knows need not be measured again. Oldest first.",
)
@click.option("--set", "overrides", metavar="KEY.PATH=VALUE", multiple=True, help="Change one setting of the recipe.")
@as_json
def command(
    recipe: Path,
    into: Path | None,
    fixed: int | None,
    shard: tuple[int, int] | None,
    dry_run: bool,
    like: tuple[str, ...],
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure how often the model solves each problem of RECIPE.

    The same command continues an interrupted run, and draws nothing that is on disk already.

    \b
    Example:
      curate profile recipes/demo.yaml --fixed 64
      curate profile recipes/demo.yaml --fixed 64 --set sampling.seed=1 --into profiles/demo-seed1
      curate profile recipes/demo.yaml --set model.path=checkpoints/200 --like profiles/demo --into profiles/demo-200
    """
    from curate import planning, profiling
    from curate import recipe as recipes
    from curate.cli import progress, texts

    settings = recipes.load(recipe, overrides)
    told = placed(lambda where: recipes.written_at(where, recipe, overrides))
    if dry_run:
        with told:
            plan = planning.plan(settings, into=into, fixed_n=fixed, shard=shard, like=like)
        print_json(plan) if as_json else _print_plan(plan)
        return
    with told, progress.bar() as report:
        summary = profiling.profile(settings, into=into, fixed_n=fixed, shard=shard, like=like, report=report)
    print_json(summary) if as_json else texts.print_summary(summary)


def _print_plan(plan: Plan) -> None:
    click.echo(plan.first_prompt)
    click.echo("─" * 60)
    aside = f", {plan.set_aside:,} of them set aside" if plan.set_aside else ""
    click.echo(f"problems  {plan.problems:,}{aside}")
    click.echo(f"rollouts  {'about ' if plan.share_decided else ''}{plan.rollouts:,} to draw, {plan.held:,} on disk")
    if plan.share_decided is not None:
        click.echo(f"decided   about {plan.share_decided:.0%} of the problems")
    if plan.saved is not None:
        click.echo(f"saved     about {plan.saved:.0%}: so many fewer than without --like")
    if plan.tokens is not None:
        click.echo(f"tokens    about {plan.tokens:,.0f}")
    if plan.seconds is not None:
        click.echo(f"time      about {_duration(plan.seconds)} at the speed measured there")
    click.echo(f"rests on  {plan.rests_on}")
    click.echo(f"into      {plan.into}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
