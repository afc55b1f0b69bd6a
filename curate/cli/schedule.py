"""``curate schedule``: what is due for profiling again, what it would cost, and what runs it."""

from __future__ import annotations

from pathlib import Path

import click

from curate.cli.options import as_json, placed, print_json

KINDS = ("recipe", "cron", "systemd", "slurm", "github", "hf-jobs")


@click.command(name="schedule")
@click.argument("paths", metavar="DIR...", nargs=-1, required=True)
@click.option("--for", "model", metavar="MODEL", help="The checkpoint: a folder, a folder of checkpoints, or a Hub id.")
@click.option("--every-days", metavar="N", type=float, help="Due after so many days.")
@click.option("--every-steps", metavar="N", type=int, help="Due after so many training steps.")
@click.option("--changed", metavar="SHARE", type=float, help="Due when so many outcomes are expected to change.")
@click.option("--budget", metavar="SHARE", type=float, help="Draw again at most this share of the problems.")
@click.option("--anchors", metavar="N", type=int, default=32, show_default=True, help="Problems that are drawn first.")
@click.option("--recipe", type=click.Path(path_type=Path), help="The recipe to go by.  [default: the profile's own]")
@click.option("--emit", "kind", type=click.Choice(KINDS), help="Write what runs it.")
@click.option("--to", type=click.Path(path_type=Path), default=Path("due"), show_default=True, help="Where to write.")
@click.option("--run", is_flag=True, help="Profile what is due, now.")
@as_json
def command(
    paths: tuple[str, ...],
    model: str | None,
    every_days: float | None,
    every_steps: int | None,
    changed: float | None,
    budget: float | None,
    anchors: int,
    recipe: Path | None,
    kind: str | None,
    to: Path,
    run: bool,
    as_json: bool,
) -> None:
    """Say what of the profiles DIR... is due, because there is a new checkpoint, and what it would cost.

    DIR is a profile, a folder of them, a release, or the Hub id of one. Anchor problems are due first; once they are
    profiled, those whose outcome may have changed.

    \b
    Example:
      curate schedule profiles/step-0 profiles/step-200 --for runs/grpo --every-steps 100
      curate schedule profiles/step-200 --budget 0.4 --emit slurm
      curate schedule owner/dataset --every-days 30
    """
    from curate.cli import drift_texts, progress, texts
    from curate.errors import UsageError
    from curate.reprofile import due, emit, running
    from curate.reprofile.policy import Policy

    if run and kind:
        raise UsageError("--run and --emit exclude each other", where="--emit")
    policy = Policy(every_days=every_days, every_steps=every_steps, changed=changed, budget=budget, anchors=anchors)
    told = placed(lambda where: "--for" if where == "model.path" and model is not None else where)
    if run:
        with told, progress.bar() as report:
            found, summary = running.run_schedule(
                paths, model=model, policy=policy, recipe=recipe, report=report, tell=drift_texts.tell_stage
            )
        if as_json:
            print_json({"schedule": found, "summary": summary})
        elif summary is None:
            drift_texts.print_schedule(found)
        else:
            texts.print_summary(summary)
        return
    with told:
        found = due.schedule(paths, model=model, policy=policy)
    written: tuple[Path, ...] = ()
    if kind is not None:
        written = emit.emit(found, kind, to=to, recipe=recipe, again=_again(paths, model, policy, recipe))
    if as_json:
        print_json({"schedule": found, "written": written})
        return
    drift_texts.print_schedule(found)
    for file in written:
        click.echo(f"written: {file}")


def _again(paths: tuple[str, ...], model: str | None, policy: object, recipe: Path | None) -> list[str]:
    """The arguments that ask the same again."""
    options = {"for": model, **vars(policy), "recipe": recipe}
    given = {name.replace("_", "-"): value for name, value in options.items() if value is not None}
    return [*paths, *(word for name, value in given.items() for word in (f"--{name}", str(value)))]
