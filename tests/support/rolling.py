"""A team's workers as its own people run them: started from a folder of a release, and ended one after another."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg

from support.locations import write_location
from support.platform import QUICK
from support.processes import eventually, running
from support.town import Town, town
from support.worker_bench import worker_environment

TEAM = "sales"
CODE = """
    import time
    import hedgerow as hr

    RELEASE = "{release}"
    MANY = hr.static(*(f"{{number:03}}" for number in range({steps})))

    @hr.asset(partitions=MANY)
    def orders() -> hr.Result:
        time.sleep({seconds})
        return hr.Result(RELEASE, metadata={{"release": RELEASE}})
"""


def write_release(root: Path, release: str, *, steps: int, seconds: float, rate: str = "") -> Path:
    """The team's code, as of one release, in a folder of its own; `rate` is how many steps may start, as hedgerow.toml says it."""
    queue = f'[queues.default]\nrate = "{rate}"\nburst = 1\n' if rate else ""
    code = CODE.format(release=release, steps=steps, seconds=seconds)
    return write_location(root / release, TEAM, code, slots=2, extra=queue)


class Fleet:
    """The workers of the team, by name."""

    def __init__(self, place: Town, stack: ExitStack) -> None:
        self._place, self._stack = place, stack
        self._workers: dict[str, Popen[bytes]] = {}

    def start(self, name: str, release: Path) -> None:
        """Starts a worker of a release, and waits until it takes steps."""
        urls = self._place.platform.urls
        environ = {**worker_environment(release, urls["broker"]), **QUICK, "HEDGEROW_NAME": self._deployment()}
        environ |= {"HEDGEROW_STORAGE": urls["storage"], "HEDGEROW_WORKER_STATE": str(release.parent / "state" / name)}
        known = {worker["id"] for worker in self.live()}
        command = ["-m", "hedgerow.console", "worker", str(release)]
        self._workers[name] = self._stack.enter_context(
            running([sys.executable, *command], log=release.parent / f"{name}.log", environ=environ)
        )
        eventually(
            lambda: [each for each in self.live() if each["id"] not in known and each["state"] == "ready"],
            within=60,
            what=f"worker {name} is ready",
        )

    def _deployment(self) -> str:
        runtime = json.loads((self._place.root / ".hedgerow" / "runtime.json").read_text())
        return str(runtime["name"])

    def end(self, name: str) -> None:
        """Tells a worker to stop, and waits until it has left as it should."""
        process = self._workers.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0, name

    def live(self) -> list[dict[str, Any]]:
        """The team's live workers, as the API tells."""
        workers: list[dict[str, Any]] = self._place.get(f"/teams/{TEAM}")["workers"]
        return workers


@contextmanager
def fleet() -> Iterator[tuple[Town, Fleet]]:
    """A platform on which the team is registered, and nothing runs for it yet."""

    def write(root: Path) -> None:
        write_location(root / "other", "other", "import hedgerow as hr\n\n@hr.asset\ndef nothing() -> None: ...\n")

    with town(write) as place, ExitStack() as stack:
        assert place.ask("POST", "/teams", {"name": TEAM})[0] == 201
        yield place, Fleet(place, stack)


def let_go(place: Town) -> None:
    """From now on steps start as fast as slots allow."""
    status, answer = place.ask(
        "PUT", f"/limits/queue/{TEAM}/default", {"rate": None, "author": "ada", "reason": "the deploy is over"}
    )
    assert status == 200, answer


def succeeded(place: Town, run: str) -> int:
    """How many steps of the run have succeeded."""
    return int(place.get(f"/runs/{run}")["counts"].get("succeeded", 0))


def outcomes(place: Town, run: str) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """How the run's attempts ended, and for each that succeeded the manifest it was bound to with the release that it ran."""
    with psycopg.connect(place.platform.urls["database"]) as connection:
        ends = connection.execute("SELECT state FROM attempts WHERE run_id = %s", [run])
        bound = connection.execute(
            "SELECT a.manifest_hash, m.metadata ->> 'release' FROM attempts a JOIN materializations m ON m.attempt_id = a.id WHERE a.run_id = %s",
            [run],
        )
        return Counter(row[0] for row in ends), Counter((row[0], row[1]) for row in bound)
