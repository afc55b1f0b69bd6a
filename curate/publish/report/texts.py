"""Texts: prompts, references, answers and rollouts on their way into a page.

Owns what is shipped of them and how. What the table shows stands in the page as it is; what a problem's drawer shows is
compressed, a few hundred problems at a time, and opened when it is looked at. Everything is cut alike until the page is
small enough. Must not read numbers: those stand beside the texts, column by column.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.ledger import Ledger
from curate.publish.report import examples
from curate.publish.report.excerpts import MOST, Excerpt, take
from curate.viewing import FLAG_MEANING
from curate.visible import escaped, excerpt, visible

CHUNK = 256
"""Problems whose drawers are compressed together: enough to compress well, few enough to open at once."""

CUTS = (0, *(int(first * 10**power) for power in range(1, 5) for first in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)), MOST)
"""Characters that texts may be cut to, ascending."""

SHORT = 300
"""Characters of a question and a reference in the table, at most."""

NOTE = 200
"""Characters of a note, at most: why a problem was set aside, what a step says."""

VERDICTS = ("fail", "pass", "unscored", "other")
"""How the page names the verdict of an answer: by its place here."""


@dataclass(frozen=True)
class Texts:
    """The texts of a page before they are cut, one of each for every problem; a missing one is None."""

    questions: list[Excerpt]
    references: list[Excerpt]
    prompts: dict[int, Excerpt]
    """The prompts that are not the question in its frame, by row."""
    frame: tuple[str, str]
    """What stands before and after the question in most prompts."""
    answers: list[list[tuple[Excerpt | None, int, int]] | None]
    """Answer, place of its verdict in ``VERDICTS``, count; the commonest first."""
    shown: dict[str, list[tuple[list[Any], Excerpt] | None]]
    """For ``pass`` and ``fail``: index, tokens, whether it was cut off, reason, flags, first false step; the text."""
    aside: dict[str, str]
    """Why a problem was set aside before it was sampled, by row."""
    notes: dict[str, list[str]]
    """What speaks against a reference, by row: why, and the note."""


@dataclass(frozen=True)
class Cuts:
    """How many characters of each text are on the page; None where all are whole."""

    table: int | None
    """Of questions and references in the table."""
    drawer: int | None
    """Of everything in a problem's drawer."""


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
    answers: list[list[tuple[Excerpt | None, int, int]] | None] = [None] * table.height
    for name, counted in examples.answered(rollouts).iter_rows():
        if name in rows:
            answers[rows[name]] = [
                (
                    None if one["answer"] is None else take(one["answer"], held),
                    VERDICTS.index(one["verdict"]),
                    one["count"],
                )
                for one in counted
            ]
    aside = table.filter(pl.col("set_aside").is_not_null()).select("row", "set_aside", "set_aside_why")
    return Texts(
        questions=[take(question, held) for question in table["question"]],
        references=[take(" | ".join(references), held) for references in table["answers"]],
        prompts=prompts,
        frame=frame,
        answers=answers,
        shown=_chosen(table, ledger, rollouts, rows, held, audit=audit),
        aside={str(row): excerpt(why or name, NOTE) for row, name, why in aside.iter_rows()},
        notes=_notes(table, ledger) if audit else {},
    )


