"""What a step prints, and what it logs, goes to the attempt's log file: by descriptor, so that nothing escapes."""

from __future__ import annotations

import io
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

from hedgerow.protocol.logs import Gap

_OUT, _ERR = 1, 2
_BY_LINE = 1  # _IOLBF of stdio.h
_PIPE_BYTES = 64 * 1024


class Missing:
    """What the log file of a step did not take. A line says so in the log as soon as there is room for one again."""

    def __init__(self) -> None:
        self._lines = self._bytes = 0
        self._torn = False

    def write(self, data: bytes) -> None:
        """Writes whole lines where standard output goes, or counts them."""
        rest = data
        try:
            self.tell()
            while rest:
                rest = rest[os.write(_OUT, rest) :]
        except OSError:
            self.count(rest)
            self._torn = self._torn or len(rest) < len(data)

    def count(self, data: bytes) -> None:
        """These bytes are missing."""
        self._lines += data.count(b"\n")
        self._bytes += len(data)

    def tell(self) -> None:
        """Writes the line, if there is anything to say. OSError when there still is no room."""
        if self._bytes:
            os.write(_OUT, (b"\n" if self._torn else b"") + self._gap().marker)
            self._lines = self._bytes = 0
            self._torn = False

    def take(self) -> Gap | None:
        """What is still not told, and begins anew."""
        if not self._bytes:
            return None
        gap = self._gap()
        self._lines = self._bytes = 0
        self._torn = False
        return gap

    def _gap(self) -> Gap:
        return Gap("unwritten", self._lines, self._bytes)


class Capture:
    """Points descriptors 1 and 2 at a log file while a step runs, and back afterwards.

    `sys.stdout` and `sys.stderr` stay the same objects (handlers of the team's logging hold on to them); they are made anew
    only if the team's code closed them.
    """

    def __init__(self) -> None:
        self._saved = (_reserve(_OUT), _reserve(_ERR))
        self._nowhere = os.open(os.devnull, os.O_WRONLY)
        self._streams = (_stream(_OUT), _stream(_ERR))
        self.missing = Missing()
        self._unopened = False
        sys.stdout, sys.stderr = self._streams
        _buffer_c_output_by_line()

    def keep_streams(self) -> None:
        """What the team's modules made of `sys.stdout` and `sys.stderr` at import is what every step starts with."""
        self._streams = (sys.stdout, sys.stderr)

    def begin(self, path: str) -> None:
        """From now on output is appended to the file at `path`; it goes nowhere if that is empty or can't be opened."""
        log = _open(path) if path else -1
        self._unopened = bool(path) and log < 0
        self.missing.take()
        source = self._nowhere if log < 0 else log
        os.dup2(source, _OUT)
        os.dup2(source, _ERR)
        if log > _ERR:
            os.close(log)
        out, err = self._streams
        self._streams = (_stream(_OUT) if out.closed else out, _stream(_ERR) if err.closed else err)
        sys.stdout, sys.stderr = self._streams

    def end(self) -> Gap | None:
        """Write what is still buffered to the log and give the descriptors back; returns what is missing in the log and not told there."""
        full: list[TextIO] = []
        for stream in {id(each): each for each in (*self._streams, sys.stdout, sys.stderr)}.values():
            try:
                stream.flush()
            except (ValueError, AttributeError):
                pass  # closed or replaced
            except OSError:
                full.append(stream)  # the step's outcome does not depend on it
        try:
            if full:
                self._let_go(full)
            self.missing.tell()
        except OSError:
            pass
        os.dup2(self._saved[0], _OUT)
        os.dup2(self._saved[1], _ERR)
        return Gap("unopened") if self._unopened else self.missing.take()

    def _let_go(self, streams: list[TextIO]) -> None:
        """Counts what these streams hold and can't write: kept, it would be printed by the next step."""
        for descriptor in (_OUT, _ERR):
            try:
                os.fstat(descriptor)
            except OSError:
                os.dup2(self._nowhere, descriptor)  # closed by the team's code: what we open must not take its place
        read, write = os.pipe()
        saved = [(os.dup(descriptor), descriptor) for descriptor in (_OUT, _ERR)]
        try:
            os.set_blocking(read, False)
            os.set_blocking(write, False)
            for _, descriptor in saved:
                os.dup2(write, descriptor)
            for stream in streams:
                try:
                    stream.flush()
                except (OSError, ValueError):
                    pass  # more than a pipe holds: then a stream of the team's own
            self.missing.count(os.read(read, _PIPE_BYTES))
        finally:
            for copy, descriptor in saved:
                os.dup2(copy, descriptor)
                os.close(copy)
            os.close(read)
            os.close(write)


class LogHandler(logging.Handler):
    """Writes records as `2026-01-01T00:00:00.000Z INFO message` where standard output goes."""

    def __init__(self, missing: Missing, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._missing = missing

    def format(self, record: logging.LogRecord) -> str:
        """The line (or lines, with a traceback) of a record."""
        at = datetime.fromtimestamp(record.created, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z {record.levelname} {super().format(record)}"

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it; one that can't be formatted is reported by `logging` as usual."""
        try:
            self._missing.write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)


def step_logger(missing: Missing) -> logging.Logger:
    """The logger behind `ctx.log`: everything from INFO on, independent of how the team configures logging.

    Warnings of the team's other loggers come out in the same form unless the team configures handlers of its own.
    """
    handler = LogHandler(missing)
    last_resort = LogHandler(missing, logging.WARNING)
    logging.lastResort = last_resort
    logger = logging.Logger("hedgerow.step", logging.INFO)
    logger.addHandler(handler)
    return logger


def _reserve(descriptor: int) -> int:
    """A copy of a standard descriptor out of the way of the team's code; of the null device if it is closed."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        copy = os.open(os.devnull, os.O_WRONLY)
    os.set_inheritable(copy, False)
    return copy


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return os.open(path, flags, 0o666)
        except OSError:
            return -1
    except OSError:
        return -1


def _buffer_c_output_by_line() -> None:
    """Have C libraries print line by line, too: into a file they would keep kilobytes back, for a later step's log or for good."""
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
        libc.setvbuf(stdout, None, _BY_LINE, 0)
    except (ImportError, OSError, ValueError, AttributeError):
        pass  # an interpreter without ctypes, or a libc that names it otherwise


def _stream(descriptor: int) -> TextIO:
    raw = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)
