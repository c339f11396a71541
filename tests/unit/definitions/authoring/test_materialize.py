"""Materializing in process: no server, no broker, no disk."""

from __future__ import annotations

from datetime import UTC, datetime
from types import ModuleType

import pytest

import hedgerow as hr
from hedgerow.errors import DefinitionError, ExecutionError, RequestError

NOW = datetime(2024, 1, 6, 12, tzinfo=UTC)
DAILY = hr.daily("2024-01-01")


class Api(hr.Resource):
    def fetch(self) -> int:
        return 10


@hr.asset(group="raw", tags={"tier": "raw"})
def orders() -> list[int]:
    return [1, 2, 3]


@hr.asset
def total(orders: list[int], rate: int = 1) -> int:
    return sum(orders) * rate


@hr.asset
def doubled(total: int) -> int:
    return total * 2


@hr.check(orders, blocking=True)
def not_empty(orders: list[int]) -> bool:
    return bool(orders)


@hr.asset
def plain_total(orders: list[int]) -> hr.Result[int]:
    return hr.Result(sum(orders), metadata={"rows": len(orders)})


@hr.asset(partitions=DAILY)
def day(ctx: hr.Context) -> str:
    return ctx.partition_key


@hr.asset(partitions=DAILY, deps=[hr.dep("day", partitions=hr.mapping.window(-2, 0))])
def three_days(day: list[str]) -> str:
    return "+".join(day)


@hr.asset
def every_day(day: dict[str, str]) -> dict[str, str]:
    return day


def as_module(**members: object) -> ModuleType:
    module = ModuleType("made_for_a_test")
    vars(module).update(members)
    return module


def test_assets_run_in_order_of_dependency_and_their_values_are_kept() -> None:
    result = hr.materialize([plain_total, orders])
    assert result.success
    assert result.value("plain_total") == 6
    assert result.metadata("plain_total") == {"rows": 3}
    assert [one.asset for one in result.outputs] == ["orders", "plain_total"]


def test_the_decorated_function_can_be_called_directly() -> None:
    assert plain_total([4]).value == 4
    assert day(hr.Context(partition_key="2024-01-01")) == "2024-01-01"


def test_one_asset_alone_takes_its_upstreams_from_inputs() -> None:
    assert hr.materialize(plain_total, inputs={"orders": [5]}).value("plain_total") == 5


def test_an_input_that_is_neither_selected_nor_given_is_named() -> None:
    with pytest.raises(ExecutionError) as caught:
        hr.materialize([plain_total])
    assert caught.value.code == "HR-X204"
    assert "'orders'" in str(caught.value)


def test_a_text_selects_among_definitions() -> None:
    module = as_module(orders=orders, plain_total=plain_total, day=day)
    assert hr.materialize("orders+", definitions=module).value("plain_total") == 6
    assert hr.materialize(["+plain_total"], definitions=[module]).value("plain_total") == 6
    assert [one.asset for one in hr.materialize(["group:raw"], definitions=[orders, plain_total]).outputs] == ["orders"]
    assert len(hr.materialize(["*", "!day"], definitions=module).outputs) == 2
    assert len(hr.materialize(["tag:tier=raw"], definitions=module).outputs) == 1


def test_a_text_without_definitions_or_match_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        hr.materialize(["orders"])
    assert caught.value.code == "HR-D022"
    with pytest.raises(RequestError) as caught:
        hr.materialize(["oders"], definitions=[orders])
    assert caught.value.code == "HR-Q001"
    assert "Did you mean 'orders'" in str(caught.value)


def test_mistakes_in_the_given_assets_are_reported_as_in_a_location() -> None:
    with pytest.raises(DefinitionError) as caught:
        hr.materialize([orders, total])
    assert caught.value.code == "HR-D005"


def test_resources_are_given_by_instance_type_or_parameter_name() -> None:
    class Fake(Api):
        def fetch(self) -> int:
            return 3

    @hr.asset
    def fetched(api: Api) -> int:
        return api.fetch()

    assert hr.materialize(fetched, resources=[Api()]).value("fetched") == 10
    assert hr.materialize(fetched, resources={Api: Fake()}).value("fetched") == 3
    assert hr.materialize(fetched, resources={"api": Fake()}).value("fetched") == 3
    assert hr.materialize("fetched", definitions=as_module(a=fetched, api=Api())).value("fetched") == 10
    with pytest.raises(DefinitionError) as caught:
        hr.materialize(fetched)
    assert caught.value.code == "HR-D014"


