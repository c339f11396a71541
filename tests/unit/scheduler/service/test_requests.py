"""Commands: which of many are applied in one cycle, and what they touch."""

from __future__ import annotations

from typing import Any

from support.scheduling import World, asset, manifest

from hedgerow.partitions.model import StaticPartitions
from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.service.requests import take_commands
from hedgerow_scheduler.service.run_commands import Begun

MANY = StaticPartitions(tuple(f"{number:05}" for number in range(3_000)))


class Asked:
    """A transaction in which commands wait until their outcome is noted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waiting: list[PendingCommand] = []
        self.begun: dict[int, Begun] = {}

    def ask(self, kind: str, run: Run, **body: Any) -> None:
        self.waiting.append(PendingCommand(len(self.waiting), kind, {"run_id": run.id, **body}, "ada"))

    def pending_commands(self) -> list[PendingCommand]:
        done = {outcome.id for outcome in self.world.snapshot.changes.commands}
        return [command for command in self.waiting if command.id not in done][:500]

    def run(self, run_id: str) -> Run | None:
        return None

    def stay(self) -> None:
        """Nobody takes the lead."""

    def take(self) -> bool:
        return take_commands(self, self.world.snapshot, self.world.now, self.begun)  # type: ignore[arg-type]


def asked(partitions: StaticPartitions = MANY) -> tuple[Asked, Run]:
    world = World(manifest("ada", asset("a", partitions=partitions)))
    return Asked(world), world.start("a", all_partitions=True)


def test_commands_at_large_runs_are_applied_a_few_in_each_cycle() -> None:
    transaction, run = asked()
    for priority in range(5):
        transaction.ask("set_run_priority", run, priority=priority)
    cycles = [transaction.take() for _ in range(3)]
    assert cycles == [True, True, False]
    assert run.priority == 4
    assert [outcome.id for outcome in transaction.world.snapshot.changes.commands] == [0, 1, 2, 3, 4]


def test_commands_at_single_steps_cost_those_steps_alone() -> None:
    transaction, run = asked()
    for number in range(400):
        transaction.ask("cancel_run", run, steps=[number, number + 400, -1, 10**9, "x"])
    assert transaction.take() is False
    assert run.counts["cancelled"] == 800
    assert not run.cancel_requested


def test_what_is_asked_of_very_many_steps_takes_several_cycles_in_the_order_in_which_it_was_asked() -> None:
    transaction, run = asked(StaticPartitions(tuple(f"{number:05}" for number in range(12_000))))
    snapshot = transaction.world.snapshot
    for kind in ("cancel_run", "retry_run", "cancel_run"):
        transaction.ask(kind, run)
    cancelled = []
    while transaction.take():
        cancelled.append(run.counts["cancelled"])
        transaction.world.cycle()
    results = [outcome.outcome for outcome in snapshot.changes.commands]
    assert cancelled == [5_000, 10_000, 7_000, 2_000, 0, 5_000, 10_000]
    assert results == [{"cancelled": 12_000}, {"retried": 12_000}, {"cancelled": 12_000}]
    assert (run.state, run.id in snapshot.runs, transaction.begun) == ("cancelled", False, {})


def test_a_command_that_another_leader_had_begun_is_gone_on_with() -> None:
    transaction, run = asked(StaticPartitions(tuple(f"{number:05}" for number in range(6_000))))
    transaction.ask("cancel_run", run)
    assert transaction.take()
    transaction.begun.clear()
    assert transaction.take()
    assert not transaction.take()
    assert run.state == "cancelled"


def test_commands_that_have_to_wait_do_not_keep_the_loop_busy() -> None:
    transaction, _ = asked()
    transaction.waiting = [
        PendingCommand(number, "drain_worker", {"team": "ada", "worker": "w1"}, "ada") for number in range(500)
    ]
    transaction.world.beat("ada")
    assert transaction.take() is False
