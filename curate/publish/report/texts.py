"""Texts: prompts, references, answers and rollouts on their way into a page.

Owns what is shipped of them: as little twice as can be, and all of them cut alike so that the page stays small. Must
not read numbers: those stand beside the texts, column by column.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.ledger import Ledger
from curate.publish.report import examples
from curate.publish.report.excerpts import MOST, Excerpt, fitting, take
from curate.viewing import FLAG_MEANING
from curate.visible import excerpt, visible

FEWEST = 1_000
"""Characters of each text that are held, however many problems there are, until it is known how many fit."""

VERDICTS = ("fail", "pass", "unscored", "other")
"""How the page names the verdict of an answer: by its place here."""


@dataclass(frozen=True)
class Texts:
    """The texts of a page before they are cut; every ``Excerpt`` in the columns stands for a string."""

    columns: dict[str, Any]
    frame: tuple[str, str]
    """What stands before and after the question in most prompts."""


def gather(table: pl.DataFrame, ledger: Ledger, rollouts: pl.DataFrame, *, audit: bool) -> Texts:
    """Gather the texts of every problem.

    Args:
        table: Problems with their estimates, in the page's order; ``row`` is the position.
        ledger: Where the completions are read.
        rollouts: As ``examples.judged_rollouts`` gives them.
        audit: Whether the audit's signals are of these rollouts.
    """
    held = _held(table.height)
    rows = dict(table.select("problem_id", "row").iter_rows())
    frame, prompts = _prompts(table, held)
    answers: list[Any] = [None] * table.height
    for name, counted in examples.answered(rollouts).iter_rows():
        if name in rows:
            answers[rows[name]] = [
                [
                    None if one["answer"] is None else take(one["answer"], held),
                    VERDICTS.index(one["verdict"]),
                    one["count"],
                ]
                for one in counted
            ]
    columns = {
        "question": [take(question, held) for question in table["question"]],
        "prompts": prompts,
        "answer": [take(" | ".join(references), held) for references in table["answers"]],
        "answers": answers,
        "aside": {
            str(row): visible(why or name)
            for row, name, why in table.filter(pl.col("set_aside").is_not_null())
            .select("row", "set_aside", "set_aside_why")
            .iter_rows()
        },
        **_chosen(table, ledger, rollouts, rows, held, audit=audit),
    }
    if audit:
        columns["notes"] = _notes(table, ledger)
    return Texts(columns, frame)


def fit(numbers: dict[str, Any], told: Texts, budget: int) -> tuple[dict[str, Any], int | None]:
    """Join the texts to a page's numbers, cut so that all of it stays within the budget.

    Args:
        numbers: What the page says besides; its ``problems`` get the texts' columns.
        told: The texts.
        budget: Bytes of the whole as JSON. Numbers alone may exceed it: then no text is shown.

    Returns:
        The payload, and the characters that each text was cut to; None where all are whole.
    """
    everything = list(_excerpts(told.columns))
    bare = _joined(numbers, told, 0)
    # With nothing but marks in the texts' places, this is what the rest takes; the marks are counted with the texts.
    rest = len(encode(bare)) - sum(len(one.cut(0).encode()) for one in everything)
    longest = max((one.length for one in everything), default=0)
    cap = min(fitting(everything, budget - rest), _held(len(told.columns["question"])))
    payload = _joined(numbers, told, cap)
    # The estimate goes by each text's mean; where its ends are dearer than its middle, a little more has to go.
    while cap and len(encode(payload)) > budget:
        cap = cap * 9 // 10
        payload = _joined(numbers, told, cap)
    return payload, cap if longest > cap else None


def encode(payload: object) -> bytes:
    """A payload as JSON that no HTML parser and no script can misread: ``<``, ``>`` and ``&`` are escaped."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode(errors="replace")


def _held(problems: int) -> int:
    """Characters of each text that are held: four times what each would get if all were long."""
    return min(MOST, max(FEWEST, 20_000_000 // max(problems, 1)))


def _joined(numbers: dict[str, Any], told: Texts, cap: int) -> dict[str, Any]:
    return numbers | {"problems": numbers["problems"] | _cut(told.columns, cap), "frame": list(told.frame)}


def _cut(value: Any, cap: int) -> Any:
    if isinstance(value, Excerpt):
        return value.cut(cap)
    if isinstance(value, dict):
        return {key: _cut(item, cap) for key, item in value.items()}
    return [_cut(item, cap) for item in value] if isinstance(value, list) else value


def _excerpts(value: Any) -> Any:
    if isinstance(value, Excerpt):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _excerpts(item)


def _prompts(table: pl.DataFrame, held: int) -> tuple[tuple[str, str], dict[str, Excerpt]]:
    """What most prompts put around the question, and the prompts that are made otherwise, by row."""
    parted = []
    for row, question, prompt in table.select("row", "question", "prompt").iter_rows():
        if prompt:
            before, found, after = prompt.partition(question)
            parted.append((row, prompt, (before, after) if question and found else None))
    usual = Counter(around for _, _, around in parted if around).most_common(1)
    frame = usual[0][0] if usual else ("", "")
    other = {str(row): take(prompt, held) for row, prompt, around in parted if around != frame}
    return (visible(frame[0]), visible(frame[1])), other


def _chosen(
    table: pl.DataFrame, ledger: Ledger, rollouts: pl.DataFrame, rows: dict[str, int], held: int, *, audit: bool
) -> dict[str, list[Any]]:
    """One pass and one failure of each problem: index, tokens, whether it was cut, reason, flags, first false, text."""
    signals = ledger.audited_rollouts() if audit else None
    seen = None
    if signals is not None:
        seen = signals.select("problem_id", "index", "shortcut", "first_false", *FLAG_MEANING).collect()
    shortcuts = table.filter(pl.col("reasons").list.contains("shortcut"))["problem_id"]
    chosen = examples.choose(rollouts, seen, shortcuts)
    shown: dict[str, list[Any]] = {"pass": [None] * table.height, "fail": [None] * table.height}
    for one in chosen.iter_rows(named=True):
        flags = [place for place, flag in enumerate(FLAG_MEANING) if one.get(flag)]
        false = visible(one["first_false"] or "") if one.get("wrong_step") else ""
        if one["problem_id"] in rows:
            cut = int(one["finish_reason"] == "length")
            told = [one["index"], one["completion_tokens"], cut, excerpt(one["reason"] or "", 60), flags, false, ""]
            shown[one["verdict"]][rows[one["problem_id"]]] = told
    for name, verdict, text in examples.texts(ledger, _fingerprint(ledger), chosen):
        if name in rows and shown[verdict][rows[name]] is not None:
            shown[verdict][rows[name]][-1] = take(text, held)
    return shown if chosen.height else {}


def _fingerprint(ledger: Ledger) -> str:
    return str(ledger.manifest()["verifier_fingerprint"])


def _notes(table: pl.DataFrame, ledger: Ledger) -> dict[str, list[Any]]:
    """What speaks against a reference, by row: why, the note, and the competing answers with their counts."""
    audit = ledger.audit()
    if audit is None:
        return {}
    found = audit.filter(pl.col("label_why") != "").select("problem_id", "label_note")
    joined = table.join(found, on="problem_id", how="inner", maintain_order="left")
    return {
        str(row): [why, visible(note or "")]
        for row, why, note in joined.select("row", "label_why", "label_note").iter_rows()
    }
