"""What attempts print: followed live on the broker while they run, kept in storage when they end."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from hedgerow import clock
from hedgerow.protocol import names
from hedgerow.protocol.events import LOG_OFFSET_FIELD, STREAM_FIELD
from hedgerow.protocol.orders import StepOrder
from hedgerow.storage.files import local_path
from hedgerow_workers.attempts import Attempts
from hedgerow_workers.broker import BrokerErrors

FOLLOW_AFTER_S = 0.3
PERIOD_S = 0.25
CHUNK_BYTES = 16 * 1024
MAX_ENTRIES = 1000
EXPIRE_S = 3600
# A finished step waits so long for the upload of its log.
UPLOAD_S = 10.0
# With so many uploads that have outlasted it, logs are dropped at once: each holds a thread and a file.
MAX_LATE = 16

log = logging.getLogger("hedgerow.worker")


@dataclass(slots=True)
class _Upload:
    """One upload of a log: its URL once it has ended, and whether nobody waits for it any more."""

    url: str | None = None
    late: bool = False


class LogStore:
    """The place of durable logs: `{storage}/_logs/{team}/{run}/{attempt}.log`."""

    def __init__(self, storage: str) -> None:
        self._storage = storage.rstrip("/")
        path = local_path(self._storage)
        self._local = Path(path) if path is not None else None
        self._lock = threading.Lock()
        self._late = 0

    def keep(self, order: StepOrder, spool: Path) -> str | None:
        """Moves the output of an attempt to storage and empties the spool; returns its URL, empty when nothing was printed.

        A storage that fails costs the log, never the outcome: it is then empty too. None when the upload takes longer than
        `UPLOAD_S`: then the spool must not be used again, and is removed when the upload ends.
        """
        try:
            if spool.stat().st_size == 0:
                return ""
        except OSError:
            return ""
        upload = _Upload()
        thread = threading.Thread(target=self._upload, args=(upload, order, spool), name="log upload", daemon=True)
        try:
            if self._late >= MAX_LATE:
                raise RuntimeError(f"{self._late} uploads to {self._storage} have not ended")
            thread.start()
        except RuntimeError as error:
            log.warning("the log of attempt %s can't be kept: %s", order.attempt_id, error)
            os.truncate(spool, 0)
            return ""
        thread.join(UPLOAD_S)
        with self._lock:
            if upload.url is None:
                upload.late = True
                self._late += 1
                log.warning("the log of attempt %s is not waited for: storage is slow", order.attempt_id)
                return None
        os.truncate(spool, 0)
        return upload.url

    def _upload(self, upload: _Upload, order: StepOrder, spool: Path) -> None:
        url = ""
        try:
            url = self._copy(order, spool)
        finally:
            with self._lock:
                upload.url = url
                if upload.late:
                    self._late -= 1
                    spool.unlink(missing_ok=True)

    def _copy(self, order: StepOrder, spool: Path) -> str:
        name = f"_logs/{order.team}/{order.run_id}/{order.attempt_id}.log"
        url = f"{self._storage}/{name}"
        try:
            if self._local is not None:
                target = self._local / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # Copied, not renamed: the runner may keep the file open for its next attempt.
                shutil.copyfile(spool, target)
            else:
                import fsspec

                with fsspec.open(url, "wb") as remote, spool.open("rb") as file:
                    shutil.copyfileobj(file, remote)
        except Exception as error:
            log.warning("the log of attempt %s can't be kept at %s: %s", order.attempt_id, url, error)
            return ""
        return url


@dataclass(slots=True)
class _Followed:
    path: Path
    offset: int = 0


class LogFollower:
    """Sends what running attempts print to capped streams, for people who watch. A broker that is away loses lines, not steps."""

    def __init__(self, client: redis.Redis, deployment: str, team: str, attempts: Attempts) -> None:
        self._client = client
        self._deployment = deployment
        self._team = team
        self._attempts = attempts
        self._followed: dict[str, _Followed] = {}
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
                self._tick(clock.monotonic())
            except BrokerErrors as error:
                log.debug("live logs could not be sent: %s", error)

    def _tick(self, now: float) -> None:
        running = {
            attempt.order.attempt_id: attempt
            for attempt in self._attempts.running()
            if attempt.started_at is not None and now - attempt.started_at > FOLLOW_AFTER_S and attempt.log_path
        }
        for gone in self._followed.keys() - running.keys():
            del self._followed[gone]
        for attempt_id, attempt in running.items():
            followed = self._followed.setdefault(attempt_id, _Followed(Path(attempt.log_path)))
            text = _new_lines(followed)
            # The spool is used again by the next attempt: what was read counts only if this one still runs.
            if text and self._attempts.get(attempt_id) is attempt:
                stream = names.log_stream(self._deployment, self._team, attempt_id)
                pipeline = self._client.pipeline(transaction=False)
                entry: dict[Any, Any] = {STREAM_FIELD: text, LOG_OFFSET_FIELD: str(followed.offset).encode()}
                pipeline.xadd(stream, entry, maxlen=MAX_ENTRIES, approximate=True)
                pipeline.expire(stream, EXPIRE_S)
                pipeline.execute()
                followed.offset += len(text)


def _new_lines(followed: _Followed) -> bytes:
    """The whole lines that came since the last time, or a full chunk of a line that does not end."""
    try:
        with followed.path.open("rb") as file:
            file.seek(followed.offset)
            data = file.read(CHUNK_BYTES)
    except OSError:
        return b""
    end = data.rfind(b"\n") + 1
    return data[:end] if end else data if len(data) == CHUNK_BYTES else b""
