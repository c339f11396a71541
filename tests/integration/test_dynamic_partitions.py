"""Keys of dynamic partitions on the whole platform: added by a step, by people, removed, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.locations import write_location
from support.processes import eventually

from hedgerow_scheduler.cli import assets, materialize, partitions
from hedgerow_scheduler.embedded.platform import Platform

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import hedgerow as hr

    customers = hr.dynamic("customers", dim="customer")

    @hr.asset
    def signups(ctx: hr.Context) -> list:
        ctx.add_partitions("customers", ["acme", "globex/eu"])
        return ["acme", "globex/eu"]

    @hr.asset(partitions=customers, automation=hr.on_missing())
    def invoices(ctx: hr.Context) -> str:
        return f"invoice of {ctx.partition_key}"

    @hr.asset(partitions=hr.daily("2024-01-01", "2024-01-03") * customers)
    def usage(ctx: hr.Context, invoices: str) -> str:
        return f"{ctx.partition_key}: {invoices}"
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_location(tmp_path / "shop", "shop", CODE, slots=2)
    with Platform(tmp_path, reload=False, automation=True) as platform:
        platform.wait_ready()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        yield tmp_path


def test_a_step_adds_keys_and_what_is_made_of_them_follows(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def shell(main: Callable[[list[str]], int], *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return main(list(arguments)), *capsys.readouterr()

    def made_of(key: str, count: int) -> Callable[[], bool]:
        return lambda: f"{count} of {count} partitions" in shell(assets.main, "show", key)[1]

    assert "no keys" in shell(partitions.main, "list", "customers")[1]
    assert shell(materialize.main, "signups")[0] == 0
    eventually(made_of("invoices", 2), what="the invoices of the keys that the step added are made")

    assert shell(partitions.main, "add", "shop/customers", "initech", "acme")[1].startswith("Added 1 key. 1 was there")
    eventually(made_of("invoices", 3), what="the invoice of a key that was added by hand is made")
    status, out, _ = shell(materialize.main, "usage", "--partition", "2024-01-02|globex/eu", "--json")
    assert (status, json.loads(out)["state"]) == (0, "succeeded")
    status, out, _ = shell(materialize.main, "usage", "--all-partitions", "--json")
    assert (status, json.loads(out)["counts"]) == (0, {"succeeded": 6})

    assert shell(partitions.main, "remove", "customers", "acme")[0] == 0
    assert [one["key"] for one in json.loads(shell(partitions.main, "list", "customers", "--json")[1])["keys"]] == [
        "globex/eu",
        "initech",
    ]
    assert "acme" in shell(partitions.main, "list", "customers", "--removed")[1]
    assert made_of("invoices", 2)(), "what was made of a removed key is not counted any more"
    status, out, _ = shell(
        assets.main, "show", "usage", "--partitions", "2024-01-01|initech..2024-01-02|initech", "--json"
    )
    found = json.loads(out)
    assert [found[state]["partitions"] for state in ("materialized", "missing", "failed", "stale")] == [2, 0, 0, 0]
    assert found["materialized"]["ranges"] == [
        {"first": "2024-01-01|initech", "last": "2024-01-02|initech", "partitions": 2}
    ]
    assert "4" in shell(assets.main, "show", "usage", "--partitions")[1]
    for wrong, code in (("2024-01-02|initech..2024-01-01|initech", "HR-Q103"), ("2024-01-01|globex/eu..", "HR-Q321")):
        status, _, err = shell(assets.main, "show", "usage", "--partitions", wrong)
        assert (status, code in err) == (2, True)
    status, _, err = shell(materialize.main, "invoices", "--partition", "acme")
    assert (status, "HR-Q101" in err) == (2, True)
    status, _, err = shell(materialize.main, "invoices", "--range", "globex/eu..initech")
    assert (status, "HR-Q107" in err) == (2, True)
    for wrong, code in ((("add", "customers", "a|b"), "HR-Q108"), (("add", "custmers", "x"), "HR-Q109")):
        status, _, err = shell(partitions.main, *wrong)
        assert (status, code in err) == (2, True)