def fit(numbers: dict[str, Any], told: Texts, budget: int) -> tuple[dict[str, Any], Cuts]:
    """Join the texts to a page's numbers, cut so that all of it stays within the budget.

    Args:
        numbers: What the page says besides; its ``problems`` get the texts' columns.
        told: The texts.
        budget: Bytes of the whole as JSON. Numbers alone may exceed it: then no text is shown.

    Returns:
        The payload, and to what the texts were cut.
    """
    short = next((cut for cut in reversed(CUTS) if cut <= SHORT and _table_size(told, cut) <= 0.3 * budget), 0)
    columns = {
        "question": [one.cut(short) for one in told.questions],
        "answer": [one.cut(short) for one in told.references],
        "aside": told.aside,
        "notes": told.notes,
    }
    payload = numbers | {"problems": numbers["problems"] | columns, "frame": list(told.frame), "chunk": CHUNK}
    room = budget - len(encode(payload))
    chunks = range(0, len(told.questions), CHUNK)
    # A few of the chunks tell how much the others take; what was packed is measured.
    some = chunks[:: max(1, len(chunks) // 8)]
    possible = [cut for cut in CUTS if cut <= _held(len(told.questions))]
    while len(possible) > 1 and _size(told, some, possible[-1], short) * len(chunks) > room * len(some):
        possible.pop()
    while True:
        cut = possible.pop()
        packed = [_packed(told, start, cut, short) for start in chunks]
        if not possible or sum(map(len, packed)) + 3 * len(packed) <= room:
            break
    longest = max((one.length for one in _all(told)), default=0)
    table = max((one.length for one in (*told.questions, *told.references)), default=0)
    return payload | {"stories": packed}, Cuts(short if table > short else None, cut if longest > cut else None)


def encode(payload: object) -> bytes:
    """A payload as JSON that no HTML parser can misread: ``<``, ``>``, ``&`` and what nobody sees are escapes."""
    text = escaped(json.dumps(payload, ensure_ascii=False, separators=(",", ":")))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()


def _packed(told: Texts, start: int, cut: int, short: int) -> str:
    """What the drawers of a chunk of problems show, as compressed JSON in base64.

    For each problem: the question and the reference where the table has them shorter, the prompt where it is not the
    question in its frame, the answers, a pass and a failure; 0 where there is none.
    """
    stories = []
    for row in range(start, min(start + CHUNK, len(told.questions))):
        question, reference = told.questions[row], told.references[row]
        answers = [
            [None if text is None else text.cut(cut), kind, count] for text, kind, count in told.answers[row] or ()
        ]
        stories.append(
            [
                question.cut(cut) if question.length > short < cut else 0,
                reference.cut(cut) if reference.length > short < cut else 0,
                told.prompts[row].cut(cut) if row in told.prompts else 0,
                answers,
                *(
                    [*one[0], one[1].cut(cut)] if (one := told.shown[kind][row]) is not None else 0
                    for kind in ("pass", "fail")
                ),
            ]
        )
    raw = json.dumps(stories, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def _size(told: Texts, starts: range, cut: int, short: int) -> int:
    return sum(len(_packed(told, start, cut, short)) + 3 for start in starts)


def _table_size(told: Texts, cut: int) -> int:
    return len(encode([one.cut(cut) for one in (*told.questions, *told.references)]))


def _held(problems: int) -> int:
    """Characters of each text that are held until it is known how many fit."""
    return min(MOST, max(1_000, 40_000_000 // max(problems, 1)))


def _all(told: Texts) -> list[Excerpt]:
    answers = [text for counted in told.answers for text, _, _ in counted or () if text is not None]
    shown = [one[1] for rows in told.shown.values() for one in rows if one is not None]
    return [*told.questions, *told.references, *told.prompts.values(), *answers, *shown]


def _prompts(table: pl.DataFrame, held: int) -> tuple[tuple[str, str], dict[int, Excerpt]]:
    """What most prompts put around the question, and the prompts that are made otherwise, by row."""
    parted = []
    for row, question, prompt in table.select("row", "question", "prompt").iter_rows():
        if prompt:
            before, found, after = prompt.partition(question)
            parted.append((row, prompt, (before, after) if question and found else None))
    usual = Counter(around for _, _, around in parted if around).most_common(1)
    frame = usual[0][0] if usual else ("", "")
    other = {row: take(prompt, held) for row, prompt, around in parted if around != frame}
    return (visible(frame[0]), visible(frame[1])), other


def _chosen(
    table: pl.DataFrame, ledger: Ledger, rollouts: pl.DataFrame, rows: dict[str, int], held: int, *, audit: bool
) -> dict[str, list[tuple[list[Any], Excerpt] | None]]:
    """One pass and one failure of each problem that has them."""
    signals = ledger.audited_rollouts() if audit else None
    seen = None
    if signals is not None:
        seen = signals.select("problem_id", "index", "shortcut", "first_false", *FLAG_MEANING).collect()
    shortcuts = table.filter(pl.col("reasons").list.contains("shortcut"))["problem_id"]
    chosen = examples.choose(rollouts, seen, shortcuts)
    told: dict[tuple[str, str], list[Any]] = {}
    for one in chosen.iter_rows(named=True):
        flags = [place for place, flag in enumerate(FLAG_MEANING) if one.get(flag)]
        false = excerpt(one["first_false"] or "", NOTE) if one.get("wrong_step") else ""
        cut = int(one["finish_reason"] == "length")
        reason = excerpt(one["reason"] or "", 60)
        told[one["problem_id"], one["verdict"]] = [one["index"], one["completion_tokens"], cut, reason, flags, false]
    shown: dict[str, list[tuple[list[Any], Excerpt] | None]] = {
        kind: [None] * table.height for kind in ("pass", "fail")
    }
    for name, verdict, text in examples.texts(ledger, str(ledger.manifest()["verifier_fingerprint"]), chosen):
        if name in rows:
            shown[verdict][rows[name]] = (told[name, verdict], take(text, held))
    return shown


def _notes(table: pl.DataFrame, ledger: Ledger) -> dict[str, list[str]]:
    """What speaks against a reference, by row: why, and the note."""
    audit = ledger.audit()
    if audit is None:
        return {}
    found = audit.filter(pl.col("label_why") != "").select("problem_id", "label_note")
    joined = table.join(found, on="problem_id", how="inner", maintain_order="left")
    return {
        str(row): [why, excerpt(note or "", NOTE)]
        for row, why, note in joined.select("row", "label_why", "label_note").iter_rows()
    }
