"""Broken files are refused with their name and line."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from curate.errors import ProblemsError
from curate.problems.files import open_file

GOOD = b'{"question": "1+1?", "answer": "2"}\n'


def read(path: Path) -> list[tuple[int, dict[str, Any]]]:
    return list(open_file(path).rows)


def complaint(path: Path) -> ProblemsError:
    with pytest.raises(ProblemsError) as caught:
        read(path)
    return caught.value


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# -- all kinds ------------------------------------------------------------------------------------------------------


def test_a_missing_file_points_to_its_neighbour(tmp_path: Path) -> None:
    written(tmp_path / "train.jsonl", GOOD)
    error = complaint(tmp_path / "trian.jsonl")
    assert (error.message, error.where) == ("there is no such file", str(tmp_path / "trian.jsonl"))
    assert error.hint == f"did you mean {str(tmp_path / 'train.jsonl')!r}?"
    assert "folder" in str(complaint(tmp_path / "none" / "x.jsonl").hint)
    assert "'no_such' is not installed" in str(complaint(Path("no_such:x.jsonl")).hint)
    assert "not fetched" in str(complaint(Path("https://example.org/x.jsonl")).hint)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    error = complaint(written(tmp_path / "x.txt", GOOD))
    assert "suffix '.txt'" in error.message
    assert error.hint == "read are .jsonl, .json, .csv, .parquet: convert it, or rename it where it is one of these"


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str) -> None:
    error = complaint(written(tmp_path / f"x.{suffix}", b""))
    assert (error.message, error.where) == ("the file is empty", str(tmp_path / f"x.{suffix}"))


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_a_folder_of_that_name_cannot_be_read(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x.{suffix}").mkdir()
    with pytest.raises(ProblemsError):
        read(tmp_path / f"x.{suffix}")


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(GOOD), "gzip-compressed"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (GOOD.decode().encode("utf-16"), "UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ],
)
def test_another_kind_of_file_is_recognised(tmp_path: Path, suffix: str, content: bytes, words: str) -> None:
    assert words in complaint(written(tmp_path / f"x.{suffix}", content)).message


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_a_compressed_file_is_read_as_what_it_holds(tmp_path: Path, suffix: str) -> None:
    plain = read(written(tmp_path / f"x.{suffix}", GOOD))
    assert read(written(tmp_path / f"x.{suffix}.gz", gzip.compress(GOOD))) == plain
    assert read(written(tmp_path / f"x.{suffix}.zst", pa.compress(GOOD, codec="zstd", asbytes=True))) == plain
    cut = written(tmp_path / f"y.{suffix}.gz", gzip.compress(GOOD)[:-9])
    assert complaint(cut).message.startswith("cannot read the file")
    assert complaint(written(tmp_path / f"z.{suffix}.zst", GOOD)).message.startswith("cannot read the file")


# -- JSON Lines -----------------------------------------------------------------------------------------------------


def test_json_lines_count_blank_lines_and_skip_them(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", b"\xef\xbb\xbf" + GOOD + b"\n  \n" + GOOD.rstrip(b"\n"))
    assert [number for number, _ in read(path)] == [1, 4]


def test_a_line_separator_inside_text_ends_no_line(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", '{"question": "a\u2028b\u0085c", "answer": "1"}\n'.encode())
    assert read(path) == [(1, {"question": "a\u2028b\u0085c", "answer": "1"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"question": "a", "answer" "b"}\n', "not JSON: Expecting ':' delimiter at column 28"),
        (b'["a", "b"]\n', "expected a JSON object, found a list"),
        (b"null\n", "expected a JSON object, found null"),
        (b'{"question": "caf\xe9"}\n', "not UTF-8 text: byte 0xe9 at position 18"),
        (b"\x89\x50\x4e\x47\n", "not UTF-8 text: byte 0x89 at position 1"),
        (b'{"a": "\\ud83d"}\n', "the text holds half of a character, \\ud83d"),
        (b"[" * 100_000 + b"\n", "not JSON: nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}\n", "not JSON: Exceeds the limit"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = written(tmp_path / "x.jsonl", GOOD + GOOD + line + GOOD)
    error = complaint(path)
    assert error.where == f"{path}:3"
    assert error.message.startswith(message)


def test_a_truncated_last_line_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", GOOD + GOOD[:20])
    error = complaint(path)
    assert error.where == f"{path}:2"
    assert error.hint == "the file ends inside this line: was it written or copied to its end?"


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", b'{"a": "\\ud83d\\ude00"}\n')
    assert read(path) == [(1, {"a": "\U0001f600"})]


# -- JSON -----------------------------------------------------------------------------------------------------------


def test_json_is_a_list_or_one_object_on_each_line(tmp_path: Path) -> None:
    rows = [{"a": 1}, {"a": [2, None]}]
    assert read(written(tmp_path / "list.json", json.dumps(rows, indent=2).encode())) == list(enumerate(rows, 1))
    assert read(written(tmp_path / "lines.json", b'{"a": 1}\n{"a": [2, null]}\n')) == list(enumerate(rows, 1))


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b'[\n{"a": 1},\n{"a" 2}\n]', ":3", "Expecting ':' delimiter"),
        (b'[{"a": 1},\n{"a": "x', ":2", "Unterminated string"),
        (b'[{"a": 1}, 2]', ": row 2", "expected an object, found a number"),
        (b'[{"a": 1}, {"a": "\\ud800"}]', ": row 2", "half of a character"),
        (b'"text"', "", "expected a list of objects, found a text"),
        (b'{\n  "data": []\n}', ":1", "Expecting property name"),
        (b"[\xe9]", "", "not UTF-8 text"),
    ],
)
def test_broken_json_is_named(tmp_path: Path, content: bytes, place: str, words: str) -> None:
    path = written(tmp_path / "x.json", content)
    error = complaint(path)
    assert error.where == f"{path}{place}"
    assert words in error.message


# -- CSV ------------------------------------------------------------------------------------------------------------


def test_csv_cells_stay_text_and_rows_know_their_line(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfquestion,answer\r\n"a\nb, ""c""",007\r\n\r\nd,\r\n'
    assert read(written(tmp_path / "x.csv", content)) == [
        (2, {"question": 'a\nb, "c"', "answer": "007"}),
        (5, {"question": "d", "answer": ""}),
    ]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"q,a\n1,2\n1,2,3\n", 3, "this row has 3 cells, the header has 2"),
        (b'q,a\n"1\n1",2\n1\n', 4, "this row has 1 cells, the header has 2"),
        (b'q,a\n1,2\n"1,2\n3,4\n', 3, "not CSV: unexpected end of data"),
        (b'q,a\n1,"2" x\n', 2, "not CSV: ',' expected after '\"'"),
        (b"q,a\n1,2\n1,\xe9\n", 3, "not UTF-8 text: byte 0xe9"),
        (b"q,a,q\n1,2,3\n", 1, "two columns are called 'q'"),
    ],
)
def test_a_broken_csv_row_is_named(tmp_path: Path, content: bytes, line: int, words: str) -> None:
    path = written(tmp_path / "x.csv", content)
    error = complaint(path)
    assert error.where == f"{path}:{line}"
    assert error.message.startswith(words)