def test_config_is_given_by_asset() -> None:
    class Settings(hr.Config):
        rounds: int = 1

    @hr.asset
    def rounds(settings: Settings) -> int:
        return settings.rounds

    assert hr.materialize(rounds).value("rounds") == 1
    assert hr.materialize(rounds, config={"rounds": {"rounds": 4}}).value("rounds") == 4
    assert hr.materialize(rounds, config={"rounds": Settings(rounds=5)}).value("rounds") == 5
    with pytest.raises(ExecutionError) as caught:
        hr.materialize(rounds, config={"rounds": {"rounds": "x"}})
    assert caught.value.code == "HR-X201"
    with pytest.raises(RequestError):
        hr.materialize(rounds, config={"round": {}})


def test_a_partition_runs_with_the_partitions_that_its_mapping_reads() -> None:
    result = hr.materialize([day, three_days], partition="2024-01-04", now=NOW)
    assert result.value("three_days") == "2024-01-02+2024-01-03+2024-01-04"
    assert [one.partition for one in result.outputs if one.asset == "day"] == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert result.value("day", "2024-01-03") == "2024-01-03"


def test_an_asset_without_partitions_reads_every_complete_one() -> None:
    result = hr.materialize([day, every_day], now=NOW)
    assert list(result.value("every_day")) == [f"2024-01-0{n}" for n in range(1, 6)]


def test_a_partition_that_is_missing_or_unknown_is_refused() -> None:
    for partition in (None, "2023-01-01", "x"):
        with pytest.raises(RequestError) as caught:
            hr.materialize(day, partition=partition, now=NOW)
        assert caught.value.code == "HR-Q101"
        assert "'day'" in str(caught.value)


def test_a_partition_that_is_not_complete_yet_may_be_tried() -> None:
    assert hr.materialize(day, partition="2030-01-01", now=NOW).value("day") == "2030-01-01"


def test_tables_of_several_partitions_become_one() -> None:
    import polars

    @hr.asset(partitions=DAILY)
    def rows(ctx: hr.Context) -> polars.DataFrame:
        return polars.DataFrame({"day": [ctx.partition_key]})

    @hr.asset(partitions=hr.monthly("2024-01", "2024-02"))
    def month(rows: polars.DataFrame) -> int:
        return len(rows)

    assert hr.materialize([rows, month], partition="2024-01", now=NOW).value("month") == 31


def test_a_failing_step_raises_its_own_exception_with_a_note() -> None:
    @hr.asset
    def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        hr.materialize(broken)
    assert caught.value.__notes__ == ["while materializing 'broken' in process"]

    @hr.asset
    def below(broken: int) -> int:
        return broken

    result = hr.materialize([broken, below, orders], raise_on_error=False)
    assert not result.success
    assert [str(one.error) for one in result.failures] == ["no"]
    assert result.left_out == {("broken", None): "failed", ("below", None): "upstream 'broken' has no output"}
    assert result.value("orders") == [1, 2, 3]
    with pytest.raises(RequestError) as missing:
        result.value("below")
    assert "upstream 'broken' has no output" in str(missing.value)


def test_a_blocking_check_stops_the_run() -> None:
    @hr.asset
    def nothing() -> list[int]:
        return []

    @hr.check(nothing, blocking=True)
    def some(nothing: list[int]) -> hr.CheckResult:
        return hr.CheckResult(bool(nothing), description="none at all")

    @hr.asset
    def below(nothing: list[int]) -> int:
        return 1

    with pytest.raises(ExecutionError) as caught:
        hr.materialize([nothing, below, some])
    assert caught.value.code == "HR-X221"
    assert "none at all" in str(caught.value)
    result = hr.materialize([nothing, below, some], raise_on_error=False)
    assert not result.success
    assert result.outputs == ()
    assert [one.passed for one in result.checks] == [False]


def test_a_plain_check_is_only_recorded() -> None:
    @hr.check(orders)
    def wrong(orders: list[int]) -> bool:
        raise RuntimeError("boom")

    result = hr.materialize([orders, not_empty, wrong])
    assert result.success
    assert [(one.check, one.passed, one.error) for one in result.checks] == [
        ("not_empty", True, ""),
        ("wrong", False, "RuntimeError: boom"),
    ]


def test_a_skip_leaves_out_what_is_downstream() -> None:
    @hr.asset
    def maybe() -> int:
        return hr.skip("not today")

    @hr.asset
    def below(maybe: int) -> int:
        return maybe

    result = hr.materialize([maybe, below])
    assert result.success
    assert result.outputs == ()
    assert result.left_out[("maybe", None)] == "skipped: not today"


def test_an_order_only_dependency_orders_the_steps() -> None:
    seen: list[str] = []

    @hr.asset
    def first() -> None:
        seen.append("first")

    @hr.asset(deps=[first])
    def second() -> None:
        seen.append("second")

    assert hr.materialize([second, first]).success
    assert seen == ["first", "second"]


def test_what_is_no_asset_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        hr.materialize([print])  # type: ignore[list-item]
    assert caught.value.code == "HR-D022"
