"""The trainers' conventions: what each hands a reward function, and what it takes back.

Owns the five styles. Must not import a trainer, nor torch or numpy: their tensors are read by what they offer.
A style is only how one rollout is put into a function's parameters and how its reward is read; whatever else a
parameter asks for is looked up by its name, as trainers pass the columns of a dataset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Any, Final, NamedTuple

from curate.errors import RecipeError
from curate.records import Case
from curate.verifiers.locating import WHERE, Parameters

STYLES: dict[str, str] = {
    "trl": "f(prompts, completions, **columns) -> [reward]",
    "verl": "compute_score(data_source, solution_str, ground_truth, extra_info) -> reward or {score: reward}",
    "openrlhf": "reward_func(queries, prompts, labels) -> {rewards: [reward]}",
    "open-instruct": "VerifierFunction, called (tokenized_prediction, prediction, label, query) -> .score",
    "plain": "f(completion, answer) -> reward",
}
"""Style -> the call it makes."""

_SIGNS: dict[str, frozenset[str]] = {
    "trl": frozenset({"completions", "completion_ids"}),
    "verl": frozenset({"solution_str", "data_source"}),
    "openrlhf": frozenset({"queries"}),
    "open-instruct": frozenset({"tokenized_prediction", "prediction"}),
    "plain": frozenset({"completion"}),
}
"""Parameters that no other style has."""

REFERENCES = ("answer", "solution", "ground_truth", "label", "target", "reference")
"""Names under which datasets keep the reference: they mean it where no other column is so called."""

_BATCHED = ("trl", "openrlhf")
_MISSING: Final = object()


class NoReference(Exception):
    """The function asks for a reference, and the problem has none."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a recipe says of the call."""

    columns: Mapping[str, str]
    """Parameter -> column, where their names differ."""
    arguments: Mapping[str, Any]
    """Further keyword arguments, as they are."""
    data_source: str
    chat: bool | None
    """Whether completions are lists of messages; None: as the prompt is."""


class Call(NamedTuple):
    """One rollout as a function's arguments."""

    places: tuple[Any, ...]
    keywords: dict[str, Any]
    takes_reference: bool


def style_of(parameters: Parameters, named: str, *, kind: str) -> str:
    """The style that a function is written in.

    Args:
        parameters: What it takes.
        named: The style that the recipe names, or ``auto``.
        kind: The function as the recipe names it, for the complaint.

    Raises:
        RecipeError: the parameters fit no style or several; lists the styles.
    """
    if named != "auto":
        return named
    fitting = [style for style, signs in _SIGNS.items() if signs & set(parameters.names)]
    if len(fitting) == 1:
        return fitting[0]
    taken = ", ".join((*parameters.names, *(["**"] if parameters.open else []))) or "nothing"
    told = f"fits {' and '.join(fitting)}" if fitting else "fits no trainer's style"
    listed = "; ".join(f"{style}: {call}" for style, call in STYLES.items())
    raise RecipeError(
        f"{kind} takes ({taken}), which {told}",
        where="verifier.options.style",
        hint=f"name the style in verifier.options.style. {listed}",
    )


