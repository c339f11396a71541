"""Running one function: what it is given, and what may come back."""

from __future__ import annotations

import logging

import pytest

from hedgerow.errors import ExecutionError
from hedgerow.execution import Attempt, evaluate, execute
from hedgerow.result import Skip


def run(location, name, *, inputs=None, assets=None, **attempt):
    bound = location.computations[name]
    return execute(bound, Attempt(assets or tuple(bound.assets), **attempt), inputs or {})


def refused(location, name, **kwargs) -> ExecutionError:
    with pytest.raises(ExecutionError) as caught:
        run(location, name, **kwargs)
    return caught.value


def test_a_value_comes_back_as_one_output(load) -> None:
    (output,) = run(load("@hr.asset\ndef a(b: int): return b + 1"), "a", inputs={"b": 1})
    assert (output.asset, output.value, output.stored, dict(output.metadata)) == ("a", 2, True, {})


def test_an_async_function_is_awaited_even_inside_a_running_loop(load) -> None:
    import asyncio

    location = load("import asyncio\n@hr.asset\nasync def a():\n    await asyncio.sleep(0)\n    return 7")
    assert run(location, "a")[0].value == 7

    async def main() -> int:
        return run(location, "a")[0].value

    assert asyncio.run(main()) == 7


def test_the_context_says_all_about_the_step(load) -> None:
    location = load(
        """
        @hr.asset(partitions=hr.daily("2024-03-01", tz="Europe/Oslo") * hr.static("no", dim="country"))
        def a(ctx: hr.Context):
            ctx.metadata(rows=1, more="x")
            ctx.metadata({"rows": 2})
            window = ctx.partition_window
            return (ctx.partition_key, dict(ctx.partition_keys_by_dim), window.start.isoformat(), window.end.isoformat(),
                    ctx.run_id, ctx.attempt, dict(ctx.run_tags), ctx.asset_keys, ctx.asset_key, ctx.log.name)
        """
    )
    (output,) = run(
        location,
        "a",
        partition="2024-03-31|no",
        run_id="r",
        number=2,
        run_tags={"a": "b"},
        log=logging.getLogger("mine"),
    )
    assert output.value == (
        "2024-03-31|no",
        {"time": "2024-03-31", "country": "no"},
        "2024-03-31T00:00:00+01:00",
        "2024-04-01T00:00:00+02:00",
        "r",
        2,
        {"a": "b"},
        ("a",),
        "a",
        "mine",
    )
    assert output.metadata == {"more": "x", "rows": 2}


def test_a_context_without_partition_says_so(load) -> None:
    location = load("@hr.asset\ndef a(ctx: hr.Context): return ctx.partition_key")
    assert refused(location, "a").code == "HR-X211"


def test_metadata_over_the_cap_is_refused(load) -> None:
    location = load("@hr.asset\ndef a(): return hr.Result(1, metadata={'x': 'y' * 70_000})")
    assert refused(location, "a").code == "HR-X213"
    location = load("@hr.asset\ndef a(ctx: hr.Context): ctx.metadata(x=object())")
    assert refused(location, "a").code == "HR-X213"


def test_a_result_carries_metadata_version_and_columns(load) -> None:
    location = load(
        """
        @hr.asset
        def a(ctx: hr.Context) -> hr.Result[int]:
            ctx.metadata(x=1, y=1)
            return hr.Result(5, metadata={"y": 2}, data_version="v1", columns={"id": "int"})
        """
    )
    (output,) = run(location, "a")
    assert (output.value, output.metadata, output.data_version) == (5, {"x": 1, "y": 2}, "v1")
    assert [column.name for column in output.columns] == ["id"]


def test_a_skip_comes_back_as_itself(load) -> None:
    assert run(load("@hr.asset\ndef a() -> int: return hr.skip('no data')"), "a") == Skip("no data")


CONFIG = """
from dataclasses import dataclass, field
from datetime import date
@dataclass
class Settings:
    rounds: int
    since: date = date(2024, 1, 1)
    names: list[str] = field(default_factory=list)
@hr.asset
def a(settings: Settings): return settings
class Strict(hr.Config):
    rounds: int = 1
@hr.asset
def b(settings: Strict, ctx: hr.Context): return settings.rounds, ctx.config is settings
@hr.asset
def c(settings: Strict = Strict(rounds=9)): return settings.rounds
@hr.asset
def d(): return 1
"""


def test_a_config_is_converted_from_json_and_fills_in_defaults(load) -> None:
    location = load(CONFIG)
    settings = run(location, "a", config=b'{"rounds": 3, "since": "2024-05-06"}')[0].value
    assert (settings.rounds, settings.since.isoformat(), settings.names) == (3, "2024-05-06", [])
    assert run(location, "b")[0].value == (1, True)
    assert run(location, "b", config=b"null")[0].value == (1, True)
    assert run(location, "c")[0].value == 9
    assert run(location, "c", config={"rounds": 2})[0].value == 2
    assert run(location, "a", config=settings)[0].value is settings


@pytest.mark.parametrize(
    ("name", "config", "code", "said"),
    [
        ("a", b'{"rounds": "three"}', "HR-X201", "$.rounds"),
        ("a", b"{}", "HR-X201", "rounds"),
        ("a", None, "HR-X201", "rounds"),
        ("a", b'{"rounds": 1, "round": 2}', "HR-X201", "'round'"),
        ("b", b'{"rnds": 1}', "HR-X201", "'rnds'"),
        ("b", b"[1]", "HR-X201", "object"),
        ("b", b"{", "HR-X201", "no JSON"),
        ("d", b'{"rounds": 1}', "HR-X202", "takes no config"),
    ],
)
def test_a_config_that_does_not_fit_names_the_field(load, name, config, code, said) -> None:
    error = refused(load(CONFIG), name, config=config)
    assert error.code == code
    assert said in str(error)


