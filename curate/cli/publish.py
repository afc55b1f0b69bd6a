"""``curate publish``: a release folder becomes a dataset of the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli.options import as_json, print_json

if TYPE_CHECKING:
    from curate.publish.hub import Published

_SIGN = {"add": "+", "change": "~", "delete": "-", "same": "="}


@click.command(name="publish")
@click.argument("release", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("repo_id", metavar="REPO_ID")
@click.option("--private", is_flag=True, help="Make a private dataset, where there is none yet.")
@click.option("--pr", is_flag=True, help="Open a pull request instead of committing. It sets no tag.")
@click.option("--tag", metavar="NAME", help="Names the commit.  [default: v<date of the profile>-<model>]")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, changed and deleted. Needs no token.")
@click.option(
    "--with-rollouts",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="First add the rollouts of this profile to OUT, as the config `rollouts`.",
)
@click.option("--overwrite", is_flag=True, help="Replace files of the same names that are not curate's.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds of silence after which a request is lost.")
@click.option("--attempts", default=6, show_default=True, type=click.IntRange(min=1), help="How often a step is tried.")
@as_json
def command(
    release: Path,
    repo_id: str,
    private: bool,
    pr: bool,
    tag: str | None,
    dry_run: bool,
    with_rollouts: Path | None,
    overwrite: bool,
    timeout: float,
    attempts: int,
    as_json: bool,
) -> None:
    """Publish the release OUT as the dataset REPO_ID of the Hub: one commit with every file, and a tag.

    The dataset holds the older release or the new one, never half of one. The token comes from HF_TOKEN or from
    `hf auth login`. The same command continues an interrupted one; where nothing changed, nothing is committed.

    \b
    Example:
      curate publish out/demo me/demo-band --dry-run
      curate publish out/demo me/demo-band --private
      curate publish out/demo team/demo-band --pr
    """
    from curate.publish import hub

    done = hub.publish(
        release,
        repo_id,
        private=private,
        pr=pr,
        tag=tag,
        dry_run=dry_run,
        with_rollouts=with_rollouts,
        overwrite=overwrite,
        timeout=timeout,
        attempts=attempts,
        report=lambda line: click.echo(line, err=True),
    )
    print_json(done) if as_json else _print(done)


def _print(done: Published) -> None:
    for change in done.changes:
        click.echo(f"{_SIGN[change.kind]} {change.path}  {_size(change.size)}")
    sent = [change for change in done.changes if change.kind in ("add", "change")]
    counts = [f"{sum(change.kind == kind for change in done.changes)} {said}" for kind, said in
              (("add", "new"), ("change", "changed"), ("delete", "deleted"), ("same", "unchanged"))]  # fmt: skip
    click.echo(f"files: {', '.join(counts)}; {_size(sum(change.size for change in sent))} to send")
    for what, names in (("left alone on the Hub", done.left_alone), ("not part of the release", done.left_out)):
        if names:
            click.echo(f"{what}: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}")
    if done.dry_run:
        where = "a new dataset" if done.created else "its commit " + str(done.parent)[:12]
        click.echo(f"nothing was sent; compared with {where}: {done.url}")
        if done.refused:
            click.echo(f"it would be refused: {done.refused}")
    elif done.pull_request:
        click.echo(f"pull request: {done.pull_request}")
        click.echo("publish again when it is merged: nothing is committed then, and the tag is set")
    else:
        click.echo(f"{'committed' if done.committed else 'nothing to commit; it is in'} {str(done.commit)[:12]}")
        if done.tag:
            click.echo(f"tag: {done.tag}{'' if done.tagged else ' (was there)'}")
            click.echo(f'load it: datasets.load_dataset("{done.repo_id}", revision="{done.tag}")')
        click.echo(done.url)


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000 or unit == "MB":
            break
        count = round(count / 1000)
    return f"{count:,} {unit}"
