"""``curate import``: rollouts that another tool drew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.cli.options import Band, as_json, placed, print_json, verifier_place

if TYPE_CHECKING:
    from curate.importing import Imported, Report

_FORMAT = (
    "jsonl, parquet (plain rows), counts, open-r1, nemo-skills, openai-batch, verl, trl, lm-eval, inspect, verifiers, "
    "rllm, nemo-gym."
)
_VERIFIER = (
    "Who judges: a kind, package.module:function, path/file.py:function, or `logged`: the log's own rewards.  "
    "[default: math; logged for counts]"
)


@click.command(name="import")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", required=True, metavar="NAME", help=_FORMAT)
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The profile's folder.")
@click.option("--verifier", metavar="NAME", help=_VERIFIER)
@click.option("--option", "options", metavar="KEY=VALUE", multiple=True, help="An option of the verifier.")
@click.option("--pass-at", default=1.0, show_default=True, help="A reward of at least this passes.")
@click.option("--workers", type=int, help="Worker processes.  [default: one for each core]")
@click.option("--band", type=Band(), default="0.2:0.8", show_default=True, help="Both ends inclusive.")
@click.option("--confidence", default=0.9, show_default=True, help="How sure a decision must be.")
@click.option(
    "--column",
    "columns",
    metavar="OURS=THEIRS",
    multiple=True,
    help="Where the log calls a column otherwise; OURS= leaves it unread.",
)
@click.option(
    "--problems",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file of the problems, where the log lacks questions or references: columns question or id, and answer.",
)
@click.option("--answer-pattern", metavar="REGEX", help="Its first group, in its last match, is the reference.")
@click.option("--reward", metavar="NAME", help="Which of the log's rewards is its verdict; none: no one.")
@click.option("--step", type=click.IntRange(min=0), help="Of a policy in training, the step to import.")
@click.option("--every-step", is_flag=True, help="Import each step into a profile of its own, INTO/step-000010.")
@click.option("--model", metavar="NAME", help="What drew the rollouts; of several models in a log, the one to import.")
@click.option("--skip-bad-lines", is_flag=True, help="Leave out rows that cannot be read, and count them.")
@as_json
def command(
    logs: tuple[Path, ...],
    verifier: str | None,
    options: tuple[str, ...],
    pass_at: float,
    workers: int | None,
    band: tuple[float, float],
    confidence: float,
    columns: tuple[str, ...],
    step: int | None,
    every_step: bool,
    as_json: bool,
    **more: Any,
) -> None:
    """Verify, record and estimate rollouts that another tool drew.

    LOG is a file, several, or a folder of them. Plain rows are one rollout each: question, answer, completion, and
    where the log has them problem_id, index, finish_reason, reward, error, step, model, prompt_tokens,
    completion_tokens.

    \b
    Example:
      curate import rollouts.jsonl --format jsonl --into profiles/mine
      curate import dump.parquet --format parquet --into profiles/mine --column completion=response
      curate import out/completions --format trl --into profiles/run --problems train.jsonl --every-step
      curate import rates.csv --format counts --into profiles/paper --column k=solved --column n=tries
    """
    from curate import importing
    from curate.judging import LOGGED
    from curate.logs.formats import COUNTS
    from curate.recipe import BandSection, VerifierSection, parse_section, read_settings

    if every_step and step is not None:
        raise click.UsageError("--step and --every-step exclude each other")
    if verifier is None:
        verifier = LOGGED if more["format"] == COUNTS else "math"
    section = {
        "kind": verifier,
        "options": read_settings(options, where="--option"),
        "pass_at": pass_at,
        "workers": workers,
    }
    limits = {"low": band[0], "high": band[1], "confidence": confidence}
    asked: dict[str, Any] = {
        **more,
        "verifier": parse_section(VerifierSection, section, where="--verifier"),
        "band": parse_section(BandSection, limits, where="--band"),
        "columns": dict(_pair(column) for column in columns),
    }
    with placed(verifier_place), _bar() as report:
        if every_step:
            brought: Any = importing.import_every_step(logs, report=report, **asked)
        else:
            brought = importing.import_rollouts(logs, step=step, report=report, **asked)
    if as_json:
        print_json(brought)
        return
    for one in brought if every_step else (brought,):
        _print(one)


@contextmanager
def _bar() -> Iterator[Report]:
    """A bar over rollouts; yields what is to be called with (done, all), which begins anew with each step."""
    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(unit=" rollouts", file=sys.stderr, mininterval=interval, dynamic_ncols=True) as shown:

        def report(done: int, total: int) -> None:
            if done < shown.n:
                shown.reset()
            shown.total = total
            shown.update(done - shown.n)

        yield report


def _print(brought: Imported) -> None:
    from curate.cli import texts

    _say(brought.bad_lines, "rows left out", brought.first_bad_lines)
    _say(brought.failed_requests, "rows are errors in place of answers, and set aside", brought.first_errors)
    if brought.others:
        click.echo(f"{brought.others:,} rows of other steps or models not imported", err=True)
    if brought.unknown_finish:
        click.echo(f"{brought.unknown_finish:,} rollouts do not say how they ended; taken as complete", err=True)
    if brought.agreement is not None:
        same, both = brought.agreement
        click.echo(f"our verdict is the log's on {same:,} of {both:,} rollouts", err=True)
    if brought.unknown:
        click.echo(f"the log does not tell: {texts.untold(brought.unknown)}", err=True)
    texts.print_summary(brought.summary)


def _say(count: int, what: str, first: tuple[str, ...]) -> None:
    if count:
        click.echo(f"{count:,} {what}; the first:", err=True)
        for line in first:
            click.echo(f"  {line}", err=True)


def _pair(text: str) -> tuple[str, str | None]:
    ours, sign, theirs = text.partition("=")
    if not (ours and sign):
        raise click.BadParameter(f"{text!r} is not OURS=THEIRS, e.g. completion=response", param_hint="--column")
    return ours, theirs or None
