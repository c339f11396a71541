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
from hedgerow.protocol.logs import Gap, TailEntry, decode_gap, decode_tail_entry
from hedgerow_scheduler.api.log_text import Shown, ended, nothing, show
from hedgerow_scheduler.metadata.read_runs import Attempt

BROKER_TIMEOUT_S = 1.0
ENTRIES_AT_ONCE = 50

log = logging.getLogger("hedgerow.api")


class AttemptLog(msgspec.Struct, frozen=True, kw_only=True):
    """Part of the log of one attempt, from byte `offset` to `next_offset`; ask for the rest from `next_offset` on.

    `source` says where it was found. In a live tail lines may be missing, at the beginning too: `offset` is then larger than what
    was asked for. A line in `text` stands where they are missing and says why; `dropped_lines` and `dropped_bytes` count them, as far
    as they can be. `more` says that there is more than this answer holds; `note` says why there is nothing.
    """

    step: int
    attempt: int
    attempt_id: str
    state: str
    source: Literal["storage", "live", "none"]
    text: str = ""
    offset: int = 0
    next_offset: int = 0
    dropped_lines: int = 0
    dropped_bytes: int = 0
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
        shown, more = nothing(offset), False
        try:
            gap = decode_gap(attempt.log)
            if attempt.log and gap is None:
                try:
                    shown, more = self._stored(attempt, offset, limit)
                except FileNotFoundError:
                    gap = Gap("late")
            elif attempt.state == "lost":
                gap = Gap("lost")
            if gap is not None or not attempt.log:
                shown = self._live(attempt, offset, limit, gap)
                source = "live" if shown.text or attempt.state == "running" else "none"
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
            text=shown.text.decode("utf-8", "replace"),
            offset=shown.begin,
            next_offset=shown.end,
            dropped_lines=sum(each.lines for each in shown.gaps),
            dropped_bytes=sum(each.size_bytes for each in shown.gaps),
            more=more,
            note=note,
        )

    def _stored(self, attempt: Attempt, offset: int, limit: int) -> tuple[Shown, bool]:
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
        more = len(data) > limit
        if more:
            data = data[:limit]
            data = data[: data.rfind(b"\n") + 1] or data  # whole lines, so that no character is cut in two
        return Shown(data, offset, offset + len(data), None, ()), more

    def _live(self, attempt: Attempt, offset: int, limit: int, gap: Gap | None) -> Shown:
        """The live tail; with a gap where a log ought to be, the rest of which is missing."""
        try:
            shown = self._tail(attempt, offset, limit)
        except redis.RedisError:
            if gap is None:
                raise
            shown = nothing(offset)
        return shown if gap is None else ended(shown, gap)

    def _tail(self, attempt: Attempt, offset: int, limit: int) -> Shown:
        stream = names.log_stream(self._deployment, attempt.team, attempt.id)
        client = self._broker(attempt.team)
        found: list[TailEntry] = []
        last, size = "+", 0
        while True:
            entries: Any = client.xrevrange(stream, max=last, count=ENTRIES_AT_ONCE)
            found += [decode_tail_entry(fields) for _, fields in entries]
            size = sum(len(each.text) for each in found)
            whole = len(entries) < ENTRIES_AT_ONCE or found[-1].offset <= offset
            if whole or size > limit:
                # The newest is what people watch for: what is too much is left out at the beginning.
                return show(reversed(found), offset, limit, whole=whole)
            last = "(" + entries[-1][0].decode()

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
