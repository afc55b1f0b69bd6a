"""The spool: what is set down in any order comes back by whole problems, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from curate.spool import ROWS, Spool

NAMES = pl.Series(["c", "a", "d", "b"])


def rows(*said: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(name, index, f"{name}{index}") for name, index in said],
        schema={"problem_id": pl.String, "index": pl.Int32, "text": pl.String},
        orient="row",
    )


def test_rows_come_back_in_the_order_of_the_problems_and_strangers_last(tmp_path: Path) -> None:
    with Spool(tmp_path / "audit", NAMES) as spool:
        spool.add(rows(("b", 1), ("a", 0), ("stranger", 0)))
        spool.add(rows(("a", 1), ("c", 7), ("b", 0)))
        (found,) = spool.problems()
        assert found.rows() == [
            *(("c", 7, "c7"), ("a", 0, "a0"), ("a", 1, "a1"), ("b", 0, "b0"), ("b", 1, "b1")),
            ("stranger", 0, "stranger0"),
        ]
        assert next(spool.problems(["text"])).columns == ["problem_id", "index", "text"]
        assert spool.scan().collect().equals(found)


def test_more_rows_than_are_held_come_in_whole_problems(tmp_path: Path) -> None:
    count = 2 * ROWS + ROWS // 2
    names = [f"p{number}" for number in range(1_000)]
    whole = pl.DataFrame({"number": range(count)}).select(
        problem_id=pl.format("p{}", pl.col("number") * 7 % 1_000), index=(pl.col("number") // 1_000).cast(pl.Int32)
    )
    with Spool(tmp_path, pl.Series(names)) as spool:
        for part in whole.iter_slices(999):
            spool.add(part)
        found = list(spool.problems())
        assert len(found) == 3
        assert max(frame.height for frame in found) <= ROWS
        seen = [set(frame["problem_id"]) for frame in found]
        assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
        order = pl.DataFrame({"problem_id": names}).with_row_index("place")
        expected = whole.join(order, on="problem_id").sort("place", "index").drop("place")
        assert pl.concat(found).equals(expected)


def test_a_problem_with_more_rows_than_are_held_is_whole_too(tmp_path: Path) -> None:
    with Spool(tmp_path, NAMES) as spool:
        for name in ("d", "c"):
            spool.add(pl.DataFrame({"problem_id": name, "index": pl.int_range(ROWS + 1, dtype=pl.Int32, eager=True)}))
        assert [(frame["problem_id"][0], frame.height) for frame in spool.problems()] == [
            ("c", ROWS + 1),
            ("d", ROWS + 1),
        ]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def broken_off() -> None:
        with Spool(tmp_path / "audit", NAMES) as spool:
            spool.add(rows(("a", 0)))
            assert list(spool.problems())
            assert [file.name[:5] for file in (tmp_path / "audit").iterdir()] == [".tmp-"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert list((tmp_path / "audit").iterdir()) == []


def test_an_empty_spool_has_no_problems(tmp_path: Path) -> None:
    with Spool(tmp_path, NAMES) as spool:
        assert list(spool.problems()) == []
