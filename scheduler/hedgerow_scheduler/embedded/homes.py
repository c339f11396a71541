"""The directory .hedgerow of a platform: its lock, and the file that tells others what runs."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hedgerow import clock
from hedgerow.errors import PlatformError
from hedgerow.settings.platform import STATE_DIRECTORY, runtime_file


class Home:
    """The state directory of the platform at `root`, held by at most one process. Closing gives it up; so does a kill."""

    def __init__(self, root: Path) -> None:
        """Takes the directory, made if need be. Raises PlatformError HR-P204 that names the process that holds it, HR-P207."""
        self.root = root
        self.path = root / STATE_DIRECTORY
        try:
            open_home(self.path)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise PlatformError.of(
                "HR-P207",
                f"The directory {self.path} can't be used: {error.strerror}.",
                "Start it as the user who started it before, or make the directory writable for yourself.",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 1000).decode(errors="replace").strip()
            os.close(self._lock)
            raise PlatformError.of(
                "HR-P204",
                f"The platform in {root} is already running{f': {holder}' if holder else ''}.",
                "Use it as it is (`hedgerow run list`), or stop it first: Ctrl-C there, or SIGTERM to that process.",
            ) from None
        runtime_file(root).unlink(missing_ok=True)  # left by one that was killed
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"process {os.getpid()}, since {clock.now():%Y-%m-%d %H:%M:%S} UTC\n".encode(), 0)

    def publish(self, content: Mapping[str, Any]) -> None:
        """Writes runtime.json (mode 0600: it holds passwords), whole or not at all."""
        file = runtime_file(self.root)
        fresh = file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(content, indent=1) + "\n")
        fresh.replace(file)

    def close(self) -> None:
        """Withdraws runtime.json and lets go of the directory."""
        if self._lock >= 0:
            runtime_file(self.root).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def open_home(path: Path) -> None:
    """Makes the directory `path`. Of root's, other accounts may pass through to what is theirs (PostgreSQL's data), but not list it."""
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # whatever the umask says
