"""Conditions on real servers: what is requested of them, by whom it is made, and what a takeover remembers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import text
from support.played import Platform, played, settings_of
from support.scheduling import asset, manifest

from hedgerow.conditions.constructors import any_dep, cron_tick, eager, updated
from hedgerow.manifest.model import Dependency, Manifest

pytestmark = pytest.mark.servers


def automated() -> Manifest:
    """Sales: `clean` follows the raw team's asset, `report` follows `clean`; `often` looks at `clean` too, and asks each time."""
    conditions = {
        "clean": eager(), "report": eager(), "alone": cron_tick("0 0 1 1 *"), "often": any_dep(updated()).since_handled(),
    }  # fmt: skip
    found = manifest(
        "sales",
        asset("clean", Dependency("raw/x", parameter="x")),
        asset("report", Dependency("clean", parameter="clean")),
        asset("often", Dependency("clean", parameter="clean")),
        asset("alone"),
    )
    assets = tuple(msgspec.structs.replace(each, automation=conditions[each.key]) for each in found.assets)
    return msgspec.structs.replace(found, assets=assets)


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url), automated()) as found:
        yield found


def runs_of_conditions(platform: Platform) -> list[tuple[str, ...]]:
    rows = platform.rows("SELECT request FROM runs WHERE author = 'automation' ORDER BY created_at, id")
    return [tuple(request["selection"]) for (request,) in rows]


def test_an_update_of_one_team_is_followed_by_the_other_in_one_run_in_order(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        platform.launch("raw/x")
        platform.raw.do("raw/x")
        platform.sales.do("clean")
        for _ in range(2):
            order = platform.sales.awaited()
            assert order.computation in ("report", "often")
            assert platform.sales.begin(order)
            platform.sales.finish(order)
        platform.until("SELECT count(*) FROM runs WHERE state = 'succeeded'", (3,))
        assert runs_of_conditions(platform) == [("clean", "report"), ("often",)]


def test_the_next_scheduler_remembers_what_was_requested_and_sees_what_happens_then(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        platform.launch("raw/x")
        platform.raw.do("raw/x")
        platform.sales.awaited("clean")  # taken and lost: nothing runs until the next scheduler
        before = runs_of_conditions(platform)
    with platform.scheduling("two"):
        platform.deployed()
        platform.until("SELECT count(*) FROM leader WHERE epoch = 2", (1,))
        platform.launch("raw/x")
        platform.raw.do("raw/x")
        platform.until("SELECT count(*) FROM runs WHERE author <> 'automation' AND state = 'succeeded'", (2,))
        assert runs_of_conditions(platform) == before  # its step still waits, and will have both in it


def test_what_a_pause_holds_back_is_requested_when_it_ends(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        with platform.engine.begin() as connection:
            insert = (
                "INSERT INTO pauses (kind, name, author, reason, at) VALUES ('team', 'sales', 'ann', 'a move', now())"
            )
            connection.execute(text(insert))
        platform.until("SELECT pg_sleep(1.5)::text", ("",))
        platform.launch("raw/x")
        platform.raw.do("raw/x")
        platform.until("SELECT state FROM runs", ("succeeded",))
        assert runs_of_conditions(platform) == []
        with platform.engine.begin() as connection:
            connection.execute(text("DELETE FROM pauses"))
        platform.sales.awaited("clean")


def test_each_evaluation_is_kept(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        platform.until("SELECT asset, kind FROM automation_evaluations WHERE asset = 'report'", ("report", "latest"))
        platform.launch("raw/x")
        platform.raw.do("raw/x")
        platform.until(
            "SELECT requested_count, run_id IS NOT NULL FROM automation_evaluations WHERE asset = 'clean' AND kind = 'requested'",
            (1, True),
        )
