"""`hedgerow sensor preview`: a sensor of a working tree, evaluated by its own interpreter, with no platform anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.locations import write_location

from hedgerow_scheduler.cli import sensor_preview, sensors

pytestmark = pytest.mark.processes

CODE = """
    import sys
    import time
    from datetime import UTC, datetime
    import hedgerow as hr

    @hr.asset(partitions=hr.daily("2024-01-01"))
    def orders() -> None: ...

    @hr.asset(partitions=hr.dynamic("customers"))
    def accounts() -> None: ...

    raw = hr.external("raw/feed", observe=lambda: "v2")

    @hr.sensor(target="orders")
    def days(ctx: hr.SensorContext):
        print("looking behind", ctx.cursor)
        print("on stderr", file=sys.stderr)
        yield hr.RunRequest(partition="2024-01-31", dedupe_key="a", tags={"file": "a.csv"})
        yield hr.RunRequest(partition="31.1.2024")
        ctx.update_cursor("a.csv")

    @hr.sensor(target="accounts")
    def customers(ctx: hr.SensorContext):
        ctx.add_partitions("customers", "ada")
        return hr.RunRequest(partition="ada")

    @hr.sensor(target="orders")
    def broken():
        raise SystemExit("down")

    @hr.sensor(target="orders", timeout="1s")
    def hangs():
        time.sleep(600)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_location(tmp_path_factory.mktemp("sales"), "sales", CODE)


def previewed(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return (sensors.main(["preview", *arguments]), *capfd.readouterr())


def test_it_says_what_would_be_launched_and_what_could_not_be(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = previewed(capfd, str(place), "days", "--cursor", "0.csv")
    assert status == 1
    for told in ("asks for 2 runs", "orders", "2024-01-31", "file=a.csv", "Run 2 can't be launched", "cursor: a.csv"):
        assert told in out
    assert "looking behind 0.csv" in err
    assert "on stderr" in err
    status, out, _ = previewed(capfd, str(place), "customers", "--json")
    found = json.loads(out)
    assert (status, found["cursor"], found["partitions"]) == (0, None, [{"name": "customers", "added": ["ada"]}])
    assert [(one["run"]["partitions"], one["steps"], one["problem"]) for one in found["runs"]] == [
        (["ada"], None, None)
    ]


def test_what_asks_for_nothing_fails_or_hangs_is_told_and_says_so_by_its_exit_code(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = previewed(capfd, str(place), "observe-raw-feed", "--cursor", "v2")
    assert (status, "Data version of raw/feed: v2, as before." in out) == (0, True)
    status, out, _ = previewed(capfd, str(place), "broken")
    assert (status, "HR-X001" in out, "SystemExit: down" in out) == (1, True, True)
    status, _, err = previewed(capfd, str(place), "day")
    assert (status, "Did you mean 'days'?" in err) == (2, True)
    status, _, err = previewed(capfd, str(place / "nowhere"), "days")
    assert (status, "HR-C003" in err) == (2, True)
    monkeypatch.setattr(sensor_preview, "START_S", 0)
    status, out, _ = previewed(capfd, str(place), "hangs")
    assert (status, "HR-X105" in out) == (1, True)