# -- Parquet --------------------------------------------------------------------------------------------------------


def test_parquet_values_come_as_they_are(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "q": ["a", None],
            "n": pl.Series([0.1, None], dtype=pl.Float32),
            "d": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(10, 2)),
            "l": [["x", "y"], []],
            "s": [{"a": 1}, None],
            "b": [b"\x00", None],
        }
    )
    frame.write_parquet(tmp_path / "x.parquet")
    first, second = read(tmp_path / "x.parquet")
    # 0.1 in single precision is 0.10000000149011612; the shortest decimal that names it is 0.1.
    assert first == (1, {"q": "a", "n": 0.1, "d": Decimal("1.50"), "l": ["x", "y"], "s": {"a": 1}, "b": b"\x00"})
    assert second[1]["n"] is None
    assert second[1]["l"] == []


def test_parquet_rows_are_numbered_over_all_batches(tmp_path: Path) -> None:
    pl.DataFrame({"q": range(25_000)}).write_parquet(tmp_path / "x.parquet", row_group_size=7_000)
    rows = read(tmp_path / "x.parquet")
    assert [number for number, _ in rows] == list(range(1, 25_001))
    assert [row["q"] for _, row in rows] == list(range(25_000))


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_truncated_parquet_file_is_named(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"q": [f"question {n}" for n in range(1000)]}).write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    error = complaint(path)
    assert error.where == str(path)
    assert "not a whole Parquet file" in error.message
    assert "truncated" in str(error.hint)


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"q": [f"question {n}" for n in range(1000)]}).write_parquet(path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[60:200] = b"\xff" * 140
    path.write_bytes(content)
    assert complaint(path).where == str(path)


def test_text_under_the_name_of_parquet_is_refused(tmp_path: Path) -> None:
    assert "not a whole Parquet file" in complaint(written(tmp_path / "x.parquet", GOOD * 10)).message
