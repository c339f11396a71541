"""Limits as operators meet them, on a real platform: seen, set, cleared, expired; what waits follows, and mistakes change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from support.locations import write_location
from support.processes import eventually
from support.town import Town, town

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import time
    import hedgerow as hr

    MANY = hr.static(*(f"{number:03}" for number in range(60)))
    own = hr.pool("own", slots=3)

    @hr.asset(partitions=MANY)
    def many() -> None:
        time.sleep(0.05)

    @hr.asset(partitions=MANY, pools=[hr.use("warehouse", slots=2), "own"])
    def pooled() -> None:
        pass
"""
PLATFORM = """
[teams.sales]
max_slots = 8
weight = 2

[pools.warehouse]
slots = 4
rate = "40/s"
max_slots = 6
max_rate = "50/s"
"""
KEYED = """
    import dataclasses
    import hedgerow as hr

    @dataclasses.dataclass
    class Where:
        region: str = "eu"

    @hr.asset(limits=[hr.limit(per="config.region", concurrency=1)])
    def keyed(cfg: Where) -> None:
        pass
"""


def write(root: Path) -> None:
    (root / "platform.toml").write_text(PLATFORM)
    write_location(
        root / "sales",
        "sales",
        CODE,
        slots=6,
        extra='[queues.default]\nconcurrency = 6\n[queues.heavy]\nrate = "5/s"\n',
    )
    write_location(root / "ml", "ml", KEYED, slots=1)


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with town(write) as found:
        yield found


WHY = {"reason": "month end", "author": "ada"}


def put(place: Town, path: str, **body: Any) -> tuple[int, Any]:
    return place.ask("PUT", f"/limits/{path}", {**WHY, **body})


def rows(place: Town) -> tuple[int, int]:
    with psycopg.connect(place.platform.urls["database"]) as connection:
        tables = ("limit_overrides", "audit")
        return tuple(connection.execute(f"select count(*) from {table}").fetchone()[0] for table in tables)  # type: ignore[index,return-value]


def clear(place: Town, path: str) -> None:
    assert place.ask("DELETE", f"/limits/{path}?author=ada&reason=over")[0] == 200


