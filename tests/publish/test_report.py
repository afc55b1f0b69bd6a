"""The report: what a page says adds up, follows any band as ``filter`` would, stays small, and comes out the same."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import zlib
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from builders import counts as counts_frame
from builders import profile
from released import committed_demo
from report_profiles import SCRIPT, every_kind, finish

import curate
from curate import beliefs, decide
from curate.auditing import FLAGS, audit
from curate.cli.main import run
from curate.errors import LedgerError, UsageError
from curate.ledger import Ledger
from curate.publish.report import bands, data, excerpts, report, texts
from curate.publish.report.page import render
from curate.recipe import BandSection
from curate.records import Reason
from curate.summary import Session, now, sum_up
from curate.viewing import FLAG_MEANING, MEANING, TO_DO


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    ledger = every_kind(tmp_path_factory.mktemp("report") / "profile")
    audit(ledger.path, workers=1)
    return ledger


def payload_of(page: Path) -> dict[str, Any]:
    text = page.read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def stories_of(payload: dict[str, Any]) -> list[list[Any]]:
    packed = [json.loads(zlib.decompress(base64.b64decode(one))) for one in payload["stories"]]
    return [story for chunk in packed for story in chunk]


# -- any band --------------------------------------------------------------------------------------------------------


def test_every_band_is_decided_as_filter_decides_it() -> None:
    pairs = [(n, k) for n in (1, 2, 4, 8, 12, 32, 128) for k in range(0, n + 1, max(1, n // 16))]
    frame = counts_frame(*({"n": n, "k": k} for n, k in pairs))
    own = BandSection(low=0.21, high=0.8, confidence=0.9)
    prior = beliefs.learn(frame, own)
    at = bands.edges(own)
    assert len(at) == 42
    n, k = np.array(pairs).T
    table = bands.sides(prior, n, k, at, own.confidence).astype(int)
    wrong = []
    for low, high in combinations(range(len(at)), 2):
        inside, below, above = table[:, low] <= high, table[:, -2] <= low, high < table[:, -1]
        told = np.select([inside, below, above], ["in_band", "too_hard", "too_easy"], "undecided")
        band = own.model_copy(update={"low": at[low], "high": at[high]})
        if told.tolist() != decide.estimate(frame, band, prior)["outcome"].to_list():
            wrong.append((at[low], at[high]))
        assert (inside.astype(int) + below + above <= 1).all(), "no problem is on two sides"
    assert wrong == []


def test_the_profiles_own_band_counts_as_its_table_does(ledger: Ledger) -> None:
    content = data.build(ledger.path)
    table = decide.with_audit(ledger.estimates(), ledger.audit())
    assert content.overview.summary.kept > 20
    assert sum(content.histogram[0]) == table.filter(decide.kept()).height == content.overview.summary.kept
    assert sum(map(sum, content.histogram)) == table.filter(pl.col("n") > 0).height
    left = [step["left"] for step in content.waterfall]
    assert left[-1] == content.overview.summary.kept
    assert [before - after for before, after in zip([68, *left], left, strict=False)] == [
        step["count"] for step in content.waterfall
    ]
    assert {step["reason"]: step["count"] for step in content.waterfall if step["count"]} == {
        **content.overview.summary.main_reasons
    }


# -- what is on it ---------------------------------------------------------------------------------------------------


def test_words_exist_for_every_reason_and_flag() -> None:
    assert set(TO_DO) == {reason.value for reason in Reason}
    assert set(MEANING) == {reason.value for reason in Reason} | {"in_band"}
    assert tuple(FLAG_MEANING) == FLAGS


def test_a_drawer_has_the_prompt_the_answers_a_pass_and_a_failure(ledger: Ledger, tmp_path: Path) -> None:
    report(ledger.path, to=tmp_path / "page.html")
    payload = payload_of(tmp_path / "page.html")
    problems, stories = payload["problems"], stories_of(payload)
    assert payload["frame"] == ["<user>", "<assistant>"]
    assert len(stories) == len(problems["id"]) == 68
    row = problems["id"].index("graded-01")
    assert problems["question"][row] == "What is graded-01?"
    # Seven passes of 60; of the other answers three in four are 5, and the rest is none.
    question, reference, prompt, answers, passing, failing = stories[row]
    assert (question, reference, prompt) == (0, 0, 0)
    assert answers == [["5", 0, 40], [None, 0, 13], ["1037", 1, 7]]
    assert passing == [0, 20, 0, "equal", [], "", r"0: 1036+1=1037; \boxed{1037}"]
    assert failing[:3] == [7, 27, 0]
    # Of 28 passes the first failure is number 28, which has no answer; the commonest wrong one comes after it.
    assert stories[problems["id"].index("graded-04")][5][0] == 29
    assert stories[2][2] == "a prompt of another form"
    assert stories[problems["id"].index("again")][3:] == [[], 0, 0]
    assert problems["aside"] == {"66": "repeats graded-00", "67": "unverifiable"}
    assert problems["shown"] == {"61": "tricks⟨U+202E⟩"}


def test_more_answers_than_are_listed_are_counted_together(ledger: Ledger, tmp_path: Path) -> None:
    report(ledger.path, to=tmp_path / "page.html")
    payload = payload_of(tmp_path / "page.html")
    answers = stories_of(payload)[payload["problems"]["id"].index("harm")][3]
    assert answers[0] == [SCRIPT, 1, 16]
    # Sixteen failures over the odd indices below 8: four wrong answers of four each.
    assert [count for _, _, count in answers] == [16, 4, 4, 4, 4]
    assert sum(count for _, _, count in answers) == 32


def test_texts_are_visible_and_nothing_is_markup(ledger: Ledger, tmp_path: Path) -> None:
    report(ledger.path, to=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert SCRIPT not in text
    assert text.count("<script") == text.count("</script>") == 2
    assert not re.search("[\x00\x1b\u202e\u200b\u2028]", text)
    payload = payload_of(tmp_path / "page.html")
    passing = stories_of(payload)[61][4][-1]
    assert passing.startswith(
        r"1: left⟨U+202E⟩right⟨U+200B⟩⟨U+001B⟩[2J⟨U+0000⟩ \(\frac{1}{2}\) {{ 7*7 }} ⟨U+2028⟩ &amp; yyy"
    )


def test_the_page_may_run_its_own_script_and_load_nothing(ledger: Ledger, tmp_path: Path) -> None:
    report(ledger.path, to=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert policy is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy[1].replace("&#39;", "'").split("; ")[:2] == ["default-src 'none'", f"script-src 'sha256-{digest}'"]
    assert "innerHTML" not in script[1]
    assert not re.search(r"https?://", text)


def test_the_same_profile_gives_the_same_bytes(ledger: Ledger, tmp_path: Path) -> None:
    digests = set()
    for name in ("one.html", "two.html"):
        report(ledger.path, to=tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_committed_profile_has_no_rollouts_and_the_page_says_so(tmp_path: Path) -> None:
    page = curate.report(committed_demo(tmp_path / "demo"), to=tmp_path / "demo.html")
    assert (page.problems, page.kept, page.rollouts, page.cap, page.audit) == (488, 74, 0, None, "current")
    text = (tmp_path / "demo.html").read_text()
    assert "The rollouts are not on the disk" in text
    assert "By each problem&#39;s mean length" in text or "By each problem's mean length" in text
    assert all(story[3:] == [[], 0, 0] for story in stories_of(payload_of(tmp_path / "demo.html")))


def test_without_an_audit_the_page_says_so(tmp_path: Path) -> None:
    ledger = every_kind(tmp_path / "profile")
    page = report(ledger.path)
    assert page.path == ledger.path / "report.html"
    assert page.audit == "none"
    text = page.path.read_text()
    assert "Not audited." in text
    assert "curate audit" in text
    assert "risk" not in payload_of(page.path)["problems"]


def test_an_outdated_audit_is_said_and_not_used(tmp_path: Path) -> None:
    ledger = every_kind(tmp_path / "profile")
    audit(ledger.path, workers=1)
    found = ledger.audit()
    assert found is not None
    found.with_columns(n_audited=pl.col("n_audited") + 1).write_parquet(ledger.path / "audit.parquet")
    page = report(ledger.path)
    assert page.audit == "outdated"
    assert "was not used" in page.path.read_text()


def test_a_profile_of_nothing_sampled_still_has_a_page(tmp_path: Path) -> None:
    ledger = every_kind(tmp_path / "profile")
    for folder in ("rollouts", "verdicts"):
        for file in (ledger.path / folder).rglob("*.parquet"):
            file.unlink()
    finish(ledger)
    page = report(ledger.path)
    assert (page.kept, page.rollouts) == (0, 0)
    assert "None of the 68 problems is kept" in page.path.read_text()


# -- the places that other commands fill -----------------------------------------------------------------------------


def test_the_band_over_time_has_its_place(ledger: Ledger, tmp_path: Path) -> None:
    row = {"revision": "abc", "in_band": 1, "too_hard": 1, "too_easy": 2, "undecided": 0, "mean_pass_rate": 0.25}
    history = [{"date": "2026-01-01", "step": None, **row}, {"date": "2026-02-01", "step": 7, **row, "in_band": 5}]
    text = render(data.build(ledger.path, None, history))
    # In the band: a quarter, then five of eight.
    assert '<polyline class="h-in_band" points="0.00,75.00 100.00,37.50 "/>' in text
    assert '<polyline class="h-rate" points="0.00,75.00 100.00,75.00 "/>' in text
    plain = report(ledger.path, to=tmp_path / "plain.html").path.read_text()
    assert 'id="comparison"' not in plain
    assert 'id="history"' not in plain


def test_the_page_of_a_later_checkpoint_shows_what_moved(tmp_path: Path) -> None:
    fell, stays = f"fell {SCRIPT}", [True, False] * 20
    drawn = {fell: [[True] * 40, [False] * 40], "rose": [[False] * 40, [True] * 40], "a": [stays] * 2, "b": [stays] * 2}
    profiles = []
    for step in (0, 1):
        ledger = profile(tmp_path / f"step-{step}", {name: both[step] for name, both in drawn.items()})
        session = Session("profile", "none", now(), 0.0, 0, 0, 0, 0, 0, 0)
        with ledger.writing():
            told = ledger.manifest()
            protocol = {**told["protocol"], "sampling.temperature": 1.0 - 0.5 * step}
            ledger.write_manifest({**told, "name": f"step-{step}", "protocol": protocol})
            sum_up(ledger, session)
        profiles.append(ledger.path)
    text = curate.report(profiles[1], since=[profiles[0]]).path.read_text()
    assert SCRIPT not in text
    moved = text[text.index('id="comparison"') : text.index('id="history"')]
    found = curate.compare(profiles[0], profiles[1])
    assert (found.fell, found.rose, found.migration["in_band"]["in_band"]) == (1, 1, 2)
    loose = curate.compare(profiles[0], profiles[1], fdr=0.999)
    assert [sum(one.fell for one in loose.changes), sum(one.rose for one in loose.changes)] == [loose.fell, loose.rose]
    words = " ".join(re.sub(r"<[^>]+>", " ", moved).split())
    assert "step-0" in words
    assert "temperature was 1.0, is 0.5" in words
    assert f"{found.mean_change:+.3f}, 95% interval {found.mean_low:+.3f} to {found.mean_high:+.3f}" in words
    assert "1 fell, 1 rose at a false discovery rate of 0.05; 0 entered the band, 0 left it" in words
    assert re.search(r"<th>in_band</th>\s*<td[^>]*>2</td>", moved)
    regressions, gains = words[words.index("Regressions 1") :].split("Gains 1")
    for rows, name, counts in ((regressions, "fell", "40/40 0/40"), (gains, "rose", "0/40 40/40")):
        one = next(change for change in found.changes if change.problem_id.startswith(name))
        assert f"{counts} {one.difference:+.3f} {one.low:+.2f} to {one.high:+.2f} {one.q:.3f}" in rows
        assert f"{one.before} → {one.after}" in rows
    assert "<polyline" in text[text.index('id="history"') :]
    assert run(["report", str(profiles[1]), "--since", str(profiles[0]), "--to", str(tmp_path / "same.html")]) == 0
    assert (tmp_path / "same.html").read_text() == text


# -- how much is on it -----------------------------------------------------------------------------------------------


def test_an_excerpt_is_cut_from_its_middle() -> None:
    whole = excerpts.take("0123456789", 10)
    assert [whole.cut(most) for most in (10, 5, 1, 0)] == ["0123456789", "012[…5…]89", "0[…9…]", "[…10…]"]
    long = excerpts.take("a" * 500 + "b" * 10_000 + "c" * 500, 10)
    assert long.cut(10) == "aaaaaa[…10990…]cccc"
    assert len(long.text) == 20
    assert excerpts.take("a\u202eb", 20).cut(20) == "a⟨U+202E⟩b"


@pytest.mark.parametrize("budget", [10**8, 900_000, 300_000])
def test_texts_are_cut_until_the_page_is_small_enough(budget: int) -> None:
    chance = random.Random(0)
    rollouts = [excerpts.take(f"{chance.randbytes(2_000).hex()}", 50_000) for _ in range(600)]
    questions = [excerpts.take(f"question {number} {'?' * 100}", 50_000) for number in range(600)]
    told = texts.Texts(
        questions=questions,
        references=[excerpts.take("4", 50_000)] * 600,
        prompts={},
        frame=("", ""),
        answers=[None] * 600,
        shown={"pass": [([0], one) for one in rollouts], "fail": [None] * 600},
        aside={},
        notes={},
    )
    payload, cuts = texts.fit({"problems": {}}, told, budget)
    assert len(texts.encode(payload)) <= budget
    passing = [story[4][-1] for story in stories_of(payload)]
    assert len(passing) == 600
    if budget == 10**8:
        assert cuts.drawer is None
        assert passing == [one.text for one in rollouts]
    else:
        assert cuts.drawer is not None
        assert 0 < cuts.drawer < 4_000
        # Hexadecimal digits are four bits each, which base64 makes 0.67 bytes: as many as there is room for.
        assert 0.5 * budget < len(passing) * cuts.drawer * 0.67 + 600 * 120 < 1.1 * budget
        assert passing[0] == rollouts[0].cut(cuts.drawer)


def test_json_in_a_page_ends_no_script() -> None:
    hostile = ["</script><!--", "a&b", "\u2028", "\ud800", '"\\']
    encoded = texts.encode(hostile).decode()
    assert not set("<>&\u2028") & set(encoded)
    assert json.loads(encoded) == ["</script><!--", "a&b", "\u2028", "\ud800", '"\\']


# -- the call and the command ----------------------------------------------------------------------------------------


def test_the_files_of_a_page_are_in_the_package() -> None:
    folder = resources.files("curate.publish.report")
    assert all((folder / name).is_file() for name in ("template.html.j2", "style.css", "script.js"))


def test_a_file_that_is_no_page_is_not_overwritten(ledger: Ledger, tmp_path: Path) -> None:
    precious = tmp_path / "precious.parquet"
    precious.write_text("mine")
    with pytest.raises(UsageError, match=r"ends in \.html"):
        report(ledger.path, to=precious)
    with pytest.raises(UsageError, match=r"ends in \.html"):
        report(ledger.path, to=tmp_path)
    assert precious.read_text() == "mine"
    with pytest.raises(LedgerError, match="no profile"):
        report(tmp_path, to=tmp_path / "page.html")


def test_the_command_says_what_it_wrote(ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "page.html"
    assert run(["report", str(ledger.path), "--to", str(to), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "path": str(to),
        "bytes": to.stat().st_size,
        "problems": 68,
        "kept": said["kept"],
        "rollouts": ledger.rollouts(["index"]).height,
        "cap": None,
        "audit": "current",
    }
    assert run(["report", str(committed_demo(tmp_path / "demo")), "--to", str(to)]) == 0
    out = capsys.readouterr().out
    assert "488 problems, 74 kept" in out
    assert "without rollouts" in out
