"""Notices that the code of a location has changed on disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import watchfiles

CODE_SUFFIXES = frozenset({".py", ".toml", ".sql", ".yaml", ".yml", ".jinja", ".j2"})
NOT_CODE = frozenset({"__pycache__", "venv", "data", "node_modules", "build", "dist"})
SETTLE_MS = 200  # editors write a file in several steps
LOOK_AGAIN_MS = 2000  # what the system did not announce (a new directory, a network mount) is found by then

Fingerprint = dict[str, tuple[int, int]]


def code_directories(root: Path) -> Iterator[str]:
    """The directories that hold a location's code: not hidden ones, data, caches, nor virtual environments."""
    for directory, names, _ in os.walk(root):
        yield directory
        names[:] = [
            name
            for name in names
            if not name.startswith(".")
            and name not in NOT_CODE
            and not os.path.exists(os.path.join(directory, name, "pyvenv.cfg"))
        ]


def fingerprint(root: Path) -> Fingerprint:
    """Time of change and size of every file of code below `root`."""
    found: Fingerprint = {}
    for directory in code_directories(root):
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue  # removed meanwhile
        for entry in entries:
            if os.path.splitext(entry.name)[1] in CODE_SUFFIXES:
                try:
                    status = entry.stat()
                except OSError:
                    continue
                found[entry.path] = (status.st_mtime_ns, status.st_size)
    return found


def watch(root: Path, on_change: Callable[[], None], over: threading.Event) -> threading.Thread:
    """Calls `on_change`, in a thread, after each change of the code below `root`, until `over` is set."""
    seen = fingerprint(root)  # before the thread: a change right after this call counts

    def run() -> None:
        nonlocal seen
        while not over.is_set():
            # Not recursively: that would also watch the thousands of directories of a virtual environment.
            for _ in watchfiles.watch(
                *code_directories(root),
                recursive=False,
                watch_filter=None,
                debounce=SETTLE_MS,
                rust_timeout=LOOK_AGAIN_MS,
                yield_on_timeout=True,
                stop_event=over,
                raise_interrupt=False,
            ):
                break
            now = fingerprint(root)
            if now != seen and not over.is_set():
                seen = now
                on_change()

    thread = threading.Thread(target=run, name=f"watch {root.name}", daemon=True)
    thread.start()
    return thread