MISTAKES: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("queue/sales/default", {"concurrency": -1}, 400, "HR-Q332", "from 1"),
    ("queue/sales/default", {"concurrency": 0}, 400, "HR-Q332", "pause it"),
    ("queue/sales/default", {"concurrency": 2.5}, 400, "HR-Q332", "whole number"),
    ("queue/sales/default", {"rate": "fast"}, 400, "HR-Q332", "20/s"),
    ("queue/sales/default", {"rate": 0}, 400, "HR-Q332", "pause it"),
    ("queue/sales/default", {"rate": -3}, 400, "HR-Q332", "once a year"),
    ("queue/sales/default", {"rate": 1e-308}, 400, "HR-Q332", "once a year"),
    ("queue/sales/default", {"rate": "0.0000000001/h"}, 400, "HR-Q332", "once a year"),
    ("queue/sales/default", {"burst": 0.5}, 400, "HR-Q332", "Give 1 to"),
    ("queue/sales/default", {"weight": 2}, 400, "HR-Q332", "concurrency, rate"),
    ("queue/sales/default", {}, 400, "HR-Q332", "Give one of"),
    ("queue/sales/default", {"speed": 1}, 400, "HR-Q301", "speed"),
    ("queue/sales/default", {"concurrency": 9}, 400, "HR-Q333", "raise the cap"),
    ("queue/sales/default", {"concurrency": None}, 400, "HR-Q333", "raise the cap"),
    ("team/sales", {"concurrency": 100}, 400, "HR-Q333", "raise the cap"),
    ("team/sales", {"weight": 0}, 400, "HR-Q332", "0.001"),
    ("team/sales", {"weight": -1}, 400, "HR-Q332", "0.001"),
    ("team/sales", {"minimum": 9}, 400, "HR-Q332", "minimum"),
    ("pool/warehouse", {"slots": 7}, 400, "HR-Q333", "raise the cap"),
    ("pool/warehouse", {"rate": "60/s"}, 400, "HR-Q333", "raise the cap"),
    ("pool/warehouse", {"slots": 2, "concurrency": 2}, 400, "HR-Q332", "the same"),
    ("pool/warehous", {"slots": 2}, 404, "HR-Q331", "warehouse"),
    ("queue/sales/defualt", {"concurrency": 2}, 404, "HR-Q331", "sales/default"),
    ("queues/sales/default", {"concurrency": 2}, 404, "HR-Q331", "queue"),
    ("team/marketing", {"weight": 2}, 404, "HR-Q331", "sales"),
    ("run/0000", {"concurrency": 2}, 404, "HR-Q304", "run list"),
    ("queue/sales/default", {"concurrency": 2, "reason": " "}, 400, "HR-Q334", "why"),
    ("queue/sales/default", {"concurrency": 2, "author": ""}, 400, "HR-Q334", "who"),
    ("queue/sales/default", {"concurrency": 2, "reason": "x" * 501}, 400, "HR-Q334", "500"),
    ("queue/sales/default", {"concurrency": 2, "expires_in": "soon"}, 400, "HR-Q334", "2h"),
    ("queue/sales/default", {"concurrency": 2, "expires_in": ""}, 400, "HR-Q334", "2h"),
    (
        "queue/sales/default",
        {"concurrency": 2, "expires_in": "2h", "expires_at": "2030-01-01T00:00:00Z"},
        400,
        "HR-Q334",
        "one of them",
    ),
    ("queue/sales/default", {"concurrency": 2, "expires_at": "2020-01-01T00:00:00Z"}, 400, "HR-Q334", "ahead of now"),
    ("queue/sales/default", {"concurrency": 2, "expires_at": "2030-01-01T00:00:00"}, 400, "HR-Q334", "Z"),
    ("queue/sales/default", {"concurrency": 2, "expires_in": "9000d"}, 400, "HR-Q334", "over a year"),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "says"), MISTAKES)
def test_a_mistake_is_told_with_its_remedy_and_changes_nothing(
    place: Town, path: str, body: dict[str, Any], status: int, code: str, says: str
) -> None:
    before = rows(place)
    answered, answer = put(place, path, **body)
    assert (answered, answer["problems"][0]["code"]) == (status, code), answer
    assert any(says in problem["message"] + problem["remedy"] for problem in answer["problems"]), answer
    assert rows(place) == before


def test_every_limit_is_listed_with_what_is_declared_and_taken(place: Town) -> None:
    found = {(limit["kind"], limit["name"]): limit for limit in place.get("/limits")}
    assert {("queue", "sales/default"), ("queue", "sales/heavy"), ("queue", "ml/default"), ("pool", "warehouse"),
            ("pool", "sales/own"), ("team", "sales"), ("team", "ml"), ("key", "ml/keyed:config.region")} <= found.keys()  # fmt: skip
    assert found["queue", "sales/default"]["declared"]["concurrency"] == 6
    assert found["queue", "sales/heavy"]["tokens"] == 5
    assert found["team", "sales"]["effective"]["weight"] == 2
    assert place.get("/limits?kind=pool&team=sales")[0]["name"] == "sales/own"


