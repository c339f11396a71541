"""Real runners of a real worker: what they may take, how long they live, and what one step leaves to the next."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.locations import write_location
from support.processes import eventually
from support.worker_bench import TEAM, FakeScheduler, free_port, log_of, running_worker

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import os
    import subprocess
    import sys
    import time
    import hedgerow as hr

    MIB = 2**20
    kept = []

    @hr.asset
    def hog() -> None:
        print("about to take too much")
        taken = b"x" * (300 * MIB)
        time.sleep(60)

    @hr.asset
    def breeder() -> None:
        code = f"taken = b'x' * (300 * {MIB}); import time; time.sleep(60)"
        subprocess.run([sys.executable, "-c", code], check=True)

    @hr.asset
    def leak(ctx: hr.Context) -> None:
        kept.append(b"x" * (60 * MIB))
        ctx.metadata(pid=os.getpid())

    @hr.asset
    def small(ctx: hr.Context) -> None:
        ctx.metadata(pid=os.getpid())

    @hr.asset(isolation="process")
    def alone(ctx: hr.Context) -> None:
        ctx.metadata(pid=os.getpid(), kept=len(kept), left=os.environ.get("LEFT", ""))
        kept.append(b"x" * MIB)
        os.environ["LEFT"] = "behind"
"""


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return write_location(tmp_path / "sales", TEAM, CODE)


@pytest.fixture
def scheduler(broker_url: str) -> FakeScheduler:
    return FakeScheduler(broker_url)


def metadata(scheduler: FakeScheduler, manifest: str, computation: str, **changes: Any) -> dict[str, Any]:
    """Runs a step, which must succeed; what it said of itself."""
    order = scheduler.run(manifest, computation, **changes)
    end = scheduler.await_end(order.attempt_id)
    assert type(end).__name__ == "AttemptSucceeded", end
    return dict(scheduler.find("asset_materialized", order.attempt_id)[0].metadata)


@pytest.mark.parametrize("computation", ["hog", "breeder"])
def test_a_step_that_takes_too_much_memory_is_ended_and_told_how_much(
    scheduler: FakeScheduler, location: Path, broker_url: str, computation: str
) -> None:
    with running_worker(location, broker_url, slots=1, arguments=("--memory-limit", "200MiB")):
        manifest = scheduler.await_manifest()
        failed = scheduler.await_end(scheduler.run(manifest, computation).attempt_id)
        assert (failed.reason, failed.error.code) == ("runner_lost", "HR-X110")
        assert "more than the limit of 200 MiB" in failed.error.message
        if computation == "hog":
            assert "about to take too much" in failed.error.traceback
        metadata(scheduler, manifest, "small")


def test_a_runner_that_has_grown_is_replaced_before_a_step_has_to_pay_for_it(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    port = free_port()
    arguments = ("--memory-limit", "200MiB", "--metrics-port", str(port))

    def replaced() -> bool:
        scheduler.read()
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        return 'worker_runner_replacements_total{reason="memory"} 1.0' in text

    with running_worker(location, broker_url, slots=1, arguments=arguments):
        manifest = scheduler.await_manifest()
        grown = {metadata(scheduler, manifest, "leak")["pid"] for _ in range(3)}
        assert len(grown) == 1
        eventually(replaced)
        assert metadata(scheduler, manifest, "small")["pid"] not in grown
    assert "HR-P108" not in log_of(location)


def test_a_runner_makes_way_for_a_fresh_one_after_its_number_of_steps(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    (location / "hedgerow.toml").open("a").write("recycle_after = 5\n")
    with running_worker(location, broker_url, slots=1):
        manifest = scheduler.await_manifest()
        pids = [metadata(scheduler, manifest, "small")["pid"]]

        def changes() -> int:
            pids.append(metadata(scheduler, manifest, "small")["pid"])
            return sum(before != after for before, after in pairwise(pids))

        eventually(lambda: changes() >= 2, within=60, what="runners take turns")
    assert "ERROR" not in log_of(location)


def test_a_step_in_a_process_of_its_own_sees_nothing_of_the_one_before(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    with running_worker(location, broker_url, slots=1):
        manifest = scheduler.await_manifest()
        seen = [metadata(scheduler, manifest, "alone", isolation="process") for _ in range(4)]
        assert [(each["kept"], each["left"]) for each in seen] == [(0, "")] * 4
        assert len({each["pid"] for each in seen}) == 4
        warm = metadata(scheduler, manifest, "small")["pid"]
        assert warm == metadata(scheduler, manifest, "small")["pid"]
        assert warm not in {each["pid"] for each in seen}
