"""The history of checks, through the API and the command line over a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import seeding
from support.served import served

from hedgerow.manifest.model import Check
from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import assets
from hedgerow_scheduler.metadata import tables

pytestmark = pytest.mark.servers
AT = datetime(2024, 2, 1, tzinfo=UTC)
DAYS = [f"2024-01-{day:02}" for day in range(1, 8)]


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A served API of an asset whose checks `rows` and `cents` gave verdicts on seven days, all recorded at one time."""
    environ = {
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_STORAGE": str(tmp_path / "storage"),
        "HEDGEROW_BROKER": "redis://127.0.0.1:1/0",
    }
    services = open_services(read_platform(None, environ))
    declared = [Check("rows", "sales/orders", blocking=True), Check("cents", "sales/orders", severity="warn")]
    with services.engine.begin() as connection:
        seeding.lead(connection)
        seeding.publish(
            connection, "sales", [seeding.asset("sales/orders"), seeding.asset("sales/plain")], checks=declared
        )
        run = seeding.run(connection, "succeeded", steps=len(DAYS))
        for number, day in enumerate(DAYS):
            seeding.step(connection, run, number, "sales/orders", "succeeded", attempt=1, partition=day)
            attempt = seeding.attempt(connection, run, number, "succeeded")
            for one in declared:
                seeding.add(
                    connection, tables.check_results, attempt_id=attempt, asset="sales/orders", check_name=one.name,
                    partition=day, run_id=run, step_number=number, passed=one.name == "rows" or number != 3,
                    blocking=one.blocking, severity=one.severity, description="Half cents." if number == 3 else "",
                    metadata={"seen": number}, created_at=AT,
                )  # fmt: skip
    with served(services) as url:
        for name, value in {**environ, "HEDGEROW_API": url, "COLUMNS": "200"}.items():
            monkeypatch.setenv(name, value)
        yield url
    services.engine.dispose()


def test_pages_of_verdicts_of_one_time_leave_out_and_repeat_none(url: str) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        asked = {"asset": "sales/orders", "check": "rows", "limit": 3} | ({"cursor": cursor} if cursor else {})
        page: dict[str, Any] = httpx.get(f"{url}/api/v1/check-results", params=asked).raise_for_status().json()
        seen += [one["partition"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == DAYS


def test_the_command_lists_verdicts_of_each_check(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def shell(*arguments: str) -> tuple[int, str, str]:
        return (assets.main(["checks", *arguments]), *capsys.readouterr())

    items = json.loads(shell("sales/orders", "--history", "2", "--json")[1])["items"]
    assert [one["check_name"] for one in items] == ["cents", "cents", "rows", "rows"]
    status, out, _ = shell("sales/orders", "--failed")
    assert status == 0
    bad = [line for line in out.splitlines() if "2024-01" in line]
    assert len(bad) == 1
    for told in ("cents", "2024-01-04", "warning", "Half cents.", "seen = 3"):
        assert told in bad[0]
    assert len(json.loads(shell("sales/orders", "--partition", DAYS[0], "--json")[1])["items"]) == 2
    assert "has no checks" in shell("sales/plain")[1]
    assert assets.main(["show", "sales/orders", "--partition", DAYS[3], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["check_results"]
    assert [(one["check_name"], one["partition"], one["passed"]) for one in shown] == [
        ("cents", DAYS[3], False),
        ("rows", DAYS[3], True),
    ]
    assert assets.main(["show", "sales/orders", "--partition", "2024-02-01"]) == 0
    assert "hedgerow materialize sales/orders --partition 2024-02-01`" in capsys.readouterr().out
    status, _, err = shell("sales/orders", "--check", "row")
    assert status == 2
    assert "HR-Q370" in err
    assert "Did you mean 'rows'?" in err
