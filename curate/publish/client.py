"""The Hub's client, asked with patience: timeouts, waiting and trying again, and errors that say the way out.

Owns everything between a call of ``huggingface_hub`` and its answer. Must not know what is published. The token is the
client's affair: it comes from the environment or from the client's own store, and is taken out of every text that
leaves here, because an HTTP library may repeat a header that it does not like.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from curate.errors import ReleaseError, UsageError
from curate.publish.withheld import without_secrets

Answer = TypeVar("Answer")

LONGEST_WAIT = 600.0
"""Seconds. The Hub counts requests in windows of five minutes; who asks for more is down, and says so."""

_BUSY = {408, 429, 500, 502, 503, 504}
_LOST = re.compile("Timeout|ConnectError|ConnectionError|ReadError|WriteError|RemoteProtocol|ProxyError|IncompleteRead"
                   "|ChunkedEncoding|JSONDecodeError")  # fmt: skip
"""Errors of the HTTP libraries that may stand below the client, by name: each has a tree of its own."""


class Client:
    """The client for one dataset.

    Args:
        repo_id: ``owner/name``.
        timeout: Seconds without a sign of life after which a request counts as lost.
        attempts: How often a step is tried, waiting longer each time.
        report: Called with what is worth knowing meanwhile: what failed, and how long is waited.

    Raises:
        ReleaseError: there is a token, and it cannot be one.
    """

    def __init__(self, repo_id: str, timeout: float, attempts: int, report: Callable[[str], None]) -> None:
        from huggingface_hub import HfApi, get_token

        self.api: Any = HfApi()
        self.repo_id = repo_id
        self.url = without_secrets(f"{self.api.endpoint}/datasets/{repo_id}")
        self._token: str | None = get_token()
        self.has_token = bool(self._token)
        if self._token and not (self._token.isascii() and self._token.isprintable()):
            raise ReleaseError(
                "the token holds characters that no token has", where="HF_TOKEN", hint="set it anew, or `hf auth login`"
            )
        self._timeout = timeout
        self._attempts = attempts
        self._report = report

    def ask(
        self,
        what: str,
        call: Callable[[], Answer],
        *,
        landed: Callable[[], Answer | None] = lambda: None,
        missing: Answer | None = None,
    ) -> Answer:
        """Make a call until it is answered.

        Args:
            what: What it is for, as it follows "cannot": ``"read the repository"``.
            call: One or several requests to the Hub.
            landed: Asked after a failure that may have come too late, before the call is made again: the answer if the
                call has done its work all the same, or None. What it raises ends the matter.
            missing: What is answered where the repository does not exist or is not shown; None makes that an error.

        Raises:
            ReleaseError: it failed for good, or too often.
            UsageError: the name is none.
        """
        for attempt in range(1, self._attempts + 1):
            try:
                with self._impatient():
                    return call()
            except Exception as error:  # noqa: BLE001 - all are explained; the client has no tree that covers them
                failure = error
            if missing is not None and type(failure).__name__ == "RepositoryNotFoundError":
                return missing
            status = _status(failure)
            again = _may_pass(failure, status)
            if again or status in (409, 412):
                found = landed()
                if found is not None:
                    return found
            pause = max(_asked_to_wait(failure), min(2.0 ** (attempt - 1), 30.0))
            if not again or attempt == self._attempts or pause > LONGEST_WAIT:
                break
            self._report(
                f"{self._short(failure, status)}; trying again in {round(pause, 1):g} s ({attempt} of {self._attempts})"
            )
            time.sleep(pause)
        # Without the cause: its text may hold the token, and a traceback would print it.
        raise self._explained(what, failure, status) from None

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        """Give up on a silent server, which the client itself never does, and say what the client logs, censored."""
        from huggingface_hub.utils import get_session

        session = get_session()
        logger = logging.getLogger("huggingface_hub")
        timeout, handlers = session.timeout, logger.handlers
        session.timeout, logger.handlers = self._timeout, [_Forward(self._said)]
        try:
            yield
        finally:
            session.timeout, logger.handlers = timeout, handlers

    def _said(self, text: str) -> None:
        self._report(without_secrets(text, self._token))

    def _short(self, error: Exception, status: int | None) -> str:
        return f"the Hub answers {status}" if status else f"the Hub does not answer ({type(_root(error)).__name__})"

    def _explained(self, what: str, error: Exception, status: int | None) -> ReleaseError | UsageError:
        """What a failure of the client means for who publishes."""
        kind, text = type(error).__name__, " ".join(without_secrets(str(error), self._token).split())
        again = "run the same command again: what was uploaded is not sent twice, and nothing is half written"
        if kind == "HFValidationError":
            return UsageError(f"{self.repo_id!r} is no name of a dataset", hint="names are owner/name")
        if "OfflineMode" in kind:
            message, hint = "the Hub's client is offline", "unset HF_HUB_OFFLINE"
        elif status == 401 and self.has_token and kind != "RepositoryNotFoundError":
            message, hint = "the Hub does not accept the token", "set HF_TOKEN anew, or run `hf auth login`"
        elif status == 403:
            owner = self.repo_id.partition("/")[0]
            message, hint = "the token does not allow it", f"use one that may write datasets of {owner}"
        elif kind in {"RepositoryNotFoundError", "GatedRepoError"} or status in {401, 404}:
            message = "there is no such dataset, or it is not shown to you"
            hint = "check the name (owner/name), and the token: HF_TOKEN or `hf auth login`"
        elif status is not None and status in _BUSY:
            wait = _asked_to_wait(error)
            asked = f", and asks to wait {wait:g} s" if wait else ""
            message, hint = f"the Hub answers {status}{asked}", again
        elif status is None and _may_pass(error, None):
            message, hint = f"the Hub does not answer ({type(_root(error)).__name__}: {text[:200]})", again
        elif "metadata in README.md" in text:
            message, hint = text[:500], "correct the metadata at the top of README.md"
        else:
            message, hint = f"{kind}: {text[:500]}", again
        return ReleaseError(f"cannot {what}: {message}", where=self.url, hint=hint)


class _Forward(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a message of the client on."""
        self._say(record.getMessage())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it: the client wraps what happened in a thread of its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _root(error: Exception) -> BaseException:
    return next((one for one in _chain(error) if _LOST.search(type(one).__name__)), error)


def _status(error: Exception) -> int | None:
    """The HTTP status that the Hub gave, if it gave one."""
    codes = (getattr(getattr(one, "response", None), "status_code", None) for one in _chain(error))
    return next((code for code in codes if isinstance(code, int)), None)


def _may_pass(error: Exception, status: int | None) -> bool:
    """Whether the same call may succeed later."""
    if status is not None:
        return status in _BUSY
    if any("OfflineMode" in type(one).__name__ for one in _chain(error)):
        return False
    return any(isinstance(one, ConnectionError | TimeoutError) or _LOST.search(type(one).__name__)
               for one in _chain(error))  # fmt: skip


def _asked_to_wait(error: Exception) -> float:
    """Seconds that the Hub asks to wait, in either way of ``Retry-After`` or by its rate limit; 0 where it does not."""
    responses = (getattr(one, "response", None) for one in _chain(error))
    headers: Any = next((response.headers for response in responses if response is not None), {})
    after = str(headers.get("Retry-After", "")).strip()
    if after.isdecimal():
        return float(after)
    limit = re.search(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d+)", str(headers.get("RateLimit", "")))
    if limit:
        return float(limit[1])
    try:
        return max(0.0, (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