def test_a_missing_input_is_refused_and_an_optional_one_is_none_or_its_default(load) -> None:
    location = load(
        """
        @hr.asset
        def a(other): return other
        @hr.asset(deps=[hr.dep("x", optional=True), hr.dep("y", optional=True)])
        def b(x, y=5): return x, y
        """
    )
    assert refused(location, "a").code == "HR-X204"
    assert run(location, "b")[0].value == (None, 5)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("HR-X206", "@hr.asset\ndef a() -> int: return None"),
        ("HR-X206", "@hr.asset\ndef a() -> None: return 1"),
        ("HR-X205", "@hr.asset\ndef a(): return hr.Result(1, asset='b')"),
        ("HR-X205", "@hr.multi_asset(hr.spec('a'), hr.spec('b'))\ndef ab(): return 1"),
        ("HR-X205", "@hr.multi_asset(hr.spec('a'), hr.spec('b'))\ndef ab(): return 1, 2, 3"),
        ("HR-X205", "@hr.multi_asset(hr.spec('a'), hr.spec('b'))\ndef ab(): return {'a': 1, 'c': 2}"),
        ("HR-X207", "@hr.multi_asset(hr.spec('a'), hr.spec('b'))\ndef ab(): return {'a': 1}"),
    ],
)
def test_a_return_that_does_not_fit_is_refused(load, code, text) -> None:
    assert refused(load(text), "a").code == code


def test_none_stores_nothing(load) -> None:
    location = load(
        "@hr.asset\ndef a() -> None: ...\n@hr.asset\ndef b(): ...\n@hr.asset\ndef c() -> int | None: return None"
    )
    assert [run(location, name)[0].stored for name in "abc"] == [False, False, False]


@pytest.mark.parametrize(
    "body",
    [
        "return 1, 2",
        "return {'b': 2, 'a': 1}",
        "return [hr.Result(2, asset='b'), hr.Result(1, asset='a')]",
        "yield hr.Result(1, asset='a')\n    yield hr.Result(2, asset='b')",
    ],
)
@pytest.mark.parametrize("prefix", ["", "async "])
def test_a_multi_asset_returns_or_yields_in_several_ways(load, body, prefix) -> None:
    location = load(f"@hr.multi_asset(hr.spec('a'), hr.spec('b'), subset=True)\n{prefix}def ab():\n    {body}")
    assert [(one.asset, one.value) for one in run(location, "a")] == [("a", 1), ("b", 2)]
    assert [(one.asset, one.value) for one in run(location, "a", assets=("b",))] == [("b", 2)]


def test_a_subset_may_compute_only_what_it_is_asked_for(load) -> None:
    location = load(
        """
        @hr.multi_asset(hr.spec("a"), hr.spec("b"), subset=True)
        def ab(ctx: hr.Context):
            ctx.metadata(n=1, asset="b")
            return {key: key for key in ctx.asset_keys}
        """
    )
    (output,) = run(location, "a", assets=("b",))
    assert (output.asset, output.value, output.metadata) == ("b", "b", {"n": 1})


def test_the_teams_own_exception_comes_through_unchanged(load) -> None:
    with pytest.raises(ZeroDivisionError):
        run(load("@hr.asset\ndef a(): return 1 / 0"), "a")


CHECKS = """
@hr.asset
def a(): ...
@hr.check("a")
def plain(value) -> bool: return value > 1
@hr.check("a")
async def detailed(value, ctx: hr.Context): return hr.CheckResult(value > 1, {"seen": value}, "too small")
@hr.check("a")
def alone(): return True
@hr.check("a")
def wrong(value): return 3
"""


def test_a_check_gives_its_verdict(load) -> None:
    location = load(CHECKS)
    attempt = Attempt(("a",))
    assert evaluate(location.checks["a", "plain"], attempt, 2).passed
    assert not evaluate(location.checks["a", "plain"], attempt, 1).passed
    verdict = evaluate(location.checks["a", "detailed"], attempt, 1)
    assert (verdict.passed, verdict.metadata, verdict.description) == (False, {"seen": 1}, "too small")
    assert evaluate(location.checks["a", "alone"], attempt).passed


def test_a_numpy_bool_is_a_verdict(load) -> None:
    import numpy

    location = load(CHECKS)
    assert evaluate(location.checks["a", "plain"], Attempt(("a",)), numpy.int64(2)).passed is True


def test_a_check_without_verdict_is_refused(load) -> None:
    with pytest.raises(ExecutionError) as caught:
        evaluate(load(CHECKS).checks["a", "wrong"], Attempt(("a",)), 1)
    assert caught.value.code == "HR-X208"


def test_the_context_of_a_check_is_about_its_asset_alone(load) -> None:
    location = load(
        """
        @hr.multi_asset(hr.spec("a"), hr.spec("b"))
        def ab(): return 1, 2
        @hr.check("b")
        def c(ctx: hr.Context):
            ctx.metadata(seen=ctx.asset_key)
            return True
        """
    )
    assert evaluate(location.checks["b", "c"], Attempt(("a", "b"))).metadata == {"seen": "b"}
