"""A real worker with a real broker: evaluations outside of steps are taken once, run beside each other, and end in time."""

from __future__ import annotations

import signal
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from support.locations import write_location
from support.processes import eventually
from support.worker_bench import DEPLOYMENT, TEAM, FakeScheduler, running_worker

from hedgerow import clock
from hedgerow.protocol import names
from hedgerow.protocol.control import Evaluate
from hedgerow.protocol.envelope import encode_body
from hedgerow.protocol.events import MAX_EVALUATION_LOG_BYTES, Evaluated
from hedgerow.protocol.sensing import SensorQuestion

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import os, subprocess, sys, time
    import hedgerow as hr

    @hr.sensor
    def quick(ctx: hr.SensorContext):
        ctx.log.info("asked with %s", ctx.cursor)
        return hr.SensorResult(cursor=str(os.getpid()))

    @hr.sensor
    def hangs(ctx: hr.SensorContext):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(os.getpid(), child.pid, flush=True)
        time.sleep(600)

    @hr.sensor
    def stays(ctx: hr.SensorContext):
        with open(ctx.cursor, "a") as file:
            print(os.getpid(), file=file)
        time.sleep(600)

    @hr.sensor
    def grows():
        kept = [bytes(range(256)) * 4_000_000]
        time.sleep(600)

    @hr.sensor
    def talks():
        sys.stdout.buffer.write(bytes([255]) * 100_000)
        print("the end")
"""


class Asking:
    """The scheduler's side of evaluations."""

    def __init__(self, scheduler: FakeScheduler, manifest: str) -> None:
        self.scheduler, self.manifest = scheduler, manifest

    def ask(self, name: str, *, times: int = 1, timeout_ms: int = 30_000, begin_s: float = 10, **more: Any) -> str:
        """Asks for an evaluation, `times` over; its id."""
        id, argument = more.get("id") or str(uuid.uuid4()), encode_body(SensorQuestion(clock.now(), more.get("cursor")))
        before = clock.now_ms() + round(begin_s * 1000)
        message = Evaluate(id, more.get("manifest", self.manifest), "sensor", name, argument, timeout_ms, before)
        for _ in range(times):
            self.scheduler.say(message)
        return id

    def answers(self, id: str) -> list[Evaluated]:
        """What was reported of it so far."""
        return [told for told in self.scheduler.find("evaluated") if told.evaluation_id == id]

    def answer(self, id: str) -> Evaluated:
        """What became of it."""
        return eventually(lambda: self.answers(id), what="an answer")[0]

    def holder(self, id: str) -> int:
        """The process of the worker that has the claim."""
        token = eventually(lambda: self.scheduler.redis.get(names.claim_key(DEPLOYMENT, TEAM, id)), what="a claim")
        worker = token.decode().partition(":")[0]
        return next(beat.pid for name, beat in self.scheduler.heartbeats if name == worker)

    def pid(self, name: str) -> int:
        """The process that answered."""
        return int(msgspec.json.decode(self.answer(self.ask(name)).result)["cursor"])


def pids(log: str) -> list[int]:
    return [int(word) for word in log.split()]


def test_evaluations_are_taken_once_run_beside_each_other_and_end_with_all_that_they_started(
    broker_url: str, tmp_path: Path
) -> None:
    root, scheduler = write_location(tmp_path / "sales", "sales", CODE), FakeScheduler(broker_url)
    with ExitStack() as stack:
        workers = []
        for name in ("one", "two"):
            environ = {"HEDGEROW_WORKER_STATE": str(tmp_path / name), "HEDGEROW_WORKER_MEMORY_LIMIT": "400MiB"}
            workers.append(stack.enter_context(running_worker(root, broker_url, environ=environ)))
        asking = Asking(scheduler, scheduler.await_manifest())
        eventually(
            lambda: (
                scheduler.read() or len({worker for worker, beat in scheduler.heartbeats if beat.state == "ready"}) == 2
            ),
            what="both are ready",
        )
        ignored = [asking.ask("quick", manifest="0" * 64), asking.ask("quick", begin_s=-1)]
        first = asking.ask("quick", times=3, cursor="c")
        told = asking.answer(first)
        assert (told.reason, told.kind, told.name) == ("ok", "sensor", "quick")
        assert "INFO asked with c" in told.log

        hanging = [asking.ask("hangs", timeout_ms=600_000) for _ in range(4)] + [asking.ask("hangs", timeout_ms=1_000)]
        processes = {asking.pid("quick") for _ in range(5)}
        assert len(processes) <= 4  # they stay warm
        ended = asking.answer(hanging[-1])
        assert (ended.reason, ended.error and ended.error.code) == ("timed_out", "HR-X105")
        eventually(lambda: not any(map(psutil.pid_exists, pids(ended.log))), what="its group is gone")
        assert not any(asking.answers(id) for id in hanging[:-1])

        grown = asking.answer(asking.ask("grows"))
        assert (grown.reason, grown.error and grown.error.code) == ("runner_lost", "HR-X110")

        printed = asking.answer(asking.ask("talks"))
        assert printed.reason == "ok"
        assert len(printed.log.encode()) <= MAX_EVALUATION_LOG_BYTES
        assert printed.log.endswith("the end")
        gone = asking.answer(asking.ask("gone"))
        assert (gone.reason, gone.error and gone.error.code) == ("bad_result", "HR-X002")

        log = tmp_path / "stays"
        killed = asking.ask("stays", cursor=str(log), timeout_ms=600_000)
        (runner,) = eventually(lambda: log.exists() and pids(log.read_text()), what="it is under way")
        (victim,) = [worker for worker in workers if worker.pid == asking.holder(killed)]
        left_behind = [id for id in hanging[:-1] if asking.holder(id) != victim.pid]
        victim.kill()
        assert victim.wait(10) == -signal.SIGKILL
        eventually(lambda: not psutil.pid_exists(runner), what="its runner ends with it")
        asking.ask("quick", id=killed)  # its claim outlives it: what is asked again has another id
        assert asking.pid("quick") != runner
        (survivor,) = [worker for worker in workers if worker is not victim]

        survivor.send_signal(signal.SIGTERM)
        for id in left_behind:
            left = asking.answer(id)
            assert (left.reason, left.error and left.error.code) == ("runner_lost", "HR-X104")
            eventually(lambda log=left.log: not any(map(psutil.pid_exists, pids(log))), what="nothing stays")
        assert survivor.wait(30) == 0
        assert len(asking.answers(first)) == 1
        assert not any(asking.answers(id) for id in (*ignored, killed))
