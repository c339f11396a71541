"""The history of checks, through the API and the command line over a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import seeding
from support.shell import Shell, shell_over

from hedgerow.manifest.model import Check
from hedgerow_scheduler.metadata import tables

pytestmark = pytest.mark.servers
AT = datetime(2024, 2, 1, tzinfo=UTC)
DAYS = [f"2024-01-{day:02}" for day in range(1, 8)]


@pytest.fixture
def shell(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A shell over an asset whose checks `rows` and `cents` gave verdicts on seven days, all recorded at one time."""
    declared = [Check("rows", "sales/orders", blocking=True), Check("cents", "sales/orders", severity="warn")]
    with shell_over(database_url, tmp_path, monkeypatch, capsys) as shell:
        with shell.engine.begin() as connection:
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
        yield shell


def test_pages_of_verdicts_of_one_time_leave_out_and_repeat_none(shell: Shell) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        asked = {"asset": "sales/orders", "check": "rows", "limit": 3} | ({"cursor": cursor} if cursor else {})
        page: dict[str, Any] = httpx.get(f"{shell.url}/api/v1/check-results", params=asked).raise_for_status().json()
        seen += [one["partition"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == DAYS


def test_the_command_lists_verdicts_of_each_check(shell: Shell) -> None:
    checks = ("asset", "checks")
    items = shell.data(*checks, "sales/orders", "--history", "2")["items"]
    assert [one["check_name"] for one in items] == ["cents", "cents", "rows", "rows"]
    failed = shell(*checks, "sales/orders", "--failed")
    assert failed.status == 0
    bad = [line for line in failed.out.splitlines() if "2024-01" in line]
    assert len(bad) == 1
    for told in ("cents", "2024-01-04", "warning", "Half cents.", "seen = 3"):
        assert told in bad[0]
    assert len(shell.data(*checks, "sales/orders", "--partition", DAYS[0])["items"]) == 2
    assert "has no checks" in shell(*checks, "sales/plain").out
    unknown = shell(*checks, "sales/orders", "--check", "row")
    assert unknown.status == 2
    assert "HR-Q370" in unknown.err
    assert "Did you mean 'rows'?" in unknown.err


def test_an_asset_is_shown_with_what_its_checks_said_of_one_partition(shell: Shell) -> None:
    shown = shell.data("asset", "show", "sales/orders", "--partition", DAYS[3])["check_results"]
    assert [(one["check_name"], one["partition"], one["passed"]) for one in shown] == [
        ("cents", DAYS[3], False),
        ("rows", DAYS[3], True),
    ]
    never = shell("asset", "show", "sales/orders", "--partition", "2024-02-01").out
    assert "hedgerow materialize sales/orders --partition 2024-02-01`" in never
