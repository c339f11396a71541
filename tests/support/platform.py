"""A whole platform in tests: `hedgerow dev` as a real process, and its API."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from hedgerow_scheduler.embedded.accounts import forget_elsewhere
from support.processes import eventually, mentioning, python, running

QUICK = {
    "HEDGEROW_HEARTBEAT_S": "0.5",
    "HEDGEROW_LEASE_S": "3",
    "HEDGEROW_START_TIMEOUT_S": "5",
    "HEDGEROW_GRACE_S": "10",
}
ENDED = {"succeeded", "failed", "cancelled"}


class DevPlatform:
    """`hedgerow dev` on `root`; start it with `started()`, as often as you like."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "dev.log"
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def started(
        self, *more: str, ready: bool = True, environ: Mapping[str, str] | None = None
    ) -> Iterator[DevPlatform]:
        """Runs it with `more` options for the length of the block. At the end it is told to stop and nothing of it may be left."""
        self.log.unlink(missing_ok=True)
        command = python("-m", "hedgerow.console", "dev", self.root, *more)
        with running(command, log=self.log, environ={**os.environ, **QUICK, **(environ or {})}) as self.process:
            try:
                if ready:
                    eventually(lambda: "ready at http" in self.text(), within=90, what="dev is ready")
                yield self
            except BaseException:
                print(
                    self.text(), *(self._tail(log) for log in sorted(self.root.glob(".hedgerow/logs/*.log"))), sep="\n"
                )
                raise
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
                assert self.process.wait(60) == 130
        eventually(lambda: not self.everything(), within=15, what="nothing of it is left")

    @staticmethod
    def _tail(log: Path) -> str:
        return f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}"

    def text(self) -> str:
        """What dev has printed since its start."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def everything(self) -> list[psutil.Process]:
        """All processes that belong to the platform's directory, dev included."""
        data = (self.root / ".hedgerow" / "postgres").resolve()
        return list({process.pid: process for place in (self.root, data) for process in mentioning(place)}.values())

    @property
    def runtime(self) -> dict[str, Any]:
        """runtime.json."""
        content: dict[str, Any] = json.loads((self.root / ".hedgerow" / "runtime.json").read_text())
        return content

    def pid(self, part: str) -> int:
        """The process of a part now."""
        return int(self.runtime["pids"][part])

    def shows(self, part: str, pattern: str, *, within: float = 60, after: int = 0) -> str:
        """Waits for a status line of `part` that matches, `after` so many characters; returns what was printed from it on."""

        def find() -> str | None:
            text = self.text()[after:]
            match = re.search(rf"^\S+ {re.escape(part)} +{pattern}", text, re.MULTILINE)
            return text[match.start() :] if match else None

        found = eventually(find, within=within, what=f"{part} {pattern}")
        assert found is not None
        return found

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """The JSON answer of the API; AssertionError when it is an error."""
        answer = httpx.request(method, f"{self.runtime['api']}/api/v1{path}", timeout=10, **arguments)
        assert answer.is_success, answer.text
        return answer.json()

    def launch(self, *selection: str) -> str:
        """Launches a run as soon as the selection is known; its id."""
        body = {"selection": list(selection)}
        return str(eventually(lambda: self.call("POST", "/runs", json=body), what=f"launch {selection}")["id"])

    def finished(self, run: str, *, within: float = 90) -> dict[str, Any]:
        """The run once it has ended; what the API can't answer meanwhile (it may be restarting) is asked again."""

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.call("GET", f"/runs/{run}")
            return found if found["state"] in ENDED else None

        found = eventually(ended, within=within, every=0.2, what=f"run {run} ends")
        assert found is not None
        return found


@contextmanager
def dev_platform(*, mode: int = 0o711) -> Iterator[DevPlatform]:
    """A DevPlatform on a new directory with this mode; all that it left is removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="hedgerow-dev-"))
    root.chmod(mode)
    try:
        yield DevPlatform(root)
    finally:
        forget_elsewhere(root / ".hedgerow" / "postgres")
        shutil.rmtree(root, ignore_errors=True)
