"""Faults: requests that failed and were written down as if they were answers.

Owns what counts as one. An error of a server says nothing about the model, yet many tools write its text where the
completion should stand, or an empty completion and a reward of 0. Must not be generous: a text that a model may have
written on its own is a completion, whatever it looks like.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

REASONS = frozenset({"error", "content_filter", "abort", "aborted", "cancelled", "canceled", "failed", "timeout"})
"""Finish reasons of requests that did not end by the model's own doing nor at the length limit."""

_NONE = frozenset({"", "none", "null", "nan", "false", "0"})
"""Texts in an error column which say that there was no error."""

_SHOWN = 200

_MESSAGES = re.compile(
    r"""
      Error\ code:\ [45]\d\d(?:\s*\Z|\ -\ )                       # str() of an error of the openai package
    | (?:litellm|openai|anthropic|httpx|httpcore|aiohttp|requests|urllib3|google)\.[\w.]*(?:Error|Exception|Timeout)\b
    | (?:RateLimitError|APIError|APIStatusError|APITimeoutError|APIConnectionError|BadRequestError|InternalServerError
        |ServiceUnavailableError|ContextWindowExceededError|AuthenticationError)\b\s*[:(]
    | HTTP\ Error\ [45]\d\d:
    | (?:Connection\ error|Request\ timed\ out)\.\s*\Z
    | (?:<!DOCTYPE\ html>\s*)?<html[^>]*>\s*<head>\s*<title>[45]\d\d\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""How the whole text begins when a client's error was recorded in place of an answer."""

_PAYLOAD = {"error", "object", "message", "type", "param", "code", "status", "status_code", "request_id", "detail"}
"""Keys of a server's error object; an object with any other key is somebody's answer."""


def fault(error: Any, finish_reason: Any, completion: Any) -> str | None:
    """Why one row is a failed request and no rollout; None where it is a rollout.

    Args:
        error: What the log has in its error column, as for ``failure``.
        finish_reason: As the log gives it.
        completion: As the log gives it.
    """
    if (said := failure(error)) is not None:
        return said
    if isinstance(finish_reason, str) and finish_reason.strip().lower() in REASONS:
        return f"finish_reason {finish_reason.strip().lower()}"
    text = completion.strip() if isinstance(completion, str) else ""
    if _MESSAGES.match(text) or _is_payload(text):
        return f"an error in place of a completion: {text[:_SHOWN]}"
    return None


def failure(error: Any) -> str | None:
    """What an error column says: a text, a mapping, true; None where it is empty, null, 0 or false, as text too."""
    if not error or (isinstance(error, float) and math.isnan(error)):
        return None
    if isinstance(error, dict):
        # Parquet gives every key of a column to each of its mappings.
        error = {key: value for key, value in error.items() if value is not None}
        message = error.get("message")
        error = message if isinstance(message, str) and message else error
    text = (error if isinstance(error, str) else json.dumps(error, default=str)).strip()
    return None if error == {} or text.lower() in _NONE else text[:_SHOWN]


def _is_payload(text: str) -> bool:
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict) or not found.keys() <= _PAYLOAD:
        return False
    inner = found.get("error")
    return found.get("object") == "error" or (isinstance(inner, dict) and isinstance(inner.get("message"), str))
