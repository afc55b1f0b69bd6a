"""``curate import``: rollouts that another tool drew."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from curate.cli.options import Band, as_json, print_json

_VERIFIER = "Who judges: a kind, package.module:function, path/file.py:function, or `logged`: the log's own rewards."


@click.command(name="import")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", required=True, metavar="NAME", help="jsonl or parquet: plain rows, one rollout each.")
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The profile's folder.")
@click.option("--verifier", default="math", show_default=True, help=_VERIFIER)
@click.option("--pass-at", default=1.0, show_default=True, help="A reward of at least this passes.")
@click.option("--band", type=Band(), default="0.2:0.8", show_default=True, help="Both ends inclusive.")
@click.option("--confidence", default=0.9, show_default=True, help="How sure a decision must be.")
@click.option(
    "--column", "columns", metavar="OURS=THEIRS", multiple=True, help="Where the log calls a column otherwise."
)
@click.option("--model", default="unknown", help="What drew the rollouts.")
@click.option("--skip-bad-lines", is_flag=True, help="Leave out rows that cannot be read, and count them.")
@as_json
def command(
    logs: tuple[Path, ...],
    format: str,
    into: Path,
    verifier: str,
    pass_at: float,
    band: tuple[float, float],
    confidence: float,
    columns: tuple[str, ...],
    model: str,
    skip_bad_lines: bool,
    as_json: bool,
) -> None:
    """Verify, record and estimate rollouts that another tool drew.

    A row is one rollout: question, answer, completion, and where the log has them problem_id, index, finish_reason,
    reward, prompt_tokens, completion_tokens.

    \b
    Example:
      curate import rollouts.jsonl --format jsonl --into profiles/mine
      curate import dump.parquet --format parquet --into profiles/mine --column completion=response
    """
    from tqdm import tqdm

    from curate import importing
    from curate.cli import texts
    from curate.recipe import BandSection, VerifierSection, parse_section

    interval = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(unit=" rollouts", file=sys.stderr, mininterval=interval, dynamic_ncols=True) as shown:

        def report(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        brought = importing.import_rollouts(
            logs,
            format=format,
            into=into,
            verifier=parse_section(VerifierSection, {"kind": verifier, "pass_at": pass_at}, where="--verifier"),
            band=parse_section(
                BandSection, {"low": band[0], "high": band[1], "confidence": confidence}, where="--band"
            ),
            columns=dict(_pair(column) for column in columns),
            skip_bad_lines=skip_bad_lines,
            model=model,
            report=report,
        )
    if as_json:
        print_json(brought)
        return
    if brought.bad_lines:
        click.echo(f"{brought.bad_lines:,} rows left out; the first:", err=True)
        for line in brought.first_bad_lines:
            click.echo(f"  {line}", err=True)
    if brought.unknown_finish:
        click.echo(f"{brought.unknown_finish:,} rollouts do not say how they ended; taken as complete", err=True)
    texts.print_summary(brought.summary)


def _pair(text: str) -> tuple[str, str]:
    ours, sign, theirs = text.partition("=")
    if not (ours and sign and theirs):
        raise click.BadParameter(f"{text!r} is not OURS=THEIRS, e.g. completion=response", param_hint="--column")
    return ours, theirs
