"""Which schedules and sensors launch an asset, or observe it."""

from __future__ import annotations

from support.scheduling import asset, catalog_of, external, manifest

from hedgerow.manifest.model import Job, Schedule, Sensor
from hedgerow_scheduler.api.launchers import launchers_of

EVERY_DAY = "0 6 * * *"


def test_what_selects_an_asset_launches_it_that_of_its_own_team_first() -> None:
    sales = manifest(
        "sales", asset("orders", "feed"), asset("totals", "orders"), external("feed"),
        jobs=(Job("closing", "orders+"),),
        schedules=(
            Schedule("close", "job:closing", EVERY_DAY), Schedule("off", "orders", EVERY_DAY, enabled=False),
            Schedule("gone", "group:gone", EVERY_DAY), Schedule("plain", "totals", EVERY_DAY),
        ),
        sensors=(Sensor("files", "orders"), Sensor("observe-feed", observes="feed")),
    )  # fmt: skip
    finance = manifest("finance", asset("books"), schedules=(Schedule("all", "*", EVERY_DAY),))
    catalog = catalog_of(sales, finance)
    assert launchers_of(catalog, "orders") == ("schedule sales/close", "sensor sales/files", "schedule finance/all")
    assert launchers_of(catalog, "totals") == ("schedule sales/close", "schedule sales/plain", "schedule finance/all")
    assert launchers_of(catalog, "books") == ("schedule finance/all",)
    assert launchers_of(catalog, "feed") == ("sensor sales/observe-feed",)
