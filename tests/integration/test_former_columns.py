"""Changed columns, against real servers: read from PostgreSQL, carried to the runner, blocked, and let through on purpose."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.locations import write_location
from support.recorded import rows

from hedgerow.manifest.model import Column
from hedgerow_scheduler.cli import assets, materialize
from hedgerow_scheduler.embedded.platform import Platform
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Materialization
from hedgerow_scheduler.lifecycle.states import MaterializationState
from hedgerow_scheduler.metadata import leadership
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.former_columns import read_former
from hedgerow_scheduler.metadata.recording import record
from hedgerow_scheduler.planning.former_columns import Former

CURRENT, REJECTED = MaterializationState.CURRENT, MaterializationState.REJECTED
UUIDS = (f"00000000-0000-7000-8000-{number:012}" for number in count(1))

CODE = """
    import json
    from pathlib import Path
    import polars as pl
    import hedgerow as hr

    @hr.asset(key="shop/orders", partitions=hr.static("mon", "tue", "wed"))
    def orders() -> pl.DataFrame:
        names = json.loads((Path(__file__).parent / "columns.json").read_text())
        return pl.DataFrame({name: [1] for name in names})

    @hr.asset(key="shop/count", deps=["shop/orders"], partitions=hr.static("mon", "tue", "wed"))
    def count(orders: pl.DataFrame) -> int:
        return len(orders)

    same = hr.expect.same_schema("shop/orders", blocking=True)
"""


@pytest.mark.servers
def test_what_was_dispatched_last_of_what_is_current_is_read(database_url: str) -> None:
    history = [
        ("a", "mon", 1, CURRENT, ("id",)),
        ("a", "tue", 4, CURRENT, ("id", "amount")),
        ("a", "mon", 3, CURRENT, ("id", "old")),
        ("a", "wed", 5, REJECTED, ("other",)),
        ("a", "thu", 6, CURRENT, ()),
        ("b", "", 2, CURRENT, ()),
        ("c", "", 7, CURRENT, ("c",)),
    ]
    engine = open_engine(database_url)
    for asset, partition, seq, state, names in history:
        changes, attempt_id = Changes(), next(UUIDS)
        changes.outputs[attempt_id, asset] = Materialization(
            attempt_id, asset, partition, next(UUIDS), 0, seq, state, None, "", "", {},
            tuple(Column(name, "int", "What it is.") for name in names),
        )  # fmt: skip
        with engine.begin() as connection:
            record(connection, changes, leadership.read_time(connection))
    with engine.begin() as connection:
        found = read_former(connection, ["a", "b", "never"])
    assert found == {"a": Former(4, (Column("id", "int"), Column("amount", "int")))}
    judged_again = "UPDATE materializations SET state = 'rejected' WHERE state = 'current' RETURNING 1"
    assert len(rows(engine, judged_again)) == 6 - 1
    with engine.begin() as connection:
        assert read_former(connection, ["a", "b", "never"]) == {"a": Former(1, (Column("id", "int"),))}
    assert len(rows(engine, "SELECT 1 FROM materializations")) == len(history)
    engine.dispose()


@pytest.mark.servers
@pytest.mark.processes
def test_a_changed_schema_is_blocked_until_a_run_accepts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    location = write_location(tmp_path / "shop", "shop", CODE)
    monkeypatch.chdir(tmp_path)  # where the commands find the platform

    def returns(*columns: str) -> None:
        (location / "columns.json").write_text(json.dumps(columns))

    def run(partition: str, *more: str) -> tuple[str, str, dict[str, str]]:
        """A run's state, the verdict on what it made of the orders, and the states of its steps."""
        selected = "shop/orders" if "--checks-only" in more else "shop/orders+"
        materialize.main([selected, "--partition", partition, "--json", *more])
        made: dict[str, Any] = json.loads(capsys.readouterr().out)
        assets.main(["checks", "shop/orders", "--history", "1", "--json"])
        (verdict,) = json.loads(capsys.readouterr().out)["items"]
        assert verdict["run_id"] == made["id"]
        return made["state"], verdict["description"], made["counts"]

    returns("id", "amount")
    with Platform(tmp_path, reload=False) as running:
        running.wait_ready()
        state, told, _ = run("mon")
        assert (state, told) == ("succeeded", "Nothing was accepted before it that it could be compared with.")
        assert run("tue")[:2] == ("succeeded", "")
        returns("note", "id")
        state, told, counts = run("tue")
        assert (state, counts) == ("failed", {"failed": 1, "upstream_failed": 1})
        accepting = ("--tag", "accept-schema=shop/orders")
        changed, way_out = told.split(". If that is meant, accept it once: ")
        assert changed == "Added: note (Int64); removed: amount (Int64)"
        assert (
            way_out
            == "`hedgerow materialize shop/orders --partition tue --checks-only --tag accept-schema=shop/orders`."
        )
        assert run("tue", "--checks-only")[:2] == ("failed", told)
        accepted = "Accepted by the run: added: note (Int64); removed: amount (Int64)."
        assert run("tue", "--checks-only", *accepting)[:2] == ("succeeded", accepted)
        assert run("wed")[:2] == ("succeeded", "")
        returns("id")
        assert run("wed", *accepting)[0] == "succeeded"
        assert run("tue", "--checks-only")[:2] == (
            "succeeded",
            "",
        )  # what was accepted is not judged by what came after it
