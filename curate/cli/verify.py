"""``curate verify``: judge stored rollouts again, with another verifier or its own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from curate.cli.options import as_json, placed, print_json, profile_argument, verifier_place


@click.command(name="verify")
@profile_argument
@click.option("--verifier", required=True, metavar="NAME", help="Who judges: math, exact, ..., or pkg.mod:fn.")
@click.option("--option", "options", metavar="KEY=VALUE", multiple=True, help="An option of the verifier.")
@click.option("--pass-at", default=1.0, show_default=True, help="A reward of at least this passes.")
@click.option("--workers", type=int, help="Worker processes.  [default: one for each core]")
@click.option("--adopt", is_flag=True, help="Let the profile go by this verifier from now on.")
@click.option("--redo-unscored", is_flag=True, help="Judge anew what this verifier left unscored.")
@as_json
def command(
    profile: Path,
    verifier: str,
    options: tuple[str, ...],
    pass_at: float,
    workers: int | None,
    adopt: bool,
    redo_unscored: bool,
    as_json: bool,
) -> None:
    """Judge the rollouts of the profile DIR again, and say what changes. Nothing is sampled.

    The profile goes on by its own verdicts unless --adopt is given; all verdicts are kept. The same command continues
    an interrupted one.

    \b
    Example:
      curate verify profiles/mine --verifier exact
      curate verify profiles/mine --verifier numeric --option rel_tolerance=0.01 --adopt
    """
    from tqdm import tqdm

    from curate import verifying
    from curate.cli import texts
    from curate.recipe import VerifierSection, parse_section, read_settings

    section = parse_section(
        VerifierSection,
        {
            "kind": verifier,
            "options": read_settings(options, where="--option"),
            "pass_at": pass_at,
            "workers": workers,
        },
        where="--verifier",
    )
    interval = 0.2 if sys.stderr.isatty() else 10.0
    bar = tqdm(unit=" rollouts", file=sys.stderr, mininterval=interval, dynamic_ncols=True)
    with placed(verifier_place), bar as shown:

        def report(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        found = verifying.verify(profile, section, adopt=adopt, redo_unscored=redo_unscored, report=report)
    print_json(found) if as_json else texts.print_verification(found)
