"""What programs try in the sandbox. Every attempt is real, and what it would have done outside is looked at there.

Each runs under every isolation that this machine allows, and where one keeps less in, the test says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from curate.errors import VerifierError
from curate.recipe import VerifierSection
from curate.records import Case, Judgement, VerdictKind
from curate.verifiers import connect, judge_all
from curate.verifiers.sandbox import Allowance, Isolation, choose

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing but the limits is there")

QUICK = {"test_timeout": 1, "timeout": 20, "memory": 256, "output": 1}
WAIT = 20.0


@pytest.fixture(scope="module", params=["auto", "user", "limits"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    """Each way to confine programs that this machine allows; the strongest comes first and is always there."""
    try:
        return choose(request.param, Allowance())
    except VerifierError as error:
        if request.param == "auto":
            raise
        pytest.skip(str(error))


def section(isolation: Isolation, **options: object) -> VerifierSection:
    return VerifierSection(kind="code", options={**QUICK, "isolation": isolation.name, **options}, workers=1)


def case(source: str, expected: str = "", tests: str = "") -> Case:
    reference = tests or json.dumps({"inputs": [""], "outputs": [expected]})
    return Case((reference,), f"```python\n{source}\n```")


def judge(isolation: Isolation, *cases: Case, **options: object) -> list[Judgement]:
    return judge_all(section(isolation, **options), cases)


def passes(isolation: Isolation, source: str, expected: str) -> None:
    (found,) = judge(isolation, case(source, expected))
    assert found.kind == VerdictKind.PASS, found.reason


def running(mark: str) -> list[psutil.Process]:
    """The processes with a word on their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def eventually(true: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def mark() -> str:
    """A number of seconds that nobody else sleeps."""
    return f"9{int.from_bytes(os.urandom(4), 'big')}"


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sleep", ["sleep", "{mark}"])
    os._exit(0)
os.wait()
"""


def test_a_fork_bomb_is_bounded_and_swept_up(isolation: Isolation) -> None:
    if isolation.name == "limits":
        pytest.skip("the number is the user's, and no number binds root: time alone ends it")
    word = mark()
    # As many sleepers as there can be, each in a session of its own; then the bomb itself.
    count = f"""
import os
started = 0
try:
    while True:
        if os.fork() == 0:
            os.setsid()
            os.execv("/bin/sleep", ["sleep", "{word}"])
        started += 1
except OSError:
    print(started)
"""
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    counted, bombed, after = judge(isolation, case(count, "3"), case(bomb), case("print(1)", "1"), processes=4)
    assert counted.kind == VerdictKind.PASS, counted.reason
    assert running(word) == []
    assert (bombed.kind, bombed.reason) == (VerdictKind.FAIL, "0 of 1 tests passed, first failure: timed out")
    assert after.kind == VerdictKind.PASS


def test_programs_at_the_same_time_do_not_share_their_bounds(isolation: Isolation) -> None:
    source = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
time.sleep(2)
print("both")
"""
    side_by_side = VerifierSection(**{**vars(section(isolation, processes=3, test_timeout=5)), "workers": 2})
    judged = judge_all(side_by_side, [case(source, "both"), case(source, "both")])
    assert [found.reward for found in judged] == [1.0, 1.0], [found.reason for found in judged]


def test_memory_is_bounded(isolation: Isolation) -> None:
    source = "try:\n    bytearray(10 * 10**9)\nexcept MemoryError:\n    print('refused')\nbytearray(50 * 10**6)"
    passes(isolation, source, "refused")


def test_files_are_bounded(isolation: Isolation) -> None:
    source = "try:\n    open('f', 'wb').write(bytes(2 * 2**20))\nexcept OSError:\n    print('refused')"
    passes(isolation, source, "refused")


def test_limits_cannot_be_raised(isolation: Isolation) -> None:
    source = """
import resource
for which in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
    try:
        resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        print("refused")
"""
    passes(isolation, source, "refused\n" * 4)


def test_a_daemon_does_not_outlive_its_program(isolation: Isolation) -> None:
    word = mark()
    seen = threading.Event()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set() and not seen.is_set():
            if running(word):
                seen.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        (found,) = judge(isolation, case(DAEMON.format(mark=word) + "time.sleep(1.5)\nprint('done')", "done"))
    finally:
        over.set()
        watcher.join()
    assert found.kind == VerdictKind.PASS, found.reason
    assert seen.is_set(), "it never ran, so this shows nothing"
    assert running(word) == []


def test_a_program_dies_with_the_worker_and_with_all_above(isolation: Isolation) -> None:
    word = mark()
    source = DAEMON.format(mark=word) + "time.sleep(1000)"

    async def run() -> None:
        pool = connect(section(isolation, test_timeout=60, timeout=180))
        await pool.start()
        asked = asyncio.create_task(pool.judge([case(source), case("print(1)", "1")]))
        assert await asyncio.to_thread(eventually, lambda: bool(running(word)))
        (worker,) = [
            child for child in psutil.Process().children() if "curate.verifiers.worker" in str(child.cmdline())
        ]
        worker.send_signal(signal.SIGKILL)
        lost, other = await asked
        assert (lost.kind, lost.reason) == (VerdictKind.UNSCORED, "worker died")
        assert other.kind == VerdictKind.PASS
        assert await asyncio.to_thread(eventually, lambda: not running(word))
        asked = asyncio.create_task(pool.judge([case(source)]))
        assert await asyncio.to_thread(eventually, lambda: bool(running(word)))
        await pool.close()
        with pytest.raises(VerifierError, match="closed"):
            await asked
        assert await asyncio.to_thread(eventually, lambda: not running(word))

    asyncio.run(run())


def test_a_sandbox_that_is_killed_says_nothing_about_the_program(isolation: Isolation) -> None:
    word = mark()

    async def run() -> list[Judgement]:
        pool = connect(section(isolation, test_timeout=60, timeout=180))
        try:
            asked = asyncio.create_task(
                pool.judge([case(DAEMON.format(mark=word) + "time.sleep(1000)"), case("print(1)", "1")])
            )
            assert await asyncio.to_thread(eventually, lambda: bool(running(word)))
            (worker,) = [one for one in psutil.Process().children() if "curate.verifiers.worker" in str(one.cmdline())]
            for warden in worker.children()[0].children():
                warden.send_signal(signal.SIGKILL)
            judged = await asked
            assert await asyncio.to_thread(eventually, lambda: not running(word))
            return judged
        finally:
            await pool.close()

    lost, after = asyncio.run(run())
    assert (lost.kind, lost.reward) == (VerdictKind.UNSCORED, None)
    assert lost.reason.startswith("error: the sandbox failed")
    assert after.kind == VerdictKind.PASS


def test_nothing_is_written_outside(isolation: Isolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tmp_path.chmod(0o777)
    existing = tmp_path / "existing"
    existing.write_text("mine")
    existing.chmod(0o666)
    word = f"escaped-{mark()}"
    places = [str(tmp_path), "/tmp", "/var/tmp", "/dev/shm", "/etc", "/usr", sys.prefix, str(Path.home()), "/", ".."]
    source = f"""
import os
for place in {places!r}:
    try:
        open(os.path.join(place, {word!r}), "w").write("x")
    except OSError:
        pass
try:
    open({str(existing)!r}, "w").write("x")
except OSError:
    pass
open("inside", "w").write("x")
os.makedirs("deep/er")
os.chmod("deep", 0)
print(os.path.exists("inside"))
"""
    passes(isolation, source, "True")
    assert [place for place in places[:-1] if Path(place, word).exists()] == []
    assert existing.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["existing"]


def test_one_test_leaves_nothing_for_the_next(isolation: Isolation) -> None:
    source = "import os\nprint(os.listdir('.'))\nos.makedirs('a/b')\nos.symlink('/', 'c')\nos.chmod('a', 0)"
    (found,) = judge(isolation, case(source, tests=json.dumps({"inputs": ["", ""], "outputs": ["[]", "[]"]})))
    assert found.kind == VerdictKind.PASS, found.reason


def test_the_environment_of_the_caller_is_not_seen(isolation: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_TEST_SECRET", "open-sesame")
    source = """
import glob, os, subprocess
wanted = b"open-" + b"sesame"
print(wanted in repr(os.environ).encode(), wanted in subprocess.run(["env"], capture_output=True).stdout)
for kind in ("environ", "mem", "cmdline"):
    for path in glob.glob(f"/proc/*/{kind}"):
        try:
            if wanted in open(path, "rb").read(1 << 20):
                print("found in", path)
        except (OSError, OverflowError):
            pass
"""
    passes(isolation, source, "False False")


def test_files_of_the_caller_are_not_read(isolation: Isolation, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame")
    source = f"""
for path in ({str(secret)!r}, "/etc/passwd", {__file__!r}):
    try:
        print(open(path).read())
    except OSError:
        print("refused")
"""
    passes(isolation, source, "refused\n" * 3)


def test_no_other_process_is_touched(isolation: Isolation) -> None:
    source = f"""
import os
for pid in ({os.getpid()}, os.getppid()):
    try:
        os.kill(pid, 9 if pid > 1 else 15)
    except OSError:
        pass
try:
    os.kill(-1, 0)
except OSError:
    pass
print("alive")
"""
    passes(isolation, source, "alive")


def test_no_socket_reaches_a_listener(isolation: Isolation, tmp_path: Path) -> None:
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as local:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        local.bind("\0curate-" + mark())
        local.listen()
        with socket.create_connection(listener.getsockname()):
            listener.accept()[0].close()  # it can be reached from here
        source = f"""
import socket
for family, place in ((socket.AF_INET, {listener.getsockname()!r}), (socket.AF_UNIX, {local.getsockname()!r})):
    try:
        socket.socket(family).connect(place)
        print("connected")
    except OSError:
        print("refused")
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", {listener.getsockname()!r})
except OSError:
    pass
one, other = socket.socketpair()
one.send(b"pairs work")
print(other.recv(20).decode())
"""
        passes(isolation, source, "refused\nrefused\npairs work")
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not tell who waits")
def test_waiting_for_a_busy_processor_is_no_fault(isolation: Isolation) -> None:
    cores = os.sched_getaffinity(0)
    burn = [sys.executable, "-c", "while True: pass"]
    os.sched_setaffinity(0, {min(cores)})  # this process and all that come from it, on one core
    try:
        others = [subprocess.Popen(burn, start_new_session=True) for _ in range(10)]
        try:
            source = "import time\nwhile time.process_time() < 0.6: pass\nprint(1)"
            began = time.monotonic()
            (found,) = judge(isolation, case(source, "1"), timeout=60)
            assert time.monotonic() - began > 3, "the processor was not busy, so this shows nothing"
        finally:
            for other in others:
                other.kill()
                other.wait()
    finally:
        os.sched_setaffinity(0, cores)
    assert found.kind == VerdictKind.PASS, found.reason
    (sleeper,) = judge(isolation, case("import time\ntime.sleep(1000)"), timeout=60)
    assert sleeper.reason.startswith("0 of 1 tests passed, first failure: timed out")
    assert sleeper.seconds < 30


def test_privileges_are_gone(isolation: Isolation) -> None:
    source = """
import ctypes, os
libc = ctypes.CDLL(None)
print(libc.unshare(0x40000000), libc.mount(b"x", b"/", b"tmpfs", 0, None), libc.chroot(b"."))
"""
    passes(isolation, source, "-1 -1 -1")


CHECK = "def check(candidate):\n    for n in range(9):\n        assert candidate(n) == n * n + 17\ncheck(f)"
CHEATS = {
    "prints what success might look like": "print('passed', 'PASSED', '1 of 1 tests passed')\ndef f(n): return 0",
    "exits early": "import os\nos._exit(0)",
    "exits early, the gentle way": "raise SystemExit(0)",
    "exits in the function": "import os\ndef f(n): os._exit(0)",
    "exits in the function, the gentle way": "def f(n): raise SystemExit(0)",
    "fakes the report": "import os\nos.write(3, bytes(4) + b'x' * 8)\ndef f(n): return 0",
    "replaces what tests are made of": """
import builtins, os, sys
class Never(BaseException): pass
builtins.AssertionError = Never
builtins.range = lambda *_: []
builtins.exec = lambda *_: None
os.read = lambda *_: bytes(8)
sys.exit = os._exit = exit = lambda *_: None
def f(n): return 0
""",
    "replaces the check": "def check(candidate): pass\ndef f(n): return 0",
    "has no function at all": "check = None",
    "optimises the assertions away": "import sys\n__debug__ if False else None\nsys.flags\ndef f(n): return 0",
}


def test_cheats_pass_no_test(isolation: Isolation) -> None:
    judged = judge(isolation, *(case(source, tests=CHECK) for source in CHEATS.values()))
    assert {name: found.reward for name, found in zip(CHEATS, judged, strict=True)} == dict.fromkeys(CHEATS, 0.0)
    (honest,) = judge(isolation, case("def f(n): return n * n + 17", tests=CHECK))
    assert honest.reward == 1.0


SEARCH = """
import gc, os, sys
def texts():
    frame = sys._getframe()
    while frame:
        yield from map(repr, [*frame.f_locals.values(), *frame.f_globals.values()])
        frame = frame.f_back
    yield from map(repr, gc.get_objects())
    for file in range(3, 64):
        try:
            yield repr(os.pread(file, 1 << 20, 0))
        except OSError:
            pass
found = any("".join(["7393", "9133"]) in text for text in texts())  # nowhere but for this moment
"""


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (SEARCH + "print(int(''.join(['7393', '9133'])) if found else 0)", ""),
        (SEARCH + "def f(): return int(''.join(['7393', '9133'])) if found else 0", "f"),
    ],
    ids=["script", "function"],
)
def test_expected_outputs_are_not_inside(isolation: Isolation, source: str, name: str) -> None:
    expected: Sequence[object] = [73939133] if name else ["73939133"]
    tests = json.dumps({"inputs": [[]] if name else [""], "outputs": expected, **({"fn_name": name} if name else {})})
    (found,) = judge(isolation, case(source, tests=tests))
    assert (found.kind, found.reason.startswith("0 of 1 tests passed, first failure: a wrong result")) == (
        VerdictKind.FAIL,
        True,
    )
