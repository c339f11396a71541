"""The HTTP API against a real PostgreSQL: every route, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient
from sqlalchemy import Engine, select, text
from support import seeding
from support.served import served

from hedgerow.manifest.model import Asset, Check, Column, Queue
from hedgerow.partitions.model import TimePartitions
from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.app import build_app
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.metadata import tables

pytestmark = pytest.mark.servers
DAYS = TimePartitions("day", "2024-01-01", "2024-02-01")


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def client(database_url: str, storage: Path) -> Iterator[TestClient[Any]]:
    environ = {
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_STORAGE": str(storage),
        "HEDGEROW_BROKER": "redis://127.0.0.1:1/0",
    }
    services = open_services(read_platform(None, environ))
    with TestClient(build_app(services)) as client:
        client.app.state.services = services
        yield client
    services.engine.dispose()


@pytest.fixture
def engine(client: TestClient[Any]) -> Engine:
    found: Engine = client.app.state.services.engine
    return found


@pytest.fixture
def sales(engine: Engine) -> str:
    """A published team `sales`; its manifest's hash."""
    with engine.begin() as connection:
        seeding.lead(connection)
        return seeding.publish(
            connection,
            "sales",
            [
                seeding.asset("sales/orders", ["raw/orders"], description="Orders, cleaned.", columns=(Column("id"),)),
                seeding.asset("sales/daily", ["sales/orders"], partitions=DAYS, group="daily", kinds=("table",)),
            ],
            external=[Asset("raw/orders")],
            checks=[Check("not_empty", "sales/orders", blocking=True)],
            queues=[Queue("default", concurrency=2)],
        )


def codes(response: Any) -> list[str]:
    return [problem["code"] for problem in response.json()["problems"]]


def launch(client: TestClient[Any], body: dict[str, Any], key: str | None = None) -> Any:
    return client.post("/api/v1/runs", json=body, headers={"Idempotency-Key": key} if key else {})


def test_a_launched_run_is_recorded_as_it_was_asked_for(client: TestClient[Any], engine: Engine, sales: str) -> None:
    body = {"selection": ["sales/daily"], "partitions": ["2024-01-02"], "tags": {"why": "test"}, "author": "ann"}
    answer = launch(client, body)
    assert (answer.status_code, answer.json()["created"]) == (201, True)
    with engine.connect() as connection:
        row = connection.execute(select(tables.runs)).one()
    assert (row.id, row.state, row.tags, row.author) == (answer.json()["id"], "requested", {"why": "test"}, "ann")
    assert row.request == {"selection": ["sales/daily"], "partitions": ["2024-01-02"]}


def test_the_same_idempotency_key_is_the_same_run_and_refuses_another_request(
    client: TestClient[Any], sales: str
) -> None:
    first = launch(client, {"selection": ["sales/orders"]}, "k1")
    again = launch(client, {"selection": ["sales/orders"]}, "k1")
    other = launch(client, {"selection": ["sales/daily"], "partitions": ["2024-01-01"]}, "k1")
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json() == {"id": first.json()["id"], "created": False}
    assert codes(other) == ["HR-Q030"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"selection": ["sales/order"]}, 400, "HR-Q001"),
        ({"selection": ["raw/orders"]}, 400, "HR-Q002"),
        ({"selection": ["sales/daily"]}, 400, "HR-Q101"),
        ({"selection": ["sales/daily"], "partitions": ["2025-01-01"]}, 400, "HR-Q101"),
        ({"selection": ["sales/orders"], "partitions": ["2024-01-01"]}, 400, "HR-Q004"),
        ({"selection": ["sales/orders"], "config": {"x": 1}}, 400, "HR-Q005"),
        ({"selection": "sales/orders"}, 400, "HR-Q301"),
        ({"selections": ["sales/orders"]}, 400, "HR-Q301"),
        ({}, 400, "HR-Q301"),
        ([], 400, "HR-Q301"),
        ({"selection": ["sales/orders"], "tags": {"a": 1}}, 400, "HR-Q301"),
        ({"selection": ["sales/orders"], "author": "x" * 300}, 400, "HR-Q313"),
        ({"selection": ["x" * 1_100_000]}, 413, "HR-Q302"),
    ],
)
def test_a_bad_launch_is_refused_and_nothing_is_recorded(
    client: TestClient[Any], engine: Engine, sales: str, body: Any, status: int, code: str
) -> None:
    answer = client.post("/api/v1/runs", json=body)
    assert (answer.status_code, codes(answer)[0]) == (status, code), answer.text
    assert all(problem["message"] and problem["remedy"] for problem in answer.json()["problems"])
    with engine.connect() as connection:
        assert connection.execute(select(tables.runs)).first() is None


