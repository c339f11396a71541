"""Lets a process end when the one that started it ends, even by `kill -9`.

The parent keeps the writing end of a pipe and gives its child the reading end; the system closes the writing end when
the parent is gone, however it went, and the child reads end-of-file. The descriptor's number is in `HEDGEROW_LIFELINE_FD`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping

VARIABLE = "HEDGEROW_LIFELINE_FD"


def descriptor(environ: Mapping[str, str]) -> int | None:
    """The lifeline's file descriptor that the parent named in `environ`; None when there is none.

    >>> descriptor({"HEDGEROW_LIFELINE_FD": "7"}), descriptor({})
    (7, None)
    """
    text = environ.get(VARIABLE, "")
    return int(text) if text.isdecimal() else None


def watch(fd: int, on_eof: Callable[[], None]) -> threading.Thread:
    """Calls `on_eof` once, in a daemon thread, when the other end of `fd` is closed. What is written to it is ignored.

    The descriptor is no longer inherited by processes started from now on. Raises OSError if it is not open.
    """
    os.set_inheritable(fd, False)

    def wait() -> None:
        try:
            while os.read(fd, 1024):
                pass
        except OSError:
            pass  # closed under us: as good as its end
        on_eof()

    thread = threading.Thread(target=wait, name="lifeline", daemon=True)
    thread.start()
    return thread


def end_with_parent(environ: Mapping[str, str], grace_s: float = 4.0) -> None:
    """When the parent named in `environ` is gone: SIGTERM to this process, SIGKILL if it is still there after `grace_s`.

    Does nothing in a process that was started without a lifeline.
    """
    fd = descriptor(environ)
    if fd is None:
        return

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(grace_s)
        os.kill(os.getpid(), signal.SIGKILL)

    watch(fd, end)
