"""Files appear whole or not at all, at a place of their own, on the local disk and behind a URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import polars as pl
import pytest

from hedgerow.errors import StorageError
from hedgerow.io import IO, Target
from hedgerow.protocol.references import Reference
from hedgerow.storage import Reader, Scratch, discard, files, load, location, write


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://bucket/data"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def target(root: str, partition: str | None = None, attempt: str = "0190") -> Target:
    return Target("raw/a", partition, attempt, "run", location(root, "raw/a", partition, attempt))


def test_each_attempt_writes_to_a_path_of_its_own(tmp_path: Path) -> None:
    first = write("x", target(f"file://{tmp_path}", "2024|a/b", "one"))
    second = write("x", target(f"file://{tmp_path}", "2024|a/b", "two"))
    assert first is not None
    assert second is not None
    assert first.reference.uri == f"file://{tmp_path}/raw/a/2024%7Ca%2Fb/one.txt"
    assert (tmp_path / "raw/a/2024%7Ca%2Fb/two.txt").read_text() == "x"
    assert first.reference.partition == "2024|a/b"


def test_the_data_version_is_the_hash_of_the_content_unless_the_user_gave_one(tmp_path: Path) -> None:
    one, two = write("x", target(str(tmp_path), attempt="1")), write("x", target(str(tmp_path), attempt="2"))
    mine = write("x", target(str(tmp_path), attempt="3"), data_version="v7")
    assert one is not None
    assert two is not None
    assert mine is not None
    assert one.reference.data_version == two.reference.data_version == files.digest(b"x")
    assert mine.reference.data_version == "v7"
    assert one.reference.size_bytes == 1


def test_a_table_is_hashed_like_any_other_content(tmp_path: Path) -> None:
    written = write(pl.DataFrame({"n": [1]}), target(str(tmp_path)))
    assert written is not None
    body = Path(written.reference.uri).read_bytes()
    assert (written.reference.data_version, written.reference.size_bytes) == (files.digest(body), len(body))


def test_what_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    def broken(path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk gone")

    with pytest.raises(StorageError, match="disk gone") as caught:
        files.store(f"{tmp_path}/x.bin", broken)
    assert caught.value.code == "HR-S007"
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file where a folder must be")
    with pytest.raises(StorageError, match=r"raw/a/0190\.txt can't be written") as caught:
        write("x", target(str(tmp_path)))
    assert caught.value.code == "HR-S007"


@pytest.mark.parametrize("wanted", [str, bytes, Path, pl.DataFrame])
def test_a_file_that_is_gone_is_named(wanted: type, tmp_path: Path) -> None:
    format_ = "parquet" if wanted is pl.DataFrame else "text"
    with pytest.raises(StorageError, match=r"gone\.x can't be read") as caught:
        load([Reference(f"{tmp_path}/gone.x", format_)], wanted, Reader("a"))
    assert caught.value.code == "HR-S006"


def test_a_broken_parquet_file_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nonsense")
    for wanted in (pl.DataFrame, pd.DataFrame):
        with pytest.raises(StorageError) as caught:
            load([Reference(f"{tmp_path}/x.parquet", "parquet")], wanted, Reader("a"))
        assert caught.value.code == "HR-S013"


def test_discarded_output_is_gone(tmp_path: Path) -> None:
    written = write("x", target(str(tmp_path)))
    assert written is not None
    discard(written)
    discard(written)
    assert list((tmp_path / "raw/a").iterdir()) == []


@pytest.mark.parametrize(
    ("value", "wanted"),
    [({"a": 1}, dict), ("x", str), (b"x", bytes), ({1}, set), (pl.DataFrame({"n": [1]}), pl.DataFrame)],
)
def test_a_url_is_written_and_read_by_fsspec(value: Any, wanted: type, memory: str) -> None:
    written = write(value, target(memory, "2024-01-01"))
    assert written is not None
    assert written.reference.uri.startswith("memory://bucket/data/raw/a/2024-01-01/0190.")
    loaded = load([written.reference], wanted, Reader("a", same_team=True))
    assert loaded.equals(value) if wanted is pl.DataFrame else loaded == value


def test_a_remote_file_asked_for_as_path_is_copied_to_scratch_and_removed_with_it(memory: str) -> None:
    written = write("x", target(memory))
    assert written is not None
    with Scratch() as scratch:
        path = load([written.reference], Path, Reader("a", scratch=scratch))
        assert path.name == "0190.txt"
        assert path.read_text() == "x"
    assert not path.exists()


def test_many_remote_partitions_keep_their_order(memory: str) -> None:
    written = [write(str(n), target(memory, f"p{n}")) for n in range(20)]
    values = load([one.reference for one in written if one], list[str], Reader("a"), several=True)
    assert values == [str(n) for n in range(20)]


def test_a_url_without_driver_says_what_to_install() -> None:
    with pytest.raises(StorageError, match="driver for gs") as caught:
        files.read("gs://bucket/x")
    assert caught.value.code == "HR-S002"


class Shelf(IO):
    name = "shelf"

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def write(self, value: Any, target: Target) -> Reference:
        self.values[target.location] = value
        return Reference(target.location, "io:shelf", extra={"note": "top"})

    def load(self, reference: Reference, type: Any) -> Any:
        assert reference.extra == {"note": "top"}
        return self.values[reference.uri]


def test_a_custom_io_writes_and_loads() -> None:
    shelf = Shelf()
    written = write((1, 2), target("x", "p"), io=shelf)
    assert written is not None
    assert (written.reference.format, written.reference.partition) == ("io:shelf", "p")
    assert written.reference.data_version
    assert load([written.reference], tuple, Reader("a", ios={"shelf": shelf})) == (1, 2)


def test_several_partitions_of_a_custom_io_are_put_together() -> None:
    shelf = Shelf()
    written = [write(pl.DataFrame({"n": [n]}), target("x", str(n)), io=shelf) for n in range(2)]
    frame = load(
        [one.reference for one in written if one], pl.DataFrame, Reader("a", ios={"shelf": shelf}), several=True
    )
    assert frame["n"].to_list() == [0, 1]


def test_an_io_that_fails_is_named() -> None:
    class Broken(Shelf):
        name = "broken"

        def write(self, value: Any, target: Target) -> Reference:
            raise ConnectionError("warehouse asleep")

        def load(self, reference: Reference, type: Any) -> Any:
            raise ConnectionError("warehouse asleep")

    for act in (
        lambda: write(1, target("x"), io=Broken()),
        lambda: load([Reference("x", "io:broken")], None, Reader("a", ios={"broken": Broken()})),
    ):
        with pytest.raises(StorageError, match=r"The io 'broken' failed .* warehouse asleep") as caught:
            act()
        assert caught.value.code == "HR-S010"


def test_an_io_that_returns_no_reference_is_refused() -> None:
    class Odd(Shelf):
        result: Any = "table_7"

        def write(self, value: Any, target: Target) -> Reference:
            return self.result  # type: ignore[no-any-return]

    for result in ("table_7", Reference("x", "io:shelf", extra={"o": object()})):
        odd = Odd()
        odd.result = result
        with pytest.raises(StorageError) as caught:
            write(1, target("x"), io=odd)
        assert caught.value.code == "HR-S012"


def test_an_io_of_another_location_is_named_as_missing() -> None:
    with pytest.raises(StorageError, match="'shelf', which this location does not define") as caught:
        load([Reference("x", "io:shelf")], None, Reader("a"))
    assert caught.value.code == "HR-S011"
