"""What a server's answer means: completions and their tokens, or whose fault it is that there are none.

Owns the reading of the OpenAI API's answers, good and bad. Must not import the openai package: everything here is
plain JSON, and servers that say they speak the API answer with more than that package's types foresee.

- The text of a rollout is what the model wrote: where the server split the reasoning from the rest
  (``reasoning_content`` or ``reasoning``), it is put back as ``<think>reasoning</think>content``, without the closing
  tag where the reasoning never ended. A null content without reasoning is an empty text.
- ``usage`` is a sum over the choices of an answer. One choice has all of it. Of several, one cut at the length limit
  has ``max_tokens``, and the others share the rest in proportion to their texts' lengths: the sum is exact, the shares
  are not. Choices that carry ``token_ids`` (vLLM, with ``extra_body: {return_token_ids: true}``) are counted exactly.
  A server that gives no usage has 0 recorded.
- A rollout that was cut before ``max_tokens`` was cut by the server and not by the protocol: it is refused.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from curate.errors import EngineError, RequestError
from curate.records import Completion, FinishReason

LONGEST_QUOTE = 400
"""Characters of what a server said that an error repeats."""


class Fault(Exception):
    """The server stumbled; the same request may succeed later or elsewhere. Never leaves the engine."""

    def __init__(self, message: str, *, busy: bool = False, after: float | None = None) -> None:
        super().__init__(message)
        self.busy = busy
        """It answered that it has too much to do: no sign of illness."""
        self.after = after
        """Seconds that it asked to be left alone; None where it did not say."""


class Refused(RequestError):
    """The server looked at the request and said no."""


class NotThere(EngineError):
    """The server has no such path, or no such model."""


@dataclass(frozen=True)
class Said:
    """What a server said beside a status that is no success."""

    message: str
    code: str = ""
    param: str = ""


def completions(answer: object, n: int, max_tokens: int) -> list[Completion]:
    """The completions of one answer, in the order of their indices.

    Args:
        answer: The body, as JSON or as the text of it.
        n: How many were asked for, at least 1.
        max_tokens: The length limit that was asked for.

    Returns:
        At least 1 and at most n completions.

    Raises:
        Fault: the body is not what the API promises.
        RequestError: more choices than asked for, or one that neither ended by itself nor at ``max_tokens``.
    """
    choices, usage = _parts(answer)
    if len(choices) > n:
        raise RequestError(f"the server gave {len(choices)} choices where {n} were asked for")
    texts = [_text(choice) for choice in choices]
    reasons = [_finish_reason(choice) for choice in choices]
    total = _count(usage, "completion_tokens")
    if "length" in reasons and 0 < total < max_tokens:
        raise RequestError(
            f"the server cut a rollout after {total} tokens at most, before max_tokens {max_tokens}",
            where="sampling.max_tokens",
            hint="the server's context or its own limit is shorter: lower sampling.max_tokens, or raise that",
        )
    ids = [choice.get("token_ids") for choice in choices]
    tokens = [len(one) for one in ids if isinstance(one, list)]
    if len(tokens) < len(choices):
        tokens = apportion(total, [len(text) for text in texts], [reason == "length" for reason in reasons], max_tokens)
    prompt_tokens = _count(usage, "prompt_tokens")
    return [
        Completion(text, reason, prompt_tokens, count)
        for text, reason, count in zip(texts, reasons, tokens, strict=True)
    ]


def apportion(total: int, lengths: Sequence[int], cut: Sequence[bool], max_tokens: int) -> list[int]:
    """Share the tokens of an answer among its choices; the shares add up to the total.

    Those that were cut have ``max_tokens`` each, the others what is left, in proportion to their lengths by largest
    remainders; equal lengths, or none at all, share equally. Where that cannot be, all share by length.

    Args:
        total: Tokens of all choices together, at least 0.
        lengths: Characters of each text.
        cut: Which of them ended at the length limit.
        max_tokens: The limit.
    """
    left = total - max_tokens * sum(cut)
    if left < 0 or (all(cut) and left):
        return apportion(total, lengths, [False] * len(cut), max_tokens) if any(cut) else [0] * len(cut)
    weights = [0 if was_cut else length for was_cut, length in zip(cut, lengths, strict=True)]
    if not any(weights):
        weights = [0 if was_cut else 1 for was_cut in cut]
    whole = sum(weights) or 1
    shares = [max_tokens if was_cut else left * weight // whole for was_cut, weight in zip(cut, weights, strict=True)]
    by_remainder = sorted(range(len(weights)), key=lambda i: left * weights[i] % whole, reverse=True)
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def said(body: object, fallback: str) -> Said:
    """What an error's body says: OpenAI's ``{message, code, param}``, FastAPI's ``{detail}``, or a plain text."""
    if isinstance(body, Mapping):
        message = body.get("message") or body.get("detail") or body.get("error") or fallback
        text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
        return Said(text, str(body.get("code") or ""), str(body.get("param") or ""))
    return Said(body if isinstance(body, str) and body.strip() else fallback)


