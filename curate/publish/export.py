"""Export: a release as the file that a trainer reads.

Owns what is taken from a release, the prompt as the protocol has it, and how the file is written: rows in the
release's order and nothing of the moment in it, so that two exports are the same bytes. Must not read a profile or know
a trainer's columns, which are ``trainers``'s.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from curate import durable
from curate.errors import ReleaseError, UsageError
from curate.logs.origin import UNKNOWN
from curate.problems import prompts
from curate.publish.release import FILE, read
from curate.publish.trainers import LABEL, RAW, SYSTEM_FILE, TABLE, TRAINERS, Example, Options, Trainer
from curate.recipe import PromptSection, Recipe, load
from curate.records import Message, Problem, Prompt

_ABILITY = {"math": "math", "numeric": "math", "code": "code"}
_CHOICES = {LABEL: ("reference", "problem_id")}


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    trainer: str
    reads: str
    """The trainer's module that reads it, and the version that was looked at."""
    config: str
    rows: int
    columns: tuple[str, ...]
    """Of each row; of prime-rl, the one that became the list."""
    options: dict[str, Any]
    """What the trainer's options came to."""
    several: int
    """Rows with several accepted references."""
    without_reference: int
    """Problems left out because there is none."""


def export(
    release: str | Path,
    *,
    trainer: str,
    to: str | Path,
    config: str = "default",
    recipe: str | Path | Recipe | None = None,
    options: Mapping[str, Any] | None = None,
) -> Exported:
    """Write a config of a release as the file that a trainer reads.

    The prompt is the protocol's: the recipe's template rendered, as chat messages with the system message where the
    recipe says ``chat: true``, else as the whole text; problems that are chats keep their turns.

    Args:
        release: A folder that ``filter`` wrote.
        trainer: One of ``trainers.TRAINERS``.
        to: The file, replaced where there is one; its ending says the format (``.parquet``, ``.jsonl``, ``.toml``).
        config: ``default`` for the kept problems, ``control`` for the fair comparison, or another of the release's.
        recipe: Whose ``prompt`` section made the prompts, for a release of imported rollouts, which does not say.
        options: The trainer's own, e.g. ``{"data_source": "openai/gsm8k"}``.

    Returns:
        What was written.

    Raises:
        UsageError: an unknown trainer, config, option or ending; a recipe of another prompt, or none where one is
            needed; prompts that the trainer cannot take.
        ReleaseError: there is no release there, it is damaged, or no row is left.
        LedgerUnwritable: the file cannot be written.
    """
    target, ending = Path(to), Path(to).suffix
    known = _trainer(trainer)
    if ending not in known.formats:
        raise UsageError(
            f"{trainer} reads {' and '.join(known.formats)} files, not {ending or 'one without an ending'!r}",
            where=str(target),
            hint=f"--to {target.with_suffix(known.formats[0])}",
        )
    manifest = read(release)
    chosen = _options(trainer, known, manifest, options or {})
    problems, rates = read_problems(release, config, manifest)
    made = _prompts(manifest, recipe, str(release)) if known.prompted else lambda _problem: Prompt()
    kept = [(problem, rate) for problem, rate in zip(problems, rates, strict=True) if problem.answers]
    if not kept:
        raise ReleaseError("no problem has a reference to train on", where=f"{release}: {config}")
    examples = [
        Example(
            index=index,
            problem_id=problem.problem_id,
            prompt=made(problem),
            question=problem.question,
            answers=problem.answers,
            pass_rate=rate,
            metadata=json.dumps(problem.metadata, ensure_ascii=False),
        )
        for index, (problem, rate) in enumerate(kept)
    ]
    _refuse(trainer, known, examples, chosen, f"{release}: {config}")
    columns = known.columns(bool(examples[0].prompt.messages))
    rows = [known.row(example, chosen) for example in examples]
    fill = _filling(ending, rows, columns, chosen)
    if system := chosen.get(SYSTEM_FILE):
        _write_system(Path(system), examples)
    durable.write(target, fill)
    return Exported(
        path=target,
        trainer=trainer,
        reads=known.reads,
        config=config,
        rows=len(rows),
        columns=tuple(columns),
        options=dict(chosen),
        several=sum(len(example.answers) > 1 for example in examples),
        without_reference=len(problems) - len(kept),
    )


