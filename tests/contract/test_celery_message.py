"""Orders on a queue: what the writer puts there is what kombu would have, and Celery's consumer finds the orders in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from celery.worker.request import Request
from kombu import Connection, Consumer, Message, Producer, Queue
from support.processes import eventually

from hedgerow.protocol import names
from hedgerow.protocol.orders import StepOrder
from hedgerow_scheduler.dispatch.orders import Publication, celery_message, publication
from hedgerow_scheduler.dispatch.writer import Acknowledge, BrokerWriter, Publish
from hedgerow_scheduler.ingest.inbox import Inbox

pytestmark = pytest.mark.servers
DEPLOYMENT = "contract"
TEAM = "sales"


@pytest.fixture
def writer(broker_url: str) -> Iterator[BrokerWriter]:
    found = BrokerWriter(DEPLOYMENT, broker_url, Inbox())
    found.start()
    yield found
    found.stop()


def order(number: int) -> StepOrder:
    return StepOrder(
        DEPLOYMENT, TEAM, "here", "default", "run", str(number), f"attempt-{number}", 1, "0123456789abcdef", "a", ("a",),
        partition="naïve \"key\"",
    )  # fmt: skip


def message(*numbers: int) -> Publication:
    return publication([order(number) for number in numbers], "/storage")


def connection(url: str) -> Connection:
    """As the worker opens it."""
    options = {
        "global_keyprefix": names.celery_key_prefix(DEPLOYMENT, TEAM),
        "ack_emulation": False,
        "priority_steps": [0],
    }
    return Connection(url, transport_options=options)


def consumed(url: str, queue: str, expected: int) -> list[Message]:
    """What kombu's consumer takes from a queue, in order."""
    found: list[Message] = []
    with connection(url) as broker:
        queues = [Queue(queue, no_declare=True)]
        with Consumer(broker.channel(), queues, accept=["json"], on_message=found.append):
            while len(found) < expected:
                broker.drain_events(timeout=5)
                found[-1].ack()
    return found


def test_celery_finds_the_orders_in_the_order_in_which_they_were_published(
    writer: BrokerWriter, broker_url: str
) -> None:
    sent = [message(1), message(2, 3), message(4)]
    writer.do(Publish(tuple(sent)))
    app = Celery("contract")

    @app.task(name=names.CELERY_TASK)  # type: ignore[untyped-decorator]
    def execute(orders: str) -> None:
        """Stands for the worker's own."""

    found = []
    for received in consumed(broker_url, sent[0].queue, 3):
        request = Request(received, app=app, task=execute, hostname="w1")
        assert request.task_name == names.CELERY_TASK
        assert request.id == received.properties["correlation_id"] == received.headers["root_id"]
        assert request.kwargs == {}
        (text,) = request.args
        found.append([each["attempt_id"] for each in json.loads(text)["orders"]])
    assert found == [["attempt-1"], ["attempt-2", "attempt-3"], ["attempt-4"]]


def test_a_message_is_what_kombu_itself_would_put_there(broker_url: str) -> None:
    sent = message(1)
    own = json.loads(celery_message(sent))
    with connection(broker_url) as broker:
        Producer(broker.channel(), auto_declare=False).publish(
            sent.body,
            exchange="",
            routing_key=sent.queue,
            content_type="application/json",
            content_encoding="utf-8",
            headers=own["headers"],
            correlation_id=sent.task_id,
            priority=0,
        )
    with redis.Redis.from_url(broker_url) as client:
        theirs = json.loads(client.rpop(names.celery_key_prefix(DEPLOYMENT, TEAM) + sent.queue))
    assert unlike_only_in_the_tag(theirs) == unlike_only_in_the_tag(own)


def unlike_only_in_the_tag(found: dict[str, Any]) -> dict[str, Any]:
    properties = {key: value for key, value in found["properties"].items() if key != "delivery_tag"}
    return {**found, "properties": properties}


def test_acknowledgements_are_gathered_and_the_last_one_counts(writer: BrokerWriter, broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as client:
        client.config_resetstat()
        for sequence in range(1, 50):
            writer.do(Acknowledge({(TEAM, "w1"): sequence, (TEAM, "w2"): 7}))

        def acknowledged() -> bool:
            return bool(client.hgetall(names.ack_hash(DEPLOYMENT, TEAM)) == {b"w1": b"49", b"w2": b"7"})

        eventually(acknowledged)
        assert client.info("commandstats")["cmdstat_hset"]["calls"] < 10
