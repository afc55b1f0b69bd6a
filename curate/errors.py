"""The exception tree: everything a user can run into, and nothing else.

    CurateError                 something failed that a person can act on             exit 1
    ├── UsageError              what was asked makes no sense as asked                exit 2
    │   └── RecipeError         a recipe does not say what a recipe must say          exit 2
    ├── ProblemsError           the problem source cannot be read or lacks a column
    ├── EngineError             an engine cannot be opened, or stopped working
    │   ├── EngineMissing       its extra is not installed
    │   └── RequestError        one request failed; recorded, retried, never a failure of the model
    ├── VerifierError           a verifier cannot be opened
    ├── LedgerError             a profile on disk cannot be used
    │   ├── LedgerCorrupt       a file in it is unreadable: named, never skipped
    │   ├── LedgerBusy          another process is writing it
    │   ├── LedgerUnwritable    the disk is full, or the folder read-only
    │   └── ProtocolChanged     it was made with another protocol
    ├── ReleaseError            a release cannot be written
    └── Stopped                 a signal or a budget ended the run; all so far is safe  exit 3

Owns the tree. Imports nothing of ours, so that every room may raise. Only ``cli/main.py`` turns one into text:
what failed, where, and a hint.
"""

from __future__ import annotations


class CurateError(Exception):
    """Something failed that a person can act on.

    Args:
        message: What failed, in one sentence, naming the thing.
        where: The place: a file, a file and line, a recipe key such as ``recipes/x.yaml: band.low``.
        hint: What to do about it, as something that can be typed or changed.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """The message, then the place and the hint where there are any."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text} ({self.hint})" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the three texts: errors cross process boundaries."""
        return _rebuild, (type(self), self.message, self.where, self.hint)


def _rebuild(kind: type[CurateError], message: str, where: str | None, hint: str | None) -> CurateError:
    return kind(message, where=where, hint=hint)


class UsageError(CurateError):
    """What was asked makes no sense as asked."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe has an unknown key, a value of the wrong type, or values that contradict each other."""


class ProblemsError(CurateError):
    """The problem source cannot be read, or a column that the recipe names is missing."""


class EngineError(CurateError):
    """An engine cannot be opened, or stopped working altogether."""


class EngineMissing(EngineError):
    """The extra that an engine needs is not installed."""


class RequestError(EngineError):
    """One request to an engine failed. It is recorded and retried; it says nothing about the model."""


class VerifierError(CurateError):
    """A verifier cannot be opened or does not fit the problems."""


class LedgerError(CurateError):
    """A profile on disk cannot be used."""


class LedgerCorrupt(LedgerError):
    """A file of the profile is unreadable. It is named and refused, never skipped."""


class LedgerBusy(LedgerError):
    """Another process is writing this profile."""


class LedgerUnwritable(LedgerError):
    """The profile cannot be written: the disk is full, or the folder is read-only."""


class ProtocolChanged(LedgerError):
    """The profile was made with another protocol; pass rates of two protocols are never pooled."""


class ProblemsChanged(LedgerError):
    """Problems ask something else than when their rollouts were drawn; those of two questions are never pooled."""


class ReleaseError(CurateError):
    """A release cannot be written."""


class Stopped(CurateError):
    """A signal or a budget ended the run. Everything so far is on disk, and the same command continues."""

    exit_code = 3
