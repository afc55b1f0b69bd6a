"""Confinement: the kernel calls that take a process's powers away, for good.

Owns namespaces, the file system that is seen inside, limits, and the filters of system calls. Must not know what is
being run, nor import anything but the standard library: it runs inside the sandbox, before the program does. The calls
go through ctypes because Python offers ``unshare`` only from 3.12 on, and most of the others never.

Everything here fails loudly with ``OSError``; whoever calls decides what can be done without.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC = 1, 2, 4, 32, 4096, 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP = 1, 4, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446
_SYS_IO_URING_SETUP = 425
_MACHINES = {
    "x86_64": {"audit": 0xC000003E, "pivot_root": 155, "socket": 41},
    "aarch64": {"audit": 0xC00000B7, "pivot_root": 41, "socket": 198},
}
"""Machine -> its number in audit records, and the system calls whose numbers differ between machines."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/etc/ld.so.cache", "/etc/localtime")
"""What of the system is seen inside, read-only: libraries and programs, nobody's data."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

BOX = "/box"
"""The one folder that can be written to in the new root, but for shared memory; ``/tmp`` leads there."""


def die_with_parent() -> None:
    """Ask to be killed when the parent is. A change of user forgets it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_memory() -> None:
    """Let no process of the same user read or trace this one."""
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can slip away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def enter_namespaces() -> bool:
    """Leave the network, the mounts, the host name and the shared memory; the next child leaves the processes too.

    Root does it as root, so that a child can become somebody else; another user needs a user namespace.

    Returns:
        Whether it was done as root.

    Raises:
        OSError: the system does not allow either.
    """
    wanted = _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        with contextlib.suppress(OSError):
            _call("unshare", wanted)
            return True
    _call("unshare", _CLONE_NEWUSER | wanted)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return False


