"""Key limits and pools as a team declares them, and what it reads when they can't hold."""

from __future__ import annotations

import pytest

from hedgerow.manifest.model import KeyLimit, Pool, PoolUse

CONFIG = """
import typing

class Customer(hr.Config):
    id: str
    labels: dict[str, int] = {}

class Settings(hr.Config):
    region: str
    customer: Customer | None = None
    other: dict = {}
    anything: typing.Any = None
"""


def test_limits_stand_in_the_manifest_sorted_by_name(load) -> None:
    manifest = load(
        CONFIG
        + """
shared = hr.limit(per="config.region", concurrency=2, name="regions")

@hr.asset(limits=[shared, hr.limit(per="tags.tenant")])
def a(cfg: Settings): ...

@hr.multi_asset(hr.spec("b/x"), hr.spec("b/y"), limits=[shared, hr.limit(per="partition.country", concurrency=3)],
                partitions=hr.daily("2024-01-01") * hr.static("no", "se", dim="country"))
def b(cfg: Settings): ...
"""
    ).manifest
    regions = KeyLimit("regions", "config.region", 2)
    assert {one.name: one.limits for one in manifest.computations} == {
        "a": (KeyLimit("a:tags.tenant", "tags.tenant", 1), regions),
        "b/x": (KeyLimit("b/x:partition.country", "partition.country", 3), regions),
    }


@pytest.mark.parametrize(
    "per",
    [
        "config.region",
        "config.customer",
        "config.customer.id",
        "config.customer.labels",
        "config.customer.labels.x",
        "config.other.x.y",
        "config.anything.x",
        "partition",
        "partition.key",
        "tags.a.b",
    ],
)
def test_whatever_a_step_may_have_can_be_counted_by(load, per: str) -> None:
    code = CONFIG + f'@hr.asset(partitions=hr.static("x"), limits=[hr.limit(per="{per}")])\ndef a(cfg: Settings): ...'
    (computation,) = load(code).manifest.computations
    assert computation.limits == (KeyLimit(f"a:{per}", per, 1),)


@pytest.mark.parametrize(
    ("per", "code", "told", "remedy"),
    [
        ("config.regoin", "HR-D023", "no field 'regoin'", "Did you mean 'region'?"),
        ("config.customer.ident", "HR-D023", "no field 'customer.ident'", "There are: id, labels."),
        ("config.region.x", "HR-D023", "no field 'region.x'", "no fields"),
        ("partition.countri", "HR-D023", "dimension 'countri'", "Did you mean 'country'?"),
        ("confg.region", "HR-D012", "per='confg.region'", "Did you mean 'config'?"),
        ("config", "HR-D012", "per='config'", '"config.FIELD"'),
        ("config.", "HR-D012", "per='config.'", '"config.FIELD"'),
        ("config..x", "HR-D012", "per='config..x'", '"config.FIELD"'),
        ("tags", "HR-D012", "per='tags'", '"tags.NAME"'),
        ("partition.", "HR-D012", "per='partition.'", '"partition.DIMENSION"'),
        ("tags.a=b", "HR-D012", "per='tags.a=b'", 'without spaces or "="'),
        ("tags.a b", "HR-D012", "per='tags.a b'", 'without spaces or "="'),
        ("tags." + "a" * 200, "HR-D012", "per='tags.aaa", '"tags.NAME"'),
        ("", "HR-D012", "per=''", '"config.FIELD"'),
    ],
)
def test_what_no_step_has_can_not_be_counted_by(mistakes, per: str, code: str, told: str, remedy: str) -> None:
    (problem,) = mistakes(
        CONFIG
        + f'@hr.asset(partitions=hr.static("no", dim="country"), limits=[hr.limit(per="{per}")])\ndef a(cfg: Settings): ...'
    )
    assert (problem.code, problem.line) == (code, 14)
    assert told in problem.message
    assert remedy in problem.remedy


def test_limits_of_one_name_that_differ_are_told_with_both_places(mistakes) -> None:
    (problem,) = mistakes(
        "@hr.asset(limits=[hr.limit(per='tags.x', name='n')])\ndef a(): ...",
        other="@hr.asset(limits=[hr.limit(per='tags.x', concurrency=2, name='n')])\ndef b(): ...",
    )
    assert (problem.code, problem.line) == ("HR-D024", 2)
    assert problem.file is not None
    assert problem.file.endswith("/other.py")
    assert "2 per 'tags.x' here, but 1 per 'tags.x' at" in problem.message
    assert "/main.py:2" in problem.message


def test_a_limit_that_is_wrong_is_told_once_however_many_use_it(mistakes) -> None:
    (problem,) = mistakes(
        "l = hr.limit(per='x.y', name='n')\n@hr.asset(limits=[l])\ndef a(): ...\n@hr.asset(limits=[l])\ndef b(): ..."
    )
    assert (problem.code, problem.line) == ("HR-D012", 2)


def test_pools_stand_in_the_manifest_with_slots_rate_and_burst_from_the_code_and_from_hedgerow_toml(load) -> None:
    manifest = load(
        """
        api = hr.pool("api", rate="300/min")
        both = hr.pool("both", slots=2, rate="1/s", burst=9)
        same = hr.pool("dw", slots=3)

        @hr.asset(pools=["theirs", api, hr.use("dw", slots=3), hr.use(both, slots=2)])
        def a(): ...
        """,
        toml='[pools.dw]\nslots = 3\n[pools.files]\nrate = "6/min"\nburst = 2\n',
    ).manifest
    assert manifest.pools == (
        Pool("api", None, 5.0, 5.0),
        Pool("both", 2, 1.0, 9.0),
        Pool("dw", 3),
        Pool("files", None, 0.1, 2.0),
    )
    (computation,) = manifest.computations
    assert computation.pools == (PoolUse("api"), PoolUse("both", 2), PoolUse("dw", 3), PoolUse("theirs"))


def test_a_pool_that_code_and_hedgerow_toml_declare_differently_is_told_with_both_limits(mistakes) -> None:
    (problem,) = mistakes("p = hr.pool('dw', slots=8)", toml='[pools.dw]\nrate = "2/s"\n')
    assert (problem.code, problem.line) == ("HR-D018", 2)
    assert "8 slots here" in problem.message
    assert "2/s with burst 2 in hedgerow.toml" in problem.message


def test_in_process_limits_and_pools_are_accepted_and_hold_nothing_back() -> None:
    import hedgerow as hr

    @hr.asset(limits=[hr.limit(per="tags.tenant")], pools=["anywhere"])
    def a() -> int:
        return 1

    assert hr.materialize([a]).value("a") == 1
