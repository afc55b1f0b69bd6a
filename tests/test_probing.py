"""The probes on the scripted engine: what they ask, what they count, and that a profile stays as it was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from builders import drawn, jsonl, rehearsal, yaml_file

from curate.errors import EngineError, LedgerError, ProtocolChanged, RecipeError, UsageError
from curate.importing import import_rollouts
from curate.ledger import Ledger
from curate.probing import Votes, before_answer, cot_pass, probe_early, probe_guess, probe_judge, read_probe
from curate.profiling import profile
from curate.recipe import AuditSection, VerifierSection, load
from curate.records import Case, VerdictKind

WORKED = "first two, then two more make it, so \\boxed{4}"

SCRIPT: dict[str, Any] = {
    "default": {"pass_rate": 0.6, "right": WORKED, "wrong": "two times, so \\boxed{5}"},
    "prompts": {
        # The early-answer probe: right only where most of the work was kept.
        r"(?s)more.*answer is \\boxed\{$": {"pass_rate": 1.0, "right": "4}"},
        r"answer is \\boxed\{$": {"pass_rate": 0.0, "wrong": "7}"},
        # The guess probe: half right, and cut at the length limit every time.
        r"reasoning\.\\boxed\{$": {"pass_rate": 0.5, "right": "4} since", "wrong": "9} since", "truncated": 1.0},
    },
}


def profiled(folder: Path, *, script: dict[str, Any] = SCRIPT, n: int = 12, **sections: Any) -> tuple[Path, Path]:
    """A finished profile on a script, and its recipe."""
    recipe = rehearsal(folder, 6, script=script, **sections)
    profile(recipe, into=folder / "out", fixed_n=n)
    return folder / "out", recipe


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a profile but its locks and its probes."""
    found = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {str(file): file.read_bytes() for file in found if "probes" not in file.parts}


def test_the_guess_probe_asks_for_bare_answers_and_leaves_the_profile_as_it_was(tmp_path):
    folder, _ = profiled(tmp_path)
    before = files(folder)
    probe = probe_guess(folder)
    assert files(folder) == before
    assert probe.path.parent == folder / "probes"
    assert probe.drawn == 6 * 16
    assert probe.counts["n_guess"].to_list() == [16] * 6
    # The verifier sees the box that the prefill began, and what was cut at the limit is judged all the same.
    rollouts = Ledger(probe.path).rollouts()
    right = rollouts.filter(pl.col("completion").str.starts_with("4}")).group_by("problem_id").len()
    assert dict(probe.counts.select("problem_id", "k_guess").iter_rows()) == dict(right.iter_rows())
    assert 0.3 < probe.counts["k_guess"].sum() / (6 * 16) < 0.7
    prompts = Ledger(probe.path).problems()["prompt"]
    assert all(text.endswith("without any reasoning.\\boxed{") for text in prompts)
    assert read_probe(folder, "guess").equals(probe.counts)


def test_a_probe_shares_no_seed_with_its_profile(tmp_path):
    folder, _ = profiled(tmp_path)
    seeds = Ledger(probe_guess(folder).path).rollouts(["seed"])["seed"]
    assert seeds.n_unique() == 6 * 16
    assert not set(seeds) & set(Ledger(folder).rollouts(["seed"])["seed"])


def test_more_draws_add_to_those_held_and_end_like_one_call(tmp_path):
    folder, _ = profiled(tmp_path / "a")
    assert probe_guess(folder, draws=4).drawn == 24
    assert probe_guess(folder, draws=4).drawn == 0
    again = probe_guess(folder, draws=10)
    assert again.drawn == 36
    # A second profile of the same problems, whose probe draws ten at once.
    other, _ = profiled(tmp_path / "b")
    at_once = probe_guess(other, draws=10)
    assert at_once.counts.equals(again.counts)
    assert drawn(at_once.path) == drawn(again.path)


def test_a_probe_that_broke_off_is_continued(tmp_path):
    folder, recipe = profiled(tmp_path / "a")
    script = Path(yaml.safe_load(recipe.read_text())["engine"]["options"]["script"])
    yaml_file(script, {**SCRIPT, "faults": [{"kind": "dead", "at": 3}]})
    with pytest.raises(EngineError, match="dead"):
        probe_guess(folder)
    held = Ledger(next((folder / "probes").iterdir())).rollouts().height
    assert 0 < held < 96
    yaml_file(script, SCRIPT)
    assert probe_guess(folder).drawn == 96 - held
    whole, _ = profiled(tmp_path / "b")
    assert probe_guess(whole).counts.equals(read_probe(folder, "guess"))


def test_only_some_problems_are_asked_and_the_others_are_not_forgotten(tmp_path):
    folder, _ = profiled(tmp_path)
    assert probe_guess(folder, among=["p1"], draws=4).counts["problem_id"].to_list() == ["p1"]
    both = probe_guess(folder, among=["p3"], draws=8).counts
    assert dict(both.select("problem_id", "n_guess").iter_rows()) == {"p1": 4, "p3": 8}
    with pytest.raises(UsageError, match="nothing to ask"):
        probe_guess(folder, among=["nobody"])


