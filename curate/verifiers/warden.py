"""The warden: a small trusted program inside the sandbox, which runs one model's program many times under limits.

Owns what happens between "run this" and "it ended so": forks, limits, clocks, and that nothing is left running. Must
not know what a right output is: expectations stay with the worker outside, where no program can read them. Imports the
standard library, ``confine`` and ``harness``, nothing else of ours.

The program runs in a fork of this process, which holds no secret: it was started with an environment of the worker's
making. A fork costs a millisecond where an interpreter costs twenty.

The worker writes lines of JSON to stdin: a setting, then runs, one at a time, then an end; and so on for the next
program. Each is answered by a line of JSON and, after a run, by as many bytes as that line says. When stdin is closed,
for whatever reason, everything is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from curate.verifiers import confine, harness

_TAIL = 2_000
"""Bytes of a program's standard error that are passed on: the exception's name is at its end."""


class Warden:
    """Runs one program again and again.

    Args:
        setting: ``isolation`` (``namespaces``, ``user``, ``limits``), ``program`` (its source), ``paths`` (that it may
            read), ``folder`` (where it may write, outside of namespaces), ``seconds`` (of processor time), ``memory``
            and ``output`` (bytes), ``processes``.

    Raises:
        OSError: this system does not allow that isolation.
    """

    def __init__(self, setting: dict[str, Any]) -> None:
        self._setting = setting
        self._folders = [setting["folder"]]
        self._user: int | None = None
        self._processes = setting["processes"]
        # Held open, because inside there is no such place.
        self._proc = os.open("/proc", os.O_RDONLY) if Path("/proc/self/stat").exists() else None
        with contextlib.suppress(OSError):  # where the machine's memory runs out, no other process should pay for it
            Path("/proc/self/oom_score_adj").write_text("1000")
        if setting["isolation"] == "namespaces":
            self._enter_namespaces()
            return
        if setting["isolation"] == "user":
            self._user = confine.another_user()
            os.chown(setting["folder"], self._user, self._user)
        elif os.getuid() != 0:
            self._processes += _tasks_of(os.getuid())  # the limit counts all that this user runs
        if sys.platform == "linux":
            confine.hide_memory()
            confine.adopt_orphans()
        self.no_network = confine.can(confine.forbid_sockets)
        self.no_files = confine.can(self._forbid_files)

    def _enter_namespaces(self) -> None:
        confine.die_with_parent()
        with contextlib.suppress(OSError):  # by this process's number outside: inside all have the same
            self._user = confine.another_user()
        if not confine.enter_namespaces():
            self._user = None
            self._processes += 2  # the first process and this one, which are the same user there
        if first := os.fork():  # the first process of a namespace: all others there end with it
            os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) != 0)
        confine.die_with_parent()
        confine.hide_memory()
        confine.enter_root(self._setting["paths"], 4 * self._setting["output"])
        self._folders = [confine.BOX, "/dev/shm"]
        self.no_network = self.no_files = True

    def run(self, job: dict[str, Any]) -> tuple[dict[str, Any], bytes] | Callable[[], None]:
        """Run the program once.

        Args:
            job: ``seconds`` (by the clock, but for those that it waits for a processor), ``most`` (by the clock) and
                what ``harness.task`` needs of it.

        Returns:
            How it ended, and its output followed by its report; in the fork, what is to be run there.
        """
        files = [_file(job.get("stdin", "")), _file(), _file(), _file()]
        tokens, give_tokens = os.pipe()
        began, begin = os.pipe()
        kills, before = self._out_of_memory_kills(), _processor_seconds()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(begin, self._number_outside() + b"\n")
                self._confine([*files, tokens, begin])
                task = harness.task(job, self._setting["program"])
            except BaseException as error:  # noqa: BLE001 - told to the parent: it is the sandbox that failed
                with contextlib.suppress(OSError):
                    os.write(harness.BEGAN, f"{type(error).__name__}: {error}".encode())
                os._exit(1)
            os.write(harness.BEGAN, b"+")
            os.close(harness.BEGAN)
            return task
        os.close(tokens)
        os.close(begin)
        # Made after the fork, so that the program's memory holds no copy of them.
        proofs = [os.urandom(harness.TOKEN) for _ in range(job.get("units", 0))]
        with contextlib.suppress(BrokenPipeError):
            os.write(give_tokens, b"".join(proofs))
        os.close(give_tokens)
        outside, _, said = os.read(began, 500).partition(b"\n")
        late = self._wait(pid, outside.decode(), job["seconds"], job["most"])
        if late:
            os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self._sweep()
        if late == "cut" and _processor_seconds() - before > job["seconds"]:
            late = "over"  # its own processes were what it waited for
        said += os.read(began, 500)
        output, errors, report = (_content(file, self._setting["output"]) for file in files[1:])
        for file in (*files, began):
            os.close(file)
        ended = {
            "broken": None if said == b"+" else said.decode(errors="replace") or "it died before the program began",
            "code": os.waitstatus_to_exitcode(status),
            "late": late,
            "used": usage.ru_utime + usage.ru_stime,
            "starved": self._out_of_memory_kills() > kills,
            "errors": errors[-_TAIL:].decode(errors="replace"),
            "passed": harness.proven(report, proofs),
            "output": len(output),
            "report": len(report),
        }
        return ended, output + report

    def close(self) -> None:
        """Leave nothing running and nothing on disk."""
        self._sweep()
        if self._setting["isolation"] != "namespaces":  # whose folders vanish with them
            shutil.rmtree(self._setting["folder"], ignore_errors=True)

    def _confine(self, files: list[int]) -> None:
        """Take every power away from this process, a fork, but the files of its run."""
        os.setsid()
        for place, file in enumerate([fcntl.fcntl(file, fcntl.F_DUPFD, 64) for file in files]):
            os.dup2(file, place)
        os.closerange(len(files), os.sysconf("SC_OPEN_MAX"))
        os.chdir(self._folders[0])
        os.environ["HOME"] = os.environ["TMPDIR"] = self._folders[0]
        os.umask(0o077)
        confine.limit(
            {
                resource.RLIMIT_CPU: self._setting["seconds"],
                resource.RLIMIT_AS: self._setting["memory"],
                resource.RLIMIT_FSIZE: self._setting["output"],
                resource.RLIMIT_NPROC: self._processes,
                resource.RLIMIT_CORE: 0,
            }
        )
        outside = self._setting["isolation"] != "namespaces"
        if outside and self.no_files:
            self._forbid_files()  # first, since another user may not be able to see these folders
        if self._user is not None:
            confine.become(self._user)
        if sys.platform == "linux":
            confine.die_with_parent()
            confine.drop_privileges()
        if outside and self.no_network:
            confine.forbid_sockets()

    def _forbid_files(self) -> None:
        readable = [*confine.SYSTEM, *confine.DEVICES, *self._setting["paths"]]
        confine.forbid_files(readable, [self._setting["folder"], "/dev/null"])

    def _wait(self, pid: int, outside: str, seconds: float, most: float) -> str:
        """How a process ended: by itself (empty), ``over`` its own seconds, or ``cut`` when there were no more.

        Its own seconds do not run while it waits for a processor: that others want the machine is no fault of its.
        Ends this process where the worker is gone.
        """
        start = time.monotonic()
        poll = select.poll()
        poll.register(0, 0)  # no event but that the other end is closed
        ended = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        if ended is not None:
            poll.register(ended, select.POLLIN)
        try:
            while True:
                passed = time.monotonic() - start
                own = seconds + self._waited(outside)
                if passed >= min(own, most):
                    return "over" if own <= most else "cut"
                # Where a process cannot be polled, it is looked at a hundred times a second.
                events = dict(poll.poll(1000 * (min(own, most) - passed) + 1 if ended is not None else 10))
                if 0 in events:
                    self.close()
                    os._exit(0)
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    return ""
        finally:
            if ended is not None:
                os.close(ended)

    def _sweep(self) -> None:
        """Kill whatever the run left behind, and empty its folders."""
        while True:
            self._kill_all()
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                break
            time.sleep(0.001)
        for folder in self._folders:
            _empty(folder)

    def _kill_all(self) -> None:
        if self._setting["isolation"] == "namespaces":
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # everything in this namespace but its first process, this one
        elif self._user is not None:
            if (killer := os.fork()) == 0:
                confine.become(self._user)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)  # everything of that user
                os._exit(0)
            os.waitpid(killer, 0)
        else:
            _kill_descendants()

    def _out_of_memory_kills(self) -> int:
        """How many processes the kernel has killed for memory since it started."""
        counters = (line.split() for line in self._see("vmstat").splitlines())
        return sum(int(fields[1]) for fields in counters if fields[0] == "oom_kill")

    def _number_outside(self) -> bytes:
        """This process's number where ``/proc`` is from."""
        return os.readlink(b"self", dir_fd=self._proc) if self._proc is not None else b""

    def _waited(self, pid: str) -> float:
        """Seconds that a process wanted a processor and had none, by its number outside; 0 where that is not known."""
        fields = self._see(f"{pid}/schedstat").split() if pid else []
        return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0

    def _see(self, name: str) -> str:
        with contextlib.suppress(OSError):
            if self._proc is not None:
                file = os.open(name, os.O_RDONLY, dir_fd=self._proc)
                try:
                    return os.read(file, 1 << 16).decode()
                finally:
                    os.close(file)
        return ""


