"""What a deploy would change, asked of a real API; and what a working tree would launch, asked of nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import seeding
from support.locations import write_location
from support.shell import shell_over

from hedgerow_scheduler.cli import plan, preview

pytestmark = pytest.mark.servers
CODE = """
    import hedgerow as hr

    @hr.asset(key="sales/orders", deps=["raw/orders"], code_version="{version}", automation=hr.eager())
    def orders() -> int: ...

    nightly = hr.schedule("sales/orders", "0 2 * * *", tz="Europe/Oslo")
"""


@pytest.fixture
def deployed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Path]:
    """A platform on which teams raw, sales and ml have code in force; the folder of a working tree of sales."""
    with shell_over(database_url, tmp_path, monkeypatch, capsys) as shell:
        with shell.engine.begin() as connection:
            seeding.lead(connection)
            seeding.publish(connection, "raw", [seeding.asset("raw/orders")])
            orders = seeding.asset("sales/orders", ["raw/orders"])
            seeding.publish(connection, "sales", [orders, seeding.asset("sales/old")])
            seeding.publish(connection, "ml", [seeding.asset("ml/model", ["sales/orders"])])
        yield write_location(tmp_path / "tree", "sales", CODE.format(version="2"))


def test_a_plan_tells_what_a_deploy_would_change_for_every_team(
    deployed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan.main([str(deployed), "--hours", "24"]) == 0
    told = capsys.readouterr().out
    for line in (
        "- sales/old", "~ sales/orders  (code,", "~ schedule nightly",
        "sales/orders of team sales: its code is another", "ml/model of team ml: it is made from sales/orders",
        "Launched in the next 24 hours, and not so far:", "schedule sales/nightly",
    ):  # fmt: skip
        assert line in told
    assert plan.main([str(deployed), "--exit-code", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["plans"]
    assert (found["difference"]["removed"], found["problems"]) == (["sales/old"], [])
    write_location(deployed, "sales", CODE.format(version="2").replace("sales/orders", "sales/sold"))
    assert plan.main([str(deployed)]) == 0
    assert "ml/model of team ml: Asset 'ml/model' is made from 'sales/orders', which no team" in capsys.readouterr().out
    write_location(deployed, "sales", CODE.format(version="2").replace("sales/orders", "ml/model"))
    assert plan.main([str(deployed)]) == 2
    assert "belongs to team 'ml'" in capsys.readouterr().err


def test_a_preview_needs_no_platform_and_refuses_what_it_can_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = str(write_location(tmp_path / "tree", "sales", CODE.format(version="1")))
    begin = ["--from", "2026-03-28T12:00", "--tz", "Europe/Oslo"]
    assert preview.main([tree, "--hours", "36", *begin]) == 0
    assert "2026-03-29 03:00   sales/orders" in capsys.readouterr().out  # 02:00 is skipped that night
    assert preview.main([tree, "--hours", "480", *begin]) == 0
    assert "and 10 more of sales/orders by schedule sales/nightly, the last at 2026-04-17" in capsys.readouterr().out
    for wrong in (
        ["--from", "soon"],
        ["--tz", "Mars"],
        ["--hours", "0"],
        ["--updated", "raw/orders"],
        ["--updated", "x=2026-01-01"],
        ["--answer", "is_open"],
    ):
        assert preview.main([tree, *wrong]) == 2
        assert "HR-Q" in capsys.readouterr().err
    write_location(tmp_path / "tree", "sales", "import nothing_of_this_name\n")
    assert preview.main([tree]) == 2
    assert "HR-D001" in capsys.readouterr().err
