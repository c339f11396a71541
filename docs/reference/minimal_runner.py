#!/usr/bin/env python3
"""A whole runner without Hedgerow: the protocol of runner-protocol.md in the standard library, for one asset, `greeting`."""

import hashlib
import json
import os
import sys
import time
import uuid

orders = os.fdopen(int(os.environ["HEDGEROW_ORDERS_FD"]), "rb")
events = os.fdopen(int(os.environ["HEDGEROW_EVENTS_FD"]), "wb")

MANIFEST = json.dumps(
    {
        "assets": [{"computation": "greeting", "key": "greeting", "value_type": "str"}],
        "computations": [{"assets": ["greeting"], "name": "greeting"}],
        "location": "visitors",
        "team": "visitors",
        "version": 1,
    }
)


def receive():
    """The kind and body of the worker's next message; ends the process with the pipe."""
    header = orders.read(4)
    if len(header) < 4:
        sys.exit(0)
    envelope = json.loads(orders.read(int.from_bytes(header, "big")))
    return envelope["kind"], envelope["body"]


def send(kind, **body):
    """Send one message to the worker."""
    envelope = {"id": str(uuid.uuid4()), "kind": kind, "v": 1, "body": body}
    frame = json.dumps(envelope).encode()
    events.write(len(frame).to_bytes(4, "big") + frame)
    events.flush()


def execute(order, log_path):
    """Compute `greeting` and report it."""
    started = time.monotonic()
    attempt = order["attempt_id"]
    if order["assets"] != ["greeting"]:
        problem = {
            "code": "HR-X002",
            "message": f"{order['assets']} is not computed here.",
            "remedy": "Ask for greeting.",
        }
        send("attempt_failed", attempt_id=attempt, reason="bad_order", error=problem, retryable=False)
        return
    if log_path:
        with open(log_path, "a") as log:
            log.write("greeting the world\n")
    data = b"hello, world"
    folder = order["output"].removeprefix("file://") + "/greeting"
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/{attempt}.txt"
    with open(path + ".part", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".part", path)
    version = hashlib.sha256(data).hexdigest()
    reference = {"uri": f"file://{path}", "format": "text", "data_version": version, "size_bytes": len(data)}
    send("asset_materialized", attempt_id=attempt, asset="greeting", reference=reference, data_version=version)
    send("attempt_succeeded", attempt_id=attempt, duration_ms=(time.monotonic() - started) * 1000)


while True:
    kind, body = receive()
    if kind == "load":
        send("loaded", hash=hashlib.sha256(MANIFEST.encode()).hexdigest(), manifest=MANIFEST)
    elif kind == "execute":
        execute(body["order"], body.get("log_path", ""))
