"""Prompts: a problem rendered by the recipe's template.

Owns the jinja2 sandbox. Must not know models: their chat template is the engine's business. A template sees the
question and the metadata and never the reference, so that no recipe can show the model its answer by mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from typing import Any

from curate.errors import RecipeError
from curate.recipe import PromptSection
from curate.records import Message, Problem, Prompt

_WHERE = "prompt.template"
_SEEN = ("question", "metadata")


def render(problem: Problem, section: PromptSection) -> Prompt:
    """One problem as a prompt; see :func:`renderer`, which compiles the template only once."""
    return renderer(section)(problem)


def renderer(section: PromptSection) -> Callable[[Problem], Prompt]:
    """What turns each problem of a set into its prompt.

    With ``chat`` a prompt is the system message, where the recipe gives one, and the rendered template as the user's.
    A problem that is a chat already keeps its own turns; the recipe's system message goes before them where they have
    none. Without ``chat`` the rendered template is the whole prompt, to the last line end.

    Raises:
        RecipeError: the template is no jinja2, asks for something that no problem has, or asks for neither question
            nor metadata; when a prompt is made: a problem lacks what the template asks for, or is a chat and the
            recipe says ``chat: false``.
    """
    fill = _compile(section.template)

    def made(problem: Problem) -> Prompt:
        if not section.chat:
            if problem.messages:
                raise RecipeError(
                    f"problem {problem.problem_id} is a chat, and the recipe says chat: false",
                    where="prompt.chat",
                    hint="set prompt.chat to true, or name a column of plain text in problems.question",
                )
            if section.system is not None:
                raise RecipeError(
                    "a system message needs chat: true", where="prompt.system", hint="write it into the template"
                )
            return Prompt(text=fill(problem))
        turns = problem.messages or (Message("user", fill(problem)),)
        if section.system is not None and not any(turn.role in ("system", "developer") for turn in turns):
            turns = (Message("system", section.system), *turns)
        return Prompt(messages=turns)

    return made


def _compile(template: str) -> Callable[[Problem], str]:
    from jinja2 import TemplateError, meta
    from jinja2.exceptions import TemplateSyntaxError

    environment = _environment()
    try:
        asked = meta.find_undeclared_variables(environment.parse(template)) - set(environment.globals)
        compiled = environment.from_string(template)
    except TemplateSyntaxError as error:
        raise RecipeError(f"not a jinja2 template: {error.message}", where=f"{_WHERE}, line {error.lineno}") from error
    unknown = sorted(asked - set(_SEEN))
    if unknown:
        raise RecipeError(f"{unknown[0]!r} is undefined", where=_WHERE, hint=_way_out(unknown[0]))
    if not asked:
        raise RecipeError(
            "the template uses neither question nor metadata, so every problem would get the same prompt",
            where=_WHERE,
            hint="write {{ question }} where the question belongs",
        )

    def fill(problem: Problem) -> str:
        try:
            filled: str = compiled.render(question=problem.question, metadata=problem.metadata)
            return filled
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            known = ", ".join(problem.metadata) or "none"
            raise RecipeError(
                f"cannot render problem {problem.problem_id}: {error}", where=_WHERE, hint=f"its metadata: {known}"
            ) from error

    return fill


@cache
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """A sandbox in which ``metadata.items`` is the column of that name and not the method of a dict."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, dict) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    return Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


def _way_out(name: str) -> str:
    if name in ("answer", "answers", "solution", "ground_truth", "reference"):
        return "the reference is never shown to the model; a template sees question and metadata"
    close = get_close_matches(name, _SEEN, n=1)
    nearest = f"did you mean {close[0]!r}? " if close else ""
    return f"{nearest}A template sees question and metadata; another column is metadata.{name}"