def enter_root(paths: Iterable[str], size: int) -> None:
    """Make a new file system of the system's libraries, some paths, and an empty ``/box``; nothing else stays visible.

    There is no ``/proc`` in it, and so nothing about any process. All but ``/box`` and ``/dev/shm`` is read-only.

    Args:
        paths: Absolute folders to show at their own place, read-only.
        size: Bytes that ``/box``, and ``/dev/shm``, can hold.

    Raises:
        OSError: a mount is refused.
    """
    # Each under its own name and under its real one, since links lead from one to the other. Links are followed here:
    # from inside the new root they would lead elsewhere.
    wanted = [path for path in paths for path in (os.path.realpath(path), path)]
    shown = {place: os.path.realpath(place) for place in [*SYSTEM, *sorted(wanted, key=len)]}
    _mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    _mount("root", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    Path("/tmp/old").mkdir()
    if _libc.syscall(_machine()["pivot_root"], b"/tmp", b"/tmp/old") != 0:
        raise _error("pivot_root")
    os.chdir("/")
    for place, source in shown.items():
        if not Path(place).exists():
            _show(f"/old{source}", place, _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    for device in DEVICES:
        _show(f"/old{device}", device, _MS_RDONLY | _MS_NOSUID)
    for folder in (BOX, "/dev/shm"):
        Path(folder).mkdir(exist_ok=True)
        _mount("work", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size},mode=1777")
    if not Path("/tmp").exists():
        Path("/tmp").symlink_to(BOX)
    _call("umount2", b"/old", _MNT_DETACH)
    Path("/old").rmdir()
    _mount("none", "/", flags=_MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def another_user() -> int:
    """A user that owns nothing, and another one for every process that asks.

    Raises:
        OSError: there are too few users here.
    """
    mapped = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    first, _, count = max(mapped, key=lambda one: one[2])
    if count > 2**31:
        return 2**30 + os.getpid() % 2**22  # far from what systems give to people and containers
    if count < 65_536:
        raise OSError(f"only {count} users exist here")
    return first + count - 32_000 + os.getpid() % 31_998


def become(user: int) -> None:
    """Become a user without groups, irrevocably."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def drop_privileges() -> None:
    """Give up every capability, and the ability to gain one."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _call("capset", header, nothing)


def limit(limits: dict[int, int]) -> None:
    """Set limits that can never be raised again; one that is lower already stays."""
    for which, most in limits.items():
        _, hard = resource.getrlimit(which)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (least, least))


def forbid_sockets() -> None:
    """Refuse every new socket from now on, in this process and all that come from it; pairs still work.

    Raises:
        OSError: the system has no filters, or the machine's system calls are not known here.
    """
    machine = _machine()
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    refuse = 0x50000 | 1  # fail with EPERM
    program = [
        (load, 0, 0, 4),
        (equal, 0, 5, machine["audit"]),  # another machine's calls have other numbers: none is let through
        (load, 0, 0, 0),
        (at_least, 3, 0, 0x40000000),  # x32's as well
        (equal, 2, 0, machine["socket"]),
        (equal, 1, 0, _SYS_IO_URING_SETUP),  # which can open sockets without the call
        (give, 0, 0, 0x7FFF0000),
        (give, 0, 0, refuse),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    _prctl(_PR_SET_SECCOMP, 2, struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer)))


def forbid_files(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Leave nothing of the file system but some folders, and no signal to processes outside, where Landlock can.

    Args:
        readable: What can be read and executed.
        writable: What can be changed as well.

    Raises:
        OSError: the kernel has no Landlock.
    """
    version = _libc.syscall(_SYS_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        raise _error("landlock")
    reading = 0b1101  # execute, read a file, read a folder
    every = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    network = 0b11 if version >= 4 else 0
    scoped = 0b11 if version >= 6 else 0  # abstract sockets and signals
    rules = struct.pack("QQQ", every, network, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    held = _libc.syscall(_SYS_LANDLOCK_CREATE, rules, len(rules), 0)
    if held < 0:
        raise _error("landlock")
    try:
        for paths, access in ((readable, reading), (writable, every)):
            for path in paths:
                _allow(held, path, access)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)  # without this only root may
        if _libc.syscall(_SYS_LANDLOCK_RESTRICT, held, 0) != 0:
            raise _error("landlock")
    finally:
        os.close(held)


def can(act: Callable[[], None]) -> bool:
    """Whether an irrevocable act would succeed, tried in a process that ends with it."""
    if (trial := os.fork()) == 0:
        try:
            drop_privileges()
            act()
        except BaseException:  # noqa: BLE001 - the exit status is the answer
            os._exit(1)
        os._exit(0)
    return os.waitpid(trial, 0)[1] == 0


def _allow(rules: int, path: str, access: int) -> None:
    try:
        there = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not Path(path).is_dir():
        access &= 0b111 | 1 << 14  # what concerns folders is refused for files
    try:
        if _libc.syscall(_SYS_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", access, there), 0) != 0:
            raise _error("landlock")
    finally:
        os.close(there)


def _show(source: str, place: str, attributes: int) -> None:
    """Show a file or folder at a place; one that does not exist not at all."""
    if not Path(source).exists():
        return
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    if Path(source).is_dir():
        Path(place).mkdir()
    else:
        Path(place).touch()
    _mount(source, place, flags=_MS_BIND | _MS_REC)
    asked = struct.pack("QQQQ", attributes, 0, 0, 0)
    if _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(place), _AT_RECURSIVE, asked, len(asked)) != 0:
        raise _error("mount_setattr")


def _mount(source: str, place: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    name = kind.encode() if kind else None
    _call("mount", os.fsencode(source), os.fsencode(place), name, ctypes.c_ulong(flags), options.encode() or None)


def _prctl(option: int, *values: object) -> None:
    given = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in values]
    _call("prctl", option, *given, *[ctypes.c_ulong(0)] * (4 - len(given)))


def _call(name: str, *values: object) -> None:
    if not hasattr(_libc, name):
        raise OSError(f"{sys.platform} has no {name}")
    if getattr(_libc, name)(*values) != 0:
        raise _error(name)


def _error(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{name}: {os.strerror(number)}")


def _machine() -> dict[str, int]:
    name = os.uname().machine
    if name not in _MACHINES:
        raise OSError(f"the system calls of {name} are not known")
    return _MACHINES[name]
