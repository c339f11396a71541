"""`hedgerow run logs`: what the steps of a run printed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hedgerow_scheduler.cli.client import Client, connect, segment
from hedgerow_scheduler.cli.command import INTERRUPTED, OK
from hedgerow_scheduler.cli.following import ENDED_RUN
from hedgerow_scheduler.cli.output import Output, clean, json_text
from hedgerow_scheduler.cli.steps import split_target
from hedgerow_scheduler.lifecycle.states import ATTEMPT_LIVE, ENDED

FOLLOW_S = 0.5


def logs(options: argparse.Namespace, output: Output) -> int:
    """`run logs`."""
    client = connect()
    run_id, number = split_target(options.target)
    run = client.get(f"/runs/{segment(run_id)}")
    path = f"/runs/{run['id']}/logs"
    if output.as_json and not options.follow:
        found = list(_all_logs(client, path, number, options.attempt))
        output.json({"items": found})
        return OK
    if options.follow:
        return _follow_logs(client, run["id"], number, options.attempt, output)
    notes: dict[str, None] = {}
    shown: tuple[int, int] | None = None
    for log in _all_logs(client, path, number, options.attempt):
        if log["text"]:
            key = (log["step"], log["attempt"])
            _print_log(output, log, head=key != shown)
            shown = key
        elif log["note"]:
            notes[log["note"]] = None
    for note in notes if shown is None else ():
        output.note(clean(note), "dim")
    if shown is None and not notes:
        output.note("No attempt has printed anything yet.", "dim")
    return OK


def _all_logs(client: Client, path: str, number: int | None, attempt: int | None) -> Iterator[dict[str, Any]]:
    """Every log, each in pieces of at most what one answer holds."""
    cursor = None
    while True:
        page = client.get(path, step=number, attempt=attempt, cursor=cursor)
        for log in page["items"]:
            yield log
            while log["more"]:
                log = client.get(path, step=log["step"], attempt=log["attempt"], offset=log["next_offset"])["items"][0]
                yield log
        cursor = page["next"]
        if cursor is None:
            return


def _follow_logs(client: Client, run_id: str, number: int | None, attempt: int | None, output: Output) -> int:
    follower = _Follower(client, run_id, attempt, output)
    try:
        while True:
            # Whether it has ended is asked first: what is read afterwards is then all there is.
            if number is not None:
                steps = [client.get(f"/runs/{run_id}/steps/{number}")]
                ended = steps[0]["state"] in ENDED
            else:
                ended = client.get(f"/runs/{run_id}")["state"] in ENDED_RUN
                steps = list(client.pages(f"/runs/{run_id}/steps", None))
            if follower.print_new(steps) and ended:
                return OK
            time.sleep(FOLLOW_S)
    except KeyboardInterrupt:
        return INTERRUPTED


class _Follower:
    """Prints of each attempt what was not printed before."""

    def __init__(self, client: Client, run_id: str, attempt: int | None, output: Output) -> None:
        self._client = client
        self._path = f"/runs/{run_id}/logs"
        self._attempt = attempt
        self._output = output
        self._offsets: dict[tuple[int, int], int] = {}
        self._done: set[tuple[int, int]] = set()
        self._last: tuple[int, int] | None = None

    def print_new(self, steps: Iterable[Mapping[str, Any]]) -> bool:
        """Prints what is new of these steps' attempts; whether that was all there is now."""
        complete = True
        for step in steps:
            for attempt in range(1, step["attempt"] + 1):
                key = (step["number"], attempt)
                if key not in self._done and self._attempt in (None, attempt):
                    complete = self._print(key) and complete
        return complete

    def _print(self, key: tuple[int, int]) -> bool:
        asked = {"step": key[0], "attempt": key[1], "offset": self._offsets.get(key, 0)}
        for log in self._client.get(self._path, **asked)["items"]:
            if log["text"] and self._output.as_json:
                print(json_text(log), flush=True)
            elif log["text"]:
                _print_log(self._output, log, head=key != self._last)
                self._last = key
            self._offsets[key] = log["next_offset"]
            if log["more"]:
                return False
            if log["state"] not in ATTEMPT_LIVE:
                self._done.add(key)
        return True


def _print_log(output: Output, log: dict[str, Any], head: bool) -> None:
    if head:
        output.line(f"── step {log['step']} attempt {log['attempt']} ({log['state']}) ──", "dim")
    output.out.file.write(clean(log["text"], lines=True))
    if not log["text"].endswith("\n"):
        output.out.file.write("\n")
    output.out.file.flush()
