"""References: which reference answers are probably wrong, most likely first, for a person to look at.

Owns what tells against a reference: what the model's rollouts agree on, and what the reference looks like by itself.
Takes tallies and texts; must not read a profile, nor judge answers: the verdicts say which rollouts reached the
reference.

Whether the rollouts' agreement speaks against a reference is weighed in ``agreement``; here it is joined with what the
reference shows by itself. The result is a queue for a person, never a correction: strong models agree on wrong answers
too (arXiv 2506.07962).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.audit.agreement import BASE_RATE, COMPETITORS, SIGNED_RATE, Evidence, log_factorials, p_wrong

SHOWN = 5
"""Other answers that a row of the queue names."""


class Sign(StrEnum):
    """What a reference shows by itself, without any rollout."""

    FAILS_ITSELF = "fails_itself"
    """Its own verifier does not accept it."""
    TRUNCATED = "truncated"
    """It looks cut off: something is opened and not closed, or it ends in an operator."""
    CONTRADICTED = "contradicted"
    """The same question stands elsewhere in the source with another reference."""


MAJORITY = "majority"
"""What a queue's row says where the rollouts alone speak against the reference."""


# -- signs ------------------------------------------------------------------------------------------------------------

_PAIRS = (("{", "}"), ("(", ")"), ("[", "]"))
_UNFINISHED = re.compile(
    r"(?:\S.*(?:[-+*/=<>^_,]|\b(?:and|or))|.*\\(?:frac|dfrac|sqrt|times|cdot|pm|text|left|right))\s*", re.S
)
_ESCAPED = re.compile(r"\\[{}]")
_INTERVAL = re.compile(r"[\[(][^\[\]()]*,[^\[\]()]*[\])]")


def looks_truncated(reference: str) -> bool:
    """Whether a reference looks cut off.

    Something is opened and never closed (``\\frac{3}{``, ``(1, 2``), or it ends in an operator, a comma or a command
    that wants more (``x^2 +``). What is closed and never opened may be a choice's ``a)``, and half-open intervals close
    with another bracket. A sign alone (``-``) is an answer. An ion's charge (``Cl-``) is a known false alarm.
    """
    text = reference.strip()
    bare = _INTERVAL.sub("", _ESCAPED.sub("", text))
    unclosed = any(bare.count(opening) > bare.count(closing) for opening, closing in _PAIRS)
    return unclosed or _UNFINISHED.fullmatch(text) is not None


_FONT = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox|operatorname)\s*\{([^{}]*)\}")
_FILLER = re.compile(r"\\(?:left|right|[,;:!$ ])|[\s$]")
_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_DECIMAL = re.compile(r"(-?)0*(\d*)(?:\.(\d*?)0*)?")


def pooled(answer: str) -> str:
    """One spelling for answers that are cheaply seen to be the same.

    Spaces, dollar signs, fonts, case, thousands' commas, leading and trailing zeros do not tell answers apart. Two
    spellings of a value that only a verifier would see through (``1/2`` and ``0.5``) stay two answers, which makes a
    majority look smaller and never larger.
    """
    if answer.isascii() and answer.isdigit():
        return answer.lstrip("0") or "0"
    text = _FONT.sub(r"\1", answer).replace(r"\dfrac", r"\frac").replace(r"\tfrac", r"\frac")
    text = _FILLER.sub("", text).rstrip(".").casefold()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    number = _DECIMAL.fullmatch(text)
    if number is None or not any(digit.isdigit() for digit in text):
        return text
    whole, rest = number[2] or "0", number[3]
    return f"{number[1]}{whole}{'.' + rest if rest else ''}"


def signs(problems: pl.DataFrame) -> pl.DataFrame:
    """What each problem's references show by themselves.

    Args:
        problems: ``problem_id, question, answers, set_aside, set_aside_why, messages`` as the ledger keeps them.

    Returns:
        ``problem_id, sign, sign_why``, a row for each sign, at most one of a kind for a problem. A duplicate is not
        accused by itself: the doubt is put on the problem that it repeats, which is the one that is kept.
    """
    own = [
        (row["problem_id"], sign, why)
        for row in problems.select("problem_id", "answers", "set_aside", "set_aside_why").iter_rows(named=True)
        for sign, why in _own_signs(row["answers"], row["set_aside"], row["set_aside_why"])
    ]
    schema = {"problem_id": pl.String, "sign": pl.String, "sign_why": pl.String}
    return pl.concat([pl.DataFrame(own, schema=schema, orient="row"), _contradictions(problems, schema)])


