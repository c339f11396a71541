"""What a condition finds of one partition now, as the API tells it from what a real scheduler has recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import text
from support.played import Platform, played, settings_of
from support.scheduling import asset, manifest

from hedgerow.conditions.constructors import all_deps, any_dep, eager, failed, missing, updated
from hedgerow.manifest.model import Dependency, Manifest
from hedgerow.partitions.model import StaticPartitions, TimePartitions
from hedgerow_scheduler.api.asked_now import PartitionAnswer, answer_now
from hedgerow_scheduler.metadata.catalogs import read_catalog
from hedgerow_scheduler.metadata.key_sets import read_keys
from hedgerow_scheduler.metadata.runs import request_run
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.request import RunRequest

pytestmark = pytest.mark.servers
REGIONS = StaticPartitions(("no", "se"))
DAYS = TimePartitions("day", (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%d"))
TODAY = datetime.now(UTC).strftime("%Y-%m-%d")
CONDITIONS = {
    "clean": eager(window="all"),
    "lacking": (missing() & ~all_deps(~missing())) | failed(),
    "handled": any_dep(updated()).since_handled(),
    "days": eager(window="all"),
}


LACKING = "SELECT state FROM steps WHERE computation = 'lacking' ORDER BY partition"


def automated() -> Manifest:
    """`clean` and others are made from `source` by region, `source` by hand only."""
    of_source = Dependency("source", parameter="source")
    assets = [asset("source", partitions=REGIONS), asset("days", partitions=DAYS)]
    assets += [asset(key, of_source, partitions=REGIONS) for key in ("clean", "lacking", "handled")]
    found = manifest("sales", *assets)
    ready = (msgspec.structs.replace(each, automation=CONDITIONS.get(each.key)) for each in found.assets)
    return msgspec.structs.replace(found, assets=tuple(ready))


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url), automated()) as found:
        yield found


def asked(platform: Platform, key: str, partition: str) -> PartitionAnswer:
    with platform.engine.connect() as connection:
        catalog = read_catalog(connection, KeySets(read_keys(connection)))
        found = answer_now(connection, catalog, key, partition, datetime.now(UTC))
    assert found is not None
    return found


def found(answer: PartitionAnswer) -> dict[str, bool]:
    """Each operand by its words, and whether it holds."""
    return {f"{each.of}: {each.label}" if each.of else each.label: bool(each.true) for each in answer.operands}


def made(platform: Platform, key: str, partition: str) -> None:
    """Somebody has one partition made."""
    with platform.engine.begin() as connection:
        request_run(connection, RunRequest((key,), (partition,)), {}, "ann")


def test_each_partition_has_an_answer_of_its_own(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        platform.until("SELECT count(*) FROM automation_memories", (4,))
        platform.until(LACKING, ("failed",), ("failed",))  # requested at once, without their input
        before = asked(platform, "lacking", "no")
        assert found(before)["failed"] is True
        assert (before.holds, before.was_so, before.problem) == (True, True, "")
        made(platform, "source", "no")
        platform.sales.do("source")
        platform.until("SELECT state FROM steps WHERE computation = 'clean'", ("dispatched",))
        platform.until(
            "SELECT asset FROM automation_evaluations WHERE asset = 'handled' AND kind = 'requested'", ("handled",)
        )
        no, se = asked(platform, "lacking", "no"), asked(platform, "lacking", "se")
        assert (no.holds, se.holds) == (True, True)
        assert (found(no)["source: missing"], found(se)["source: missing"]) == (False, True)
        # What has happened is over, and remembered by those that look back.
        follows = asked(platform, "handled", "no")
        assert found(follows)["source: updated"] is False
        clean = asked(platform, "clean", "no")
        assert found(clean)["in progress"] is True
        assert clean.holds is False


def test_what_nothing_can_be_said_of_is_told(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        platform.until("SELECT count(*) FROM automation_memories", (4,))
        assert asked(platform, "days", TODAY).problem == "it is not complete yet, and conditions look at what there is"
    with platform.engine.begin() as connection:
        connection.execute(text("DELETE FROM automation_memories"))
    assert asked(platform, "clean", "no").problem == "its condition has not been asked yet"
