"""The options of the openai engine: what ``engine.options`` may say, and the key that it may not.

Owns their check, and where the key comes from. Must not import the openai package: a recipe is checked without it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from curate.engines.options import Settings, read
from curate.errors import EngineError, RecipeError

OURS = {
    "model": "model.path",
    "messages": "prompt.template",
    "prompt": "prompt.template",
    "n": "the budget",
    "stream": "nothing: answers are read whole",
    "max_completion_tokens": "sampling.max_tokens",
    **{name: f"sampling.{name}" for name in ("temperature", "top_p", "top_k", "max_tokens", "stop", "seed")},
}
"""Fields of a request that another place of the recipe says."""


class Options(Settings):
    """What ``engine.options`` may say; the engine's docstring has the meaning of each."""

    base_url: tuple[str, ...] = Field(min_length=1)
    api_key_env: str = "OPENAI_API_KEY"
    max_in_flight: int = Field(default=64, ge=1)
    timeout: float = Field(default=900.0, gt=0.0)
    retries: int = Field(default=5, ge=0)
    backoff: float = Field(default=0.5, gt=0.0)
    patience: float = Field(default=300.0, ge=0.0)
    seed_bits: int = Field(default=63, ge=0, le=63)
    max_tokens_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, Any] = Field(default_factory=dict)

    @field_validator("base_url", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("base_url")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
                raise ValueError(
                    "an address is http:// or https://, a host and a path, such as http://localhost:8000/v1"
                )
        urls = tuple(url.rstrip("/") for url in value)
        if len(set(urls)) < len(urls):
            raise ValueError("the same address twice")
        return urls

    @field_validator("seed_bits")
    @classmethod
    def _tells_rollouts_apart(cls, value: int) -> int:
        if 0 < value < 20:
            raise ValueError("with fewer than 20 bits two rollouts of a problem may share a seed")
        return value

    @field_validator("extra_body")
    @classmethod
    def _is_not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name in OURS:
                raise ValueError(f"{name} is said elsewhere in the recipe, by {OURS[name]}")
        json.dumps(value, allow_nan=False)  # a ValueError, too
        return value


def read_options(given: Mapping[str, Any]) -> Options:
    """Check what the recipe says.

    Raises:
        RecipeError: an option is unknown, cannot be, or holds a key; a key is not repeated.
    """
    _refuse_secrets(given)
    return read(Options, given, where="engine.options")


def key_of(options: Options) -> str:
    """The key, from the environment; empty where the recipe names no variable and the usual one is not set.

    Raises:
        EngineError: the variable that the recipe names is not set, or holds what no key could be.
    """
    key = os.environ.get(options.api_key_env, "").strip()
    if not key and "api_key_env" in options.model_fields_set:
        raise EngineError(
            f"the environment variable {options.api_key_env} is not set",
            where="engine.options.api_key_env",
            hint=f"export {options.api_key_env}=... before the run, or leave the option out if there is no key",
        )
    if not (key.isascii() and key.isprintable()):
        raise EngineError(
            f"the environment variable {options.api_key_env} holds characters that no key has",
            where="engine.options.api_key_env",
        )
    return key


def _refuse_secrets(options: Mapping[str, Any]) -> None:
    """Complain of a key in the recipe, without repeating it: recipes are committed, and copied into profiles."""
    hint = "export it, and give api_key_env the name of the environment variable"
    extra = options.get("extra_body")
    for place, names in (("", options), (".extra_body", extra if isinstance(extra, Mapping) else {})):
        for name in names:
            if str(name).lower().replace("-", "_") in ("api_key", "key", "token", "authorization"):
                raise RecipeError("a key never stands in a recipe", where=f"engine.options{place}.{name}", hint=hint)
    variable = options.get("api_key_env", "OPENAI_API_KEY")
    if not isinstance(variable, str) or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable):
        raise RecipeError(
            "not the name of an environment variable in capitals", where="engine.options.api_key_env", hint=hint
        )
    urls = options.get("base_url")
    for url in [urls] if isinstance(urls, str) else urls if isinstance(urls, list | tuple) else []:
        if isinstance(url, str) and ("@" in url or "?" in url):
            raise RecipeError("an address holds neither a key nor a query", where="engine.options.base_url", hint=hint)
