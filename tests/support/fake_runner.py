"""A runner in a few lines, as another language would write one: what it does with an order is the computation's name.

`noop`, `slow` (2 s), `forever`, `deaf` (for ever, and it ignores SIGTERM), `die` (SIGKILL to itself), `print`, `large`
(metadata over the cap), `fail`, `wrong` (not a message), `touch` (adds a line to the file named by the partition, then waits as the
run's tag `sleep` says, and dies if there is a tag `die`). It takes one order at a time and knows nothing of withdrawing one.
Its manifest declares one computation of each name; a file `broken` beside hedgerow.toml makes it fail to load, and each one
that has loaded adds a line to the file `loads` there.
"""

import hashlib
import json
import os
import pathlib
import signal
import sys
import time

NAMES = ["noop", "slow", "forever", "deaf", "die", "print", "large", "fail", "wrong", "touch", "work"]
orders, events = int(os.environ["HEDGEROW_ORDERS_FD"]), int(os.environ["HEDGEROW_EVENTS_FD"])
os.set_inheritable(orders, False)
os.set_inheritable(events, False)
reader = os.fdopen(orders, "rb")


def frames():
    while len(header := reader.read(4)) == 4:
        yield json.loads(reader.read(int.from_bytes(header, "big")))


def frame(kind, body):
    data = json.dumps({"id": "x", "kind": kind, "v": 1, "body": body}).encode()
    return len(data).to_bytes(4, "big") + data


def load(path):
    with open(os.path.join(path, "hedgerow.toml")) as file:
        team = file.read().split('name = "')[1].split('"')[0]
    if os.path.exists(os.path.join(path, "broken")):
        return frame(
            "load_failed", {"problems": [{"code": "HR-D000", "message": "It is broken.", "remedy": "Mend it."}]}
        )
    marker = pathlib.Path(path, "extra")
    extra = marker.read_text() if marker.exists() else ""
    computations = [{"assets": [name], "code_version": "v1" + extra, "name": name} for name in sorted(NAMES)]
    assets = [{"computation": name, "key": name} for name in sorted(NAMES)]
    text = json.dumps(
        {"assets": assets, "computations": computations, "location": team, "team": team}, separators=(",", ":")
    )
    with open(os.path.join(path, "loads"), "a") as file:
        file.write(f"{os.getpid()}\n")
    return frame("loaded", {"hash": hashlib.sha256(text.encode()).hexdigest(), "manifest": text})


def execute(body):
    order = body["order"]
    what, attempt = order["computation"], order["attempt_id"]
    materialized = {"attempt_id": attempt, "asset": what, "code_version": body.get("code_version", "")}
    if what == "slow":
        time.sleep(2)
    elif what == "work":
        time.sleep(0.05)
    elif what == "forever":
        time.sleep(3600)
    elif what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    elif what == "touch":
        with open(order["partition"], "a") as file:
            file.write(attempt + "\n")
        time.sleep(float(order.get("run_tags", {}).get("sleep", "0")))
        if "die" in order.get("run_tags", {}):
            os.kill(os.getpid(), signal.SIGKILL)
    elif what == "die":
        with open(body["log_path"], "a") as log:
            log.write("my last words\n")
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "print":
        with open(body["log_path"], "a") as log:
            log.write("first line\n")
            log.flush()
            time.sleep(float(order.get("run_tags", {}).get("sleep", "0")))
            log.write("second line\n")
    elif what == "large":
        materialized["metadata"] = {"text": "x" * 300_000}
    elif what == "wrong":
        return b"\0\0\0\3{}}"
    elif what == "fail":
        error = {"code": "HR-X001", "message": "ValueError: no", "remedy": "", "traceback": "..."}
        return frame("attempt_failed", {"attempt_id": attempt, "reason": "user_error", "error": error})
    return frame("asset_materialized", materialized) + frame(
        "attempt_succeeded", {"attempt_id": attempt, "duration_ms": 0.1}
    )


for message in frames():
    answer = b""
    if message["kind"] == "load":
        answer = load(message["body"]["path"])
    elif message["kind"] == "execute":
        answer = execute(message["body"])
    while answer:
        answer = answer[os.write(events, answer) :]
sys.exit(0)
