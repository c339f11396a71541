"""`make chaos-celery`: the same faults on plain Celery with late acknowledgement, to see what a platform has to add.

Independent tasks as long as the steps of the workload; three prefork workers with `acks_late`, `reject_on_worker_lost`, a prefetch of one
and a visibility timeout of 30 s (its default of an hour would leave lost tasks where they are for the whole run). A task counts as launched
once `apply_async` has returned. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

from celery import Celery
from support.processes import eventually

from chaos import servers, sink
from chaos.cycles import Cycles
from chaos.history import Execution
from chaos.proxy import Proxy
from chaos.stage import WORKERS, Part, Stage, stage_of
from hedgerow_scheduler.embedded.children import Child, Launch
from hedgerow_scheduler.embedded.homes import open_home

KINDS = (
    *("worker_killed", "runner_killed", "worker_frozen", "worker_frozen_long", "machine_frozen", "worker_isolated"),
    *("valkey_killed", "valkey_flushed", "valkey_read_only", "valkey_full", "valkey_no_connections"),
    *("valkey_cut", "valkey_slow", "valkey_hole"),
)
VISIBILITY_S = 30
RESUME_S = 150.0
END_S = 180.0
PAUSE_S = 0.12  # between two launches
TASKS = """
import time
from types import SimpleNamespace

from celery import Celery
from sink import work

app = Celery("plain", broker="{broker}")
app.conf.update(
    task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1, task_ignore_result=True,
    broker_connection_retry_on_startup=True, broker_connection_max_retries=None,
    broker_transport_options={{"visibility_timeout": {visibility_s}}},
)


@app.task(bind=True, name="plain.work")
def do(self, seconds):
    work(SimpleNamespace(run_id=self.request.id, asset_key="plain", partition_key="", attempt=time.monotonic_ns()), seconds)
"""


class PlainStage(Stage):
    """A broker and three Celery workers, each behind its proxy."""

    def start(self) -> None:
        """Starts them, and waits until a task was done."""
        home = self.root / ".hedgerow"
        open_home(home)
        launch, self.urls["valkey"] = servers.prepare_broker(home, self._environ)
        self.servers["valkey"] = self._serving(launch)
        (self.root / "logs").mkdir()
        for name in WORKERS:
            proxy = Proxy(self._network, self._port("valkey"))
            place = self.root / name
            place.mkdir()
            (place / "sink.py").write_text(sink.module(self.sink.path))
            broker = self._through(proxy, "valkey")
            (place / "tasks.py").write_text(TASKS.format(broker=broker, visibility_s=VISIBILITY_S))
            command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "3", "-n", name, "-l", "warning"]
            launch = Launch(
                name, command, self.root / "logs" / f"{name}.log", self._environ, lambda _: True, directory=place
            )
            self.parts[name] = Part(name, launch, proxy, child=Child(launch))


class Launcher:
    """Launches tasks in a thread of its own, past all proxies; `launched` are those that were acknowledged, and when."""

    def __init__(self, broker: str, random: Random) -> None:
        self.launched: dict[str, float] = {}
        self._app = Celery("plain", broker=broker)
        self._app.conf.update(broker_transport_options={"socket_timeout": 5}, task_ignore_result=True)
        self._random = random
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="launcher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Launches no more."""
        self._stopping.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE_S):
            seconds = self._random.choice((0.01, 0.05, 0.1, 0.5, self._random.uniform(1, 3)))
            try:
                sent = self._app.send_task("plain.work", (seconds,), retry=False)
            except Exception:
                continue  # the broker is away: not launched
            self.launched[str(sent.id)] = time.time()


def outcome(launched: dict[str, float], executions: list[Execution]) -> dict[str, int]:
    """How many tasks never ran to their end, ended more than once, and ran twice at once."""
    ends = Counter(execution.run for execution in executions if execution.how == "end")
    by_task: dict[str, list[Execution]] = {}
    for execution in executions:
        by_task.setdefault(execution.run, []).append(execution)
    twice = 0
    for found in by_task.values():
        found.sort(key=lambda each: each.began)
        twice += any(later.began < earlier.last for earlier, later in pairwise(found))
    return {
        "tasks": len(launched),
        "lost": sum(ends[task] == 0 for task in launched),
        "doubled": sum(ends[task] > 1 for task in launched),
        "concurrent_twice": twice,
    }


def main() -> int:
    """Plays the cycles and prints what became of the tasks; always 0, for nothing is promised here."""
    parser = argparse.ArgumentParser(prog="chaos.plain", description="The same faults on plain Celery.")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default="")
    options = parser.parse_args()
    kinds = [kind for kind in options.kinds.split(",") if kind] or list(KINDS)
    with stage_of(PlainStage) as place:
        print(f"seed {options.seed}; plain Celery; everything is in {place.root}", flush=True)
        launcher = Launcher(place.urls["valkey"], Random(options.seed + 1))
        launcher.start()

        def resumes(since: float) -> float | None:
            def done() -> bool:
                ended = {each.run for each in place.sink.executions() if each.how == "end"}
                return any(at > since and task in ended for task, at in launcher.launched.items())

            until = time.monotonic() + RESUME_S
            while time.monotonic() < until:
                cycles.pause(0.2)
                if done():
                    return time.time()
            return None

        cycles = Cycles(place, kinds, Random(options.seed), resumes)
        went_on = cycles.play(options.cycles, 0.0)
        launcher.stop()

        def over() -> bool:
            place.revive()
            return outcome(launcher.launched, place.sink.executions())["lost"] == 0

        try:
            eventually(over, within=END_S, every=0.5)
        except AssertionError:
            pass  # what is lost by then stays lost
        times = {fault.kind: round((fault.resumed or 0) - fault.healed, 2) for fault in cycles.faults if fault.resumed}
        summary: dict[str, Any] = {
            "cycles": cycles.played,
            "seed": options.seed,
            "stands_still": not went_on,
            "faults": dict(sorted(Counter(fault.kind for fault in cycles.faults).items())),
            **outcome(launcher.launched, place.sink.executions()),
            "recovery_s_max": max(times.values(), default=0.0),
            "recovery_s": times,
        }
    print(json.dumps(summary), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
