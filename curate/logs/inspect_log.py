"""Inspect: ``.eval`` logs (zip archives of JSON) and ``.json`` logs.

Owns the shape of a sample: ``input``, ``target``, ``output``, ``scores``, ``error``. Source read: inspect-ai 0.3.285,
``log/_log.py`` and ``log/_recorders/eval.py``. The archive is read here, without that package: its members are plain
JSON, compressed by zstd, which ``zipfile`` reads from Python 3.14 on only and pyarrow always.

A sample's error is no failure of the model, and one that met a limit (tokens, messages, time) was cut. Of several
scorers one has to be named. ``C`` and ``I`` are 1 and 0, ``P`` is 0.5, and ``N``, which Inspect counts as 0, is no
verdict. A sample that went through several turns is read as its last answer.

Unknown: revision and chat template.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.logs.cells import NotOfFormat, Placed, chosen, document, each, listed, mapping, spoken
from curate.logs.cells import asked as turns
from curate.logs.origin import Asked, Origin, sampling
from curate.problems.files import Row

FILES = ("*.eval", "*.json")
_ZSTD = 93
_MAGIC = b"PK"
_LOCAL_HEADER = 30
_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": None}
_ATTACHMENT = "attachment://"


def read(path: Path, asked: Asked) -> Placed:
    """One row for each sample and epoch, by epoch: samples that end early stand first in the archive.

    Raises:
        ProblemsError: the file is no whole log.
        UsageError: there are several scorers and none is named.
    """
    return each(_samples(path), lambda sample: [_rollout(sample, asked)])


def origin(path: Path) -> Origin:
    """What the header says."""
    head = document(path) if path.suffix == ".json" else _header(path)
    told, plan = mapping(head.get("eval")), mapping(mapping(head.get("plan")).get("config"))
    settings = {**mapping(told.get("model_generate_config")), **{k: v for k, v in plan.items() if v is not None}}
    return Origin(
        model=told.get("model"),
        system=settings.get("system_message"),
        tool="inspect-ai",
        tool_version=mapping(told.get("packages")).get("inspect_ai"),
        **sampling(settings),
    )


def _rollout(sample: Row, asked: Asked) -> Row:
    output = mapping(sample.get("output"))
    choice = mapping(next(iter(listed(output.get("choices"))), None))
    limit = mapping(sample.get("limit")).get("type")
    usage = mapping(output.get("usage"))
    scores = {name: _grade(mapping(score).get("value")) for name, score in mapping(sample.get("scores")).items()}
    question, finish = sample.get("input"), choice.get("stop_reason")
    return {
        "question": turns(question) if isinstance(question, list) else question,
        "answer": sample.get("target"),
        "completion": spoken(choice.get("message")),
        "finish_reason": "length" if limit else None if finish == "unknown" else finish,
        "reward": chosen(scores, asked.reward, "scorer"),
        "error": sample.get("error") or output.get("error") or (None if choice or limit else "no answer was given"),
        "model": output.get("model"),
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "metadata": {"id": sample.get("id"), **mapping(sample.get("metadata"))},
    }


def _grade(value: Any) -> Any:
    if isinstance(value, str):
        return _GRADES.get(value, value)
    return float(value) if isinstance(value, bool) else value


def _samples(path: Path) -> Iterator[tuple[str, Row | ProblemsError]]:
    if path.suffix == ".json":
        whole = document(path)
        if not whole.keys() & {"eval", "samples"}:
            yield str(path), NotOfFormat("there is neither 'eval' nor 'samples': this is no log of Inspect's")
            return
        found = [sample for sample in listed(whole.get("samples")) if isinstance(sample, dict)]
        for number, sample in sorted(enumerate(found, start=1), key=lambda pair: int(pair[1].get("epoch", 1))):
            yield f"{path}: sample {number}", _attached(sample)
        return
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            yield str(path), NotOfFormat("this is no log of Inspect's: neither an .eval archive nor named .json")
            return
    names = [name for name in _names(path) if name.startswith("samples/") and name.endswith(".json")]
    for name in sorted(names, key=_epoch):
        place = f"{path}: {name}"
        try:
            sample = json.loads(_member(path, name))
        except (ValueError, RecursionError, zipfile.BadZipFile, OSError) as error:
            yield place, ProblemsError(f"unreadable sample: {error}")
            continue
        yield place, _attached(sample) if isinstance(sample, dict) else ProblemsError("expected a JSON object")


def _epoch(name: str) -> int:
    number = name.removesuffix(".json").rpartition("_epoch_")[2]
    return int(number) if number.isdecimal() else 1


def _attached(sample: Row) -> Row:
    """The sample with the long texts that stand apart from it put back."""
    attachments = mapping(sample.get("attachments"))

    def whole(value: Any) -> Any:
        if isinstance(value, str) and value.startswith(_ATTACHMENT):
            return attachments.get(value.removeprefix(_ATTACHMENT), value)
        if isinstance(value, dict):
            return {name: whole(part) for name, part in value.items()}
        return [whole(part) for part in value] if isinstance(value, list) else value

    wanted = ("id", "epoch", "input", "target", "output", "scores", "error", "limit", "metadata")
    return {name: whole(sample.get(name)) for name in wanted}


def _header(path: Path) -> Row:
    """The header, or what was written at the start of a run that never ended."""
    names = _names(path)
    name = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
    try:
        return mapping(json.loads(_member(path, name))) if name else {}
    except (ValueError, RecursionError, zipfile.BadZipFile, OSError) as error:
        raise ProblemsError(f"unreadable header: {error}", where=str(path)) from error


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ProblemsError(f"not a whole .eval log: {error}", where=str(path)) from error


def _member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(name)
        if entry.compress_type != _ZSTD:
            return archive.read(name)
    import pyarrow as pa

    with path.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(_LOCAL_HEADER)
        file.seek(sum(struct.unpack("<HH", header[26:30])), 1)
        packed = file.read(entry.compress_size)
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        return bytes(stream.read())
