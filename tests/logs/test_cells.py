"""What a model said in a chat message, whatever the shape that a tool keeps it in."""

from __future__ import annotations

from typing import Any

import pytest

from curate.logs.cells import asked, spoken


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("2", "2"),
        ({"content": "2"}, "2"),
        ({"content": None}, ""),
        (None, ""),
        ({"content": [{"type": "text", "text": "1+1 "}, {"type": "output_text", "text": "is 2"}]}, "1+1 is 2"),
        ({"content": [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "2"}]}, "2"),
        ({"content": "2", "reasoning_content": "hm"}, "<think>hm</think>2"),
        ({"content": "2", "reasoning": "hm"}, "<think>hm</think>2"),
        ({"content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "2"}]}, "<think>hm</think>2"),
        ({"content": None, "reasoning_content": "hm and on"}, "<think>hm and on"),
        ({"content": None, "refusal": "I cannot."}, "I cannot."),
    ],
)
def test_the_text_of_a_message(message: Any, text: str) -> None:
    assert spoken(message) == text


def test_the_turns_of_a_prompt_keep_role_and_text_alone() -> None:
    turns = [
        {"id": "x", "role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "1+1?"}]},
        "no turn",
    ]
    assert asked(turns) == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "1+1?"}]
