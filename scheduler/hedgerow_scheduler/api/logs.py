"""Logs of attempts: the durable text from storage, or the live tail from the broker while there is no such text."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hedgerow.errors import HedgerowError
from hedgerow.protocol import names
from hedgerow.protocol.events import LOG_OFFSET_FIELD, STREAM_FIELD
from hedgerow_scheduler.metadata.read_runs import Attempt

BROKER_TIMEOUT_S = 1.0
ENTRIES_AT_ONCE = 50

log = logging.getLogger("hedgerow.api")


class AttemptLog(msgspec.Struct, frozen=True, kw_only=True):
    """Part of the log of one attempt, from byte `offset` to `next_offset`; ask for the rest from `next_offset` on.

    `source` says where it was found. In a live tail the beginning may be gone: `offset` is then larger than what was asked for.
    `more` says that there is more than this answer holds; `note` says why there is nothing.
    """

    step: int
    attempt: int
    attempt_id: str
    state: str
    source: Literal["storage", "live", "none"]
    text: str = ""
    offset: int = 0
    next_offset: int = 0
    more: bool = False
    note: str = ""


class Logs:
    """Reads logs below the storage URL, and live tails from each team's broker."""

    def __init__(self, deployment: str, storage: str, broker_of: Callable[[str], str]) -> None:
        self._deployment = deployment
        self._storage = storage.rstrip("/")
        self._broker_of = broker_of
        self._lock = threading.Lock()
        self._brokers: dict[str, redis.Redis] = {}

    def read(self, attempt: Attempt, offset: int, limit: int) -> AttemptLog:
        """Up to about `limit` bytes of an attempt's log from byte `offset` on."""
        note = ""
        source: Literal["storage", "live", "none"] = "storage"
        begin, data, more = offset, b"", False
        try:
            if attempt.log:
                data, more = self._stored(attempt, offset, limit)
            else:
                begin, data, more = self._live(attempt, offset, limit)
                source = "live" if data or attempt.state == "running" else "none"
                note = "" if source == "live" else "Nothing was printed."
        except (OSError, ValueError, HedgerowError, redis.RedisError) as error:
            log.warning("the log of attempt %s can't be read: %s", attempt.id, error)
            source, note = "none", "The log can't be read now; the API's log says why."
        return AttemptLog(
            step=attempt.step_number,
            attempt=attempt.number,
            attempt_id=attempt.id,
            state=attempt.state,
            source=source,
            text=data.decode("utf-8", "replace"),
            offset=begin,
            next_offset=begin + len(data),
            more=more,
            note=note,
        )

    def _stored(self, attempt: Attempt, offset: int, limit: int) -> tuple[bytes, bool]:
        # The URL was reported by the team's worker: what lies elsewhere than that team's logs is none of its business.
        home = f"{self._storage}/_logs/{attempt.team}/"
        if not attempt.log.startswith(home) or ".." in attempt.log.removeprefix(home).split("/"):
            raise ValueError(f"{attempt.log} does not lie below {home}")
        path = attempt.log.removeprefix("file://")
        if "://" not in path:
            with open(path, "rb") as file:
                file.seek(offset)
                data = file.read(limit + 1)
        else:
            import fsspec

            filesystem, remote = fsspec.core.url_to_fs(attempt.log)
            data = filesystem.cat_file(remote, start=offset, end=offset + limit + 1)
        if len(data) <= limit:
            return data, False
        data = data[:limit]
        return data[: data.rfind(b"\n") + 1] or data, True  # whole lines, so that no character is cut in two

    def _live(self, attempt: Attempt, offset: int, limit: int) -> tuple[int, bytes, bool]:
        stream = names.log_stream(self._deployment, attempt.team, attempt.id)
        client = self._broker(attempt.team)
        pieces: list[tuple[int, bytes]] = []
        last, size = "+", 0
        while True:
            entries: Any = client.xrevrange(stream, max=last, count=ENTRIES_AT_ONCE)
            for entry_id, fields in entries:
                at, text = int(fields.get(LOG_OFFSET_FIELD, 0)), fields.get(STREAM_FIELD, b"")
                if at + len(text) <= offset:
                    entries = []
                    break
                pieces.append((at, text))
                size += len(text)
                last = "(" + entry_id.decode()
            if len(entries) < ENTRIES_AT_ONCE or size > limit:
                break
        # The newest is what people watch for: what is too much is left out at the beginning.
        pieces.reverse()
        while size > limit and len(pieces) > 1:
            size -= len(pieces.pop(0)[1])
        if not pieces:
            return offset, b"", False
        begin = max(offset, pieces[0][0])
        return begin, b"".join(text[max(0, offset - at) :] for at, text in pieces), False

    def _broker(self, team: str) -> redis.Redis:
        url = self._broker_of(team)
        with self._lock:
            if url not in self._brokers:
                self._brokers[url] = redis.Redis.from_url(
                    url,
                    socket_timeout=BROKER_TIMEOUT_S,
                    socket_connect_timeout=BROKER_TIMEOUT_S,
                    retry=Retry(NoBackoff(), 0),
                )
            return self._brokers[url]