# -- the release ------------------------------------------------------------------------------------------------------


def read_problems(
    release: str | Path, config: str, manifest: Mapping[str, Any]
) -> tuple[list[Problem], list[float | None]]:
    """The problems of one config, in its order, and their pass rates.

    Raises:
        UsageError: the release has no such config.
        ReleaseError: its file is missing, is not the one that was written, or lacks a column.
    """
    if config not in manifest["rows"]:
        raise UsageError(
            f"this release has no config {config!r}", where=str(release), hint=f"it has {', '.join(manifest['rows'])}"
        )
    file = Path(release) / config / FILE
    anew = "make the release anew: curate filter"
    try:
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest["sha256"].get(f"{config}/{FILE}"):
            raise ReleaseError("the file is not the one that the manifest describes", where=str(file), hint=anew)
        frame = pl.read_parquet(io.BytesIO(content))
        return [_problem(row) for row in frame.iter_rows(named=True)], frame["pass_rate"].to_list()
    except (OSError, pl.exceptions.PolarsError, KeyError, ValueError) as error:
        raise ReleaseError(f"unreadable: {error}", where=str(file), hint=anew) from error


def _problem(row: dict[str, Any]) -> Problem:
    return Problem(
        problem_id=row["problem_id"],
        question=row["question"],
        answers=tuple(row["answers"]),
        metadata=json.loads(row["metadata"]),
        messages=tuple(Message(**turn) for turn in row.get("messages") or ()),
    )


def _prompts(
    manifest: Mapping[str, Any], recipe: str | Path | Recipe | None, where: str
) -> Callable[[Problem], Prompt]:
    """What turns a problem into its prompt: the protocol's template, or the recipe's where the protocol has none."""
    given = None if recipe is None else recipe.prompt if isinstance(recipe, Recipe) else load(recipe).prompt
    protocol = manifest["protocol"]
    if UNKNOWN in (protocol.get(key, UNKNOWN) for key in ("prompt.system", "prompt.template", "prompt.chat")):
        if given is None:
            raise UsageError(
                "the rollouts were imported, and their release does not say which prompt the model saw",
                where=where,
                hint="name the recipe whose prompt section made them: --recipe RECIPE",
            )
        return prompts.renderer(given)
    own = PromptSection(
        system=protocol["prompt.system"], template=protocol["prompt.template"], chat=protocol["prompt.chat"]
    )
    if given is not None and given != own:
        raise UsageError(
            "the pass rates were measured under another prompt than the recipe's",
            where=where,
            hint="leave the recipe out, or profile with it",
        )
    return prompts.renderer(own)


# -- what was asked ---------------------------------------------------------------------------------------------------


def _trainer(name: str) -> Trainer:
    if name in TRAINERS:
        return TRAINERS[name]
    close = get_close_matches(name.lower().replace("_", "-"), TRAINERS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(TRAINERS)}"
    raise UsageError(f"unknown trainer {name!r}", where="--for", hint=hint)