def _own_signs(answers: list[str], set_aside: str | None, why: str) -> Iterable[tuple[Sign, str]]:
    if set_aside == "unverifiable" and answers:
        yield Sign.FAILS_ITSELF, why
    cut = next((answer for answer in answers if looks_truncated(answer)), None)
    if cut is not None:
        yield Sign.TRUNCATED, f"looks cut off: {cut}"


def _contradictions(problems: pl.DataFrame, schema: dict[str, type[pl.String]]) -> pl.DataFrame:
    repeated = problems.filter(pl.col("set_aside") == "duplicate")
    if repeated.is_empty():
        return pl.DataFrame(schema=schema)
    # As the source's duplicates are found: white space apart the same question, and of a chat the same turns.
    said = pl.concat_str("question", pl.col("messages").list.eval(pl.element().struct.json_encode()).list.join("\n"))
    key = said.str.replace_all(r"\s+", " ").str.strip_chars()
    copies = problems.with_columns(key=key).join(repeated.select(key=key).unique(), on="key", how="semi")
    found: list[tuple[str, str, str]] = []
    for _, group in copies.group_by("key", maintain_order=True):
        originals = group.filter(pl.col("set_aside").is_null())
        if originals.is_empty():
            continue
        original = originals.row(0, named=True)
        own = {pooled(answer) for answer in original["answers"]}
        others = [
            f"{row['problem_id']} says {' or '.join(row['answers'])}"
            for row in group.filter(pl.col("set_aside") == "duplicate").iter_rows(named=True)
            if own.isdisjoint(pooled(answer) for answer in row["answers"])
        ]
        if others:
            found.append((original["problem_id"], Sign.CONTRADICTED, "; ".join(others[:3])))
    return pl.DataFrame(found, schema=schema, orient="row")


# -- tallies ----------------------------------------------------------------------------------------------------------


def tally(verdicts: pl.DataFrame, problems: pl.DataFrame) -> pl.DataFrame:
    """Count the distinct answers of each problem among its scored rollouts that gave one.

    A rollout reaches the reference where it passed, whatever its spelling, or where its answer is one of the references
    in another spelling: then the verifier is at fault and not the reference. A rollout without an answer, a truncated
    one say, has no voice.

    Args:
        verdicts: ``problem_id, verdict, answer``.
        problems: ``problem_id, answers``.

    Returns:
        ``problem_id, answer, count, matches_reference``: the reference's row, where there is one, has its first text;
        another answer has its commonest spelling.
    """
    given = verdicts.filter((pl.col("verdict") != "unscored") & (pl.col("answer").fill_null("") != ""))
    spelt = given.group_by("problem_id", "answer", passed=pl.col("verdict") == "pass").agg(count=pl.len())
    spelt = spelt.with_columns(key=pl.Series([pooled(answer) for answer in spelt["answer"].to_list()], dtype=pl.String))
    accepted = problems.select("problem_id", reference="answers").explode("reference").drop_nulls()
    accepted = accepted.with_columns(
        key=pl.Series([pooled(text) for text in accepted["reference"].to_list()], dtype=pl.String)
    )
    named = accepted.select("problem_id", "key").unique().with_columns(accepted=pl.lit(True))
    first = accepted.unique("problem_id", keep="first", maintain_order=True).select("problem_id", "reference")
    return (
        spelt.join(named, on=["problem_id", "key"], how="left")
        .join(first, on="problem_id", how="left")
        .with_columns(matches_reference=pl.col("passed") | pl.col("accepted").fill_null(False))
        .with_columns(key=pl.when("matches_reference").then(pl.lit(None)).otherwise("key"))
        .sort("count", "answer", descending=[True, False])
        .group_by("problem_id", "matches_reference", "key", maintain_order=True)
        .agg(answer=pl.first("answer"), reference=pl.first("reference"), count=pl.sum("count").cast(pl.Int64))
        .with_columns(answer=pl.when("matches_reference").then(pl.coalesce("reference", "answer")).otherwise("answer"))
        .sort("problem_id", "count", "answer", descending=[False, True, False])
        .select("problem_id", "answer", "count", "matches_reference")
    )


# -- the queue --------------------------------------------------------------------------------------------------------


def suspects(tallies: pl.DataFrame, signs: pl.DataFrame | None = None) -> pl.DataFrame:
    """Rank problems by how probable it is that their reference is wrong: ``ranked`` of all their tallies."""
    return ranked(counted(tallies), signs)


