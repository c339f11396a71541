"""Several tiny teams on one real platform in this process, with the command line, the API and the tables to look at it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from hedgerow_scheduler.embedded.accounts import forget_elsewhere
from hedgerow_scheduler.embedded.platform import Platform
from support.platform import ENDED, QUICK
from support.processes import eventually, python
from support.worker_bench import free_port

COUNTED = ("runs", "steps", "attempts", "materializations", "current_materializations")


class Town:
    """A running platform. `counts()` before and after something bad shows that nothing is half done."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.root = platform.root
        self.environ = {**os.environ, **QUICK, "NO_COLOR": "1"}

    def command(self, *arguments: str) -> list[str]:
        """The command line of `hedgerow` with these arguments."""
        return python("-m", "hedgerow.console", *arguments)

    def cli(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """What `hedgerow ...` prints and returns, run in the platform's directory."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def data(self, *arguments: str) -> Any:
        """What `hedgerow ... --json` prints."""
        return json.loads(self.cli(*arguments, "--json").stdout)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of an answer of the API."""
        answer = httpx.request(method, f"{self.platform.api_url}/api/v1{path}", json=body, timeout=20, trust_env=False)
        return answer.status_code, answer.json()

    def get(self, path: str) -> Any:
        """The JSON of GET, which must succeed."""
        status, body = self.ask("GET", path)
        assert status == 200, body
        return body

    def counts(self) -> dict[str, int]:
        """How many rows the tables of runs have."""
        with psycopg.connect(self.platform.urls["database"]) as connection:
            return {table: connection.execute(f"select count(*) from {table}").fetchone()[0] for table in COUNTED}  # type: ignore[index]

    def launch(self, *selection: str, **more: Any) -> str:
        """Launches a run; its id."""
        status, body = self.ask("POST", "/runs", {"selection": list(selection), **more})
        assert status == 201, body
        return str(body["id"])

    def finished(self, run: str) -> dict[str, Any]:
        """The run once it has ended."""

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"/runs/{run}")
            return found if found["state"] in ENDED else None

        return eventually(ended, what=f"run {run} ends") or {}

    def succeeds(self, *selection: str, **more: Any) -> None:
        """A run of the selection succeeds."""
        assert self.finished(self.launch(*selection, **more))["state"] == "succeeded"

    def failed_step(self, run: str) -> dict[str, Any]:
        """The one step of the run that failed."""
        assert self.finished(run)["state"] == "failed"
        (step,) = self.get(f"/runs/{run}/steps?state=failed")["items"]
        return dict(step)

    def has_data(self, key: str) -> bool:
        """Whether the asset has a current materialization."""
        return bool(self.get(f"/assets/{key}")["current"])

    def part(self, name: str, holds: Callable[[Any], bool], what: str) -> Any:
        """The part of this name once `holds` of it."""

        def look() -> Any:
            part = self.platform.reports()[name].part
            return part if holds(part) else None

        try:
            return eventually(look, what=f"{name}: {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.platform.reports()[name]}") from None


@contextmanager
def town(write: Callable[[Path], None], environ: Mapping[str, str] | None = None) -> Iterator[Town]:
    """A platform on a new directory in which `write` has put the teams; nothing is left at the end. `environ`: settings of its own."""
    root = Path(tempfile.mkdtemp(prefix="hedgerow-town-"))
    root.chmod(0o711)
    try:
        write(root)
        # A port of its own: towns of several test runs may start at the same moment.
        with Platform(root, {**os.environ, **QUICK, **(environ or {})}, port=free_port()) as platform:
            platform.wait_ready()
            yield Town(platform)
    finally:
        forget_elsewhere(root / ".hedgerow" / "postgres")
        shutil.rmtree(root, ignore_errors=True)
