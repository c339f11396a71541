"""Orders as they are published: an attempt with its inputs, put into a Celery message that we encode ourselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hedgerow.protocol import names
from hedgerow.protocol.orders import Input, OrderMessage, StepOrder
from hedgerow_scheduler.admission.admit import Grant
from hedgerow_scheduler.lifecycle.model import Attempt

_encoder = msgspec.json.Encoder()


class Publication(msgspec.Struct, frozen=True):
    """One Celery message: the queue it goes to, its body and its task id."""

    team: str
    queue: str
    task_id: str
    body: bytes


def order_of(attempt: Attempt, grant: Grant, inputs: tuple[Input, ...], deployment: str, storage: str) -> StepOrder:
    """The order for one attempt of a granted step."""
    step, computation = attempt.step, grant.computation
    config = next((step.run.config[key] for key in computation.assets if key in step.run.config), None)
    return StepOrder(
        deployment=deployment,
        team=step.team,
        location=step.location,
        queue=step.queue,
        run_id=step.run.id,
        step=str(step.number),
        attempt_id=attempt.id,
        attempt=attempt.number,
        manifest=attempt.manifest_hash,
        computation=step.computation,
        assets=step.assets,
        partition=step.partition,
        config=msgspec.Raw(_encoder.encode(config)),
        inputs=inputs,
        output=f"{storage.rstrip('/')}/{step.team}",
        timeout_ms=computation.timeout_ms,
        start_before_ms=int(attempt.start_before.timestamp() * 1000),
        isolation=computation.isolation,
        on_lost_contact=computation.on_lost_contact,
        run_tags=step.run.tags,
    )


def publication(orders: Sequence[StepOrder]) -> Publication:
    """The message that carries orders of one team, queue and manifest."""
    first = orders[0]
    message = _encoder.encode(OrderMessage(tuple(orders)))
    body = _encoder.encode([[message.decode()], {}, _EMBED])
    return Publication(
        first.team, names.celery_queue(first.location, first.queue, first.manifest), first.attempt_id, body
    )


_EMBED: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
# What Celery's message protocol 2 asks for; constant but for the id.
HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": names.CELERY_TASK,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "argsrepr": "",
    "kwargsrepr": "",
    "origin": "hedgerow",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
