"""What was on the wire once can still be read: `wire_v1.jsonl` holds messages as version 1 sent them, and is only ever added to.

A worker may be older or newer than the scheduler. So a kind never goes away, a field never changes its meaning or its type, a new
one has a default, and what is not known is passed over.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hedgerow.protocol import control, events, runner
from hedgerow.protocol.envelope import Envelope, decode_envelope
from hedgerow.protocol.orders import OrderMessage, StepOrder

LINES = [json.loads(line) for line in (Path(__file__).parent / "wire_v1.jsonl").read_text().splitlines()]
KINDS: dict[str, dict[str, Any]] = {"event": events.KINDS, "control": control.KINDS, "runner": runner.KINDS}
ENVELOPES = [(line["of"], line["message"]) for line in LINES if line["of"] != "order"]
ORDERS = [line["message"] for line in LINES if line["of"] == "order"]


def name(part: str) -> str:
    return json.loads(part)["kind"] if part.startswith("{") else part


def read(of: str, message: str) -> tuple[Envelope, Any]:
    envelope = decode_envelope(message.encode())
    return envelope, msgspec.json.decode(envelope.body, type=KINDS[of][envelope.kind])


def says_all(found: object, recorded: object) -> bool:
    """Whether all that was recorded is in what was found, which may have more: fields of later versions."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        return all(key in found and says_all(found[key], value) for key, value in recorded.items())
    if isinstance(recorded, list) and isinstance(found, list):
        return len(found) == len(recorded) and all(map(says_all, found, recorded))
    return found == recorded


@pytest.mark.parametrize(("of", "message"), ENVELOPES, ids=name)
def test_a_recorded_message_says_today_what_it_said_then(of: str, message: str) -> None:
    envelope, body = read(of, message)
    recorded = json.loads(message)
    assert says_all(_plain(body), recorded.pop("body"))
    assert says_all({**_plain(envelope), "body": None}, recorded)


@pytest.mark.parametrize("message", ORDERS)
def test_a_recorded_order_says_today_what_it_said_then(message: str) -> None:
    assert says_all(_plain(msgspec.json.decode(message, type=OrderMessage)), json.loads(message))


@pytest.mark.parametrize(("of", "message"), ENVELOPES, ids=name)
def test_what_a_later_version_adds_is_passed_over(of: str, message: str) -> None:
    later = json.loads(message)
    later["v"], later["urgency"] = 2, "high"
    later["body"]["flavour"] = {"of": "later"}
    _, body = read(of, json.dumps(later, separators=(",", ":"), ensure_ascii=False))
    assert body == read(of, message)[1]


@pytest.mark.parametrize("of", KINDS)
def test_every_kind_is_recorded_with_every_field(of: str) -> None:
    said: dict[str, set[str]] = {}
    for message in [message for belongs, message in ENVELOPES if belongs == of]:
        recorded = json.loads(message)
        said.setdefault(recorded["kind"], set()).update(recorded["body"])
    for kind, body in KINDS[of].items():
        missing = set(body.__struct_fields__) - said.get(kind, set())
        assert not missing, f"{kind}: add a line with {missing}"


def test_every_field_of_an_order_is_recorded() -> None:
    said = {field for message in ORDERS for order in json.loads(message)["orders"] for field in order}
    assert set(StepOrder.__struct_fields__) == said


def _plain(value: object) -> Any:
    return json.loads(msgspec.json.encode(_full(value)))


def _full(value: Any) -> Any:
    """With the fields at their defaults, which are left out on the wire."""
    if isinstance(value, msgspec.Struct):
        return {field: _full(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [_full(each) for each in value]
    return value
