"""``curate report``: one page that shows what a profile kept and why."""

from __future__ import annotations

from pathlib import Path

import click

from curate.cli.options import as_json, print_json, profile_argument


@click.command(name="report")
@profile_argument
@click.option("--to", metavar="FILE.html", type=click.Path(path_type=Path), help="[default: DIR/report.html]")
@click.option(
    "--since",
    metavar="DIR",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A profile at an earlier checkpoint; the last one named is compared with.",
)
@as_json
def command(profile: Path, to: Path | None, since: tuple[Path, ...], as_json: bool) -> None:
    """Write the page of the profile DIR: one HTML file that needs no network, to be opened or sent around.

    It shows the verdict, the pass rates with a band that can be dragged, every reason with its next step, how sure all
    of it is, what the audit found, and each problem with a passing and a failing rollout.

    \b
    Example:
      curate report profiles/demo
      curate report profiles/step-200 --since profiles/step-100 --to out/step-200.html
    """
    from curate.publish.report import report

    page = report(profile, to=to, since=since)
    if as_json:
        print_json(page)
        return
    click.echo(f"report: {page.path} ({page.bytes / 1e6:.1f} MB, {page.problems:,} problems, {page.kept:,} kept)")
    if page.audit != "current":
        click.echo(f"its audit is {'missing' if page.audit == 'none' else 'outdated'}: curate audit {profile}")
    if not page.rollouts:
        click.echo("without rollouts: they are not on this disk")
    elif page.cap is not None:
        click.echo(f"texts are cut to {page.cap:,} characters; whole: curate show {profile} ID")