def test_an_unknown_field_is_refused_by_its_name(client: TestClient[Any], sales: str) -> None:
    answer = client.post("/api/v1/runs", json={"selection": ["sales/orders"], "partition": "2024-01-01"})
    assert "'partition'" in answer.json()["problems"][0]["message"]
    assert codes(client.post("/api/v1/runs", content=b"{nonsense")) == ["HR-Q301"]


@pytest.fixture
def history(engine: Engine, sales: str, storage: Path) -> dict[str, str]:
    """A live run of five steps, one that failed, and one that is only requested; their ids by name."""
    with engine.begin() as connection:
        seeding.worker(connection, "sales", busy=1)
        live = seeding.run(connection, "running", steps=4, tags={"env": "prod"}, author="ann")
        seeding.step(connection, live, 0, "sales/orders", "succeeded", attempt=1)
        for number, state in ((1, "running"), (2, "dispatched"), (3, "ready")):
            day = f"2024-01-0{number}"
            seeding.step(
                connection, live, number, "sales/daily", state, partition=day, upstream=[0], ready_at=seeding.AT
            )
        done = seeding.attempt(connection, live, 0, "succeeded", log=f"{storage}/_logs/sales/{live}/log")
        seeding.output(connection, done, live, 0, "sales/orders", "current", metadata={"rows": 5})
        seeding.add(
            connection, tables.check_results, attempt_id=done, asset="sales/orders", check_name="not_empty", partition="",
            run_id=live, step_number=0, passed=True, blocking=True, severity="error",
        )  # fmt: skip
        failed = seeding.run(connection, "failed", steps=1, ended_at=seeding.AT)
        error = {"code": "HR-X001", "message": "ValueError: no", "remedy": "Look."}
        seeding.step(connection, failed, 0, "sales/orders", "failed", attempt=1, error=error)
        stray = seeding.attempt(connection, failed, 0, "failed", log="/etc/hostname")
        requested = seeding.run(connection, "requested", started_at=None)
    log = storage / "_logs" / "sales" / live / "log"
    log.parent.mkdir(parents=True)
    log.write_text("first line\nsecond line\n")
    return {"live": live, "failed": failed, "requested": requested, "done": done, "stray": stray}