def main() -> Callable[[], None] | None:
    """Serve until stdin is closed. Returns in the fork of a run too, with what is to be run there."""
    if sys.platform == "linux":
        confine.die_with_parent()
        confine.adopt_orphans()
    lines = _lines()
    for setting in lines:
        if (warden := os.fork()) == 0:
            return _serve(json.loads(setting), lines)
        if os.waitpid(warden, 0)[1] != 0:
            _kill_descendants()  # the warden was killed and has left them behind
            break
        _answer({"broken": None})
    return None


def _serve(setting: dict[str, Any], lines: Iterator[bytes]) -> Callable[[], None] | None:
    """One program's sandbox, in a process of its own: it never gets out again."""
    try:
        warden = Warden(setting)
    except Exception as error:  # noqa: BLE001 - the worker decides what to do without
        _answer({"broken": f"{type(error).__name__}: {error}"})
        os._exit(1)
    try:
        _answer({"broken": None, "no_network": warden.no_network, "no_files": warden.no_files})
        for line in lines:
            job = json.loads(line)
            if job["kind"] == "end":
                break
            ended = warden.run(job)
            if not isinstance(ended, tuple):
                return ended
            _answer(*ended)
        status = 0
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not the program's fault
        status = 1
        with contextlib.suppress(OSError):
            _answer({"broken": f"{type(error).__name__}: {error}"})
    warden.close()
    os._exit(status)