def refusal(url: str, status: int, what: Said, asked: Mapping[str, Any], after: float | None) -> Exception:
    """Whose fault a status is: the server's for now, this request's, or that of every request.

    Args:
        url: The server.
        status: 400 or more.
        what: What it said.
        asked: The body that was sent; empty where none was.
        after: Seconds that the server asked to wait; None where it did not.

    Returns:
        A Fault: ask again. A Refused: this request cannot be served. An EngineError: no request can be.
    """
    message = f"answered {status}: {quoted(what.message)}"
    if status == 429 and what.code != "insufficient_quota":
        return Fault(message, busy=True, after=after)
    if status >= 500 or status in (408, 409, 425):
        return Fault(message, after=after)
    message = f"{url} {message}"
    if status in (401, 403, 429):
        return EngineError(
            message,
            where="engine.options.api_key_env",
            hint="the environment variable it names must hold a key that this server takes",
        )
    if status in (404, 405):
        return NotThere(
            message,
            where="engine.options.base_url",
            hint="base_url usually ends in /v1, and model.path is a name that its /models lists; "
            "prompt.chat: false needs /completions, true /chat/completions",
        )
    return _about_a_setting(message, what, asked) or Refused(message)


def wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for, as a number or a date; None where it does not or cannot be read."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def quoted(text: str) -> str:
    """A text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 3] + "..."


WAYS_OUT = {
    "seed": "engine.options.seed_bits: 31 sends smaller seeds, 0 sends none",
    "top_k": "sampling.top_k: null leaves it out",
    "max_tokens": "engine.options.max_tokens_as: max_completion_tokens gives it the other name",
    "max_completion_tokens": "engine.options.max_tokens_as: max_tokens gives it the other name",
    "stop": "sampling.stop takes fewer or other texts",
}
"""Settings that every request sends alike, and what to do about a server that takes them amiss."""


def _about_a_setting(message: str, what: Said, asked: Mapping[str, Any]) -> EngineError | None:
    """The refusal of something that every request sends: it will be refused each time.

    ``max_tokens`` is named by servers whose context a single prompt overruns, so that it counts only where the server
    says that it does not know it. A word counts only where the prompt, which servers quote, does not have it.
    """
    prompt = json.dumps([asked.get("prompt"), asked.get("messages")], ensure_ascii=False)
    for name in (name for name in WAYS_OUT if name in asked):
        if what.param == name:
            about = not name.startswith("max_") or what.code in ("unsupported_parameter", "unknown_parameter")
        else:
            word = re.compile(rf"\b{name}\b")
            about = name in ("seed", "top_k") and bool(word.search(what.message) and not word.search(prompt))
        if about:
            return EngineError(message, where=f"{name} = {asked[name]!r}", hint=WAYS_OUT[name])
    return None


def _parts(answer: object) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    if isinstance(answer, str):  # sent as another type than JSON
        try:
            answer = json.loads(answer)
        except ValueError as error:
            raise Fault(f"the answer is not JSON: {quoted(str(answer)[:80])!r}") from error
    if not isinstance(answer, Mapping):
        raise Fault(f"the answer is not an object: {quoted(str(answer)[:80])!r}")
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, Mapping) for choice in choices):
        raise Fault(f"the answer has no choices: {quoted(json.dumps(answer, ensure_ascii=False)[:200])}")
    indices = [choice.get("index") for choice in choices]
    if all(isinstance(index, int) for index in indices):
        choices = sorted(choices, key=lambda choice: int(choice["index"]))
    usage = answer.get("usage")
    return choices, usage if isinstance(usage, Mapping) else {}


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        text = choice.get("text")
        if not isinstance(text, str):
            raise Fault("a choice has neither a message nor a text")
        return text
    content = message.get("content")
    if not isinstance(content, str | None):
        raise RequestError(f"the content of a choice is no text but {type(content).__name__}")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not isinstance(reasoning, str):
        return content or ""
    return f"<think>{reasoning}" if content is None else f"<think>{reasoning}</think>{content}"


def _finish_reason(choice: Mapping[str, Any]) -> FinishReason:
    reasons: dict[object, FinishReason] = {"stop": "stop", "length": "length"}
    given = choice.get("finish_reason")
    if not isinstance(given, str) or given not in reasons:
        raise RequestError(f"the server ended a rollout with {given!r}, neither stop nor length")
    return reasons[given]


def _count(usage: Mapping[str, Any], name: str) -> int:
    count = usage.get(name)
    return count if isinstance(count, int) and count > 0 else 0
