"""Freshness on real servers: through warning and late and back, told once whoever leads, and shown everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec
import pytest
from sqlalchemy import text
from support.played import Platform, played, settings_of
from support.processes import eventually
from support.scheduling import asset, manifest
from support.served import served

from hedgerow.conditions.constructors import late
from hedgerow.freshness import fresh_within
from hedgerow.manifest.model import Manifest
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.automation.freshness import Wanted
from hedgerow_scheduler.cli import assets
from hedgerow_scheduler.metadata.freshness import read_made

pytestmark = pytest.mark.servers


def watched() -> Manifest:
    """Sales: `alone` is late after three seconds, and made again then."""
    found = manifest("sales", asset("alone"), asset("kept"))
    policies = {"alone": fresh_within("3s", warn="1500ms"), "kept": fresh_within("3h")}
    made = tuple(
        msgspec.structs.replace(each, freshness=policies[each.key], automation=late() if each.key == "alone" else None)
        for each in found.assets
    )
    return msgspec.structs.replace(found, assets=made)


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url), watched()) as found:
        yield found


@pytest.fixture
def command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    services = open_services(platform.settings)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert assets.main(list(arguments)) == 0
        return capsys.readouterr().out

    with served(services) as url:
        monkeypatch.setenv("HEDGEROW_API", url)
        monkeypatch.setenv("COLUMNS", "200")
        yield run
    services.engine.dispose()


def test_an_asset_goes_through_warning_and_late_and_its_condition_makes_it_again(
    platform: Platform, command: Callable[..., str]
) -> None:
    with platform.scheduling() as metrics:
        platform.deployed()
        for key in ("alone", "kept"):
            platform.launch(key)
            platform.sales.do(key)
        platform.until("SELECT asset, partition, team, status FROM freshness", ("alone", "", "sales", "warn"))
        platform.until("SELECT asset, partition, team, status FROM freshness", ("alone", "", "sales", "late"))
        labels = {"team": "sales", "severity": "error"}
        eventually(
            lambda: metrics.registry.get_sample_value("hedgerow_late_assets", labels) == 1, what="the gauge says so"
        )
        late_ones = command("list", "--late")
        for told in ("alone", "late  ", "within 3 s, warned of from 1500 ms on"):
            assert told in late_ones
        assert "on time" in command("list", "kept")
        shown = json.loads(command("show", "alone", "--json"))["freshness"]
        assert (shown["status"], shown["late"], shown["warned"], len(shown["partitions"])) == ("late", 1, 0, 1)
        assert "late from" in command("show", "kept")
        assert "late from" not in command("show", "alone")
        assert command("list", "kept", "--late") == "Nothing is late.\n"
        platform.until("SELECT author FROM runs WHERE author = 'automation'", ("automation",))
        order = platform.sales.awaited("alone")
        assert platform.sales.begin(order)
        platform.sales.finish(order)
        platform.until("SELECT count(*) FROM freshness", (0,))


def test_the_next_scheduler_tells_nothing_twice(platform: Platform) -> None:
    with platform.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO pauses (kind, name, author, reason, at) VALUES ('platform', '', 'a', 'b', now())")
        )
    with platform.scheduling():
        platform.deployed()
        platform.launch("alone")
        platform.sales.do("alone")
        platform.until("SELECT status FROM freshness", ("late",))
        ((since,),) = platform.rows("SELECT since FROM freshness")
    with platform.scheduling("two"):
        platform.until("SELECT count(*) FROM leader WHERE epoch = 2", (1,))
        platform.deployed()
        platform.launch("kept")
        platform.sales.do("kept")
        platform.until("SELECT count(*) FROM runs WHERE state = 'succeeded'", (2,))
        assert platform.rows("SELECT status, since FROM freshness") == [("late", since)]
        platform.launch("alone")
        platform.sales.do("alone")
        platform.until("SELECT count(*) FROM freshness", (0,))


def test_what_was_made_is_read_as_far_as_it_counts(platform: Platform) -> None:
    made = {
        "whole": ["b", "a"],
        "days": ["2026-01-03", "2026-01-01", "2026-01-02", "2026-01-04"],
        "keyed": ["no|2026-01-02", "de|2026-01-04", "se|2026-01-01", "de|2026-01-03"],
        "other": ["2026-01-01"],
    }
    insert = """
        WITH one AS (SELECT gen_random_uuid() AS id), output AS (
          INSERT INTO materializations (attempt_id, asset, partition, run_id, step_number, dispatch_seq, state, created_at)
          SELECT id, :asset, :partition, id, 0, 1, 'current', TIMESTAMPTZ '2026-01-09 00:00Z' + :place * INTERVAL '1 hour' FROM one)
        INSERT INTO current_materializations (asset, partition, attempt_id, dispatch_seq) SELECT :asset, :partition, id, 1 FROM one
    """
    with platform.engine.begin() as connection:
        for key, names in made.items():
            for place, name in enumerate(names):
                connection.execute(text(insert), {"asset": key, "partition": name, "place": place})
        seen = "INSERT INTO observations (asset, at) VALUES ('feed', '2026-01-09 00:00Z'), ('web', '2026-01-09 00:00Z')"
        connection.execute(text(seen))
        wanted = {
            "days": Wanted(("2026-01-04", "2026-01-05"), 0),
            "keyed": Wanted(("de|2026-01-03",), 1),
            "none": Wanted(("x",), 1),
        }
        found = read_made(connection, ["whole", "gone", "feed"], wanted)
    assert {key: [name for name, _ in of] for key, of in found.items()} == {
        "whole": ["b", "a"],
        "feed": [""],
        "days": ["2026-01-01", "2026-01-04"],
        "keyed": ["se|2026-01-01", "de|2026-01-03"],
    }