def get(client: TestClient[Any], path: str, **parameters: Any) -> Any:
    answer = client.get(f"/api/v1{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_runs_are_listed_newest_first_by_pages_and_filters(client: TestClient[Any], history: dict[str, str]) -> None:
    first = get(client, "/runs", limit=2)
    rest = get(client, "/runs", limit=2, cursor=first["next"])
    assert [run["id"] for run in first["items"] + rest["items"]] == [
        history[name] for name in ("requested", "failed", "live")
    ]
    assert rest["next"] is None
    by_filter = {
        "state": get(client, "/runs", state=["running", "cancelled"]),
        "asset": get(client, "/runs", asset="sales/daily"),
        "tag": get(client, "/runs", tag="env=prod"),
        "author": get(client, "/runs", author="ann"),
    }
    assert {name: [run["id"] for run in page["items"]] for name, page in by_filter.items()} == {
        name: [history["live"]] for name in by_filter
    }


def test_a_run_counts_its_steps_and_what_they_recorded(client: TestClient[Any], history: dict[str, str]) -> None:
    run = get(client, f"/runs/{history['live']}")
    assert run["counts"] == {"succeeded": 1, "running": 1, "dispatched": 1, "ready": 1}
    assert [(group["computation"], group["states"]) for group in run["progress"]] == [
        ("sales/orders", {"succeeded": 1}),
        ("sales/daily", {"running": 1, "dispatched": 1, "ready": 1}),
    ]
    assert (run["materializations"], run["checks"]) == (1, {"passed": 1, "failed": 0})


def test_a_run_may_be_named_by_the_beginning_of_its_id(client: TestClient[Any], history: dict[str, str]) -> None:
    live = history["live"]
    assert get(client, f"/runs/{live[:23]}")["id"] == live
    several, none, nonsense = (client.get(f"/api/v1/runs/{text}") for text in ("0", "ffff", "orders"))
    assert [(one.status_code, codes(one)) for one in (several, none, nonsense)] == [
        (400, ["HR-Q305"]),
        (404, ["HR-Q304"]),
        (404, ["HR-Q304"]),
    ]


def test_steps_are_listed_by_number_by_pages_and_filters(client: TestClient[Any], history: dict[str, str]) -> None:
    path = f"/runs/{history['live']}/steps"
    first = get(client, path, limit=3)
    assert [step["number"] for step in first["items"] + get(client, path, cursor=first["next"])["items"]] == [
        0,
        1,
        2,
        3,
    ]
    assert [step["number"] for step in get(client, path, state=["ready", "running"])["items"]] == [1, 3]
    assert [step["number"] for step in get(client, path, partition="2024-01-02", team="sales")["items"]] == [2]
    assert [step["number"] for step in get(client, path, asset="sales/orders")["items"]] == [0]


def test_a_step_shows_its_attempts_outputs_and_verdicts(client: TestClient[Any], history: dict[str, str]) -> None:
    step = get(client, f"/runs/{history['live']}/steps/0")
    assert [one["id"] for one in step["attempts"]] == [history["done"]]
    assert step["materializations"][0]["metadata"] == {"rows": 5}
    assert step["checks"][0]["check_name"] == "not_empty"
    missing = client.get(f"/api/v1/runs/{history['live']}/steps/9")
    assert (missing.status_code, codes(missing)) == (404, ["HR-Q306"])


def test_logs_come_from_storage_in_parts_and_never_from_elsewhere(
    client: TestClient[Any], history: dict[str, str]
) -> None:
    whole = get(client, f"/runs/{history['live']}/logs", step=0)["items"][0]
    assert (whole["source"], whole["text"]) == ("storage", "first line\nsecond line\n")
    rest = get(client, f"/runs/{history['live']}/logs", step=0, attempt=1, offset=11)["items"][0]
    assert (rest["text"], rest["offset"], rest["next_offset"]) == ("second line\n", 11, 23)
    stray = get(client, f"/runs/{history['failed']}/logs")["items"][0]
    assert (stray["source"], stray["text"]) == ("none", "")


def test_cancel_and_retry_become_commands_of_their_author(
    client: TestClient[Any], engine: Engine, history: dict[str, str]
) -> None:
    cancelled = client.post(f"/api/v1/runs/{history['live']}/cancel", json={"author": "bob"})
    retried = client.post(f"/api/v1/runs/{history['failed']}/retry", json={"steps": [0]})
    bare = client.post(f"/api/v1/runs/{history['failed']}/retry")
    assert [one.status_code for one in (cancelled, retried, bare)] == [202, 202, 202], retried.text + bare.text
    with engine.connect() as connection:
        rows = connection.execute(select(tables.commands).order_by(tables.commands.c.id)).all()
    assert [(row.kind, row.body, row.author) for row in rows] == [
        ("cancel_run", {"run_id": history["live"]}, "bob"),
        ("retry_run", {"run_id": history["failed"], "steps": [0]}, ""),
        ("retry_run", {"run_id": history["failed"]}, ""),
    ]


def test_what_can_not_be_cancelled_or_retried_is_refused(
    client: TestClient[Any], engine: Engine, history: dict[str, str]
) -> None:
    live, failed = history["live"], history["failed"]
    answers = [
        client.post(f"/api/v1/runs/{failed}/cancel"),
        client.post(f"/api/v1/runs/{live}/retry"),
        client.post(f"/api/v1/runs/{live}/retry", json={"steps": [1]}),
        client.post(f"/api/v1/runs/{live}/retry", json={"steps": [77]}),
        client.post(f"/api/v1/runs/{live}/retry", json={"step": [1]}),
    ]
    assert [(one.status_code, codes(one)[0]) for one in answers] == [
        (409, "HR-Q311"),
        (409, "HR-Q312"),
        (409, "HR-Q312"),
        (404, "HR-Q306"),
        (400, "HR-Q301"),
    ]
    with engine.connect() as connection:
        assert connection.execute(select(tables.commands)).first() is None


def test_a_plan_shows_the_steps_and_launches_nothing(client: TestClient[Any], engine: Engine, sales: str) -> None:
    body = {"selection": ["sales/*"], "partition_range": {"first": "2024-01-01", "last": "2024-01-03"}}
    answer = client.post("/api/v1/plan", json=body)
    plan = answer.json()
    assert (answer.status_code, plan["total"], plan["assets"]) == (200, 4, ["sales/orders", "sales/daily"])
    assert [(step["computation"], step["partition"], step["upstream"]) for step in plan["steps"][:2]] == [
        ("sales/orders", "", []),
        ("sales/daily", "2024-01-01", [0]),
    ]
    with engine.connect() as connection:
        assert connection.execute(select(tables.runs)).first() is None


def test_assets_are_listed_selected_and_searched(client: TestClient[Any], history: dict[str, str]) -> None:
    everything = get(client, "/assets", limit=2)
    rest = get(client, "/assets", limit=2, cursor=everything["next"])
    found = {asset["key"]: asset for asset in everything["items"] + rest["items"]}
    assert list(found) == ["raw/orders", "sales/daily", "sales/orders"]
    assert (found["sales/orders"]["current"], found["sales/daily"]["current"]) == (1, 0)
    assert [asset["key"] for asset in get(client, "/assets", select="group:daily")["items"]] == ["sales/daily"]
    assert [asset["key"] for asset in get(client, "/assets", search="CLEANED orders")["items"]] == ["sales/orders"]
    unknown = client.get("/api/v1/assets", params={"select": "sales/ordrs"})
    assert codes(unknown) == ["HR-Q001"]


def test_an_asset_shows_all_that_is_known_of_it(client: TestClient[Any], history: dict[str, str]) -> None:
    asset = get(client, "/assets/sales/orders")
    assert (asset["team"], asset["upstream"], asset["downstream"]) == ("sales", ["raw/orders"], ["sales/daily"])
    assert asset["last"]["metadata"] == {"rows": 5}
    assert (asset["checks"][0]["name"], asset["check_results"][0]["passed"]) == ("not_empty", True)
    assert get(client, "/assets/sales/daily")["partitions"] == 31
    missing = client.get("/api/v1/assets/sales/order")
    assert (missing.status_code, codes(missing)) == (404, ["HR-Q307"])


def test_materializations_are_listed_by_partition_and_state(client: TestClient[Any], history: dict[str, str]) -> None:
    assert [one["state"] for one in get(client, "/materializations", asset="sales/orders")["items"]] == ["current"]
    assert get(client, "/materializations", asset="sales/orders", state="rejected")["items"] == []
    assert get(client, "/materializations", asset="sales/daily", partition="2024-01-01") == {"items": [], "next": None}
    assert codes(client.get("/api/v1/materializations", params={"asset": "nobody/knows"})) == ["HR-Q307"]


def test_the_graph_has_edges_between_what_was_selected(client: TestClient[Any], sales: str) -> None:
    graph = get(client, "/graph")
    assert [(edge["upstream"], edge["downstream"]) for edge in graph["edges"]] == [
        ("sales/orders", "sales/daily"),
        ("raw/orders", "sales/orders"),
    ]
    assert [node["key"] for node in get(client, "/graph", select="sales/daily")["nodes"]] == ["sales/daily"]


def test_teams_are_registered_once_and_shown_with_code_and_workers(
    client: TestClient[Any], engine: Engine, history: dict[str, str]
) -> None:
    new, again, bad = (client.post("/api/v1/teams", json={"name": name}) for name in ("ml", "ml", "M L"))
    assert (new.status_code, again.status_code, bad.status_code, codes(bad)) == (201, 200, 400, ["HR-Q315"])
    with engine.begin() as connection:
        problem = {
            "code": "HR-X004",
            "message": "boom",
            "remedy": "Mend it.",
            "file": "ml.py",
            "line": 3,
            "traceback": "Traceback …",
        }
        seeding.add(connection, tables.locations, team="ml", location="ml", problems=[problem], failed_at=seeding.AT)
    listed = {team["name"]: team for team in get(client, "/teams")}
    assert (listed["sales"]["assets"], listed["sales"]["slots"], listed["ml"]["broken"]) == (3, 2, 1)
    assert get(client, "/teams/ml")["locations"][0]["location"]["problems"] == [problem]
    sales = get(client, "/teams/sales")
    assert sales["locations"][0]["environment"]["packages"] == {"pandas": "2.2.0"}
    assert [worker["busy"] for worker in sales["workers"]] == [1]
    assert codes(client.get("/api/v1/teams/sale")) == ["HR-Q308"]


def test_queues_show_limits_steps_and_slots(client: TestClient[Any], history: dict[str, str]) -> None:
    (queue,) = get(client, "/queues", team="sales")
    assert (queue["queue"], queue["concurrency"], queue["slots"], queue["busy"]) == ("default", 2, 2, 1)
    assert queue["steps"] == {"dispatched": 1, "ready": 1, "running": 1}
    assert codes(client.get("/api/v1/queues", params={"team": "nobody"})) == ["HR-Q308"]


def kinds(explanation: Any) -> list[str]:
    return [cause["kind"] for cause in explanation["causes"]]


def test_explain_says_why_a_step_waits(client: TestClient[Any], engine: Engine, history: dict[str, str]) -> None:
    live = history["live"]
    with engine.begin() as connection:
        for number, state in ((1, "running"), (2, "dispatched")):
            seeding.attempt(connection, live, number, state, dispatch_seq=number + 1)
    assert kinds(get(client, "/explain", step=f"{live}/3")) == ["queue_concurrency", "slots_busy"]
    assert kinds(get(client, "/explain", step=f"{live}/1")) == ["running"]
    assert get(client, "/explain", step=live)["subject"] == f"{live}/3"
    assert kinds(get(client, "/explain", step=history["requested"])) == ["planning"]
    assert kinds(get(client, "/explain", step=f"{history['failed']}/0")) == ["ended"]


def test_explain_names_the_check_that_rejected_what_a_step_reads(
    client: TestClient[Any], engine: Engine, sales: str
) -> None:
    with engine.begin() as connection:
        seeding.worker(connection, "sales")
        before = seeding.run(connection, "failed", steps=1, ended_at=seeding.AT)
        seeding.step(connection, before, 0, "sales/orders", "failed", attempt=1)
        attempt = seeding.attempt(connection, before, 0, "failed")
        seeding.output(connection, attempt, before, 0, "sales/orders", "rejected")
        seeding.add(
            connection, tables.check_results, attempt_id=attempt, asset="sales/orders", check_name="not_empty", partition="",
            run_id=before, step_number=0, passed=False, blocking=True, severity="error",
        )  # fmt: skip
        run = seeding.run(connection, "running", steps=1)
        seeding.step(connection, run, 0, "sales/daily", "ready", partition="2024-01-01")
    (cause,) = get(client, "/explain", step=run)["causes"]
    assert cause["kind"] == "blocked_by_check"
    assert f"'not_empty' failed in run {before}" in cause["text"]


def test_explain_says_what_is_known_of_an_asset(client: TestClient[Any], history: dict[str, str]) -> None:
    assert get(client, "/explain", asset="sales/daily")["subject"] == f"{history['live']}/3"
    idle = get(client, "/explain", asset="sales/orders")
    assert (idle["state"], kinds(idle)) == ("idle", ["last_run", "has_data"])
    never = get(client, "/explain", asset="sales/daily", partition="2024-01-20")
    assert kinds(never) == ["never_run", "no_data"]
    wrong = [
        client.get("/api/v1/explain"),
        client.get("/api/v1/explain", params={"step": "1/x"}),
        client.get("/api/v1/explain", params={"asset": "sales/daily", "partition": "2030-01-01"}),
    ]
    assert [codes(one)[0] for one in wrong] == ["HR-Q317", "HR-Q317", "HR-Q101"]


def test_changes_are_streamed_until_the_run_ends(
    client: TestClient[Any], engine: Engine, history: dict[str, str]
) -> None:
    live, heard = history["live"], []
    stream = f"/api/v1/events?run={live}"
    # The client for tests hands an answer over when it is complete; a stream needs a real connection.
    with served(client.app.state.services) as url, httpx.stream("GET", url + stream, timeout=20) as answer:
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
        heard.append(json.loads(next(lines)))
        with engine.begin() as connection:
            connection.execute(tables.steps.update().where(tables.steps.c.number == 1).values(state="succeeded"))
        with engine.begin() as connection:
            connection.execute(tables.runs.update().where(tables.runs.c.id == live).values(state="succeeded"))
        heard += map(json.loads, lines)
    states = [(one["run_id"], one["number"], one["state"]) for one in heard]
    assert states == [(live, None, "running"), (live, 1, "succeeded"), (live, None, "succeeded")]


def test_a_misspelt_parameter_path_or_method_is_refused(client: TestClient[Any]) -> None:
    answers = [
        client.get("/api/v1/runs", params={"stat": "running"}),
        client.get("/api/v1/runs", params={"state": "done"}),
        client.get("/api/v1/runs", params={"limit": 0}),
        client.get("/api/v1/run"),
        client.put("/api/v1/runs"),
    ]
    assert [(one.status_code, codes(one)) for one in answers] == [
        (400, ["HR-Q310"]),
        (400, ["HR-Q310"]),
        (400, ["HR-Q310"]),
        (404, ["HR-Q303"]),
        (405, ["HR-Q318"]),
    ]
    assert answers[0].json()["problems"][0]["remedy"] == "Did you mean 'state'?"


def test_readiness_tells_what_is_missing(client: TestClient[Any], engine: Engine) -> None:
    assert client.get("/healthz").json() == {"alive": True}
    assert codes(client.get("/readyz")) == ["HR-P354"]
    with engine.begin() as connection:
        seeding.lead(connection)
    assert client.get("/readyz").json() == {"ready": True, "leader": "scheduler-1", "problems": []}
    with engine.begin() as connection:
        seeding.lead(connection, stale_s=60)
    stale = client.get("/readyz")
    assert (stale.status_code, codes(stale)) == (503, ["HR-P354"])
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = 'older'"))
    assert codes(client.get("/readyz")) == ["HR-P353"]


def test_a_database_that_is_away_is_said_without_a_stack_trace(tmp_path: Path) -> None:
    environ = {"HEDGEROW_DATABASE": "postgresql://x@127.0.0.1:1/x", "HEDGEROW_STORAGE": str(tmp_path)}
    environ["HEDGEROW_BROKER"] = "redis://127.0.0.1:1/0"
    with TestClient(build_app(open_services(read_platform(None, environ)))) as client:
        answers = [client.get("/api/v1/runs"), client.get("/readyz")]
    assert [(one.status_code, codes(one)) for one in answers] == [(503, ["HR-P351"])] * 2
    assert "Traceback" not in answers[0].text


def test_requests_are_counted_by_route_and_never_by_path(client: TestClient[Any], history: dict[str, str]) -> None:
    get(client, f"/runs/{history['live']}")
    client.get("/nowhere/at/all")
    metrics = client.get("/metrics").text
    assert 'route="/api/v1/runs/{run_id}"' in metrics
    assert 'route="unmatched"' in metrics
    assert history["live"] not in metrics
    assert "nowhere" not in metrics


def test_every_route_is_in_the_document(client: TestClient[Any]) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert {"/api/v1/runs", "/api/v1/assets/{key}", "/api/v1/events", "/readyz"} <= set(document["paths"])
    for path, methods in document["paths"].items():
        assert all(operation.get("description") for operation in methods.values()), path


def test_pages_of_other_sites_are_refused(client: TestClient[Any], sales: str) -> None:
    body = {"selection": ["sales/orders"]}
    foreign = client.post("/api/v1/runs", json=body, headers={"Origin": "http://evil.example"})
    assert (foreign.status_code, codes(foreign)) == (403, ["HR-Q319"])
    own = client.post("/api/v1/runs", json=body, headers={"Origin": "http://testserver.local"})
    assert own.status_code == 201


def test_explain_says_of_an_asset_too_that_no_scheduler_leads(
    client: TestClient[Any], engine: Engine, history: dict[str, str]
) -> None:
    with engine.begin() as connection:
        seeding.lead(connection, stale_s=75)
    causes = client.get("/api/v1/explain", params={"asset": "sales/orders"}).json()["causes"]
    assert [cause["kind"] for cause in causes][:2] == ["scheduler_down", "last_run"]