def _lines() -> Iterator[bytes]:
    """The lines on stdin, read by hand: a buffer of Python's would be shared with the forks."""
    held = bytearray()
    while data := os.read(0, 1 << 20):
        held += data
        while (end := held.find(b"\n")) >= 0:
            line = bytes(held[:end])
            del held[: end + 1]
            yield line


def _answer(message: dict[str, Any], content: bytes = b"") -> None:
    data = memoryview(json.dumps(message).encode() + b"\n" + content)
    while data:
        data = data[os.write(1, data) :]


def _file(content: str = "") -> int:
    """A file in memory, without a name. A program writes to files and not to pipes: none has to be kept drained."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("run")
    else:
        import tempfile

        with tempfile.TemporaryFile() as named:
            file = os.dup(named.fileno())
    data = memoryview(content.encode("utf-8", "surrogateescape"))
    while data:
        data = data[os.write(file, data) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _content(file: int, most: int) -> bytes:
    parts: list[bytes] = []
    while sum(map(len, parts)) < most and (part := os.pread(file, most, sum(map(len, parts)))):
        parts.append(part)
    return b"".join(parts)[:most]


def _empty(folder: str) -> None:
    for parent, names, _ in os.walk(folder):
        for name in names:
            if not Path(parent, name).is_symlink():
                with contextlib.suppress(OSError):
                    Path(parent, name).chmod(0o700)
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _processor_seconds() -> float:
    """What all processes used that came from this one and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kill_descendants() -> None:
    """Kill every process that stems from this one, as far as the system tells."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = list(children.get(os.getpid(), ()))
    for pid in found:
        found += children.get(pid, ())
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _tasks_of(user: int) -> int:
    """How many processes and threads a user runs now, and a margin for those that start meanwhile."""
    count = 100
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == user:
                count += len(list((folder / "task").iterdir()))
    return count