def test_another_template_is_another_probe(tmp_path):
    folder, recipe = profiled(tmp_path)
    first = probe_guess(folder, draws=2)
    changed = load(recipe, ("audit.guess.template='{{ question }} Quick!'",))
    second = probe_guess(folder, recipe=changed, draws=3)
    assert first.path != second.path
    assert Ledger(first.path).rollouts().height == 12
    assert second.counts["n_guess"].to_list() == [3] * 6


def test_problems_that_never_passed_are_not_asked_to_guess(tmp_path):
    script = {**SCRIPT, "problems": {"p2": {"pass_rate": 0.0}}}
    folder, _ = profiled(tmp_path, script=script)
    assert "p2" not in probe_guess(folder, draws=2).counts["problem_id"].to_list()


def test_the_early_answer_probe_tells_passes_that_need_their_work(tmp_path):
    folder, _ = profiled(tmp_path)
    probe = probe_early(folder, among=["p0", "p1"], draws=2)
    counts = probe.counts
    assert counts["problem_id"].n_unique() == 2
    # Four rollouts of each problem at most, at four cuts, twice. "first two, then two more make it, so " has 37
    # characters. Half of it ends inside of "two" and three quarters inside of "make", which goes; "more" stays.
    assert counts.height == 2 * 4 * 4
    survived = counts.group_by("cut").agg(pl.col("n").sum(), pl.col("k").sum()).sort("cut")
    assert survived.rows() == [(0.0, 16, 0), (0.25, 16, 0), (0.5, 16, 0), (0.75, 16, 16)]
    asked = counts.select("problem_id", "index").unique()
    passes = Ledger(folder).verdicts(Ledger(folder).manifest()["verifier_fingerprint"]).filter(verdict="pass")
    assert asked.join(passes, on=["problem_id", "index"], how="semi").height == asked.height == 8


def test_without_names_the_early_answer_probe_takes_rare_passes(tmp_path):
    script = {**SCRIPT, "problems": {"p2": {"pass_rate": 0.12, "right": WORKED, "wrong": "\\boxed{5}"}}}
    folder, recipe = profiled(tmp_path, script=script, n=32)
    rare = load(recipe, ("audit.early.below=0.35", "audit.early.draws=1"))
    # The scripted engine knows p2 by its name; as "p2#3@0" it is another problem, told by its prompt.
    assert probe_early(folder, recipe=rare).counts["problem_id"].unique().to_list() == ["p2"]


