"""A real runner executes orders: inputs, outputs, checks, skips, and what it says about failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from hedgerow.protocol.events import AttemptSkipped, AttemptSucceeded
from hedgerow.protocol.orders import Input
from hedgerow.protocol.references import Reference


def test_an_asset_is_computed_stored_and_reported(loaded: Any, materialized: Any) -> None:
    runner = loaded(
        """
        @hr.asset
        def numbers() -> dict:
            print("computing")
            return {"n": [1, 2, 3]}

        @hr.asset
        def total(ctx: hr.Context, numbers: dict) -> int:
            ctx.log.info("adding %d numbers", len(numbers["n"]))
            return sum(numbers["n"])
        """
    )
    events = runner.execute("numbers", partition=None)
    assert isinstance(events[-1], AttemptSucceeded)
    assert events[-1].duration_ms > 0
    body = materialized(events)["numbers"]
    assert body.reference.uri.startswith(f"file://{runner.output}/numbers/")
    assert body.reference.format == "json"
    assert body.data_version == body.reference.data_version
    assert runner.logged() == "computing\n"

    events = runner.execute("total", inputs=(Input("numbers", (body.reference,)),))
    reference = materialized(events)["total"].reference
    assert Path(reference.uri.removeprefix("file://")).read_text() == "6"
    assert runner.logged().splitlines()[1].endswith("Z INFO adding 3 numbers")


def test_a_table_is_reported_with_its_columns_and_rows(loaded: Any, materialized: Any) -> None:
    runner = loaded(
        """
        import polars as pl

        @hr.asset(partitions=hr.daily("2024-01-01"))
        def orders(ctx: hr.Context) -> pl.DataFrame:
            return pl.DataFrame({"day": [ctx.partition_key] * 3})
        """
    )
    body = materialized(runner.execute("orders", partition="2024-01-05"))["orders"]
    assert (body.partition, body.reference.partition, body.metadata) == ("2024-01-05", "2024-01-05", {"rows": 3})
    assert [(column.name, column.type) for column in body.columns] == [("day", "String")]
    assert "/orders/2024-01-05/" in body.reference.uri
    assert pl.read_parquet(body.reference.uri.removeprefix("file://"))["day"].to_list() == ["2024-01-05"] * 3


def test_several_partitions_become_one_table(loaded: Any, materialized: Any) -> None:
    runner = loaded(
        """
        import polars as pl
        days = hr.daily("2024-01-01")

        @hr.asset(partitions=days)
        def orders(ctx: hr.Context) -> pl.DataFrame:
            return pl.DataFrame({"day": [ctx.partition_key]})

        @hr.asset
        def all_days(orders: pl.DataFrame) -> list:
            return orders["day"].to_list()

        @hr.asset
        def by_day(orders: dict[str, pl.DataFrame]) -> dict:
            return {day: len(frame) for day, frame in orders.items()}
        """
    )
    days = ("2024-01-01", "2024-01-02")
    references = tuple(materialized(runner.execute("orders", partition=day))["orders"].reference for day in days)
    for name, expected in (("all_days", list(days)), ("by_day", dict.fromkeys(days, 1))):
        body = materialized(runner.execute(name, inputs=(Input("orders", references),)))[name]
        stored = Path(body.reference.uri.removeprefix("file://")).read_bytes()
        assert msgspec.json.decode(stored) == expected


def test_metadata_version_and_code_version_are_reported(loaded: Any, materialized: Any) -> None:
    runner = loaded(
        """
        import datetime
        from pathlib import Path

        @hr.asset(code_version="7")
        def a(ctx: hr.Context) -> dict:
            ctx.metadata(when=datetime.date(2024, 1, 1), where=Path("x/y"))
            return hr.Result({"x": 1}, metadata={"score": 0.5}, data_version="v1")
        """
    )
    body = materialized(runner.execute("a"))["a"]
    assert body.metadata == {"when": "2024-01-01", "where": "x/y", "score": 0.5}
    assert (body.data_version, body.reference.data_version, body.code_version) == ("v1", "v1", "7")


def test_an_asset_of_none_is_materialized_without_a_reference(loaded: Any, materialized: Any) -> None:
    runner = loaded("@hr.asset\ndef done() -> None: ...\n")
    body = materialized(runner.execute("done"))["done"]
    assert body.reference is None
    assert not runner.output.exists()


def test_a_skip_says_why_and_stores_nothing(loaded: Any) -> None:
    runner = loaded("@hr.asset\ndef a() -> int:\n    return hr.skip('no news')\n")
    (event,) = runner.execute("a")
    assert isinstance(event, AttemptSkipped)
    assert event.why == "no news"


MULTI = """
    @hr.multi_asset(hr.spec("a"), hr.spec("b", deps=["a"]), subset=True)
    def both(ctx: hr.Context):
        for key in ctx.asset_keys:
            yield hr.Result({"key": key}, asset=key)
