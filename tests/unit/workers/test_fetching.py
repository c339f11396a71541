"""Fetching: our orders are read straight from a message as kombu puts it on a list; what is not ours is left to kombu."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.protocol import names
from hedgerow_workers.fetching import order_text


def message(content: bytes, **changes: object) -> bytes:
    plain = {
        "body": b64encode(content).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": names.CELERY_TASK, "id": "1"},
        "properties": {"body_encoding": "base64", "delivery_tag": "1"},
    }
    return json.dumps({**plain, **changes}).encode()


@given(st.text())
def test_an_order_is_read_as_it_was_written(text: str) -> None:
    assert order_text(message(json.dumps([[text], {}, {"chain": None}]).encode())) == text


@pytest.mark.parametrize(
    "item",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        message(b"[[]]"),
        message(b"not json"),
        message(b'[["a"], {}, {}]', body="***"),
        message(b'[["a"], {}, {}]', headers={"task": "another.task"}),
        message(b'[["a"], {}, {}]', properties={"body_encoding": "other"}),
    ],
)
def test_what_is_not_our_order_is_left_alone(item: bytes) -> None:
    assert order_text(item) is None
