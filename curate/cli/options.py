"""Options that several commands share, and the parsing of their values.

Must not import anything heavy: every command's help passes through here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from curate.errors import CurateError
from curate.visible import escaped

Command = TypeVar("Command", bound=Callable[..., Any])

as_json: Callable[[Command], Command] = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."
)
profile_argument: Callable[[Command], Command] = click.argument(
    "profile", metavar="DIR", type=click.Path(path_type=Path)
)


class Band(click.ParamType[tuple[float, float]]):
    """``LOW:HIGH``, two pass rates."""

    name = "LOW:HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Read the two numbers."""
        if isinstance(value, tuple):
            return value
        low, colon, high = str(value).partition(":")
        try:
            if not colon:
                raise ValueError
            return float(low), float(high)
        except ValueError:
            self.fail(f"{value!r} is not a band; write LOW:HIGH, e.g. 0.2:0.8", param, ctx)


class Shard(click.ParamType[tuple[int, int]]):
    """``I/N``, the I-th of N shards, counted from 1."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read the two numbers."""
        if isinstance(value, tuple):
            return value
        index, slash, count = str(value).partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            self.fail(f"{value!r} is not a shard; write I/N with 1 <= I <= N, e.g. 3/16", param, ctx)
        return int(index), int(count)


@contextmanager
def placed(place: Callable[[str], str]) -> Iterator[None]:
    """Let an error that names a key of a recipe say where it was written.

    Args:
        place: From the place that the error names to the place that a person knows.
    """
    try:
        yield
    except CurateError as error:
        if error.where is not None:
            error.where = place(error.where)
        raise


def verifier_place(where: str) -> str:
    """Where the command line says what a recipe says of its verifier."""
    if where.startswith("verifier.options."):
        return f"--option {where.removeprefix('verifier.options.')}"
    return "--verifier" if where == "verifier.kind" else where


def print_json(value: object) -> None:
    """Print one JSON document on stdout; what would drive a terminal is escaped in it."""
    sys.stdout.write(escaped(json.dumps(_plain(value), indent=2, ensure_ascii=False)) + "\n")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
