"""Errors that were written down as answers are found, and nothing else is."""

from __future__ import annotations

import pytest

from curate.logs.faults import fault

ERRORS = [
    "Error code: 429 - {'error': {'message': 'Rate limit reached', 'type': 'requests'}}",
    "Error code: 500",
    '{"error": {"message": "The server had an error", "type": "server_error", "param": null, "code": null}}',
    '{"object": "error", "message": "This model\'s maximum context length is 4096 tokens", "type": "BadRequestError"}',
    "litellm.RateLimitError: RateLimitError: OpenAIException - quota",
    "openai.APITimeoutError: Request timed out.",
    "Request timed out.",
    "Connection error.",
    "RateLimitError: 429",
    "HTTP Error 502: Bad Gateway",
    "<html>\n<head><title>502 Bad Gateway</title></head>\n<body></body></html>",
]

ANSWERS = [
    "",
    "The answer is 429.",
    "Error code: 429 means too many requests, so the answer is \\boxed{B}.",
    '{"error": "none", "answer": 4}',
    '{"error": {"message": "x"}, "result": 4}',
    '{"message": "hello"}',
    "The error is that 2+2 is not 5. Error code: 500",
    "def f():\n    raise openai.APITimeoutError",
    "Connection errors are retried.",
    "{not json",
    "HTTP 404 stands for a page that was not found.",
]


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_in_place_of_a_completion_is_found(text: str) -> None:
    assert str(fault(None, "stop", text)).startswith("an error in place of a completion: ")


@pytest.mark.parametrize("text", ANSWERS)
def test_what_a_model_may_have_written_is_a_completion(text: str) -> None:
    assert fault(None, "stop", text) is None


@pytest.mark.parametrize("reason", ["error", "content_filter", "abort", "Cancelled"])
def test_finish_reasons_of_requests_that_failed(reason: str) -> None:
    assert fault(None, reason, "half an") == f"finish_reason {reason.lower()}"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, None),
        ("", None),
        (False, None),
        (0, None),
        (0.0, None),
        ("None", None),
        (" null ", None),
        ("False", None),
        ({"message": "None"}, None),
        ({}, None),
        ({"message": None, "code": None}, None),
        (float("nan"), None),
        ("timeout", "timeout"),
        (True, "true"),
        ({"message": "too long", "code": 400}, "too long"),
        ({"code": 400}, '{"code": 400}'),
    ],
)
def test_the_error_column(error: object, told: str | None) -> None:
    assert fault(error, None, "2") == told