def _options(name: str, trainer: Trainer, manifest: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
    verifier = str(manifest["protocol"].get("verifier.kind"))
    own = {"name": str(manifest["name"]), "ability": _ABILITY.get(verifier, "general")}
    chosen = {
        key: default.format(**own) if isinstance(default, str) else default for key, default in trainer.options.items()
    }
    for key, value in given.items():
        where = f"--option {key}"
        if key not in chosen:
            close = get_close_matches(key, chosen, n=1)
            named = f"it has: {', '.join(chosen)}" if chosen else "it has none"
            hint = f"did you mean {close[0]!r}?" if close else named
            raise UsageError(f"{name} has no option {key!r}", where=where, hint=hint)
        if isinstance(chosen[key], bool) != isinstance(value, bool) or not isinstance(value, str | int | float):
            expected = "true or false" if isinstance(chosen[key], bool) else "a text"
            raise UsageError(f"expected {expected}, got {value!r}", where=where)
        if key in _CHOICES and value not in _CHOICES[key]:
            raise UsageError(f"expected {' or '.join(_CHOICES[key])}, got {value!r}", where=where)
        chosen[key] = value if isinstance(value, bool) else str(value)
    return chosen


def _refuse(name: str, trainer: Trainer, examples: Sequence[Example], options: Options, where: str) -> None:
    for example in examples:
        complaint = trainer.complaint(example.prompt, options)
        if complaint is None:
            continue
        hint = None
        if not example.prompt.messages:
            hint = (
                f"--option {RAW}=true writes the text as one user turn; give {name} a chat template that prints it "
                "unchanged: {{ messages[0]['content'] }}"
            )
        elif SYSTEM_FILE in options and not options[SYSTEM_FILE]:
            hint = f"--option {SYSTEM_FILE}=FILE writes it there; name the same file in the config"
        raise UsageError(f"{name} {complaint}", where=f"{where}: problem {example.problem_id}", hint=hint)


# -- the file ---------------------------------------------------------------------------------------------------------


def _filling(
    ending: str, rows: Sequence[dict[str, Any]], columns: Mapping[str, Any], options: Options
) -> Callable[[Path], object]:
    """What writes the rows into a file of that ending."""
    if ending == ".toml":
        text = f"[{options[TABLE]}]\nids = [\n" + "".join(f"  {_toml(row['id'])},\n" for row in rows) + "]\n"
        return lambda file: file.write_text(text, encoding="utf-8")
    if ending == ".jsonl":
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        _refuse_dates(lines.encode())
        return lambda file: file.write_text(lines, encoding="utf-8", newline="\n")
    return lambda file: _write_parquet(rows, columns, file)


def _toml(text: str) -> str:
    # JSON's escapes are TOML's; only DEL, which TOML wants escaped too, is none of JSON's.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _refuse_dates(content: bytes) -> None:
    """Refuse JSON of which Arrow, with which ``datasets`` reads it, would make something else than texts."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    read = arrow_json.read_json(
        io.BytesIO(content), arrow_json.ReadOptions(use_threads=False, block_size=min(len(content) + 1, 2**31 - 1))
    )

    def dated(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(dated(kind.field(place).type) for place in range(kind.num_fields))
        if pa.types.is_list(kind):
            return dated(kind.value_type)
        return bool(pa.types.is_temporal(kind))

    for name, kind in zip(read.schema.names, read.schema.types, strict=True):
        if dated(kind):
            raise UsageError(
                f"every text in {name!r} looks like a date, and would be read from JSON as one",
                where="--to",
                hint="write a .parquet file",
            )


def _write_parquet(rows: Sequence[dict[str, Any]], columns: Mapping[str, Any], file: Path) -> None:
    import pyarrow as pa
    from datasets import Features, List, Value
    from pyarrow import parquet

    def feature(kind: Any) -> Any:
        if isinstance(kind, list):
            return List(feature(kind[0]))
        return {name: feature(inner) for name, inner in kind.items()} if isinstance(kind, dict) else Value(kind)

    features = Features({name: feature(kind) for name, kind in columns.items()})
    table = pa.Table.from_pylist(list(rows), schema=features.arrow_schema)
    parquet.write_table(table, file, compression="zstd")


def _write_system(file: Path, examples: Sequence[Example]) -> None:
    """Write the one system message of all prompts, to the last character."""
    found = {_system(example.prompt) for example in examples}
    if len(found) > 1 or None in found:
        raise UsageError(
            "the prompts do not all begin with the same system message, and one file holds only one",
            where=f"--option {SYSTEM_FILE}",
        )
    text = str(found.pop())
    durable.write(file, lambda place: place.write_text(text, encoding="utf-8", newline=""))


def _system(prompt: Prompt) -> str | None:
    return next((turn.content for turn in prompt.messages if turn.role == "system"), None)
