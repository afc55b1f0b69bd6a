"""The command group, and the one place that turns errors into text.

Owns exit codes: 0 done, 1 failed, 2 usage, 3 stopped with everything so far safe. Must not import anything that takes
long: ``curate --help`` answers at once, and a command's own imports happen when it runs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

from curate.errors import CurateError

COMMANDS = {
    "profile": "curate.cli.profile",
    "import": "curate.cli.import_",
    "verify": "curate.cli.verify",
    "audit": "curate.cli.audit",
    "filter": "curate.cli.filter",
    "export": "curate.cli.export",
    "publish": "curate.cli.publish",
    "report": "curate.cli.report",
    "show": "curate.cli.show",
    "compare": "curate.cli.compare",
    "schedule": "curate.cli.schedule",
    "doctor": "curate.cli.doctor",
}
"""Command -> module with a ``command``, in the order of a user's work."""


class _Group(click.Group):
    """Loads a command's module when it is asked for, and lists commands in the order of work."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[name]).command
        return command


@click.group(cls=_Group, context_settings={"auto_envvar_prefix": "CURATE", "help_option_names": ["-h", "--help"]})
@click.version_option(version("curate-rlvr"), prog_name="curate")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Measure how often a model solves each problem of an RLVR dataset, and keep those in its competence band.

    \b
    Example:
      curate profile recipes/demo.yaml --fixed 64
      curate filter profiles/demo --to out/demo
      curate show profiles/demo
    """
    ctx.obj = debug


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    asked = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in asked
    # ``--debug`` may stand anywhere: it is added when something already went wrong.
    rest = [argument for argument in asked if argument != "--debug"]
    try:
        outcome: Any = cli.main(["--debug", *rest] if debug else rest, prog_name="curate", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except CurateError as error:
        if debug:
            raise
        _say("stopped" if error.exit_code == 3 else "error", error.message, error.where, error.hint)
        return error.exit_code
    except click.exceptions.Abort:
        _say("stopped", "interrupted", None, "run the same command again")
        return 3
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else None
        _say("error", error.format_message(), where, f"{where or 'curate'} --help")
        return 2
    except click.ClickException as error:
        _say("error", error.format_message(), None, None)
        return 1
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            raise
        _say("error", f"{type(error).__name__}: {error}", None, "this is a defect; --debug shows where it happened")
        return 1


def _say(kind: str, message: str, where: str | None, hint: str | None) -> None:
    """Print what failed, where, and a hint."""
    color = "yellow" if kind == "stopped" else "red"
    click.echo(f"{click.style(kind, fg=color, bold=True)}: {message}", err=True)
    if where:
        click.echo(f"  {click.style('at', bold=True)}   {where}", err=True)
    if hint:
        click.echo(f"  {click.style('hint', fg='cyan', bold=True)} {hint}", err=True)


if __name__ == "__main__":
    main()
