"""Durable files: written whole or not at all, and locks that vanish with their process.

Owns how anything of ours reaches a disk. Must not know what is in the files. Both the ledger and the releases write
through here, so that a kill, a full disk or a read-only folder is met in one place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from curate.errors import LedgerBusy, LedgerUnwritable

TEMPORARY = ".tmp-"
"""How the name of a file that is not yet whole begins."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn what the system says of a failed write into an error that names the folder and the way out.

    Raises:
        LedgerUnwritable: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        code, text = getattr(error, "errno", None), str(error)
        said = getattr(error, "strerror", None) or text.splitlines()[0]
        if code in _FULL or "No space left" in text or "File too large" in text:
            raise LedgerUnwritable(
                f"no room to write: {said}",
                where=str(folder),
                hint="free some space and run the same command again; everything flushed so far is safe",
            ) from error
        raise LedgerUnwritable(
            f"cannot write: {said}", where=str(folder), hint="choose a folder that you may write"
        ) from error


def write(file: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write a temporary file, make it durable, then give it its name.

    Raises:
        LedgerUnwritable: it could not be written; nothing is left behind, and an older file of that name stands.
    """
    temporary = file.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    with writable(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            fill(temporary)
            _sync(temporary)
            temporary.rename(file)
            _sync(file.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed writer left half written. Only safe while no other writer lives."""
    for leftover in folder.rglob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


@contextmanager
def locked(file: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold the kernel's lock (``flock``) on a file, made where it is missing.

    Args:
        file: The lock file; it stays behind, empty of meaning.
        shared: Several may hold it so at once, and none exclusively meanwhile.
        wait: Wait for it, however long; otherwise refuse at once.

    Raises:
        LedgerBusy: another process holds it; names its process id where that is known.
        LedgerUnwritable: the lock file cannot be made.
    """
    with writable(file.parent):
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(handle, mode if wait else mode | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(handle, 64).decode(errors="replace").strip()
            raise LedgerBusy(
                f"another process is writing here{f' (process {owner})' if owner else ''}",
                where=str(file.parent),
                hint="wait for it, or give this run another folder",
            ) from error
        if not shared:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
