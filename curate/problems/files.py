"""Rows of problem files, JSONL, JSON, CSV and Parquet, each with the place it was read from.

Owns turning bytes into rows, and naming the file and line where that fails. Must not know which column means what:
rollout logs are read with the same functions. JSON and CSV are read with the standard library, because a reader that
guesses types would turn the answer ``007`` into 7 and could not say which line is broken.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from curate.errors import ProblemsError

Row = dict[str, Any]

COMPRESSED = (".gz", ".zst")
"""Suffixes after a text file's own: it is decompressed as it is read, and its lines are numbered as they come out."""

_BATCH = 10_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MAGIC = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"PK\x03\x04": "a zip archive or an office document",
    codecs.BOM_UTF16_LE: "UTF-16 text",
    codecs.BOM_UTF16_BE: "UTF-16 text",
    b"version https://git-lfs": "a Git LFS pointer, not the data it stands for",
}


@dataclass(frozen=True)
class Source:
    """Rows on their way in, with what is needed to say where one came from."""

    name: str
    """The file or Hub dataset, as the user wrote it."""
    identity: str
    """What was read: the path, or the Hub id and its commit."""
    unit: Literal["line", "row"]
    """What the numbers count, from 1."""
    rows: Iterator[tuple[int, Row]]
    license: str | None = None
    """What a Hub dataset says of itself, as the Hub writes licences."""

    def place(self, number: int) -> str:
        """Where a row came from: ``file:12``, or ``file: row 12`` where lines mean nothing."""
        return f"{self.name}:{number}" if self.unit == "line" else f"{self.name}: row {number}"


def open_file(path: Path) -> Source:
    """The rows of one file, read as they are asked for (a ``.json`` list is read whole).

    Raises:
        ProblemsError: the file is missing, is no file of a known kind, or (while rows are read) is broken.
    """
    kinds: dict[str, tuple[Callable[[Path], Iterator[tuple[int, Row]]], Literal["line", "row"]]] = {
        ".jsonl": (_jsonl, "line"),
        ".json": (_json, "row"),
        ".csv": (_csv, "line"),
        ".parquet": (parquet, "row"),
    }
    if not path.exists():
        raise ProblemsError("there is no such file", where=str(path), hint=_missing_hint(path))
    suffix = uncompressed(path).suffix.lower()
    if suffix not in kinds:
        raise ProblemsError(
            f"cannot tell what kind of file this is from its suffix {suffix!r}",
            where=str(path),
            hint=f"read are {', '.join(kinds)}: convert it, or rename it where it is one of these",
        )
    reader, unit = kinds[suffix]
    return Source(str(path), str(path), unit, reader(path))


