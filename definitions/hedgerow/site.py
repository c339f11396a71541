"""Where a declaration stands in a team's code, so that every mistake can be shown with its file and line."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec


class Site(msgspec.Struct, frozen=True):
    """A place in the team's code: absolute file, line counted from 1, module name."""

    file: str
    line: int
    module: str


def _is_ours(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module == "hedgerow" or module.startswith("hedgerow.")


def outer_frame() -> FrameType | None:
    """The innermost frame on the stack that does not belong to Hedgerow itself."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    return frame


def of_caller() -> Site:
    """Where Hedgerow was called from."""
    frame = outer_frame()
    if frame is None:
        return Site("", 0, "")
    return Site(frame.f_code.co_filename, frame.f_lineno, str(frame.f_globals.get("__name__", "")))


def of_function(function: Callable[..., Any]) -> Site:
    """Where a function is defined (its first decorator's line), or where Hedgerow was called when it is no plain function."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    if code is None:
        return of_caller()
    return Site(code.co_filename, code.co_firstlineno, str(getattr(plain, "__module__", "")))
