"""``curate export``: a release as the file that a trainer reads."""

from __future__ import annotations

from pathlib import Path

import click

from curate.cli.options import as_json, print_json


@click.command(name="export")
@click.argument("release", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--for", "trainer", required=True, metavar="TRAINER", help="trl, verl, openrlhf, open-instruct, ...")
@click.option("--to", required=True, metavar="FILE", type=click.Path(path_type=Path), help="Its ending is the format.")
@click.option("--config", default="default", show_default=True, help="Which of the release's: default, control, ...")
@click.option(
    "--recipe",
    metavar="RECIPE",
    type=click.Path(path_type=Path),
    help="Whose prompt made imported rollouts: their release does not say.",
)
@click.option("--option", "options", metavar="KEY=VALUE", multiple=True, help="An option of the trainer's format.")
@as_json
def command(
    release: Path,
    trainer: str,
    to: Path,
    config: str,
    recipe: Path | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the release OUT as the file that a trainer reads, with the very prompts that were measured.

    Trainers: trl, verl, openrlhf, open-instruct, skyrl, nemo-rl, prime-rl. The pass rates hold for the protocol's
    verifier: docs/trainers.md says how each trainer rewards with it.

    \b
    Example:
      curate export out/demo --for verl --to train.parquet
      curate export out/demo --for verl --to control.parquet --config control
      curate export out/demo --for skyrl --to train.parquet --option env_class=gsm8k
    """
    from curate.publish import export
    from curate.recipe import read_settings

    given = read_settings(options, where="--option")
    written = export.export(release, trainer=trainer, to=to, config=config, recipe=recipe, options=given)
    if as_json:
        print_json(written)
        return
    click.echo(f"{written.path}: {written.rows:,} problems of {written.config} for {written.trainer}")
    click.echo(f"read by: {written.reads}")
    click.echo(f"columns: {', '.join(written.columns)}")
    for key, value in written.options.items():
        if value:
            click.echo(f"{key}: {value}")
    if written.several:
        click.echo(f"several accepted references: {written.several:,} problems; see docs/trainers.md")
    if written.without_reference:
        click.echo(f"left out, without a reference: {written.without_reference:,}")
    click.echo(
        f'reward as measured: curate.reward("{release}", ...); docs/trainers.md says how {written.trainer} calls it'
    )