def uncompressed(path: Path) -> Path:
    """What a file would be called without its compression."""
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED else path


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line of a text file with its number from 1 and its line end; a byte-order mark is removed.

    Raises:
        ProblemsError: the file cannot be read, is empty, or is plainly something else than UTF-8 text.
    """
    with _reading(path), _opened(path) as stream:
        number = 0
        for number, line in enumerate(stream, start=1):
            if number == 1:
                _refuse_other_kinds(path, line)
                line = line.removeprefix(codecs.BOM_UTF8)
            yield number, line
        if number == 0:
            raise ProblemsError("the file is empty", where=str(path))


def parse_line(line: bytes) -> Row:
    """The object on one line of JSON Lines.

    Raises:
        ProblemsError: without a place, which the caller knows: not UTF-8, not JSON, not an object, or text that no
            file can hold.
    """
    try:
        row = json.loads(_decode(line))
    except (ValueError, RecursionError) as error:
        cut = not line.endswith(b"\n")
        raise ProblemsError(
            f"not JSON: {_json_complaint(error)}",
            hint="the file ends inside this line: was it written or copied to its end?" if cut else None,
        ) from error
    if not isinstance(row, dict):
        raise ProblemsError(f"expected a JSON object, found {_kind(row)}", hint='rows look like {"question": ...}')
    if _SURROGATE.search(line):
        _refuse_broken_text(row)
    return row


def parquet(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a Parquet file, numbered from 1, one batch in memory at a time.

    Raises:
        ProblemsError: the file cannot be read, is truncated, or is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(path):
        if path.stat().st_size == 0:
            raise ProblemsError("the file is empty", where=str(path))
        try:
            with pq.ParquetFile(path) as file:
                yield from arrow_rows(file.iter_batches(batch_size=_BATCH))
        except (pa.ArrowException, OSError) as error:
            raise ProblemsError(
                f"not a whole Parquet file: {str(error).splitlines()[0]}",
                where=str(path),
                hint="it is truncated or damaged: copy or write it again",
            ) from error


def arrow_rows(batches: Iterator[Any]) -> Iterator[tuple[int, Row]]:
    """The rows of Arrow batches or tables as plain Python values, numbered from 1 over all of them.

    Single-precision numbers come out as the shortest decimal that names them, 0.1 and not 0.10000000149011612.
    """
    import pyarrow as pa

    number = 0
    for batch in batches:
        for name, kind in zip(batch.schema.names, batch.schema.types, strict=True):
            if pa.types.is_float32(kind):
                column = batch.column(name).cast(pa.string()).cast(pa.float64())
                batch = batch.set_column(batch.schema.get_field_index(name), name, column)
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in lines(path):
        if line.isspace():
            continue
        try:
            yield number, parse_line(line)
        except ProblemsError as error:
            raise ProblemsError(error.message, where=f"{path}:{number}", hint=error.hint) from error


def _json(path: Path) -> Iterator[tuple[int, Row]]:
    """A list of objects; or JSON Lines under this suffix, as the Hub has many."""
    content = b"".join(line for _, line in lines(path))
    if content.lstrip().startswith(b"{"):
        del content
        try:
            yield from _jsonl(path)
        except ProblemsError as error:
            hint = error.hint or "a .json file is a list of objects, or has one object on each line"
            raise ProblemsError(error.message, where=error.where, hint=hint) from error
        return
    try:
        items = json.loads(_decode(content))
    except json.JSONDecodeError as error:
        cut = not content[error.pos :].strip() or "Unterminated" in error.msg
        raise ProblemsError(
            f"not JSON: {_json_complaint(error)}",
            where=f"{path}:{error.lineno}",
            hint="was the file written or copied to its end?" if cut else None,
        ) from error
    except (ValueError, RecursionError) as error:
        raise ProblemsError(f"not JSON: {_json_complaint(error)}", where=str(path)) from error
    except ProblemsError as error:
        raise ProblemsError(error.message, where=str(path), hint=error.hint) from error
    if not isinstance(items, list):
        raise ProblemsError(f"expected a list of objects, found {_kind(items)}", where=str(path))
    broken_text = bool(_SURROGATE.search(content))
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise ProblemsError(f"expected an object, found {_kind(item)}", where=f"{path}: row {number}")
        if broken_text:
            try:
                _refuse_broken_text(item)
            except ProblemsError as error:
                raise ProblemsError(error.message, where=f"{path}: row {number}") from error
        yield number, item


def _csv(path: Path) -> Iterator[tuple[int, Row]]:
    """Every cell as the text it is; the number of a row is that of the line it begins on."""

    def decoded() -> Iterator[str]:
        for number, line in lines(path):
            try:
                yield _decode(line)
            except ProblemsError as error:
                raise ProblemsError(error.message, where=f"{path}:{number}", hint=error.hint) from error

    reader = csv.reader(decoded(), strict=True)
    header: list[str] | None = None
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ProblemsError(
                f"not CSV: {error}", where=f"{path}:{start}", hint="look for a quote that is never closed"
            ) from error
        if cells is None:
            return
        if not cells:
            continue
        if header is None:
            header = cells
            twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
            if twice:
                raise ProblemsError(f"two columns are called {twice[0]!r}", where=f"{path}:{start}")
        elif len(cells) != len(header):
            raise ProblemsError(
                f"this row has {len(cells)} cells, the header has {len(header)}",
                where=f"{path}:{start}",
                hint="put cells that contain a comma or a line end in double quotes",
            )
        else:
            yield start, dict(zip(header, cells, strict=True))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or error
        raise ProblemsError(f"cannot read the file: {said}", where=str(path)) from error


def _opened(path: Path) -> BinaryIO:
    kind = path.suffix.lower()
    if kind == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if kind == ".zst":
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return path.open("rb")


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemsError(
            f"not UTF-8 text: byte 0x{data[error.start]:02x} at position {error.start + 1}",
            hint="save it as UTF-8, e.g. iconv -f latin1 -t utf-8",
        ) from error


def _refuse_other_kinds(path: Path, head: bytes) -> None:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise ProblemsError(
                f"the file is {kind}, not what its suffix says", where=str(path), hint="convert or rename it"
            )


def _refuse_broken_text(row: Row) -> None:
    """A lone half of a surrogate pair is valid in JSON, and in no file that the row would later be written to."""
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ProblemsError(
            f"the text holds half of a character, \\u{ord(error.object[error.start]):04x}",
            hint="it was cut inside a surrogate pair: remove or repair it",
        ) from error


def _json_complaint(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _kind(value: object) -> str:
    return {list: "a list", dict: "an object", str: "a text", type(None): "null", bool: "true or false"}.get(
        type(value), "a number"
    )


def _missing_hint(path: Path) -> str | None:
    package, colon, _ = str(path).partition(":")
    if "://" in str(path) or str(path).startswith(("http:/", "https:/", "hf:/", "s3:/")):
        return "addresses are not fetched: download the file, or name a Hub dataset as owner/name"
    if colon and "/" not in package:
        return f"the package {package!r} is not installed"
    if path.parent.is_dir():
        close = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
        return f"did you mean {str(path.parent / close[0])!r}?" if close else None
    return f"the folder {str(path.parent)!r} does not exist either"
