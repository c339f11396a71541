"""What one answer of the HTTP API holds at most, however much people have put into what it tells of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient
from support import seeding

from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.app import build_app
from hedgerow_scheduler.api.changes import ChangeFeed
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.metadata.read_changes import Change

pytestmark = pytest.mark.servers


@pytest.fixture
def client(database_url: str) -> Iterator[TestClient[Any]]:
    environ = {
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_STORAGE": "/nowhere",
        "HEDGEROW_BROKER": "redis://127.0.0.1:1/0",
    }
    services = open_services(read_platform(None, environ))
    with services.engine.begin() as connection:
        seeding.lead(connection)
        seeding.publish(connection, "sales", [seeding.asset("sales/orders", [])])
        large = {"selection": ["sales/orders"], "partitions": ["2024-01-01T00"] * 60_000}
        for number in range(14):
            seeding.run(connection, "succeeded", request=large, author=f"{number}")
    with TestClient(build_app(services)) as found:
        found.app.state.services = services
        yield found
    services.engine.dispose()


def test_a_page_of_large_rows_has_fewer_and_no_row_is_lost(client: TestClient[Any]) -> None:
    authors, cursor, pages = [], "", 0
    while cursor is not None:
        answer = client.get("/api/v1/runs", params={"limit": 1000} | ({"cursor": cursor} if cursor else {}))
        assert len(answer.content) < 6_000_000
        authors += [run["author"] for run in answer.json()["items"]]
        cursor, pages = answer.json()["next"], pages + 1
    assert authors == [f"{number}" for number in reversed(range(14))]
    assert pages == 3
    answer = client.get("/api/v1/runs", params={"limit": 2}).json()  # few are as many as were asked for
    assert (len(answer["items"]), answer["next"] is None) == (2, False)


def test_a_refusal_is_as_long_as_one_reads_whatever_was_sent(client: TestClient[Any]) -> None:
    many = {f"no_such_{number}": "1" for number in range(2_000)}
    for answer in (
        client.post("/api/v1/plan", json={"x" * 900_000: 1}),
        client.post("/api/v1/plan", json={"selection": ["sales/orders"], "config": {"y" * 900_000: 1}}),
        client.get("/api/v1/runs", params={"tag": "z" * 20_000}),
        client.get("/api/v1/runs", params=many),
    ):
        assert answer.status_code == 400
        assert len(answer.content) < 20_000
        assert all(problem["code"] and problem["remedy"] for problem in answer.json()["problems"])


@pytest.mark.parametrize(
    "path", ["partition-sets/sales/none", "partition-sets/sales/none/changes/1", "sensors/sales/none"]
)
def test_what_is_not_there_is_not_found(client: TestClient[Any], path: str) -> None:
    assert client.get(f"/api/v1/{path}").status_code == 404


def test_streams_that_are_opened_all_at_once_are_no_more_than_may_be(client: TestClient[Any]) -> None:
    services = client.app.state.services
    services.limits = msgspec.structs.replace(services.limits, streams=3)

    async def first(feed: ChangeFeed) -> str:
        return "heard" if [change async for change in _one(feed)] == [None] else "ended"

    async def _one(feed: ChangeFeed) -> AsyncIterator[Change | None]:
        async for change in feed.listen(None):
            yield change
            await opened.wait()
            return

    async def open_many() -> list[str]:
        feed = ChangeFeed(services)
        asking = [asyncio.create_task(first(feed)) for _ in range(10)]
        early = asyncio.as_completed(asking)
        told = [await next(early) for _ in range(7)]
        opened.set()
        told += [await each for each in early]
        await feed.close()
        return told

    opened = asyncio.Event()
    assert asyncio.run(open_many()) == ["ended"] * 7 + ["heard"] * 3