def test_a_pause_holds_what_waits_a_lower_limit_drains_and_clearing_lets_it_go(place: Town) -> None:
    assert put(place, "queue/sales/default", paused=True)[0] == 200
    run = place.launch("many", all_partitions=True)
    eventually(lambda: place.get(f"/runs/{run}")["counts"].get("ready") == 60, what="60 ready")
    assert place.get("/queues?team=sales")[0]["paused"] is True
    explained = place.get(f"/explain?step={run}/3")
    assert explained["causes"][0]["kind"] == "paused"
    assert "ada" in explained["causes"][0]["text"]
    assert "month end" in explained["causes"][0]["text"]
    assert put(place, "queue/sales/default", paused=False, concurrency=1)[0] == 200
    limit = place.get("/limits/queue/sales/default")
    assert (limit["drift"], limit["effective"]["concurrency"]) == (["concurrency"], 1)
    eventually(lambda: place.get(f"/runs/{run}")["counts"].get("succeeded", 0) >= 5, what="5 succeeded")
    with psycopg.connect(place.platform.urls["database"]) as connection:
        together = connection.execute(
            "SELECT count(*) FROM attempts a JOIN attempts b ON a.run_id = b.run_id AND a.batch < b.batch "
            "AND b.dispatched_at < a.ended_at WHERE a.run_id = %s", [run]
        ).fetchone()  # fmt: skip
    assert together == (0,)
    clear(place, "queue/sales/default")
    assert place.finished(run)["state"] == "succeeded"
    assert place.get("/limits/queue/sales/default")["drift"] == []


def test_a_body_that_is_no_text_is_a_mistake_too(place: Town) -> None:
    body = b'{"concurrency":3,"reason":"\xff","author":"ada"}'
    answer = httpx.put(f"{place.platform.api_url}/api/v1/limits/queue/sales/default", content=body)
    assert (answer.status_code, answer.json()["problems"][0]["code"]) == (400, "HR-Q301")


@pytest.mark.parametrize("cap", [0, 2**31, 10**30])
def test_a_run_with_an_impossible_cap_is_refused_and_harms_nobody(place: Town, cap: int) -> None:
    request = {"selection": ["many"], "partitions": ["000"], "max_concurrent": cap, "author": "eve"}
    status, answer = place.ask("POST", "/runs", request)
    assert (status, answer["problems"][0]["code"]) in ((400, "HR-Q008"), (400, "HR-Q301")), answer
    assert place.finished(place.launch("many", partitions=["000"]))["state"] == "succeeded"


def test_what_is_overridden_but_declared_no_more_can_be_cleared(place: Town) -> None:
    with psycopg.connect(place.platform.urls["database"]) as connection:
        connection.execute(
            "INSERT INTO limit_overrides (kind, name, field, value, author, reason) VALUES ('queue', 'sales/gone', 'rate', 1, 'ada', 'once')"
        )
    assert put(place, "queue/sales/gone", rate="5/s")[0] == 404
    assert place.ask("GET", "/limits/queue/sales/gone")[0] == 200
    clear(place, "queue/sales/gone")
    assert place.ask("GET", "/limits/queue/sales/gone")[0] == 404


def test_a_run_that_has_ended_can_not_be_limited(place: Town) -> None:
    run = place.launch("many", partitions=["000"])
    place.finished(run)
    status, answer = put(place, f"run/{run}", concurrency=1)
    assert (status, answer["problems"][0]["code"]) == (409, "HR-Q311")


def test_a_number_that_is_none_is_refused_on_the_command_line(place: Town) -> None:
    before = rows(place)
    for number in ("nan", "inf", "-inf", "1_000", "None"):
        done = place.cli("limits", "set", "queue", "sales/default", f"--concurrency={number}", "--reason", "slip")
        assert done.returncode == 2
        assert "HR-Q321" in done.stderr
    assert rows(place) == before


def test_an_override_ends_by_itself_and_the_record_says_so(place: Town) -> None:
    assert put(place, "queue/sales/default", paused=True, expires_in="1s")[0] == 200
    run = place.launch("many", partitions=["001"])
    assert place.finished(run)["state"] == "succeeded"
    eventually(lambda: rows(place)[0] == 0, what="the override is removed")
    last = place.get("/audit?subject=queue%20sales/default&limit=2")
    assert [entry["action"] for entry in last["items"]] == ["limit expired", "set limit"]
    assert last["items"][0]["author"] == "ada"
    older = place.get(f"/audit?cursor={last['next']}&limit=1")["items"]
    assert older[0]["id"] < last["items"][1]["id"]


