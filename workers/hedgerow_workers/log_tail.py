"""What running attempts print, sent to capped streams for people who watch: what is passed over is counted and told."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any, cast

import redis

from hedgerow import clock
from hedgerow.protocol import names
from hedgerow.protocol.logs import Gap, TailEntry, Why
from hedgerow_workers.attempts import Attempts
from hedgerow_workers.broker import BrokerErrors
from hedgerow_workers.logs import Dropped, count_lines

FOLLOW_AFTER_S = 0.3
PERIOD_S = 0.25
CHUNK_BYTES = 16 * 1024
# A tail that is further behind than this, which takes 16 s to send, goes on at the end of the log: it is for people who watch.
BEHIND_BYTES = 1024 * 1024
MAX_ENTRIES = 1000
EXPIRE_S = 3600

log = logging.getLogger("hedgerow.worker")


class Tail:
    """How far the log in this file has been sent. `broker_was_away` says why it fell behind, if it did."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._line = 0
        self._skipped: Gap | None = None
        self.broker_was_away = False

    def next(self, dropped: Dropped) -> TailEntry | None:
        """What is to be sent next: whole lines, or a full chunk of a line that does not end. None: nothing."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                if size - self._offset > BEHIND_BYTES:
                    file.seek(size - CHUNK_BYTES)
                    # To the next line, when one begins there.
                    self._skip(size - CHUNK_BYTES + file.read(CHUNK_BYTES - 1).find(b"\n") + 1, dropped)
                file.seek(self._offset)
                data = file.read(CHUNK_BYTES)
        except OSError:
            return None
        end = data.rfind(b"\n") + 1
        text = data[:end] if end else data if len(data) == CHUNK_BYTES else b""
        return TailEntry(self._offset, text, self._line, self._skipped) if text else None

    def sent(self, entry: TailEntry) -> None:
        """The broker has the entry."""
        self._offset = entry.end
        self._line = cast(int, entry.end_line)
        self._skipped = None
        self.broker_was_away = False

    def _skip(self, to: int, dropped: Dropped) -> None:
        lines, size = count_lines(self._path, self._offset, to)
        why: Why = "broker" if self.broker_was_away else "rate"
        dropped(why, lines)
        before = self._skipped or Gap(why)
        self._skipped = Gap(why, before.lines + lines, before.size_bytes + size)
        self._offset += size
        self._line += lines


class LogFollower:
    """Sends the logs of the attempts that run. A broker that is away costs the tail lines, never a step anything."""

    def __init__(
        self,
        client: redis.Redis,
        deployment: str,
        team: str,
        attempts: Attempts,
        dropped: Dropped = lambda _why, _lines: None,
    ) -> None:
        self._client = client
        self._deployment = deployment
        self._team = team
        self._attempts = attempts
        self._dropped = dropped
        self._tails: dict[str, Tail] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_S):
            try:
                self.follow(clock.monotonic())
            except BrokerErrors as error:
                log.debug("live logs could not be sent: %s", error)

    def follow(self, now: float) -> None:
        """Sends what is new of every attempt that has run for a while; one of `BrokerErrors` when the broker does not take it."""
        running = {
            attempt.order.attempt_id: attempt
            for attempt in self._attempts.running()
            if attempt.started_at is not None and now - attempt.started_at > FOLLOW_AFTER_S and attempt.log_path
        }
        for gone in self._tails.keys() - running.keys():
            del self._tails[gone]
        for attempt_id, attempt in running.items():
            tail = self._tails.setdefault(attempt_id, Tail(Path(attempt.log_path)))
            entry = tail.next(self._dropped)
            # The spool is used again by the next attempt: what was read counts only if this one still runs.
            if entry is not None and self._attempts.get(attempt_id) is attempt:
                self._send(attempt_id, entry)
                tail.sent(entry)

    def _send(self, attempt_id: str, entry: TailEntry) -> None:
        stream = names.log_stream(self._deployment, self._team, attempt_id)
        fields: dict[Any, Any] = {**entry.fields()}
        pipeline = self._client.pipeline(transaction=False)
        pipeline.xadd(stream, fields, maxlen=MAX_ENTRIES, approximate=True)
        pipeline.expire(stream, EXPIRE_S)
        try:
            pipeline.execute()
        except BrokerErrors:
            # Tails that fall behind from now on do so because of it.
            for tail in self._tails.values():
                tail.broker_was_away = True
            raise