def check(parameters: Parameters, wishes: Wishes) -> None:
    """Refuse columns and arguments for parameters that the function does not have, and a function that has none.

    Raises:
        RecipeError: names the option.
    """
    if parameters.open:
        return
    if not parameters.names:
        raise RecipeError("the function takes no arguments, so it cannot judge any", where=WHERE)
    for option, given in (("columns", wishes.columns), ("arguments", wishes.arguments)):
        for name in given:
            if name not in parameters.names:
                close = get_close_matches(name, parameters.names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it takes: {', '.join(parameters.names)}"
                raise RecipeError(
                    f"the function has no parameter {name!r}", where=f"verifier.options.{option}", hint=hint
                )


def call(style: str, parameters: Parameters, wishes: Wishes, case: Case, reference: str | None) -> Call:
    """Put a rollout into a function's parameters.

    Args:
        style: One of ``STYLES``.
        parameters: What the function takes.
        wishes: What the recipe says of it.
        case: The rollout and its problem.
        reference: One of the problem's references, or None where it has none.

    Raises:
        NoReference: a parameter means the reference, and there is none.
        LookupError: a parameter without a default means nothing that the problem has.
    """
    look = _Lookup(case, reference, wishes)
    own = _given(style, parameters, look)
    if style == "openrlhf":  # which calls by place, so its parameters may have any names
        keywords = _others(style, parameters.names[3:], parameters, look, {})
        return Call(tuple(own.values()), {**keywords, **wishes.arguments}, look.used)
    keywords = _others(style, parameters.names, parameters, look, own)
    if parameters.open:
        if style == "trl":  # which passes every column of the dataset
            columns = {name: [value] for name, value in case.metadata.items() if name not in ("prompt", "completion")}
            for name in ("question", *(REFERENCES if reference is not None else ()), *wishes.columns):
                columns[name] = [look(name)]
            own = {**columns, **own}
        keywords = {**own, **keywords}
    return Call((), {**keywords, **wishes.arguments}, look.used)


def reward_in(style: str, result: Any, key: str) -> float | str | None:
    """The reward in what a function returned.

    Args:
        style: One of ``STYLES``.
        result: What came back.
        key: The entry of a mapping that is the reward; empty takes the style's own.

    Returns:
        A finite number; None where the function says that it did not score; or a complaint that names what came back.
    """
    if isinstance(result, Mapping):
        own = {"openrlhf": ("rewards", "scores")}.get(style, ("score",))
        found = next((name for name in ((key,) if key else own) if name in result), None)
        if found is None:
            return f"a mapping without {key or own[0]!r}: {_shown(list(result))}"
        result = result[found]
    elif style == "open-instruct" and hasattr(result, "score"):
        result = result.score
    elif key:
        return f"{_shown(result)}, no mapping with {key!r}"
    if style in _BATCHED and not _scalar(result):
        if not isinstance(result, Iterable) or isinstance(result, str | bytes | Mapping):
            return f"{_shown(result)} and no list of one reward"
        rewards = list(result)
        if len(rewards) != 1:
            return f"{len(rewards)} rewards for one completion"
        result = rewards[0]
    elif style == "trl":
        return f"{_shown(result)} and no list of one reward"
    return _number(result)


def _given(style: str, parameters: Parameters, look: _Lookup) -> dict[str, Any]:
    """What the trainer itself passes, by its own names."""
    case = look.case
    if style == "trl":
        return {
            "prompts": [look.prompt()],
            "completions": [look.completion(chat=look.chat())],
            "completion_ids": [None],  # token ids are not kept: a function that reads them fails, and is not misled
            "trainer_state": None,
            "log_extra": _ignore,
            "log_metric": _ignore,
        }
    if style == "openrlhf":
        shown = look.shown()
        name = parameters.names[2] if len(parameters.names) > 2 else "labels"
        return {"queries": [shown + case.completion], "prompts": [shown], "labels": [look(name, or_reference=True)]}
    if style == "verl":
        source = case.metadata.get("data_source", _MISSING)
        extra = case.metadata.get("extra_info")
        given = {
            "data_source": look.wishes.data_source or source,
            "solution_str": case.completion,
            "ground_truth": look("ground_truth") if "ground_truth" in parameters.names or parameters.open else _MISSING,
            "extra_info": dict(extra if isinstance(extra, dict) else case.metadata),
        }
        return {name: value for name, value in given.items() if value is not _MISSING}
    if style == "open-instruct":
        label = look("label") if "label" in parameters.names or parameters.open else None
        return {"tokenized_prediction": None, "prediction": case.completion, "label": label, "query": look.shown()}
    completion = look.completion(chat=look.wishes.chat is True)
    if "completion" in parameters.names or not parameters.names:
        return {"completion": completion}
    # Its names say nothing, so the recipe has named the style: the completion first, then what it is compared with.
    first, *rest = parameters.names
    second = {rest[0]: look(rest[0], or_reference=True)} if rest and rest[0] not in parameters.optional else {}
    return {first: completion, **second}


def _others(
    style: str, names: Iterable[str], parameters: Parameters, look: _Lookup, own: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of the parameters by name: the recipe's columns first, then the trainer's own, then any column."""
    found: dict[str, Any] = {}
    for name in names:
        if name in look.wishes.arguments:
            continue
        if name in own and name not in look.wishes.columns:
            found[name] = own[name]
            continue
        value = look(name)
        if value is not _MISSING:
            found[name] = [value] if style in _BATCHED else value
        elif name not in parameters.optional:
            raise LookupError(f"no column {name!r} for the parameter of that name")
    return found


class _Lookup:
    """What a name means for one rollout; remembers whether the reference was asked for."""

    def __init__(self, case: Case, reference: str | None, wishes: Wishes) -> None:
        self.case = case
        self.wishes = wishes
        self.used = False
        self._reference = reference

    def __call__(self, name: str, *, or_reference: bool = False) -> Any:
        column = self.wishes.columns.get(name, name)
        value = _cell(self.case.metadata, column)
        if value is not _MISSING:
            return value
        if column in REFERENCES or (or_reference and column == name and column not in self._known()):
            self.used = True
            if self._reference is None:
                raise NoReference
            return self._reference
        if column in self._known():
            return self._known()[column]
        if name in self.wishes.columns:
            raise LookupError(f"no column {column!r} for the parameter {name!r}")
        return _MISSING

    def _known(self) -> dict[str, Any]:
        case = self.case
        return {
            "answers": list(case.answers),
            "question": case.question,
            "prompt": self.prompt(),
            "metadata": case.metadata,
        }

    def chat(self) -> bool:
        """Whether the rollout is told as a conversation."""
        return bool(self.case.prompt.messages) if self.wishes.chat is None else self.wishes.chat

    def prompt(self) -> str | list[dict[str, str]]:
        """The prompt as a trainer has it: the messages of a conversation, else the text."""
        if not self.chat():
            return self.shown()
        turns = [{"role": turn.role, "content": turn.content} for turn in self.case.prompt.messages]
        return turns or [{"role": "user", "content": self.shown()}]

    def completion(self, *, chat: bool) -> str | list[dict[str, str]]:
        """The completion as a trainer has it."""
        text = self.case.completion
        return [{"role": "assistant", "content": text}] if chat else text

    def shown(self) -> str:
        """The prompt as the model saw it, where that is known, else the question."""
        return self.case.prompt.text or self.case.question


def _cell(metadata: Mapping[str, Any], column: str) -> Any:
    """A column's value; ``outer.inner`` reaches into a mapping, as the recipe's own columns do."""
    if column in metadata:
        return metadata[column]
    node: Any = metadata
    for part in column.split("."):
        if not isinstance(node, dict) or part not in node:
            return _MISSING
        node = node[part]
    return node


def _number(value: Any) -> float | str | None:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a scalar or 0-d tensor of numpy or torch
        value = value.item()
    if value is None:
        return None
    if not isinstance(value, Real):
        return f"{_shown(value)}, which is no number"
    try:
        number = float(value)
    except OverflowError:
        return "a number too large to be a reward"
    return number if math.isfinite(number) else f"{number}, which is no reward"


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, Real) or getattr(value, "shape", None) == ()


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _ignore(*_: object, **__: object) -> None:
    """Takes what a reward function wants logged."""
