"""The verifier ``package.module:function`` or ``path/file.py:function``: the very reward that training will use.

Owns the options of a reward function and its life in a worker. Must not import the function in the calling process,
where only its file is read (``locating``); how a trainer would call it is ``styles``'s to know.

A reward that is not one (NaN, infinite, None, of the wrong length, an exception) leaves the rollout unscored: in
training it would be an error too, and never the model's.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from curate.errors import RecipeError
from curate.records import Case
from curate.verifiers import options, styles
from curate.verifiers.locating import WHERE, Located, load, locate, parameters_of
from curate.verifiers.protocol import NO_REFERENCE, NOT_SCORED, REWARDED, Limits, Ruling
from curate.verifiers.styles import STYLES

VERSION = 1
"""Counts up with every change of this file or of ``styles`` that may change a verdict."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a recipe may say under ``verifier.options``."""

    style: str = field(default="auto", metadata={"choices": ("auto", *STYLES)})
    """Whose convention the function follows; auto: told by its parameters."""
    columns: dict[str, str] = field(default_factory=dict)
    """Parameter -> column of the source, ``answer`` or ``question``, where their names differ."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Further keyword arguments; of a class, those it is made with."""
    data_source: str = ""
    """verl's; empty takes the problem's column of that name."""
    key: str = ""
    """The entry of a returned mapping that is the reward; empty: verl's ``score``, OpenRLHF's ``rewards``."""
    completions: str = field(default="auto", metadata={"choices": ("auto", "chat", "text")})
    """Whether prompts and completions are messages or text; auto: messages where the prompt is a chat, as TRL does."""
    timeout: int = field(default=30, metadata={"least": 1})
    """Whole seconds for one rollout."""
    memory: int = field(default=4096, metadata={"least": 256})
    """MiB of address space for each worker, past what importing the function took."""


class Reward:
    """Calls a trainer's reward function."""

    def __init__(self, kind: str, found: Located, settings: Settings) -> None:
        self.limits = Limits(settings.timeout, settings.memory)
        self._kind = kind
        self._found = found
        self._settings = settings
        self._wishes = styles.Wishes(
            columns=settings.columns,
            arguments=settings.arguments,
            data_source=settings.data_source,
            chat={"auto": None, "chat": True, "text": False}[settings.completions],
        )
        self._runner: asyncio.Runner | None = None
        style = ""
        if found.parameters is not None:  # refused here where it can be: before anything is loaded or drawn
            style = styles.style_of(found.parameters, settings.style, kind=kind) + ", "
        parts = f"{found.source} sha256:{found.digest}"
        self.version = f"reward {VERSION} ({style}{parts}{f', {found.package}' if found.package else ''})"

    def load(self) -> None:
        """Import the function, and make the instance where it is a class. Its parameters must fit one style.

        Raises:
            RecipeError: it cannot be called, or its parameters fit no style.
        """
        target = load(self._found)
        wishes = self._wishes
        if inspect.isclass(target):
            target = target(**wishes.arguments)
            wishes = styles.Wishes(wishes.columns, {}, wishes.data_source, wishes.chat)
        if not callable(target):
            raise RecipeError(f"{self._kind} is {type(target).__name__} and no function", where=WHERE)
        self._function = target
        self._parameters = parameters_of(target)
        self._style = styles.style_of(self._parameters, self._settings.style, kind=self._kind)
        styles.check(self._parameters, wishes)
        self._wishes = wishes

    def judge(self, case: Case) -> Ruling:
        """The function's reward; of several accepted references, the one that rewards best counts."""
        best = Ruling(None, None, NO_REFERENCE)
        for reference in case.answers or (None,):
            try:
                call = styles.call(self._style, self._parameters, self._wishes, case, reference)
            except styles.NoReference:
                return best
            except LookupError as error:
                return Ruling(None, None, f"error: {error}")
            ruling = self._ruling(self._finished(self._function(*call.places, **call.keywords)))
            if best.reward is None or (ruling.reward is not None and ruling.reward > best.reward):
                best = ruling
            if not call.takes_reference:
                break
        return best

    def _ruling(self, result: Any) -> Ruling:
        reward = styles.reward_in(self._style, result, self._settings.key)
        if isinstance(reward, str):
            return Ruling(None, None, f"error: returned {reward}")
        return Ruling(reward, None, NOT_SCORED if reward is None else REWARDED)

    def _finished(self, result: Any) -> Any:
        """What an async function comes to. One loop serves all calls, as in training: clients are bound to theirs."""
        if not inspect.isawaitable(result):
            return result
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(_awaited(result))
        except BaseException:
            self._runner.close()
            self._runner = None
            raise


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def connect(kind: str, given: dict[str, Any]) -> Reward:
    """The verifier that a reward function is; its file is read, and nothing imported.

    Raises:
        RecipeError: no such function, one that fits no style, or an option that it does not know or cannot use.
    """
    settings = options.read(Settings, given)
    for name, column in settings.columns.items():
        if not isinstance(column, str):
            raise RecipeError(f"expected a column's name, got {column!r}", where=f"verifier.options.columns.{name}")
    return Reward(kind, locate(kind), settings)
