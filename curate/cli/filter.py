"""``curate filter``: the release folder of a profile."""

from __future__ import annotations

from pathlib import Path

import click

from curate.cli.options import Band, as_json, print_json, profile_argument


@click.command(name="filter")
@profile_argument
@click.option("--to", required=True, metavar="OUT", type=click.Path(path_type=Path), help="The release's folder.")
@click.option("--band", type=Band(), help="Another band than the profile's, both ends inclusive.")
@click.option("--confidence", type=float, help="Another confidence than the profile's.")
@click.option("--genuine", is_flag=True, help="Apply the band to the genuine pass rate of an audit.")
@click.option("--allow-empty", is_flag=True, help="Write a release also where no problem was kept.")
@click.option("--with-rollouts", is_flag=True, help="Add every judged rollout, as the config `rollouts`.")
@click.option("--license", metavar="ID", help="The licence of the problems, as the Hub writes it: mit, cc-by-4.0, ...")
@click.option("--language", metavar="CODE", multiple=True, help="A language of the problems: en, zh, ...")
@as_json
def command(
    profile: Path,
    to: Path,
    band: tuple[float, float] | None,
    confidence: float | None,
    genuine: bool,
    allow_empty: bool,
    with_rollouts: bool,
    license: str | None,
    language: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the band-filtered dataset of the profile DIR: what was kept, what was not and why, and a control.

    Nothing is sampled: another band is free. Where the profile was audited, what can be guessed, passes by shortcuts or
    has a suspect reference is left out.

    \b
    Example:
      curate filter profiles/demo --to out/demo
      curate filter profiles/demo --to out/demo-wide --band 0.05:0.95
      curate filter profiles/demo --to out/demo --with-rollouts --license apache-2.0 --language en
    """
    from curate.cli import texts
    from curate.publish import release

    written = release.filter(
        profile,
        to=to,
        band=band,
        confidence=confidence,
        genuine=genuine,
        allow_empty=allow_empty,
        with_rollouts=with_rollouts,
        license=license,
        language=language,
    )
    if as_json:
        print_json(written)
        return
    texts.print_summary(written.summary)
    rows = ", ".join(f"{config} {count:,}" for config, count in written.rows.items())
    if not written.audited:
        click.echo(f"not audited: lucky guesses and shortcuts are still in it; curate audit {profile}")
    click.echo(f"release: {written.path} ({rows})")
    click.echo(f'load it: datasets.load_dataset("{written.path}")')