def judged(folder: Path, pass_rate: float = 0.8, **judge: Any) -> Path:
    """A profile whose recipe names a scripted judge, which finds the work of p0 and p1 wanting."""
    replies = {
        "default": {"pass_rate": pass_rate, "right": "It adds up.\nYES", "wrong": "A step is missing.\nNO"},
        "prompts": {"asked [01]\\b": {"pass_rate": 0.0}, "asked 2\\b": {"pass_rate": 0.0, "wrong": "Hard to say."}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    engine = {"kind": "scripted", "options": {"script": str(yaml_file(folder / "judge.yaml", replies))}}
    section = {"model": {"path": "a judge"}, "engine": engine, "votes": 5, **judge}
    return profiled(folder, n=8, audit={"judge": section})[0]


def test_the_judges_votes_are_kept_as_verdicts_are(tmp_path):
    folder = judged(tmp_path)
    counts = probe_judge(folder).counts
    passes = Ledger(folder).estimates()["k"].sum()
    assert counts.height == passes
    bad = counts.filter(pl.col("problem_id").is_in(["p0", "p1"]))
    assert bad["n"].to_list() == [5] * bad.height
    assert bad["k"].sum() == 0
    assert counts.filter(problem_id="p2")["n"].sum() == 0  # no vote is no vote
    good = counts.filter(pl.col("problem_id").is_in(["p3", "p4", "p5"]))
    assert good["k"].sum() / good["n"].sum() == pytest.approx(0.8, abs=0.15)
    ledger = Ledger(next((folder / "probes").glob("judge-*")))
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"])
    assert set(verdicts.filter(pl.col("problem_id").str.starts_with("p2#"))["reason"]) == {"no vote"}
    assert "first two, then two more" in ledger.problems()["prompt"][0]


def test_cot_pass_at_k_counts_what_the_majority_of_votes_supports(tmp_path):
    folder = judged(tmp_path, pass_rate=1.0)
    probe_judge(folder)
    estimates = Ledger(folder).estimates()
    # p2 has no vote, so it does not qualify; of p0 and p1 nothing is supported, of the others all that passes.
    rates = {name: k / 8 for name, k in estimates.select("problem_id", "k").iter_rows() if name != "p2"}
    plain, supported = cot_pass(folder, 1)
    assert plain == pytest.approx(sum(rates.values()) / 5)
    assert supported == pytest.approx((rates["p3"] + rates["p4"] + rates["p5"]) / 5)
    assert cot_pass(folder, 8) == (1.0, pytest.approx(3 / 5))
    with pytest.raises(LedgerError, match="no problem has 9"):
        cot_pass(folder, 9)


def test_without_a_judge_nothing_is_asked(tmp_path):
    folder, _ = profiled(tmp_path)
    with pytest.raises(UsageError, match="names no judge"):
        probe_judge(folder)
    with pytest.raises(LedgerError, match="no judge was asked"):
        cot_pass(folder, 1)
    assert read_probe(folder, "judge") is None


def test_the_openai_engine_asks_a_judge(tmp_path):
    pytest.importorskip("openai")
    from engines.openai_server import serving

    def reply(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        vote = "NO" if "asked 0" in body["messages"][0]["content"] else "YES"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"So: **{vote}**"}}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        return 200, {"object": "completion", "choices": [choice], "usage": usage}, {}

    with serving(special=reply) as server:
        engine = {"kind": "openai", "options": {"base_url": server.url, "backoff": 0.01}}
        section = {"model": {"path": "tiny"}, "engine": engine, "votes": 2, "passes": 1}
        folder, _ = profiled(tmp_path, audit={"judge": section})
        counts = probe_judge(folder).counts
    assert counts["n"].to_list() == [2] * 6
    assert dict(counts.select("problem_id", "k").iter_rows()) == {"p0": 0, **{f"p{i}": 2 for i in range(1, 6)}}


def test_an_imported_profile_is_probed_by_a_recipe(tmp_path):
    rows = [
        {"problem_id": "a", "question": "what is 4?", "answer": "4", "index": index, "completion": "\\boxed{4}"}
        for index in range(4)
    ]
    import_rollouts(
        jsonl(tmp_path / "log.jsonl", rows),
        format="jsonl",
        into=tmp_path / "out",
        verifier=VerifierSection(kind="exact", workers=1),
    )
    with pytest.raises(UsageError, match="imported"):
        probe_guess(tmp_path / "out")
    recipe = load(rehearsal(tmp_path / "recipe", 1, script=SCRIPT))
    assert probe_guess(tmp_path / "out", recipe=recipe, draws=3).counts.height == 1


def test_another_model_is_refused(tmp_path):
    folder, _ = profiled(tmp_path / "a")
    other = rehearsal(tmp_path / "b", 6, script={"default": {"pass_rate": 0.1}})
    with pytest.raises(ProtocolChanged, match="revision"):
        probe_guess(folder, recipe=load(other))
    assert not (folder / "probes").exists()


def test_a_summary_without_its_rollouts_cannot_be_probed(tmp_path):
    folder, _ = profiled(tmp_path)
    for file in (folder / "verdicts").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(LedgerError, match="not on this disk"):
        probe_guess(folder)


@pytest.mark.parametrize(
    ("completion", "answer", "work"),
    [
        ("so \\boxed{3}, no: \\boxed{4}", "4", "so \\boxed{3}, no: "),
        ("It is 4 and 4 again", "4", "It is 4 and "),
        ("nothing to see", None, "nothing to see"),
        ("\\boxed{4}", "4", ""),
    ],
)
def test_what_comes_before_the_answer(completion, answer, work):
    assert before_answer(completion, answer) == work


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("Step 2 is wrong. NO", VerdictKind.FAIL),
        ("NO step is wrong, so: YES", VerdictKind.PASS),
        ("**Yes.**", VerdictKind.PASS),
        ("yes it is, but no step is shown", VerdictKind.UNSCORED),
        ("", VerdictKind.UNSCORED),
    ],
)
def test_a_vote_is_the_last_word(reply, kind):
    assert asyncio.run(Votes().judge([Case(("4",), reply)]))[0].kind is kind


@pytest.mark.parametrize(
    "wrong",
    [
        {"guess": {"draws": 0}},
        {"early": {"cuts": [0.5, 1.0]}},
        {"early": {"cuts": []}},
        {"judge": {"votes": 3}},
        {"guesses": {}},
    ],
)
def test_a_recipe_that_asks_for_what_cannot_be_is_refused(tmp_path, wrong):
    with pytest.raises(RecipeError, match="audit"):
        load(rehearsal(tmp_path, 1, audit=wrong))
    assert AuditSection().judge is None


def test_the_probes_are_no_part_of_the_protocol(tmp_path):
    folder, recipe = profiled(tmp_path)
    changed = load(recipe, ("audit.guess.draws=3",))
    assert profile(changed, into=folder, fixed_n=13).rollouts == 6 * 13
    assert json.loads((folder / "manifest.json").read_text())["recipe"]["audit"]["guess"]["draws"] == 3
