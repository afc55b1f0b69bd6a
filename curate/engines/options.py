"""What every engine does with its options: check them, and say which of them is wrong.

Owns the translation from a recipe's free mapping to an engine's own settings, and the message for an extra that is
not installed. Must not import any engine or its library: it runs before anything heavy does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from curate.errors import EngineMissing, RecipeError


class Settings(BaseModel):
    """Options of an engine: frozen, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Settings)


def read(kind: type[S], given: object, *, where: str) -> S:
    """Validate a mapping as settings of one kind.

    Args:
        kind: The settings wanted.
        given: What the user wrote.
        where: The place it was written, such as ``engine.options`` or ``script.yaml:``; the key at fault is added.

    Raises:
        RecipeError: not a mapping, an unknown key, or a value that the key cannot have.
    """
    if not isinstance(given, Mapping):
        raise RecipeError("not a mapping of keys to values", where=where.removesuffix(":"))
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        complaint = error.errors()[0]
        path = ".".join(str(part) for part in complaint["loc"])
        place = f"{where}{' ' if where.endswith(':') else '.'}{path}" if path else where.removesuffix(":")
        if complaint["type"] == "extra_forbidden":
            known = kind.model_fields if len(complaint["loc"]) == 1 else ()
            raise unknown(str(complaint["loc"][-1]), known, where=place) from error
        message = complaint["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{message}, got {complaint['input']!r}", where=place) from error


def unknown(key: str, known: Iterable[str], *, where: str) -> RecipeError:
    """The complaint about a key that no setting has; the hint is the nearest that one has, or the first twenty."""
    names = sorted(known)
    close = get_close_matches(key, names, n=1)
    hint = None
    if close:
        hint = f"did you mean {close[0]!r}?"
    elif names:
        hint = f"known keys: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
    return RecipeError("unknown option", where=where, hint=hint)


def need(package: str, *, extra: str) -> None:
    """Complain where the package that an engine stands on cannot be imported.

    Raises:
        EngineMissing: names the command that installs it.
    """
    if find_spec(package) is None:
        raise EngineMissing(
            f"the {extra} engine needs the package {package!r}, which is not installed",
            where="engine.kind",
            hint=f"pip install 'curate-rlvr[{extra}]'",
        )
