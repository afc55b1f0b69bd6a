"""Importing: rollouts of another tool are verified, estimated and filtered like our own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import jsonl
from datasets import load_dataset

from curate.auditing import audit
from curate.cli.main import run
from curate.errors import LedgerError, ProblemsError, ReleaseError, UsageError
from curate.importing import import_every_step, import_rollouts
from curate.ledger import Ledger
from curate.publish.release import filter
from curate.publish.report import report
from curate.recipe import VerifierSection
from curate.verifying import verify
from curate.viewing import overview, problem

EXACT = VerifierSection(kind="exact", workers=1)


def rows(problem_id: str, passes: int, n: int, **more: Any) -> list[dict[str, Any]]:
    texts = [r"so it is \boxed{4}"] * passes + [r"\boxed{5}"] * (n - passes)
    base = {"problem_id": problem_id, "question": f"what of {problem_id}?", "answer": "4", **more}
    return [{**base, "index": index, "completion": text} for index, text in enumerate(texts)]


def test_imported_rollouts_are_verified_estimated_and_filtered(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [*rows("a", 16, 32), *rows("b", 32, 32), *rows("c", 0, 32)])
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT, model="someone/model")
    assert brought.rollouts == 96
    assert brought.summary.outcomes == {"in_band": 1, "too_easy": 1, "too_hard": 1}
    manifest = Ledger(tmp_path / "out").manifest()
    assert manifest["model"] == {"path": "someone/model", "revision": "unknown", "chat_template": "unknown"}
    assert manifest["recipe"] is None
    assert manifest["protocol"]["sampling.temperature"] == manifest["protocol"]["prompt.template"] == "unknown"
    told = manifest["imported"]
    assert (told["format"], told["step"], told["texts"], told["tool"]) == ("jsonl", None, True, "unknown")
    assert "model.path" not in told["unknown"]
    release = filter(tmp_path / "out", to=tmp_path / "release")
    assert release.rows["default"] == 1
    assert load_dataset(str(tmp_path / "release"), split="train")["problem_id"] == ["a"]
    seen = problem(tmp_path / "out", "a")
    assert [rollout["verdict"] for rollout in seen.rollouts] == ["pass"] * 16 + ["fail"] * 16


def test_parquet_with_other_column_names(tmp_path: Path) -> None:
    frame = pl.DataFrame(rows("a", 3, 4)).rename({"completion": "response", "problem_id": "uid"})
    frame.write_parquet(tmp_path / "log.parquet")
    code = run(
        [
            *("import", str(tmp_path / "log.parquet"), "--format", "parquet", "--into", str(tmp_path / "out")),
            *("--verifier", "exact", "--column", "completion=response", "--column", "problem_id=uid", "--json"),
        ]
    )
    assert code == 0
    assert Ledger(tmp_path / "out").estimates().select("problem_id", "n", "k").rows() == [("a", 4, 3)]


def test_truncated_rollouts_fail_whatever_they_say(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", rows("a", 4, 4, finish_reason="length"))
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    assert (brought.summary.passes, brought.summary.truncated) == (0, 4)


def test_the_rewards_of_the_log_are_kept_beside_ours_and_can_be_believed(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [{**row, "reward": 1.0 - row["index"] % 2} for row in rows("a", 2, 4)])
    import_rollouts(log, format="jsonl", into=tmp_path / "ours", verifier=EXACT)
    assert len(list((tmp_path / "ours" / "verdicts").iterdir())) == 2
    assert Ledger(tmp_path / "ours").estimates()["k"].to_list() == [2]
    believed = VerifierSection(kind="logged", pass_at=0.5)
    import_rollouts(log, format="jsonl", into=tmp_path / "theirs", verifier=believed)
    ledger = Ledger(tmp_path / "theirs")
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"]).sort("index")
    assert verdicts["verdict"].to_list() == ["pass", "fail", "pass", "fail"]
    with pytest.raises(UsageError, match="no rewards"):
        import_rollouts(
            jsonl(tmp_path / "none.jsonl", rows("a", 1, 2)), format="jsonl", into=tmp_path / "x", verifier=believed
        )


def test_a_missing_reward_is_unscored_and_no_failure(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [{**row, "reward": None if row["index"] else 1.0} for row in rows("a", 2, 3)])
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=VerifierSection(kind="logged"))
    assert (brought.summary.scored, brought.summary.unscored) == (1, 2)


def test_the_same_log_again_brings_nothing_and_another_is_refused(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", rows("a", 3, 6))
    import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    ledger = Ledger(tmp_path / "out")
    before = ledger.rollouts()
    # A broken-off import: half of it is there, and without its verdicts.
    for file in (tmp_path / "out" / "verdicts").rglob("*.parquet"):
        file.unlink()
    again = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    assert again.rollouts == 0
    assert ledger.rollouts().equals(before)
    assert ledger.estimates().select("n", "k").rows() == [(6, 3)]
    other = jsonl(tmp_path / "other.jsonl", rows("a", 1, 6))
    with pytest.raises(LedgerError, match="another profile here, or this log imported otherwise"):
        import_rollouts(other, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    with pytest.raises(LedgerError, match="they differ in log"):
        import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT, answer_pattern="(.)")


def test_a_broken_row_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = jsonl(tmp_path / "log.jsonl", rows("a", 3, 6))
    with log.open("a") as file:
        file.write('{"problem_id": "a", "question": "what of a?", "answer": "4", "index": 6}\n')
    with pytest.raises(ProblemsError) as raised:
        import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    assert raised.value.where == f"{log}:7"
    assert "completion" in raised.value.message
    assert not (tmp_path / "out").exists()
    arguments = ["import", str(log), "--format", "jsonl", "--into", str(tmp_path / "out"), "--verifier", "exact"]
    assert run([*arguments, "--skip-bad-lines"]) == 0
    assert "1 rows left out" in capsys.readouterr().err
    assert Ledger(tmp_path / "out").held() == {"a": [0, 1, 2, 3, 4, 5]}


# -- errors ---------------------------------------------------------------------------------------------------------


def test_errors_recorded_as_answers_are_failed_requests_and_no_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = rows("a", 2, 4, reward=1.0)
    drawn[1]["completion"] = "Error code: 429 - {'error': {'message': 'Rate limit reached'}}"
    drawn[3] |= {"completion": "", "error": "timed out", "reward": 0.0}
    lost = [{**row, "completion": "", "error": {"message": "refused"}} for row in rows("b", 0, 2)]
    log = jsonl(tmp_path / "log.jsonl", [*drawn, *lost])
    arguments = ["import", str(log), "--format", "jsonl", "--into", str(tmp_path / "out"), "--verifier", "exact"]
    assert run(arguments) == 0
    told = capsys.readouterr().err
    assert "4 rows are errors in place of answers, and set aside" in told
    assert f"{log}:2: an error in place of a completion: Error code: 429" in told
    ledger = Ledger(tmp_path / "out")
    assert ledger.held() == {"a": [0, 2]}
    estimates = ledger.estimates()
    assert estimates.select("problem_id", "n", "k").rows() == [("a", 2, 1), ("b", 0, 0)]
    assert all("engine_error" in reasons for reasons in estimates["reasons"])
    failed = ledger.failed_requests().select("problem_id", "first_index", "error").rows()
    assert failed[1:] == [("a", 3, "timed out"), ("b", 0, "refused"), ("b", 1, "refused")]
    # The log's own verdicts know them neither.
    found = verify(tmp_path / "out", VerifierSection(kind="logged", pass_at=1.0), adopt=True)
    assert found.summary is not None
    assert (found.summary.scored, found.summary.passes) == (2, 2)
    assert run(arguments) == 1, "another verifier's profile is no place to go on with this one"
    assert ledger.failed_requests().height == 4


# -- the log's own verdicts -----------------------------------------------------------------------------------------


def test_verify_goes_back_to_the_verdicts_of_the_log(tmp_path: Path) -> None:
    rewards = {0: 1.0, 1: 0.4, 2: 0.6, 3: None}
    log = jsonl(tmp_path / "log.jsonl", [{**row, "reward": rewards[row["index"]]} for row in rows("a", 4, 4)])
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=EXACT)
    assert brought.agreement == (1, 3)
    found = verify(tmp_path / "out", "logged")
    assert not found.counts
    assert found.judged == 0
    assert found.changes.verdicts["pass"] == {"pass": 1, "fail": 2, "unscored": 1}
    found = verify(tmp_path / "out", VerifierSection(kind="logged", pass_at=0.5), adopt=True)
    assert found.judged == 4
    ledger = Ledger(tmp_path / "out")
    assert ledger.estimates().select("n", "k").rows() == [(3, 2)]
    assert ledger.manifest()["protocol"]["verifier.kind"] == "logged"
    again = verify(tmp_path / "out", EXACT, adopt=True)
    assert (again.judged, ledger.estimates()["k"].to_list()) == (0, [4])
    plain = jsonl(tmp_path / "plain.jsonl", rows("a", 1, 2))
    import_rollouts(plain, format="jsonl", into=tmp_path / "plain", verifier=EXACT)
    with pytest.raises(LedgerError, match="no verdicts of a log"):
        verify(tmp_path / "plain", "logged")


def test_a_log_without_references_is_worth_its_rewards(tmp_path: Path) -> None:
    log = jsonl(
        tmp_path / "log.jsonl", [{**row, "answer": None, "reward": row["index"] % 2} for row in rows("a", 0, 64)]
    )
    with pytest.raises(UsageError, match="no references for math"):
        import_rollouts(log, format="jsonl", into=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    brought = import_rollouts(log, format="jsonl", into=tmp_path / "out", verifier=VerifierSection(kind="logged"))
    assert brought.summary.outcomes == {"in_band": 1}
    release = filter(tmp_path / "out", to=tmp_path / "release")
    assert release.rows["default"] == 1


def test_the_options_of_a_verifier_reach_it(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", [{"question": "pi?", "answer": "3.14159", "completion": "so \\boxed{3.14}"}])
    arguments = ["import", str(log), "--format", "jsonl", "--verifier", "numeric", "--workers", "1"]
    for name, option, k in (("strict", "rel_tolerance=0.000001", 0), ("loose", "rel_tolerance=0.01", 1)):
        assert run([*arguments, "--into", str(tmp_path / name), "--option", option]) == 0
        assert Ledger(tmp_path / name).estimates()["k"].to_list() == [k]


def test_what_an_answer_pattern_misses_has_no_reference_and_says_so(tmp_path: Path) -> None:
    log = [*rows("a", 2, 4, answer="#### 4"), *rows("b", 2, 4, answer="four"), *rows("c", 2, 4, answer="")]
    path = jsonl(tmp_path / "log.jsonl", log)
    import_rollouts(path, format="jsonl", into=tmp_path / "out", verifier=EXACT, answer_pattern=r"####\s*(.+)$")
    told = Ledger(tmp_path / "out").problems().select("problem_id", "answers", "set_aside", "set_aside_why").rows()
    assert told == [
        ("a", ["4"], None, ""),
        ("b", [], "unverifiable", "answer_pattern finds no reference in 'four'"),
        ("c", [], "unverifiable", "the reference answer is empty"),
    ]


# -- steps ----------------------------------------------------------------------------------------------------------


def test_every_step_of_a_policy_in_training_has_a_profile_of_its_own(tmp_path: Path) -> None:
    for step, passes in ((9, 1), (10, 3)):
        jsonl(tmp_path / f"{step}.jsonl", [{**row, "step": step} for row in rows("a", passes, 4)])
    logs_ = [tmp_path / "9.jsonl", tmp_path / "10.jsonl"]
    with pytest.raises(UsageError, match="several steps"):
        import_rollouts(logs_, format="jsonl", into=tmp_path / "one", verifier=EXACT)
    assert not (tmp_path / "one").exists()
    brought = import_every_step(logs_, format="jsonl", into=tmp_path / "all", verifier=EXACT)
    assert [one.step for one in brought] == [9, 10]
    assert [one.summary.path.name for one in brought] == ["step-000009", "step-000010"]
    ledgers = [Ledger(one.summary.path) for one in brought]
    assert [ledger.estimates()["k"].to_list() for ledger in ledgers] == [[1], [3]]
    manifests = [ledger.manifest() for ledger in ledgers]
    assert [manifest["imported"]["step"] for manifest in manifests] == [9, 10]
    assert len({manifest["protocol_fingerprint"] for manifest in manifests}) == 2
    single = import_rollouts(logs_, format="jsonl", into=tmp_path / "ten", verifier=EXACT, step=10)
    assert (single.summary.passes, single.others) == (3, 4)
    log = jsonl(tmp_path / "none.jsonl", rows("a", 1, 2))
    with pytest.raises(UsageError, match="no row of the log has a step"):
        import_every_step(log, format="jsonl", into=tmp_path / "x", verifier=EXACT)


def test_every_step_loses_no_step_and_counts_a_bad_line_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ten = [{**row, "step": 10} for row in rows("a", 1, 2)]
    twenty = [{**row, "step": 20.0} for row in rows("a", 2, 2)]
    strays = [{**row, "step": "30"} for row in rows("a", 2, 2)]
    bad = [{**rows("b", 1, 1)[0], "step": 20, "reward": "x"}, rows("c", 1, 1)[0]]
    logs_ = [jsonl(tmp_path / "a.jsonl", [*ten, *twenty, *bad]), jsonl(tmp_path / "b.jsonl", strays)]
    logs_[0].write_text(logs_[0].read_text() + "junk\n")
    into = tmp_path / "all"
    arguments = ["import", *map(str, logs_), "--format", "jsonl", "--into", str(into), "--every-step"]
    arguments += ["--verifier", "exact", "--workers", "1"]
    assert run(arguments) == 1
    assert f"{logs_[0]}:7" in capsys.readouterr().err
    assert not into.exists()
    assert run([*arguments, "--skip-bad-lines", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["step"], one["summary"]["passes"], one["bad_lines"]) for one in told] == [(10, 1, 4), (20, 2, 1)]
    places = [line.partition(": ")[0] for line in told[0]["first_bad_lines"]]
    assert places == [f"{logs_[0]}:7", f"{logs_[1]}:1", f"{logs_[1]}:2", f"{logs_[0]}:6"]
    assert told[1]["first_bad_lines"] == [f"{logs_[0]}:5: the reward is 'x', not a number"]


def test_every_step_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dumps = Path(__file__).parent / "logs" / "written" / "verl"
    arguments = ["import", str(dumps), "--format", "verl", "--into", str(tmp_path), "--verifier", "exact", "--json"]
    assert run([*arguments, "--every-step", "--reward", "acc", "--workers", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["step"], one["summary"]["passes"]) for one in told] == [(10, 2), (20, 4)]
    assert [one["agreement"] for one in told] == [[4, 4], [4, 4]]
    assert run([*arguments, "--every-step", "--step", "10"]) == 2


# -- counts ---------------------------------------------------------------------------------------------------------


def test_counts_are_estimated_and_filtered_and_nothing_reads_their_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "rates.csv"
    table.write_text("question,answer,tries,solved\na?,4,64,32\nb?,4,64,64\nc?,4,64,0\n")
    into = str(tmp_path / "out")
    columns = ["--column", "n=tries", "--column", "k=solved"]
    assert run(["import", str(table), "--format", "counts", "--into", into, *columns, "--model", "m"]) == 0
    ledger = Ledger(into)
    manifest = ledger.manifest()
    assert (manifest["imported"]["texts"], manifest["pilot"]) == (False, 64)
    columns_ = ["n", "k", "n_pilot", "k_pilot", "outcome"]
    assert ledger.estimates().select(columns_).rows() == [
        (64, 32, 64, 32, "in_band"),
        (64, 64, 64, 64, "too_easy"),
        (64, 0, 64, 0, "too_hard"),
    ]
    assert set(ledger.rollouts()["engine"]) == {"import counts"}
    capsys.readouterr()
    for command in (["verify", into, "--verifier", "exact"], ["audit", into]):
        assert run(command) == 1
        assert "imported as counts: there are no texts" in capsys.readouterr().err
    assert run(["show", into]) == 0
    assert "counts without texts" in capsys.readouterr().out
    name = ledger.problems()["problem_id"][0]
    assert run(["show", into, name]) == 0
    assert "there are no texts" in capsys.readouterr().out
    assert not problem(into, name).texts
    assert filter(into, to=tmp_path / "release").rows["default"] == 1
    with pytest.raises(UsageError, match="no texts to verify"):
        import_rollouts(
            table, format="counts", into=tmp_path / "x", verifier=EXACT, columns={"n": "tries", "k": "solved"}
        )


# -- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_everything_safe_and_exits_3(tmp_path: Path, number: signal.Signals) -> None:
    hangs = ["\\boxed{5^{5^{5^{5^" + str(base) + "}}}}" for base in range(6, 10)]
    drawn = [{**row, "reward": 1.0} for row in rows("a", 600, 600)]
    drawn = [{**row, "completion": text} for row, text in zip(rows("b", 0, 4), hangs, strict=True)] + drawn
    log = jsonl(tmp_path / "log.jsonl", drawn)
    into = tmp_path / "out"
    options = ["--format", "jsonl", "--into", str(into), "--option", "timeout=1", "--workers", "1"]
    command = [sys.executable, "-m", "curate.cli.main", "import", str(log), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    # The log's own verdicts are written before the first of ours, which four hanging answers hold up.
    while not list(into.glob("verdicts/*/*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no verdict was flushed"
        time.sleep(0.05)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert out == ""
    assert f"stopped by {number.name}" in said
    assert "Traceback" not in said
    ledger = Ledger(into)
    assert ledger.rollouts().height == 604
    own = ledger.manifest()["verifier_fingerprint"]
    assert ledger.verdicts(own).height < 604
    math = VerifierSection(options={"timeout": 1}, workers=1)
    again = import_rollouts(log, format="jsonl", into=into, verifier=math)
    assert again.rollouts == 0
    assert (ledger.verdicts(own).height, ledger.scan_verdicts(own).collect().height) == (604, 604)
    assert overview(into).summary.unscored == 4


# -- third-party files ----------------------------------------------------------------------------------------------


def test_qwens_800_completions_import_verify_audit_filter_and_report(tmp_path: Path, third_party_data: Path) -> None:
    log = third_party_data / "rollouts" / "qwen25math_math100x8.jsonl"
    columns = {"completion": "code", "reward": "score", "answer": "gt", "problem_id": "idx"}
    into = tmp_path / "out"
    brought = import_rollouts(log, format="jsonl", into=into, columns=columns, model="Qwen2.5-Math")
    assert (brought.rollouts, brought.rewards, brought.bad_lines, brought.failed_requests) == (800, 800, 0, 0)
    assert brought.agreement is not None
    assert brought.agreement[0] >= 799
    found = verify(into, "logged")
    assert found.changes.rollouts == 800
    assert found.changes.changed == 800 - brought.agreement[0]
    assert audit(into, workers=1).rollouts == 800
    release = filter(into, to=tmp_path / "release")
    assert release.rows["default"] + release.rows["excluded"] == 100
    page = report(into)
    assert (page.problems, page.rollouts, page.kept) == (100, 800, release.rows["default"])


def test_four_models_5276_completions_are_four_profiles(tmp_path: Path, third_party_data: Path) -> None:
    log = third_party_data / "rollouts" / "openai_gsm8k_4models.jsonl"
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    total = 0
    for model in models:
        columns = {"completion": f"{model}.solution", "reward": f"{model}.is_correct", "answer": "ground_truth"}
        into = tmp_path / model
        brought = import_rollouts(
            log,
            format="jsonl",
            into=into,
            columns=dict(columns),
            model=model,
            answer_pattern=r"A:\s*(.+)$",
            verifier=VerifierSection(kind="numeric"),
        )
        total += brought.rollouts
        assert brought.rewards == 1319
        assert brought.agreement is not None
        assert brought.agreement[0] / brought.agreement[1] > 0.99
        assert verify(into, "logged").changes.rollouts == 1319
        assert audit(into, workers=1).rollouts == 1319
        # One draw decides nothing; with every pass rate in the band, what the audit flags is all that is left out.
        with pytest.raises(ReleaseError, match=r"no problem was kept out of 1,319: 1,319 undecided"):
            filter(into, to=tmp_path / "releases" / model)
        release = filter(into, to=tmp_path / "releases" / model, band=(0.0, 1.0))
        assert release.rows["default"] + release.rows["excluded"] == 1319
        assert release.rows["default"] > 1200
        page = report(into, to=tmp_path / f"{model}.html")
        assert (page.problems, page.rollouts, page.kept) == (1319, 1319, 0)
    assert total == 5276


def test_real_completions_get_the_verdicts_of_their_labels(tmp_path: Path, third_party_data: Path) -> None:
    labels: dict[tuple[str, int], bool] = {}
    plain = []
    for line in (third_party_data / "rollouts" / "qwen25math_math100x8.jsonl").open():
        row = json.loads(line)
        for index, (completion, label) in enumerate(zip(row["code"], row["score"], strict=True)):
            labels[str(row["idx"]), index] = label
            plain.append(
                {
                    "problem_id": str(row["idx"]),
                    "question": row["question"],
                    "answer": row["gt"],
                    "index": index,
                    "completion": completion,
                }
            )
    assert len(plain) == 800
    import_rollouts(jsonl(tmp_path / "log.jsonl", plain), format="jsonl", into=tmp_path / "out")
    ledger = Ledger(tmp_path / "out")
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"])
    assert verdicts.height == 800
    agree = sum(
        labels[row["problem_id"], row["index"]] == (row["verdict"] == "pass") for row in verdicts.iter_rows(named=True)
    )
    assert agree >= 799
