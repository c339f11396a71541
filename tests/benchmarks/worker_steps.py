"""Measures a worker alone: the CPU that no-op steps cost its process, its runners and the broker, with nothing but events read beside it.

`python tests/benchmarks/worker_steps.py` prints a table, in microseconds of CPU per step, for one order per message and for
`--batch` orders per message, and the time of a lone step from its order to its last event. Wall-clock figures are for orientation:
the one who sends and reads here takes a share of the machine as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))
from support.locations import write_location
from support.processes import descendants, eventually
from support.worker_bench import DEPLOYMENT, TEAM, FakeScheduler, running_worker

from hedgerow import clock
from hedgerow.protocol import names
from hedgerow_scheduler.embedded.servers import running_valkey

CODE = """
    import hedgerow as hr

    @hr.asset(partitions=hr.static(*(f"{number:04}" for number in range(2000))))
    def noop() -> None:
        pass
"""
WARM_UP_STEPS = 400
LONE_STEPS = 200
PATIENCE_S = 120.0
ENDS = ("attempt_succeeded", "attempt_failed", "attempt_skipped")


@dataclass(frozen=True)
class Used:
    """What a process has used so far: seconds of CPU, and how often it gave up the processor to wait."""

    cpu_s: float
    waits: int

    def __sub__(self, other: Used) -> Used:
        return Used(self.cpu_s - other.cpu_s, self.waits - other.waits)

    def __add__(self, other: Used) -> Used:
        return Used(self.cpu_s + other.cpu_s, self.waits + other.waits)


def used(pid: int) -> Used:
    """What the living threads of a process have used."""
    cpu_ns = waits = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        cpu_ns += int((thread / "schedstat").read_text().split()[0])
        status = (thread / "status").read_text()
        waits += int(status.partition("voluntary_ctxt_switches:")[2].split()[0])
    return Used(cpu_ns / 1e9, waits)


class Bench:
    """A worker, its runners and its broker, with the means to give them steps."""

    def __init__(self, broker: str, worker: int, broker_pid: int) -> None:
        self._scheduler = FakeScheduler(broker)
        self._manifest = self._scheduler.await_manifest()
        self.worker = worker
        self.runners = [each.pid for each in eventually(lambda: _runners(worker), within=60.0)]
        self._broker = broker_pid

    def processes(self) -> dict[str, Used]:
        """What worker, runners and broker have used."""
        runners = Used(0.0, 0)
        for pid in self.runners:
            runners += used(pid)
        return {"worker": used(self.worker), "runners": runners, "broker": used(self._broker)}

    def run(self, steps: int, batch: int) -> float:
        """Has the worker do no-op steps, `batch` of them per message; seconds from the first message to the last event."""
        scheduler = self._scheduler
        scheduler.events.clear()
        orders = [self._order(number) for number in range(steps)]
        started = time.perf_counter()
        for at in range(0, steps, batch):
            scheduler.send(*orders[at : at + batch])
        while (ended := sum(1 for envelope, _ in scheduler.events if envelope.kind in ENDS)) < steps:
            if time.perf_counter() - started > PATIENCE_S:
                raise TimeoutError(f"{ended} of {steps} steps ended within {PATIENCE_S:.0f} s")
            time.sleep(0.05)
            scheduler.read()
        assert all(envelope.kind != "attempt_failed" for envelope, _ in scheduler.events)
        return time.perf_counter() - started

    def lone_ms(self) -> list[float]:
        """Milliseconds of steps that are sent one by one, from the order to the last event on the stream."""
        scheduler, stream = self._scheduler, names.events_stream(DEPLOYMENT, TEAM)
        taken = []
        for number in range(LONE_STEPS):
            scheduler.read()
            scheduler.events.clear()
            order = self._order(number)
            started = time.perf_counter()
            scheduler.send(order)
            while not any(envelope.kind in ENDS for envelope, _ in scheduler.events):
                scheduler.redis.xread({stream: scheduler.cursor}, count=1, block=1000)
                scheduler.read()
            taken.append((time.perf_counter() - started) * 1000)
            time.sleep(0.005)
        return taken

    def _order(self, number: int):  # type: ignore[no-untyped-def]
        return self._scheduler.order(
            self._manifest,
            "noop",
            attempt_id=clock.uuid7(),
            partition=f"{number % 2000:04}",
            output="file:///nowhere",
            start_before_ms=clock.now_ms() + 120_000,
        )


def _runners(worker: int) -> list[object]:
    found = [each for each in descendants(worker) if "hedgerow.runner" in each.cmdline()]
    return found if len(found) == 3 else []


def main(argv: list[str]) -> int:
    """Runs the measurements; 0 when all steps succeeded."""
    parser = argparse.ArgumentParser(prog="worker_steps", description="Measure a worker alone on this machine.")
    parser.add_argument("--steps", type=int, default=3000, help="steps per measurement (default 3000)")
    parser.add_argument("--batch", type=int, default=32, help="orders per message when batched (default 32)")
    parser.add_argument("--only", choices=("unbatched", "batched", "lone"), help="one of the measurements")
    parser.add_argument("--rounds", type=int, default=1, help="rounds (default 1)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as folder:
        Path(folder).chmod(0o711)
        root = write_location(Path(folder) / "location", TEAM, CODE, slots=2)
        with (
            running_valkey(Path(folder) / "valkey") as broker,
            running_worker(root, broker, environ={"HEDGEROW_HEARTBEAT_S": "5", "HEDGEROW_LEASE_S": "20"}) as worker,
        ):
            server = FakeScheduler(broker).redis.info("server")["process_id"]
            bench = Bench(broker, worker.pid, server)
            bench.run(WARM_UP_STEPS, 1)
            for _ in range(options.rounds):
                _measure(bench, options)
    return 0


def _measure(bench: Bench, options: argparse.Namespace) -> None:
    for name, batch in (("unbatched", 1), ("batched", options.batch)):
        if options.only not in (None, name):
            continue
        before = bench.processes()
        seconds = bench.run(options.steps, batch)
        after = bench.processes()
        cells = []
        for process, now in after.items():
            spent = now - before[process]
            cells.append(
                f"{process} {spent.cpu_s / options.steps * 1e6:6.1f} µs {spent.waits / options.steps:5.2f} waits"
            )
        print(f"{name:9} {'; '.join(cells)}; {options.steps / seconds:,.0f} steps/s", flush=True)
    if options.only in (None, "lone"):
        taken = sorted(bench.lone_ms())
        print(f"lone      p50 {median(taken):.2f} ms, p95 {taken[len(taken) * 95 // 100]:.2f} ms", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