def test_steps_that_can_never_start_are_warned_of_and_explained(place: Town) -> None:
    status, answer = put(place, "pool/warehouse", slots=1)
    assert status == 200
    assert answer["warnings"] == ["pooled needs 2 slots at once: it can't start while there are 1."]
    run = place.launch("pooled", partitions=["001"])
    eventually(lambda: place.get(f"/runs/{run}")["counts"].get("ready") == 1, what="ready")
    assert place.get(f"/explain?step={run}/0")["causes"][0]["kind"] == "pool_slots"
    clear(place, "pool/warehouse")
    assert place.finished(run)["state"] == "succeeded"


def test_a_run_is_hurried_and_capped_while_it_waits(place: Town) -> None:
    assert put(place, "queue/sales/default", paused=True)[0] == 200
    first = place.launch("many", all_partitions=True, max_concurrent=2)
    second = place.launch("pooled", partitions=["002"])
    eventually(lambda: place.get(f"/runs/{second}")["counts"].get("ready") == 1, what="ready")
    status, answer = place.ask("PUT", f"/runs/{second}/priority", {**WHY, "priority": 200})
    assert (status, answer["problems"][0]["code"]) == (400, "HR-Q335")
    assert place.ask("PUT", f"/runs/{second}/priority", {**WHY, "priority": 50})[0] == 202
    eventually(lambda: place.get(f"/runs/{second}")["priority"] == 50, what="the priority is recorded")
    assert place.get(f"/runs/{first}")["cap"] == 2
    assert put(place, f"run/{first}", concurrency=1)[0] == 200
    clear(place, "queue/sales/default")
    for run in (first, second):
        assert place.finished(run)["state"] == "succeeded"
    with psycopg.connect(place.platform.urls["database"]) as connection:
        order = connection.execute(
            "SELECT run_id::text FROM attempts WHERE run_id = ANY(%s) ORDER BY dispatch_seq LIMIT 1", [[first, second]]
        ).fetchone()
    assert order == (second,)


def test_the_commands_say_and_do_the_same(place: Town) -> None:
    done = place.cli(
        "limits",
        "set",
        "pool",
        "warehouse",
        "--slots",
        "2",
        "--rate",
        "10/s",
        "--reason",
        "slow today",
        "--for",
        "2h",
        "--author",
        "bob",
    )
    assert done.returncode == 0, done.stderr
    assert 'concurrency 4 -> 2 (by bob: "slow today", ends in' in done.stdout
    listed = place.cli("limits", "list").stdout
    assert "warehouse" in listed
    assert "concurrency, rate" in listed
    assert place.cli("limits", "clear", "pool", "warehouse", "slots", "--reason", "better").returncode == 0
    data = place.data("limits", "list", "--kind", "pool")["items"]
    assert [limit["drift"] for limit in data if limit["name"] == "warehouse"] == [["rate", "burst"]]
    assert place.cli("limits", "clear", "pool", "warehouse", "--reason", "over").returncode == 0
    assert "paused" in place.cli("queue", "pause", "sales/heavy", "--reason", "look").stdout
    assert "paused" in place.cli("team", "show", "sales").stdout
    assert "paused" not in place.cli("queue", "resume", "sales/heavy").stdout
    assert "slow today" in place.cli("audit").stdout
    bad = place.cli("limits", "set", "team", "sales", "--weight", "0", "--reason", "x")
    assert (bad.returncode, bad.stderr.split()[0]) == (2, "HR-Q332")
    assert place.cli("limits", "set", "team", "sales", "--weight", "2").returncode == 2
    run = place.launch("many", partitions=["003"])
    place.finished(run)
    assert "HR-Q311" in place.cli("run", "priority", run, "5", "--reason", "late").stderr
