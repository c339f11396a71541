"""What must be true in every world, checked against what is committed and what truly ran; nothing here asks the code under test."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from hedgerow_scheduler.dispatch.writer import Acknowledge, Publish, Task
from hedgerow_scheduler.lifecycle.states import ENDED
from simulation.clock import START
from simulation.condition_invariants import ConditionInvariants
from simulation.evaluating import Evaluation
from simulation.freshness_invariants import FreshnessInvariants
from simulation.judging_invariants import JudgingInvariants
from simulation.reacting_invariants import ReactingInvariants
from simulation.sensing_invariants import SensingInvariants
from simulation.town import KEYS, Town
from simulation.violation import Violation
from simulation.worker import Execution

__all__ = ["Checks", "Violation"]

if TYPE_CHECKING:
    from simulation.database import Database, Table

_OUT = ("dispatched", "running")
_GOOD = ("succeeded", "skipped")
_SPARED = "HR-Q026"


class Checks:
    """Watches one world. `excuses` are the times at which the broker lost what it had acknowledged."""

    def __init__(self, database: Database, log: list[Execution], town: Town, evaluations: list[Evaluation]) -> None:
        self.db, self.log, self.town = database, log, town
        self.excuses: list[float] = []
        self.transitions: Counter[tuple[str, str, str]] = Counter()
        self.excused: Counter[str] = Counter()
        self.chunks: set[tuple[str, str, int]] = set()  # (team, worker, number) of events that are not kept
        self._admitted: dict[Any, list[float]] = defaultdict(list)
        self._judging = JudgingInvariants(database, log, town)
        reacting = ReactingInvariants(database, town, evaluations)
        self._parts = (
            self._judging,
            FreshnessInvariants(database, town),
            ConditionInvariants(database, town),
            reacting,
            SensingInvariants(database, evaluations, self.excuses),
        )
        database.on_commit = self.committed

    # -- after each commit -----------------------------------------------------------------------------------------------

    def committed(self, touched: list[tuple[Table, Any, Any]]) -> None:
        """A transaction ended well."""
        fresh = []
        for table, key, before in touched:
            if table is self.db.steps or table is self.db.attempts:
                name = "step" if table is self.db.steps else "attempt"
                state = table[key]["state"]
                if before is None or before["state"] != state:
                    self.transitions[name, before["state"] if before else "-", state] += 1
                if name == "step" and _is_spared(table[key]) and not (before and _is_spared(before)):
                    self._unchanged(table[key])
                if name == "attempt" and before is None:
                    fresh.append(table[key])
                    self._made_from(self.db.steps[table[key]["run_id"], table[key]["step_number"]], table[key])
                elif name == "attempt" and state == "succeeded" != before["state"]:
                    self._succeeded(table[key])
            elif table is self.db.sequences:
                self._counted(key, before["acked"] if before else 0, table[key]["acked"])
        if fresh:
            self._limits()
            self._rates(fresh)
        for part in self._parts:
            part.committed(touched)
        for key, row in self.db.pointers.items():
            output = self.db.outputs[row["attempt_id"], *key]
            if output["state"] != "current" and not self._judging.was_rejected(output):
                raise Violation(f"the pointer of {key} is at an output that is {output['state']}")

    def _made_from(self, step: dict[str, Any], attempt: dict[str, Any]) -> None:
        """An attempt says that it is made from what is current now."""
        upstream = self.town.upstream.get(step["computation"])
        keys = [step["partition"]] if step["partition"] else KEYS.keys
        pointers = {key: self.db.pointers[upstream, key] for key in keys if (upstream, key) in self.db.pointers}
        current = {
            key: self.db.outputs[row["attempt_id"], upstream, key]["data_version"] for key, row in pointers.items()
        }
        if attempt["inputs"] != ({upstream: current} if upstream else {}):
            raise Violation(f"attempt {attempt['id']} is made from {attempt['inputs']}, and {current} is current")

    def _unchanged(self, step: dict[str, Any]) -> None:
        """A step that was spared would be made from what its current output was made from."""
        for asset in step["assets"]:
            pointer = self.db.pointers.get((asset, step["partition"]))
            if pointer is None:
                raise Violation(f"{asset} [{step['partition']}] was spared, and nothing of it is current")
            self._made_from(step, self.db.attempts[pointer["attempt_id"]])

    def _limits(self) -> None:
        used: Counter[Any] = Counter()
        for row in {row["batch"]: row for row in self.db.attempts.values() if row["state"] in _OUT}.values():
            computation = self.db.steps[row["run_id"], row["step_number"]]["computation"]
            used["queue", f"{row['team']}/{row['queue']}"] += 1
            used["team", row["team"]] += 1
            used.update(self.town.uses.get(computation, {}))
        made = Counter(
            (asset, step["partition"])
            for row in self.db.attempts.values()
            if row["state"] in _OUT
            for step in [self.db.steps[row["run_id"], row["step_number"]]]
            for asset in step["assets"]
        )
        if made and max(made.values()) > 1:
            raise Violation(f"{made.most_common(1)[0]} attempts at once make the same output")
        for limit, most in self.town.slots.items():
            if used[limit] > most:
                raise Violation(f"{limit} lets {most} out, and {used[limit]} are")

    def _rates(self, fresh: list[dict[str, Any]]) -> None:
        for row in fresh:
            limit = ("queue", f"{row['team']}/{row['queue']}")
            if limit in self.town.rates:
                self._admitted[limit].append(row["dispatched_at"].timestamp())
        for limit, (rate, burst) in self.town.rates.items():
            times = self._admitted[limit]
            for first in range(len(times)):
                allowed = burst + rate * (times[-1] - times[first])
                if len(times) - first > allowed + 1e-6:
                    raise Violation(f"{limit}: {len(times) - first} starts within {times[-1] - times[first]:.3f} s")

    def _succeeded(self, row: dict[str, Any]) -> None:
        step = self.db.steps[row["run_id"], row["step_number"]]
        if step["attempt_id"] != row["id"]:
            raise Violation(f"attempt {row['id']} succeeded, but {step['attempt_id']} is the step's current one")
        if not any(
            (each.attempt_id, each.token, each.outcome) == (row["id"], row["token"], "succeeded") for each in self.log
        ):
            raise Violation(
                f"attempt {row['id']} is recorded as succeeded, and no runner ever ended it so under its token"
            )

    def _counted(self, worker: tuple[str, str], before: int, after: int) -> None:
        """Each number up to the recorded one stands for an event that is recorded, but for parts of a manifest."""
        for number in range(before + 1, after + 1):
            if (*worker, number) not in self.db.events and (*worker, number) not in self.chunks:
                raise Violation(f"event {number} of {worker} counts as recorded, and is not")

    # -- before something is sent ----------------------------------------------------------------------------------------

    def sending(self, task: Task) -> None:
        """A scheduler is about to do this on the broker."""
        if isinstance(task, Publish):
            for message in task.messages:
                if message.task_id not in self.db.attempts:
                    raise Violation(f"an order of attempt {message.task_id} goes out, which is not recorded")
        elif isinstance(task, Acknowledge):
            for key, sequence in task.sequences.items():
                recorded = self._recorded(*key)
                if sequence > recorded:
                    raise Violation(f"event {sequence} of {key} is acknowledged, and {recorded} are recorded")

    # -- what workers keep ------------------------------------------------------------------------------------------------

    def given_up(self, team: str, worker: str, upto: int) -> None:
        """Events of a worker up to this number lie on no disk any longer."""
        recorded = self._recorded(team, worker)
        if upto > recorded:
            raise Violation(f"event {upto} of {worker} is given up on its disk, and {recorded} are recorded")

    def kept(self, team: str, left: dict[str, int]) -> None:
        """Everything has come to rest, and so far go the events on a team's disk, by worker."""
        for worker, last in left.items():
            recorded = self._recorded(team, worker)
            if last > recorded:
                raise Violation(f"event {last} of {worker} is left on its disk, and {recorded} are recorded")

    def _recorded(self, team: str, worker: str) -> int:
        return int(self.db.sequences.get((team, worker), {"acked": 0})["acked"])

    # -- at the end --------------------------------------------------------------------------------------------------------

    def final(self, now: float) -> None:
        """Everything has come to rest."""
        for (run_id, number), row in self.db.steps.items():
            if row["state"] not in {str(state) for state in ENDED}:
                raise Violation(f"step {run_id}/{number} ({row['computation']}) stays {row['state']}")
        for row in self.db.runs.values():
            if row["state"] not in ("succeeded", "failed", "cancelled"):
                raise Violation(f"run {row['id']} stays {row['state']}")
        for row in self.db.attempts.values():
            if row["state"] in _OUT:
                raise Violation(f"attempt {row['id']} stays {row['state']} though its step ended")
        for row in self.db.quarantine.values():
            raise Violation(f"an honest worker's entry is put aside: {row['reason']}")
        for place, row in self.db.locations.items():
            if not row["hash"]:
                raise Violation(f"the code of {place} is in force no more")
        for part in self._parts:
            part.final()
        self._recorded_once()
        self._ran_once(now)
        self._refused_never_ran(now)

    def _recorded_once(self) -> None:
        good = Counter(
            (row["run_id"], row["step_number"]) for row in self.db.attempts.values() if row["state"] in _GOOD
        )
        for key, row in self.db.steps.items():
            if good[key] != (row["state"] in _GOOD and row["attempt"] > 0 and not _is_spared(row)):
                raise Violation(f"step {key} is {row['state']}, with {good[key]} attempts that ended well")
        current = Counter(
            (row["asset"], row["partition"]) for row in self.db.outputs.values() if row["state"] == "current"
        )
        for key, count in current.items():
            if count != 1:
                raise Violation(f"{count} outputs of {key} are current")

    def _ran_once(self, now: float) -> None:
        by_attempt: dict[str, list[Execution]] = defaultdict(list)
        by_step: dict[tuple[str, str], list[Execution]] = defaultdict(list)
        for each in self.log:
            by_attempt[each.attempt_id].append(each)
            by_step[each.run_id, each.step].append(each)
        for attempt_id, runs in by_attempt.items():
            if len(runs) > 1 and not self._is_excused(runs, "attempt ran twice", now):
                raise Violation(f"attempt {attempt_id} ran {len(runs)} times")
        for key, runs in by_step.items():
            for first, second in _overlaps(runs, now):
                if first.mode == "stop" and not self._is_excused([first, second], "stop ran twice at once", now):
                    raise Violation(f"step {key} is marked `stop`, and ran twice at once: {first} {second}")

    def _refused_never_ran(self, now: float) -> None:
        refused = {row["id"]: row["ended_at"] for row in self.db.attempts.values() if row["state"] == "refused"}
        for each in self.log:
            if each.attempt_id not in refused:
                continue
            until = (refused[each.attempt_id] - START).total_seconds()
            if not self._is_excused([each], "refused attempt ran", now, until):
                raise Violation(f"attempt {each.attempt_id} was taken back by the scheduler, and ran")

    def _is_excused(self, runs: list[Execution], what: str, now: float, until: float = 0.0) -> bool:
        end = max(until, *(_end(each, now) for each in runs))
        begin = min(each.began for each in runs)
        if any(each.frozen for each in runs):
            self.excused[f"{what}: frozen worker"] += 1
            return True
        if any(begin - 60 <= at <= end for at in self.excuses):
            self.excused[f"{what}: broker lost data"] += 1
            return True
        return False


def _overlaps(runs: list[Execution], now: float) -> list[tuple[Execution, Execution]]:
    found = []
    for index, first in enumerate(runs):
        for second in runs[index + 1 :]:
            if first.began < _end(second, now) and second.began < _end(first, now):
                found.append((first, second))
    return found


def _end(execution: Execution, now: float) -> float:
    return now if execution.ended is None else execution.ended


def _is_spared(step: dict[str, Any]) -> bool:
    """Whether a step succeeded without running, because what it would make is unchanged."""
    return step["error"] is not None and step["error"].code == _SPARED
