"""The ledger: what is written is read back, nothing is half written, and nobody else writes meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from builders import FINGERPRINT, manifest, problem, rollout, verdict
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import LedgerBusy, LedgerCorrupt, LedgerError, LedgerUnwritable
from curate.ledger import Ledger
from curate.recorder import Recorder
from curate.records import FailedRequest, Reason, VerdictKind


def test_rollouts_and_verdicts_come_back_as_they_were(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    drawn = [rollout("a", 0, seed=2**61 + 3, completion="x\n\u00e9"), rollout("b", 7, finish_reason="length")]
    ledger.append_rollouts(drawn[:1])
    ledger.append_rollouts(drawn[1:])
    ledger.append_verdicts(FINGERPRINT, [verdict("a", 0, VerdictKind.UNSCORED, answer=None, reason="timeout")])
    assert [tuple(row) for row in ledger.rollouts(["problem_id", "index", "seed", "completion"]).iter_rows()] == [
        ("a", 0, 2**61 + 3, "x\n\u00e9"),
        ("b", 7, 7, r"\boxed{4}"),
    ]
    assert ledger.held() == {"a": [0], "b": [7]}
    found = ledger.verdicts(FINGERPRINT).row(0, named=True)
    assert (found["verdict"], found["reward"], found["answer"], found["reason"]) == ("unscored", None, None, "timeout")
    assert ledger.verdicts("another verifier").is_empty()


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_any_text_can_be_recorded(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(folder)
        ledger.append_rollouts([rollout(completion=text)])
        (back,) = ledger.rollouts(["completion"])["completion"]
    assert len(back) == len(text)
    assert all(
        new == old or (0xD800 <= ord(old) <= 0xDFFF and new == "\ufffd") for old, new in zip(text, back, strict=True)
    )


def test_the_newest_verdict_of_a_rollout_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append_verdicts(FINGERPRINT, [verdict("a", 0, VerdictKind.UNSCORED)])
    ledger.append_verdicts(FINGERPRINT, [verdict("a", 0, VerdictKind.PASS)])
    assert ledger.verdicts(FINGERPRINT)["verdict"].to_list() == ["pass"]


def test_a_rollout_recorded_twice_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append_rollouts([rollout("a", 3)])
    ledger.append_rollouts([rollout("a", 3)])
    with pytest.raises(LedgerCorrupt, match="rollout 3 of problem a is recorded twice"):
        ledger.held()


def test_problems_come_back_with_what_set_them_aside(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    aside = problem("b", answers=(), set_aside=Reason.UNVERIFIABLE, set_aside_why="no answer")
    ledger.write_problems([problem("a", answers=("1", "2"), metadata={"level": 3}), aside], ["prompt", ""])
    first, second = ledger.problems().iter_rows(named=True)
    assert (first["answer"], first["answers"], first["prompt"], first["metadata"]) == (
        "1",
        ["1", "2"],
        "prompt",
        '{"level": 3}',
    )
    assert (second["answer"], second["set_aside"], second["set_aside_why"]) == (None, "unverifiable", "no answer")


def test_an_unreadable_file_is_named_and_never_skipped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for index in range(3):
        ledger.append_rollouts([rollout("a", index)])
    victim = sorted((tmp_path / "rollouts").glob("*.parquet"))[1]
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(LedgerCorrupt) as raised:
        ledger.held()
    assert raised.value.where == str(victim)
    assert "unreadable" in raised.value.message


def test_an_unreadable_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1, "na')
    with pytest.raises(LedgerCorrupt, match=r"manifest\.json"):
        Ledger(tmp_path).manifest()


def test_a_profile_of_another_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(LedgerError, match="layout 99"):
        Ledger(tmp_path).manifest()


def test_where_there_is_no_profile_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="curate profile RECIPE"):
        Ledger(tmp_path / "nowhere").manifest()


def test_half_written_files_are_invisible_and_swept_away(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append_rollouts([rollout("a", 0)])
    whole = next((tmp_path / "rollouts").glob("*.parquet"))
    leftover = tmp_path / "rollouts" / ".tmp-123.parquet"
    leftover.write_bytes(whole.read_bytes()[:50])
    assert ledger.held() == {"a": [0]}
    with ledger.writing():
        assert not leftover.exists()


# -- one writer -------------------------------------------------------------------------------------------------------


def _hold(folder: str, shard: tuple[int, int] | None, ready: object, release: object) -> None:
    with Ledger(folder).writing(shard):
        ready.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("theirs", "ours", "clash"),
    [
        (None, None, True),
        (None, (1, 2), True),
        ((1, 2), None, True),
        ((1, 2), (1, 2), True),
        ((1, 2), (2, 2), False),
        ((1, 2), (1, 3), True),
    ],
)
def test_two_writers_of_the_same_problems_refuse_each_other(
    tmp_path: Path, theirs: tuple[int, int] | None, ours: tuple[int, int] | None, clash: bool
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path), theirs, ready, release))
    other.start()
    try:
        assert ready.wait(30)
        if clash:
            with pytest.raises(LedgerBusy), Ledger(tmp_path).writing(ours):
                pass
        else:
            with Ledger(tmp_path).writing(ours):
                pass
    finally:
        release.set()
        other.join(30)
    with Ledger(tmp_path).writing(ours):
        pass


# -- where nothing can be written -------------------------------------------------------------------------------------


def test_a_full_disk_is_named_and_what_was_held_can_be_flushed_later(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    recorder = Recorder(ledger, FINGERPRINT)
    recorder.add_rollouts([rollout("a", index, completion=os.urandom(4000).hex()) for index in range(20)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(LedgerUnwritable, match="no room to write") as raised:
            recorder.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.hint is not None
    assert "free some space" in raised.value.hint
    assert ledger.held() == {}
    recorder.flush()
    assert ledger.held() == {"a": list(range(20))}


@pytest.mark.skipif(
    shutil.which("setpriv") is None and os.geteuid() == 0, reason="root writes anywhere without setpriv"
)
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    code = (
        "import sys; from curate.ledger import Ledger\n"
        "from curate.errors import LedgerUnwritable\n"
        "try:\n"
        "    with Ledger(sys.argv[1]).writing(): pass\n"
        "except LedgerUnwritable as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(closed)]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *command]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot write" in said
    assert str(closed) in said
    assert "folder that you may write" in said


# -- the recorder -----------------------------------------------------------------------------------------------------


def test_rows_that_come_while_another_thread_flushes_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    recorder = Recorder(ledger, FINGERPRINT)
    finished = threading.Event()

    def flush() -> None:
        while not finished.is_set():
            recorder.flush()

    threads = [threading.Thread(target=flush) for _ in range(2)]
    for thread in threads:
        thread.start()
    for index in range(3000):
        recorder.add_rollouts([rollout("a", index)])
    finished.set()
    for thread in threads:
        thread.join()
    recorder.flush()
    assert ledger.held() == {"a": list(range(3000))}


def test_a_flush_is_due_by_time_by_rows_and_by_size(tmp_path: Path) -> None:
    assert not Recorder(Ledger(tmp_path), FINGERPRINT).due()
    late = Recorder(Ledger(tmp_path), FINGERPRINT, seconds=0.0)
    late.add_error(FailedRequest("a", 0, 1, "no", 0.0))
    assert late.due()
    full = Recorder(Ledger(tmp_path), FINGERPRINT, rows=2)
    full.add_rollouts([rollout("a", 0)])
    assert not full.due()
    full.add_rollouts([rollout("a", 1)])
    assert full.due()
    large = Recorder(Ledger(tmp_path), FINGERPRINT, size=100)
    large.add_rollouts([rollout("a", 2, completion="x" * 100)])
    assert large.due()
    large.flush()
    assert not large.due()


def test_the_manifest_is_replaced_whole(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write_manifest(manifest(name="one"))
    ledger.write_manifest(manifest(name="two"))
    assert ledger.manifest()["name"] == "two"
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]
