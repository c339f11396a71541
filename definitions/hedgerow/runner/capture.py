"""What a step prints, and what it logs, goes to the attempt's log file: by descriptor, so that nothing escapes."""

from __future__ import annotations

import io
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

_OUT, _ERR = 1, 2
_BY_LINE = 1  # _IOLBF of stdio.h


class Capture:
    """Points descriptors 1 and 2 at a log file while a step runs, and back afterwards.

    `sys.stdout` and `sys.stderr` stay the same objects (handlers of the team's logging hold on to them); they are made anew
    only if the team's code closed them.
    """

    def __init__(self) -> None:
        self._saved = (_reserve(_OUT), _reserve(_ERR))
        self._nowhere = os.open(os.devnull, os.O_WRONLY)
        self._streams = (_stream(_OUT), _stream(_ERR))
        sys.stdout, sys.stderr = self._streams
        _buffer_c_output_by_line()

    def keep_streams(self) -> None:
        """What the team's modules made of `sys.stdout` and `sys.stderr` at import is what every step starts with."""
        self._streams = (sys.stdout, sys.stderr)

    def begin(self, path: str) -> None:
        """From now on output is appended to the file at `path`; it goes nowhere if that is empty or can't be opened."""
        log = _open(path) if path else -1
        source = self._nowhere if log < 0 else log
        os.dup2(source, _OUT)
        os.dup2(source, _ERR)
        if log > _ERR:
            os.close(log)
        out, err = self._streams
        self._streams = (_stream(_OUT) if out.closed else out, _stream(_ERR) if err.closed else err)
        sys.stdout, sys.stderr = self._streams

    def end(self) -> None:
        """Write what is still buffered to the log and give the descriptors back."""
        for stream in {id(each): each for each in (*self._streams, sys.stdout, sys.stderr)}.values():
            try:
                stream.flush()
            except (ValueError, OSError, AttributeError):
                pass  # closed, replaced or full: the step's outcome does not depend on it
        os.dup2(self._saved[0], _OUT)
        os.dup2(self._saved[1], _ERR)


class LogHandler(logging.Handler):
    """Writes records as `2026-01-01T00:00:00.000Z INFO message` where standard output goes."""

    def format(self, record: logging.LogRecord) -> str:
        """The line (or lines, with a traceback) of a record."""
        at = datetime.fromtimestamp(record.created, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z {record.levelname} {super().format(record)}"

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; one that can't be formatted is reported by `logging` as usual."""
        try:
            os.write(_OUT, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)


def step_logger() -> logging.Logger:
    """The logger behind `ctx.log`: everything from INFO on, independent of how the team configures logging.

    Warnings of the team's other loggers come out in the same form unless the team configures handlers of its own.
    """
    handler = LogHandler()
    last_resort = LogHandler(logging.WARNING)
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
