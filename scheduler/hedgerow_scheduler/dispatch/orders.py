"""Orders as they are published: an attempt with its inputs, put into a Celery message that we encode ourselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hedgerow.manifest.model import Column
from hedgerow.protocol import names
from hedgerow.protocol.orders import MAX_INLINE_FORMER_BYTES, MAX_INLINE_REFERENCES, Input, OrderMessage, StepOrder
from hedgerow_scheduler.admission.cycle import Grant
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization
from hedgerow_scheduler.lifecycle.states import MaterializationState
from hedgerow_scheduler.planning.former_columns import bare

_encoder = msgspec.json.Encoder()
_ACCEPTED = frozenset({MaterializationState.CURRENT, MaterializationState.SUPERSEDED})
_NO_CONFIG = msgspec.Raw(b"null")


class Publication(msgspec.Struct, frozen=True):
    """One Celery message: the queue it goes to, its body and its task id. `files` (URL, content) must be there before it."""

    team: str
    queue: str
    task_id: str
    body: bytes
    files: tuple[tuple[str, bytes], ...] = ()


def order_of(
    attempt: Attempt,
    grant: Grant,
    inputs: tuple[Input, ...],
    deployment: str,
    storage: str,
    former: Mapping[str, tuple[Column, ...]],
) -> StepOrder:
    """The order for one attempt of a granted step. `former` holds columns of assets that are compared, its own and maybe others; none of
    one of which nothing was accepted.
    """
    step, computation = attempt.step, grant.computation
    given, judged = step.run.config, attempt.judged
    if judged is not None and judged.asset in former and judged.state in _ACCEPTED:
        former = {
            judged.asset: bare(judged.columns)
        }  # its columns are no news: what came after it says nothing about it
    config = next((given[key] for key in computation.assets if key in given), None) if given else None
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
        config=_NO_CONFIG if config is None else msgspec.Raw(_encoder.encode(config)),
        inputs=inputs,
        output=f"{storage.rstrip('/')}/{step.team}",
        timeout_ms=computation.timeout_ms,
        start_before_ms=int(attempt.start_before.timestamp() * 1000),
        isolation=computation.isolation,
        on_lost_contact=computation.on_lost_contact,
        run_tags=step.run.tags,
        judged=() if judged is None else (_judged(judged, step.team, former),),
        own_steps=judged is not None and bool(step.upstream),
        former={asset: found for asset in step.assets if (found := former.get(asset))} if former else {},
    )


def _judged(output: Materialization, team: str, former: Mapping[str, tuple[Column, ...]]) -> Input:
    references = () if output.reference is None else (output.reference,)
    return Input(output.asset, references, (), team, bare(output.columns) if output.asset in former else ())


def publication(orders: Sequence[StepOrder], storage: str) -> Publication:
    """The message that carries orders of one team, queue and manifest. Long lists of inputs and of columns go into files of the storage."""
    first = orders[0]
    files = []
    carried = []
    for order in orders:
        if sum(len(each.references) for each in order.inputs) > MAX_INLINE_REFERENCES:
            url = f"{storage.rstrip('/')}/_orders/{order.team}/{order.attempt_id}.json"
            files.append((url, _encoder.encode(order.inputs)))
            order = msgspec.structs.replace(order, inputs=(), inputs_at=url)
        if order.former and len(columns := _encoder.encode(order.former)) > MAX_INLINE_FORMER_BYTES:
            url = f"{storage.rstrip('/')}/_orders/{order.team}/{order.attempt_id}.former.json"
            files.append((url, columns))
            order = msgspec.structs.replace(order, former={}, former_at=url)
        carried.append(order)
    message = _encoder.encode(OrderMessage(tuple(carried)))
    body = _encoder.encode([[message.decode()], {}, _EMBED])
    queue = names.celery_queue(first.location, first.queue, first.manifest)
    return Publication(first.team, queue, first.attempt_id, body, tuple(files))


def celery_message(message: Publication) -> bytes:
    """A message as kombu's Redis transport puts it on a queue, and as its consumers expect it: a contract test compares the two.

    Encoding it here costs a tenth of what `kombu.Producer.publish` does.
    """
    return _encoder.encode(
        {
            "body": message.body,  # bytes are encoded in base64
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {**_HEADERS, "id": message.task_id, "root_id": message.task_id},
            "properties": {
                "correlation_id": message.task_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": message.queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": message.task_id,
            },
        }
    )


_EMBED: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
# What Celery's message protocol 2 asks for; constant but for the id.
_HEADERS: dict[str, Any] = {
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
