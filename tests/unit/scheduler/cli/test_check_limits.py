"""What `hedgerow check` says of pools and limits that only show beside other locations and platform.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scheduling import asset, manifest

from hedgerow.errors import PlatformError
from hedgerow.manifest.model import KeyLimit, Pool, PoolUse, Source
from hedgerow_scheduler.cli.check_limits import limit_problems, platform_pools

SHARED = {"dw": Pool("dw", 4), "warehouse": Pool("warehouse", 1), "api": Pool("api", None, 5.0, 5.0)}
PLACE = Source("sales.py", 7, "sales", "a")


def user(*uses: PoolUse, pools: tuple[Pool, ...] = (), team: str = "sales", **more):
    return manifest(team, asset("a", pools=uses, source=PLACE), pools=pools, **more)


def test_a_pool_may_be_the_locations_own_or_the_platforms() -> None:
    mine = user(PoolUse("dw", 4), PoolUse("gpu", 2), PoolUse("api"), pools=(Pool("gpu", 2),))
    assert list(limit_problems(mine, [], SHARED)) == []


def test_a_pool_that_no_one_declares_is_told_with_its_place_and_where_to_declare_it() -> None:
    (problem,) = limit_problems(user(PoolUse("warehose")), [], SHARED)
    assert (problem.code, problem.file, problem.line) == ("HR-D004", "sales.py", 7)
    assert "'warehose', which no one declares" in problem.message
    assert "Did you mean 'warehouse'?" in problem.remedy
    assert "platform.toml" in problem.remedy


def test_a_pool_of_another_team_is_not_this_teams() -> None:
    (problem,) = limit_problems(user(PoolUse("gpu")), [user(team="ml", pools=(Pool("gpu", 2),))], {})
    assert problem.code == "HR-D004"


def test_without_the_platforms_pools_only_own_ones_are_judged() -> None:
    assert list(limit_problems(user(PoolUse("dv")), [], None)) == []


def test_more_slots_than_the_platform_has_can_never_start_whatever_the_team_declares() -> None:
    (problem,) = limit_problems(user(PoolUse("dw", 5), pools=(Pool("dw", 9),)), [], SHARED)
    assert problem.code == "HR-D004"
    assert "has 4 in platform.toml" in problem.message
    assert "never start" in problem.remedy


def test_two_locations_of_a_team_declare_a_pool_alike_and_two_teams_as_they_like() -> None:
    mine, other = user(pools=(Pool("dw", 4),)), user(pools=(Pool("dw", 2),), location="second")
    (problem,) = limit_problems(mine, [other], {})
    assert problem.code == "HR-D018"
    assert "4 slots here, 2 slots in location 'second'" in problem.message
    assert list(limit_problems(mine, [mine, user(team="ml", pools=(Pool("dw", 2),))], {})) == []


def test_two_locations_of_a_team_declare_a_limit_of_one_name_alike() -> None:
    def limited(key: str, concurrency: int, team: str = "sales"):
        return manifest(
            team, asset(key, limits=(KeyLimit("tenants", "tags.tenant", concurrency),), source=PLACE), location=key
        )

    (problem,) = limit_problems(limited("a", 1), [limited("b", 2)], {})
    assert (problem.code, problem.line) == ("HR-D024", 7)
    assert (
        "1 per 'tags.tenant' here, but 2 per 'tags.tenant' at asset 'b' of location 'b' (sales.py:7)" in problem.message
    )
    assert list(limit_problems(limited("a", 1), [limited("b", 1), limited("c", 2, "ml")], {})) == []


def test_the_platforms_pools_are_those_of_the_nearest_platform_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = tmp_path / "teams" / "sales"
    (team / ".hedgerow").mkdir(parents=True)  # a worker's state is no platform
    monkeypatch.chdir(team)
    assert platform_pools(team, {}) == {}
    assert platform_pools(team, {"HEDGEROW_API": "https://hedgerow"}) is None
    (tmp_path / "platform.toml").write_text("[pools.dw]\nslots = 4\n")
    assert platform_pools(team, {"HEDGEROW_API": "https://hedgerow"}) == {"dw": Pool("dw", 4)}
    assert platform_pools(Path("/"), {}) == {"dw": Pool("dw", 4)}
    (tmp_path / "platform.toml").write_text("[pools.dw]\nslots = 0\n")
    with pytest.raises(PlatformError):
        platform_pools(team, {})
