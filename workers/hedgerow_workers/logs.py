"""What attempts printed is kept in storage when they end; what can't be is counted and told."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hedgerow.protocol.logs import Gap, Why
from hedgerow.protocol.orders import StepOrder
from hedgerow.storage.files import local_path

# A finished step waits so long for the upload of its log.
UPLOAD_S = 10.0
# With so many uploads that have outlasted it, logs are dropped at once: each holds a thread and a file.
MAX_LATE = 16
COUNT_BYTES = 1024 * 1024

# Is told why so many lines are dropped.
Dropped: TypeAlias = Callable[[Why, int], None]

log = logging.getLogger("hedgerow.worker")


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a log: its URL, or the gap in its place, or nothing when nothing was printed. `spool_free`: it can be used again."""

    log: str
    spool_free: bool = True


@dataclass(slots=True)
class _Upload:
    """One upload of a log: what is missing in it already, whether it has ended, and how; and whether nobody waits for it any more."""

    gap: Gap | None
    ended: bool = False
    done: bool = False
    late: bool = False


class LogStore:
    """The place of durable logs: `{storage}/_logs/{team}/{run}/{attempt}.log`."""

    def __init__(self, storage: str, dropped: Dropped = lambda _why, _lines: None) -> None:
        self._storage = storage.rstrip("/")
        path = local_path(self._storage)
        self._local = Path(path) if path is not None else None
        self._dropped = dropped
        self._lock = threading.Lock()
        self._late = 0

    def keep(self, order: StepOrder, spool: Path, gap: Gap | None = None) -> Kept:
        """Moves the output of an attempt to storage and empties the spool. `gap` is what the runner could not write to it.

        A storage that fails costs the log, never the outcome: what is then missing is told in its place. When the upload takes
        longer than `UPLOAD_S`, the spool must not be used again, and is removed when the upload ends.
        """
        if gap is not None:
            self._dropped("unwritten", gap.lines)
        try:
            empty = spool.stat().st_size == 0
        except OSError:
            empty = True
        if empty:
            return Kept(gap.encode() if gap is not None else "")
        upload = _Upload(gap)
        thread = threading.Thread(target=self._upload, args=(upload, order, spool), name="log upload", daemon=True)
        try:
            if self._late >= MAX_LATE:
                raise RuntimeError(f"{self._late} uploads to {self._storage} have not ended")
            thread.start()
        except RuntimeError as error:
            log.warning("the log of attempt %s can't be kept: %s", order.attempt_id, error)
            return self._drop(spool, gap)
        thread.join(UPLOAD_S)
        with self._lock:
            if not upload.ended:
                upload.late = True
                self._late += 1
                log.warning("the log of attempt %s is not waited for: storage is slow", order.attempt_id)
                return Kept(self._url(order), spool_free=False)
        if not upload.done:
            return self._drop(spool, gap)
        os.truncate(spool, 0)
        return Kept(self._url(order))

    def _drop(self, spool: Path, gap: Gap | None) -> Kept:
        lines, size = count_lines(spool)
        self._dropped("storage", lines)
        os.truncate(spool, 0)
        if gap is not None:
            lines, size = lines + gap.lines, size + gap.size_bytes
        return Kept(Gap("storage", lines, size).encode())

    def _upload(self, upload: _Upload, order: StepOrder, spool: Path) -> None:
        try:
            upload.done = self._copy(order, spool, upload.gap)
        finally:
            with self._lock:
                upload.ended = True
                if upload.late:
                    self._late -= 1
                    if not upload.done:
                        self._dropped("storage", count_lines(spool)[0])
                    spool.unlink(missing_ok=True)

    def _url(self, order: StepOrder) -> str:
        return f"{self._storage}/{_name(order)}"

    def _copy(self, order: StepOrder, spool: Path, gap: Gap | None) -> bool:
        url = self._url(order)
        end = gap.marker if gap is not None else b""
        try:
            if self._local is not None:
                _copy_to_file(spool, self._local / _name(order), end)
            else:
                import fsspec

                with fsspec.open(url, "wb") as remote, spool.open("rb") as file:
                    shutil.copyfileobj(file, remote)
                    remote.write(end)
        except Exception as error:
            log.warning("the log of attempt %s can't be kept at %s: %s", order.attempt_id, url, error)
            return False
        return True


def count_lines(path: Path, begin: int = 0, end: int | None = None) -> tuple[int, int]:
    """The lines and bytes of a file from byte `begin` to `end`; of what can be read."""
    lines = size = 0
    try:
        with path.open("rb") as file:
            file.seek(begin)
            while data := file.read(COUNT_BYTES if end is None else min(COUNT_BYTES, end - begin - size)):
                lines += data.count(b"\n")
                size += len(data)
    except OSError:
        pass
    return lines, size


def _name(order: StepOrder) -> str:
    return f"_logs/{order.team}/{order.run_id}/{order.attempt_id}.log"


def _copy_to_file(spool: Path, target: Path, end: bytes) -> None:
    """Copies, as the runner may keep the spool open for its next attempt; a copy that fails leaves nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with spool.open("rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.write(end)
    except OSError:
        target.unlink(missing_ok=True)
        raise
