"""Orders as they are published."""

from __future__ import annotations

import json

import msgspec

from hedgerow.manifest.model import Column
from hedgerow.protocol.orders import MAX_INLINE_FORMER_BYTES, MAX_INLINE_REFERENCES, Input, OrderMessage, StepOrder
from hedgerow.protocol.references import Reference
from hedgerow.runner.inputs import with_inputs
from hedgerow.storage import files
from hedgerow_scheduler.dispatch.orders import publication


def order(references: int) -> StepOrder:
    inputs = (Input("up", tuple(Reference(f"/data/{number}", "json") for number in range(references)), (), "sales"),)
    return StepOrder(
        "dev", "sales", "sales", "heavy", "r", "0", "a1", 1, "f" * 64, "totals", ("totals",), inputs=inputs
    )


def carried(body: bytes) -> StepOrder:
    """What the worker's task finds in a message's body."""
    arguments = json.loads(body)[0]
    return msgspec.json.decode(arguments[0], type=OrderMessage).orders[0]


def test_an_order_travels_whole_to_the_queue_of_its_manifest() -> None:
    message = publication([order(3)], "/store")
    assert (message.team, message.queue, message.task_id, message.files) == (
        "sales",
        "sales.heavy@ffffffffffff",
        "a1",
        (),
    )
    assert carried(message.body) == order(3)


def test_a_long_list_of_inputs_goes_through_storage(tmp_path: object) -> None:
    message = publication([order(MAX_INLINE_REFERENCES + 1)], str(tmp_path))
    ((url, content),) = message.files
    assert carried(message.body).inputs == ()
    assert len(message.body) < 2_000
    files.store(url, content)
    assert with_inputs(carried(message.body)) == order(MAX_INLINE_REFERENCES + 1)


def test_many_former_columns_go_through_storage(tmp_path: object) -> None:
    few, many = ({"totals": (Column("n" * size, "int"),)} for size in (100, MAX_INLINE_FORMER_BYTES))
    narrow, wide = (msgspec.structs.replace(order(3), former=former) for former in (few, many))
    assert carried(publication([narrow], str(tmp_path)).body) == narrow
    message = publication([wide], str(tmp_path))
    ((url, content),) = message.files
    assert carried(message.body).former == {}
    files.store(url, content)
    assert with_inputs(carried(message.body)) == wide
