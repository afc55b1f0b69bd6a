"""A template sees the question and the metadata, and every mistake in it is named."""

from __future__ import annotations

from typing import Any

import pytest

from curate.errors import RecipeError
from curate.problems.prompts import render, renderer
from curate.recipe import PromptSection
from curate.records import Message, Problem, Prompt

CHAT = (Message("user", "1+1?"),)


def problem(**changes: Any) -> Problem:
    fields: dict[str, Any] = {"question": "1+1?", "answers": ("2",), "metadata": {"level": 3}}
    return Problem(problem_id="p", **{**fields, **changes})


def complaint(template: str, **metadata: Any) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        render(problem(metadata=metadata), PromptSection(template=template))
    return caught.value


def test_the_default_prompt_is_one_user_turn() -> None:
    text = "1+1?\n\nReason step by step and put the final answer in \\boxed{}."
    assert render(problem(), PromptSection()) == Prompt(messages=(Message("user", text),))


def test_the_system_message_goes_first() -> None:
    made = render(problem(), PromptSection(system="Be {{ brief }}.", template="{{ question }}"))
    assert made.messages == (Message("system", "Be {{ brief }}."), Message("user", "1+1?"))


def test_without_chat_the_template_is_the_whole_prompt() -> None:
    made = render(problem(), PromptSection(template="Q: {{ question }} ({{ metadata.level }})\nA:\n", chat=False))
    assert made == Prompt(text="Q: 1+1? (3)\nA:\n")


def test_a_question_is_never_read_as_a_template_or_escaped() -> None:
    made = render(problem(question="{{ 7*7 }} <b> & {% x"), PromptSection(template="{{ question }}"))
    assert made.messages == (Message("user", "{{ 7*7 }} <b> & {% x"),)


def test_a_chat_keeps_its_own_turns() -> None:
    assert render(problem(messages=CHAT), PromptSection()).messages == CHAT
    with_system = render(problem(messages=CHAT), PromptSection(system="Be brief."))
    assert with_system.messages == (Message("system", "Be brief."), *CHAT)
    own = (Message("system", "Be exact."), *CHAT)
    assert render(problem(messages=own), PromptSection(system="Be brief.")).messages == own


def test_a_chat_without_chat_is_refused() -> None:
    with pytest.raises(RecipeError, match="problem p is a chat, and the recipe says chat: false") as caught:
        render(problem(messages=CHAT), PromptSection(chat=False))
    assert caught.value.where == "prompt.chat"


def test_a_system_message_without_chat_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs chat: true") as caught:
        render(problem(), PromptSection(chat=False, system="Be brief."))
    assert caught.value.where == "prompt.system"


def test_the_reference_is_never_seen() -> None:
    for name in ("answer", "answers", "ground_truth"):
        error = complaint("{{ question }} {{ " + name + " }}")
        assert (error.message, error.where) == (f"{name!r} is undefined", "prompt.template")
        assert "never shown" in str(error.hint)


def test_an_undefined_variable_is_named_before_any_problem_is_rendered() -> None:
    with pytest.raises(RecipeError, match="'qestion' is undefined") as caught:
        renderer(PromptSection(template="{{ qestion }}"))
    assert str(caught.value.hint).startswith("did you mean 'question'?")
    with pytest.raises(RecipeError, match="'subject' is undefined") as caught:
        renderer(PromptSection(template="{{ question }}{{ subject }}"))
    assert "another column is metadata.subject" in str(caught.value.hint)


def test_metadata_that_a_problem_lacks_is_named_with_what_it_has() -> None:
    error = complaint("{{ question }} {{ metadata.subject }}", level=1, topic="sums")
    assert "cannot render problem p" in error.message
    assert "'subject'" in error.message
    assert error.hint == "its metadata: level, topic"


def test_a_column_called_like_a_method_of_a_mapping_is_the_column() -> None:
    made = render(problem(metadata={"items": "two apples"}), PromptSection(template="{{ metadata.items }}"))
    assert made.messages[0].content == "two apples"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ question", "not a jinja2 template"),
        ("{% if question %}", "not a jinja2 template"),
        ("{{ question | no_such_filter }}", "not a jinja2 template"),
        ("Solve it.", "uses neither question nor metadata"),
        ("", "uses neither question nor metadata"),
        ("{{ question + 1 }}", "cannot render problem p"),
        ("{{ question.__class__.__mro__ }}", "cannot render problem p"),
        ("{{ metadata.update({'a': 1}) }}", "cannot render problem p"),
        ("{{ ''.__class__ }}{{ question }}", "cannot render problem p"),
    ],
)
def test_a_wrong_template_is_refused(template: str, words: str) -> None:
    error = complaint(template)
    assert words in error.message
    assert str(error.where).startswith("prompt.template")


def test_a_broken_template_names_its_line() -> None:
    assert complaint("{{ question }}\n\n{% for %}").where == "prompt.template, line 3"


def test_plain_jinja_works() -> None:
    template = "{% for part in question.split('+') %}[{{ part | upper }}]{% endfor %}{{ range(3) | list }}"
    assert render(problem(question="a+b"), PromptSection(template=template)).messages[0].content == "[A][B][0, 1, 2]"