"""


def test_a_step_of_several_assets_reports_each(loaded: Any, materialized: Any) -> None:
    runner = loaded(MULTI)
    assert list(materialized(runner.execute("a", "b"))) == ["a", "b"]
    assert list(materialized(runner.execute("b", computation="a"))) == ["b"]


def test_if_one_of_several_outputs_can_not_be_stored_none_is_reported(loaded: Any, failure: Any) -> None:
    runner = loaded(
        """
        @hr.multi_asset(hr.spec("a"), hr.spec("b"))
        def both():
            return {"a": "fine", "b": (i for i in range(3))}
        """
    )
    events = runner.execute("a", "b")
    assert len(events) == 1
    end = failure(events)
    assert (end.reason, end.error.code, end.retryable) == ("user_error", "HR-S003", False)
    assert [path for path in runner.output.rglob("*") if path.is_file()] == []


def test_checks_run_after_the_output_is_reported(loaded: Any, materialized: Any, verdicts: Any) -> None:
    runner = loaded(
        """
        import polars as pl
        import pandas as pd

        @hr.asset
        def a() -> pl.DataFrame:
            return pl.DataFrame({"n": [1, 2]})

        @hr.check("a")
        def enough(a: pl.DataFrame) -> bool:
            return len(a) > 1

        @hr.check("a")
        def as_pandas(a: pd.DataFrame):
            return hr.CheckResult(isinstance(a, pd.DataFrame), metadata={"rows": len(a)}, description="seen by pandas")

        @hr.check("a")
        def broken(a: pl.DataFrame) -> bool:
            raise KeyError("column")
        """
    )
    events = runner.execute("a")
    assert isinstance(events[-1], AttemptSucceeded)
    assert list(materialized(events[:1])) == ["a"]
    results = verdicts(events)
    assert {name: verdict.passed for name, verdict in results.items()} == {
        "enough": True,
        "as_pandas": True,
        "broken": False,
    }
    assert results["as_pandas"].metadata == {"rows": 2}
    assert results["broken"].error.startswith("KeyError: 'column'")
    assert "team.py" in results["broken"].error


def test_a_failed_blocking_check_fails_the_attempt_for_good(loaded: Any, failure: Any, verdicts: Any) -> None:
    runner = loaded(
        """
        @hr.asset
        def a() -> list:
            return []

        @hr.check("a", blocking=True)
        def not_empty(a: list) -> bool:
            return bool(a)
        """
    )
    events = runner.execute("a")
    assert not verdicts(events)["not_empty"].passed
    end = failure(events)
    assert (end.reason, end.retryable, end.error.code) == ("check_failed", False, "HR-X005")
    assert "not_empty of a" in end.error.message


def test_an_exception_is_reported_with_the_teams_own_frames(loaded: Any, failure: Any) -> None:
    runner = loaded(
        """
        def inner():
            raise ValueError("boom")

        @hr.asset
        def a():
            inner()
        """
    )
    end = failure(runner.execute("a"))
    assert (end.reason, end.retryable) == ("user_error", True)
    assert (end.error.code, end.error.message) == ("HR-X001", "ValueError: boom")
    assert (end.error.file, end.error.line) == ("team.py", 4)
    assert end.error.traceback is not None
    assert "in inner" in end.error.traceback
    assert "hedgerow/" not in end.error.traceback


def test_an_async_function_s_failure_is_as_clear(loaded: Any, failure: Any) -> None:
    runner = loaded("@hr.asset\nasync def a():\n    raise ValueError('boom')\n")
    error = failure(runner.execute("a")).error
    assert (error.message, error.file, error.line) == ("ValueError: boom", "team.py", 4)
    assert "asyncio" not in error.traceback


def test_a_bad_config_is_the_orders_fault_and_final(loaded: Any, failure: Any) -> None:
    runner = loaded(
        """
        class Rounds(hr.Config):
            rounds: int = 3

        @hr.asset
        def a(config: Rounds) -> int:
            return config.rounds
        """
    )
    assert isinstance(runner.execute("a", config=msgspec.Raw(b'{"rounds": 5}'))[-1], AttemptSucceeded)
    end = failure(runner.execute("a", config=msgspec.Raw(b'{"rounds": "five"}')))
    assert (end.reason, end.retryable) == ("bad_order", False)
    assert end.error.code.startswith("HR-X20")


def test_metadata_over_the_cap_is_refused_and_nothing_is_stored(loaded: Any, failure: Any) -> None:
    runner = loaded("@hr.asset\ndef a() -> str:\n    return hr.Result('x', metadata={'big': 'x' * 70_000})\n")
    events = runner.execute("a")
    end = failure(events)
    assert (len(events), end.retryable) == (1, False)
    assert "65,536" in end.error.message
    assert not runner.output.exists()


def test_an_event_that_would_be_too_large_is_refused(loaded: Any, failure: Any) -> None:
    runner = loaded(
        """
        from hedgerow.protocol.references import Reference

        class Wide(hr.IO):
            name = "wide"
            def write(self, value, target):
                return Reference(target.location, "io:wide", extra={"x": "x" * 300_000})

        wide = Wide()

        @hr.asset(io="wide")
        def a() -> str:
            return "x"
        """
    )
    events = runner.execute("a")
    assert (len(events), failure(events).error.code) == (1, "HR-X007")


def test_orders_for_other_code_are_refused(loaded: Any, failure: Any) -> None:
    runner = loaded("@hr.asset\ndef a() -> int:\n    return 1\n")
    for fields, code in (
        ({"manifest": "0" * 64}, "HR-X003"),
        ({"computation": "b"}, "HR-X002"),
        ({"assets": ("b",)}, "HR-X002"),
    ):
        end = failure(runner.execute("a", **fields))
        assert (end.reason, end.error.code) == ("bad_order", code)


def test_an_input_without_data_is_named(loaded: Any, failure: Any) -> None:
    runner = loaded("@hr.asset\ndef a() -> int:\n    return 1\n\n@hr.asset\ndef b(a: int) -> int:\n    return a\n")
    for inputs in ((), (Input("a", missing=("",)),)):
        end = failure(runner.execute("b", inputs=inputs))
        assert (end.reason, end.error.code) == ("bad_order", "HR-X006")
    end = failure(runner.execute("b", inputs=(Input("a", (Reference(f"{runner.output}/gone.json", "json"),)),)))
    assert (end.reason, end.error.code, end.retryable) == ("user_error", "HR-S006", True)


def test_only_the_own_team_s_pickles_are_opened(loaded: Any, failure: Any, materialized: Any) -> None:
    runner = loaded(
        """
        @hr.asset
        def mine() -> set:
            return {1, 2}

        @hr.asset
        def reads_mine(mine: set) -> int:
            return len(mine)

        @hr.asset
        def reads_theirs(theirs: set) -> int:
            return len(theirs)
        """
    )
    reference = materialized(runner.execute("mine"))["mine"].reference
    assert reference.format == "pickle"
    mine = (Input("mine", (reference,)),)
    assert isinstance(runner.execute("reads_mine", inputs=mine)[-1], AttemptSucceeded)
    for owner, ok in (("", False), ("marketing", False), ("sales", True)):
        end = runner.execute("reads_theirs", inputs=(Input("theirs", (reference,), team=owner),))[-1]
        assert isinstance(end, AttemptSucceeded) is ok
        if not ok:
            assert (failure([end]).error.code, end.reason) == ("HR-S004", "bad_order")


def test_a_custom_io_writes_loads_and_is_named_when_it_fails(loaded: Any, failure: Any, materialized: Any) -> None:
    runner = loaded(
        """
        from hedgerow.protocol.references import Reference

        class Shelf(hr.IO):
            name = "shelf"
            def __init__(self):
                self.held = {}
            def write(self, value, target):
                if value == "bad":
                    raise ConnectionError("asleep")
                self.held[target.location] = value
                return Reference(target.location, "io:shelf")
            def load(self, reference, type):
                return self.held[reference.uri]

        shelf = Shelf()

        @hr.asset(io="shelf")
        def a() -> str:
            return "kept"

        @hr.asset
        def b(a: str) -> str:
            return a + "!"

        @hr.asset(io="shelf")
        def bad() -> str:
            return "bad"
        """
    )
    reference = materialized(runner.execute("a"))["a"].reference
    assert reference.format == "io:shelf"
    events = runner.execute("b", inputs=(Input("a", (reference,)),))
    stored = materialized(events)["b"].reference
    assert Path(stored.uri.removeprefix("file://")).read_text() == "kept!"
    end = failure(runner.execute("bad"))
    assert (end.error.code, end.retryable, end.error.file) == ("HR-S010", True, "team.py")
    assert "io 'shelf' failed to write asset 'bad'" in end.error.message


def test_keys_of_dynamic_partitions_are_told_at_the_end_of_a_step_that_ends_well(loaded: Any) -> None:
    runner = loaded(
        """
        customers = hr.dynamic("customers")

        @hr.asset(partitions=customers)
        def invoices() -> None: ...

        @hr.asset
        def signups(ctx: hr.Context) -> int:
            ctx.add_partitions("customers", ["acme", "globex"])
            return 1

        @hr.asset
        def broken(ctx: hr.Context) -> int:
            ctx.add_partitions("customers", ["acme"])
            raise ValueError("too late")

        @hr.check(signups, blocking=True)
        def few(signups: int) -> bool:
            return signups < 2
        """
    )
    events = runner.execute("signups", partition=None)
    assert [type(event).__name__ for event in events[-3:]] == [
        "CheckEvaluated",
        "PartitionsChanged",
        "AttemptSucceeded",
    ]
    assert (events[-2].name, events[-2].added, events[-2].removed) == ("customers", ("acme", "globex"), ())
    assert [type(event).__name__ for event in runner.execute("broken", partition=None)] == ["AttemptFailed"]
