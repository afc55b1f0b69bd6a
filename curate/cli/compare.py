"""``curate compare``: what moved between two profiles."""

from __future__ import annotations

from pathlib import Path

import click

from curate.cli.options import as_json, print_json


@click.command(name="compare")
@click.argument("before", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("after", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--by", metavar="COLUMN", help="Metadata to group by.  [default: family, subject, topic, level or source]"
)
@click.option("--fdr", metavar="RATE", default=0.05, show_default=True, help="False discovery rate of a change.")
@click.option("--limit", metavar="N", default=10, show_default=True, help="Problems to print of each kind.")
@as_json
def command(before: Path, after: Path, by: str | None, fdr: float, limit: int, as_json: bool) -> None:
    """Say what moved between two profiles of the same problems, regressions first.

    \b
    Example:
      curate compare profiles/step-0 profiles/step-400
      curate compare profiles/step-0 profiles/step-400 --by subject --json
    """
    from curate.cli import drift_texts
    from curate.reprofile import drift

    found = drift.compare(before, after, by=by, fdr=fdr)
    print_json(found) if as_json else drift_texts.print_comparison(found, limit)
