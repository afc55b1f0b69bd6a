"""A verifier's options: a mapping from the recipe, checked and made into the kind's own frozen dataclass.

Owns the complaints about options. Must not import the recipe's own machinery (pydantic): workers read options too, and
should start fast.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from curate.errors import RecipeError

Settings = TypeVar("Settings")


def read(kind: type[Settings], options: dict[str, Any]) -> Settings:
    """Make a settings dataclass of a recipe's options.

    Each field's metadata may hold ``choices`` (accepted values), ``least`` (smallest accepted number) and ``most``.
    A field's default tells its type; an integer is accepted where a float is expected, never the reverse.

    Args:
        kind: A dataclass, every field with a default.
        options: Names and values as the recipe has them.

    Raises:
        RecipeError: an unknown name, a value of another type, or one out of range; names the option.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            raise RecipeError(
                "unknown option",
                where=f"verifier.options.{name}",
                hint=f"did you mean {close[0]!r}?" if close else f"known options: {', '.join(known) or 'none'}",
            )
        field = known[name]
        default = field.default if field.default_factory is MISSING else field.default_factory()
        values[name] = _checked(name, value, default, dict(field.metadata))
    return kind(**values)


def _checked(name: str, value: Any, default: Any, bounds: dict[str, Any]) -> Any:
    where = f"verifier.options.{name}"
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        value = tuple(value)
    elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        wanted = {
            "str": "text",
            "bool": "true or false",
            "int": "a whole number",
            "float": "a number",
            "dict": "a mapping",
        }
        name_of_type = type(default).__name__
        raise RecipeError(f"expected {wanted.get(name_of_type, 'a list')}, got {value!r}", where=where)
    choices = bounds.get("choices")
    if choices is not None:
        for item in value if isinstance(value, tuple) else (value,):
            if item not in choices:
                raise RecipeError(f"unknown value {item!r}", where=where, hint=f"one of: {', '.join(choices)}")
    if "least" in bounds and not value >= bounds["least"]:
        raise RecipeError(f"expected at least {bounds['least']}, got {value!r}", where=where)
    if "most" in bounds and not value <= bounds["most"]:
        raise RecipeError(f"expected at most {bounds['most']}, got {value!r}", where=where)
    return value