def ranked(seen: pl.DataFrame, signs: pl.DataFrame | None = None) -> pl.DataFrame:
    """Rank problems by how probable it is that their reference is wrong, the most probable first.

    Args:
        seen: As ``counted`` gives it.
        signs: As ``signs`` gives them; None where only the rollouts are asked.

    Returns:
        One row for each problem that has answers or a sign: ``problem_id``; ``p_label_wrong`` in (0, 1);
        ``majority_answer`` and ``majority_count``, the commonest answer that is not the reference (null without one);
        ``reference_count``, rollouts that reached the reference; ``n_answered``, rollouts with an answer;
        ``label_why``, the signs and ``majority``, joined by commas, empty where nothing speaks against it;
        ``label_note``, the signs in words; ``competing_answers`` and ``competing_counts``, the other answers, the
        commonest first, ``SHOWN`` at most.
    """
    told = _told(signs)
    frame = seen.join(told, on="problem_id", how="full", coalesce=True).with_columns(
        pl.col("n", "k", "kinds", "majority_count").fill_null(0),
        pl.col("log_sizes").fill_null(0.0),
        pl.col("signed").fill_null(""),
        pl.col("label_note").fill_null(""),
    )
    probability = _weighed(frame)
    best = pl.col("majority_count") > pl.col("k")
    by_rollouts = pl.when(best & (pl.col("p_label_wrong") >= SIGNED_RATE)).then(pl.lit(MAJORITY))
    why = pl.concat_list(pl.col("signed").replace("", None), by_rollouts).list.drop_nulls().list.join(",")
    return (
        frame.with_columns(p_label_wrong=pl.Series(probability))
        .with_columns(label_why=why, majority_count=pl.when(pl.col("kinds") > 0).then("majority_count"))
        .sort("p_label_wrong", "majority_count", "problem_id", descending=[True, True, False], nulls_last=True)
        .select(
            "problem_id",
            "p_label_wrong",
            "majority_answer",
            "majority_count",
            reference_count=pl.col("k"),
            n_answered=pl.col("n"),
            label_why=pl.col("label_why"),
            label_note=pl.col("label_note"),
            competing_answers=pl.col("competing_answers").fill_null([]),
            competing_counts=pl.col("competing_counts").fill_null([]),
        )
    )


def _weighed(frame: pl.DataFrame) -> NDArray[np.float64]:
    rivals = [frame["competing_counts"].list.get(place, null_on_oob=True).fill_null(0) for place in range(COMPETITORS)]
    n, k, kinds = (frame[name].to_numpy() for name in ("n", "k", "kinds"))
    prior = np.where((frame["signed"] != "").to_numpy(), SIGNED_RATE, BASE_RATE)
    counts = np.stack([column.cast(pl.Int64).to_numpy() for column in rivals], axis=1)
    return p_wrong(Evidence(n, k, kinds, frame["log_sizes"].to_numpy(), counts, prior))


def counted(tallies: pl.DataFrame) -> pl.DataFrame:
    """Of each problem what the model needs: n, k, how many other answers, the sum of log (count - 1)!, the commonest.

    One row for each problem however many answers it has, so that tallies need not be held, nor made all at once.
    """
    other = ~pl.col("matches_reference")
    ordered = tallies.sort("problem_id", "count", "answer", descending=[False, True, False])
    most = int(ordered["count"].max() or 1)  # type: ignore[arg-type]
    factorials = log_factorials(most)
    ordered = ordered.with_columns(log_size=pl.Series(factorials[ordered["count"].to_numpy() - 1]))
    return ordered.group_by("problem_id", maintain_order=True).agg(
        n=pl.sum("count").cast(pl.Int64),
        k=pl.col("count").filter(~other).sum().cast(pl.Int64),
        kinds=other.sum().cast(pl.Int64),
        log_sizes=pl.col("log_size").filter(other).sum(),
        majority_answer=pl.col("answer").filter(other).first(),
        majority_count=pl.col("count").filter(other).first().cast(pl.Int64),
        competing_answers=pl.col("answer").filter(other).head(SHOWN),
        competing_counts=pl.col("count").filter(other).head(SHOWN),
    )


def _told(signs: pl.DataFrame | None) -> pl.DataFrame:
    schema = {"problem_id": pl.String, "signed": pl.String, "label_note": pl.String}
    if signs is None or signs.is_empty():
        return pl.DataFrame(schema=schema)
    return signs.group_by("problem_id", maintain_order=True).agg(
        signed=pl.col("sign").str.join(","), label_note=pl.col("sign_why").str.join("; ")
    )
