"""Exceptions of the team's code as problems that can be sent: code, text, the team's own frames, file and line."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import msgspec

import hedgerow
from hedgerow.errors import HedgerowError, Problem

MAX_MESSAGE = 2_000
MAX_TRACEBACK = 16_000

_OURS = os.path.dirname(os.path.abspath(hedgerow.__file__)) + os.sep
# Between us and the team's function stand only these, when it is a coroutine or the io of another module.
_MACHINERY = tuple(os.path.dirname(os.__file__) + os.sep + part for part in ("asyncio", "contextlib", "concurrent"))


def problem_of(error: BaseException, root: Path, what: str) -> Problem:
    """What went wrong, for people. `what` begins the remedy's sentence: "Asset 'a'".

    A `HedgerowError` keeps its code, text and remedy; anything else is HR-X001 with the text `Type: message`. The traceback
    leaves out Hedgerow's own frames; file (relative to `root` inside it) and line are the innermost of the team's code.
    """
    if isinstance(error, HedgerowError):
        first = error.problems[0]
        message = "; ".join(problem.message for problem in error.problems)
        shown = error.__cause__ if error.__cause__ is not None else error
        text, place = _trace(shown, root)
        file, line = (first.file, first.line) if first.file else place
        return Problem(
            first.code,
            clean(message, MAX_MESSAGE),
            clean(first.remedy, MAX_MESSAGE),
            clean(file, MAX_MESSAGE) if file else None,
            line,
            first.traceback or text,
        )
    text, (file, line) = _trace(error, root)
    return Problem(
        "HR-X001",
        describe(error),
        f"{what} raised this: see the traceback and what it printed.",
        file,
        line,
        text,
    )


def describe(error: BaseException) -> str:
    """`Type: message`, whatever the exception's own methods do, at most 2,000 characters."""
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        text = str(error)
    except BaseException:
        text = "(its text can't be had: __str__ raised)"
    return clean(f"{name}: {text}" if text else name, MAX_MESSAGE)


def clean(text: str, limit: int) -> str:
    """`text` as JSON can hold it (no lone surrogates), with its middle left out beyond `limit` characters.

    >>> clean("abc" * 100, 60)
    'abcabcabc ... 240 characters left out ... abcabcabcabcabcabc'
    """
    safe = text.encode("utf-8", "backslashreplace").decode()
    if len(safe) <= limit:
        return safe
    mark = f" ... {len(safe) - limit:,} characters left out ... "
    head = max(0, (limit - len(mark)) // 3)
    return safe[:head] + mark + safe[len(safe) - max(0, limit - len(mark) - head) :]


def _trace(error: BaseException, root: Path) -> tuple[str | None, tuple[str | None, int | None]]:
    try:
        trace = traceback.TracebackException.from_exception(error, compact=True)
        _trim(trace, set())
        if not trace.stack:
            return None, (None, None)
        place = _place(trace.stack, root)
        return clean("".join(trace.format()), MAX_TRACEBACK), place
    except BaseException as secondary:  # an exception class can do anything in its methods
        return f"(the traceback can't be shown: {type(secondary).__name__})", (None, None)


def _trim(trace: traceback.TracebackException, seen: set[int]) -> None:
    if id(trace) in seen:
        return
    seen.add(id(trace))
    frames = list(trace.stack)
    start = 0
    while start < len(frames) and frames[start].filename.startswith((_OURS, *_MACHINERY)):
        start += 1
    trace.stack[:] = frames[start:]
    for inner in (trace.__cause__, trace.__context__, *(trace.exceptions or ())):
        if inner is not None:
            _trim(inner, seen)


def _place(stack: traceback.StackSummary, root: Path) -> tuple[str, int | None]:
    prefix = str(root) + os.sep
    for frame in reversed(stack):
        inside = frame.filename.startswith(prefix)
        if inside and "site-packages" not in frame.filename:
            return frame.filename[len(prefix) :], frame.lineno
    return stack[0].filename, stack[0].lineno


def sendable(problem: Problem) -> Problem:
    """`problem`, without its traceback if JSON can't hold it."""
    try:
        msgspec.json.encode(problem)
        return problem
    except (TypeError, ValueError, msgspec.MsgspecError):
        return Problem(problem.code, clean(problem.message, MAX_MESSAGE), clean(problem.remedy, MAX_MESSAGE))
