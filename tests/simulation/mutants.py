"""Defects put into the production code on purpose: a simulation that does not notice them proves nothing."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType, ModuleType

from simulation.lively import LIVELY
from simulation.town import PLAIN, Town


@dataclass(frozen=True)
class Mutant:
    """`old`, which stands once in the module's source, becomes `new`. It is looked for in worlds of `town`. `rare`: it takes a world in which
    several things meet.
    """

    name: str
    module: str
    old: str
    new: str
    rare: bool = False
    town: Town = PLAIN

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Within it, the module's functions are those of the changed source."""
        module = importlib.import_module(self.module)
        source = inspect.getsource(module)
        if source.count(self.old) != 1:
            raise LookupError(f"{self.module} holds {source.count(self.old)} times: {self.old}")
        changed = ModuleType(module.__name__)
        changed.__dict__["__file__"] = module.__file__
        exec(compile(source.replace(self.old, self.new), str(module.__file__), "exec"), changed.__dict__)
        before = [(function, function.__code__) for function, _ in _pairs(module, changed)]
        for function, other in _pairs(module, changed):
            if function.__code__ != other.__code__:
                function.__code__ = other.__code__
        try:
            yield
        finally:
            for function, code in before:
                function.__code__ = code


def _pairs(module: ModuleType, changed: ModuleType) -> list[tuple[FunctionType, FunctionType]]:
    """The functions of a module, and of its classes, with those of its changed copy."""
    found = []
    for name, value in vars(module).items():
        other = vars(changed).get(name)
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            found.append((inspect.unwrap(value), inspect.unwrap(other)))
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for part, function in vars(value).items():
                if isinstance(function, FunctionType) and isinstance(vars(other).get(part), FunctionType):
                    found.append((inspect.unwrap(function), inspect.unwrap(vars(other)[part])))
    return [(one, two) for one, two in found if isinstance(one, FunctionType) and isinstance(two, FunctionType)]


_SENSORS = "hedgerow_scheduler.service.sensors"
_REACTIONS, _TELLING = "hedgerow_scheduler.service.reactions", "hedgerow_scheduler.automation.reactions"
_FRESHNESS = "hedgerow_scheduler.service.freshness"
_ENGINE, _MEMORY = "hedgerow_scheduler.automation.engine", "hedgerow_scheduler.automation.memory"
_OUTCOMES = "hedgerow_scheduler.ingest.outcomes"
_FOLD, _LEASES, _CLAIMS = (
    "hedgerow_scheduler.ingest.fold",
    "hedgerow_scheduler.recovery.leases",
    "hedgerow_scheduler.recovery.claims",
)
_TAKEOVER, _DISPATCHING = "hedgerow_scheduler.service.takeover", "hedgerow_scheduler.service.dispatching"
_LOOP, _RECORDING = "hedgerow_scheduler.service.loop", "hedgerow_scheduler.metadata.recording"
_OUTBOX = "hedgerow_workers.outbox"

MUTANTS = (
    Mutant("the epoch is not checked", "simulation.store", "if self._db.epoch != self.epoch:", "if False:"),
    Mutant(
        "orders go out before the commit",
        _LOOP,
        "            self.snapshot.changes.buckets.extend(",
        "            self._brokers.now(publications)\n            self.snapshot.changes.buckets.extend(",
    ),
    Mutant("tokens are not compared", _FOLD, "elif attempt.token and attempt.token != token:", "elif False:", rare=True),
    Mutant("the highest number counts, not the contiguous one", _FOLD, "if envelope.seq != known + 1:", "if False:"),
    Mutant("buckets are forgotten at takeover", _TAKEOVER, "snapshot.limits.restore_levels(state.levels)", "pass"),
    Mutant(
        "pools are forgotten at takeover",
        _TAKEOVER,
        "take_up_attempts(snapshot, state.attempts, state.holds, now, lease)",
        "take_up_attempts(snapshot, state.attempts, {}, now, lease)",
    ),
    Mutant(
        "leases end at once after an outage",
        _LEASES,
        " and contact.until >= attempt.lease_until and contact.allows_expiry(now, lease):",
        ":",
        rare=True,
    ),
    Mutant("no lease ever ends", _LEASES, "lose(snapshot, attempt, now)\n                continue", "continue"),
    Mutant("a taken claim is not respected", _CLAIMS, "if holder is not None:", "if False:"),
    Mutant(
        "workers take what is claimed",
        "hedgerow_workers.claims",
        "if answer is None or answer == mine[each].encode():",
        "if not isinstance(answer, Exception):",
    ),
    Mutant("workers go on without contact", "hedgerow_workers.heartbeat", 'if attempt.order.on_lost_contact == "stop":', "if False:", rare=True),
    Mutant("the same output is made twice at once", _DISPATCHING, "snapshot.lock(step, attempt.id)", "pass"),
    Mutant("what is acknowledged is not recorded", _RECORDING, "writes.rows(sql.UPSERT_SEQUENCES, sequences, now=now)", "pass"),
    Mutant("what is sent is given up", _OUTBOX, "self.journal.forget(self.acked)", "self.journal.forget(self.sent)"),
    Mutant("what is not acknowledged is not sent again", _OUTBOX, "            self.rewind(self.acked)", "            pass"),
    Mutant("what dead workers left is not taken over", _OUTBOX, "in self._journals.orphans(known):", "in ():"),
    Mutant("attempts are recorded before what they come after", _RECORDING, "    _outputs(writes, list(changes.outputs.values()), now)\n    _attempts(writes, changes)", "    _attempts(writes, changes)\n    _outputs(writes, list(changes.outputs.values()), now)"),
    Mutant("other data counts as unchanged", "hedgerow_scheduler.planning.unchanged", "and one.inputs == inputs", ""),
    Mutant("what is judged later is current at once", _OUTCOMES, "elif self._is_judged_later(attempt, asset):", "elif False:", town=LIVELY),
    Mutant("a judging attempt passes whatever it finds", _OUTCOMES, "MaterializationState.REJECTED if attempt.rejected else", "", town=LIVELY),
    Mutant("what was judged is not settled", _OUTCOMES, "if judged is not None:", "if False:", town=LIVELY),
    Mutant("what is judged is not recorded", "hedgerow_scheduler.metadata.rows", "attempt.judged.attempt_id if attempt.judged is not None else None", "None", town=LIVELY),
    Mutant("any other output is judged", _DISPATCHING, "outputs.get((grant.step.run.id, grant.step.number)) if is_judge", "next(iter(outputs.values()), None) if is_judge", town=LIVELY),
    Mutant("readers do not wait for judging", "hedgerow_scheduler.planning.steps", "judging_name(dep.key) if blocks else asset.computation.name", "asset.computation.name", town=LIVELY),
    Mutant("the cursor of a sensor is not recorded", _RECORDING, 'writes.rows(sensor_sql.MOVE_SENSORS, changes.sensor_moves, guarded=True, what="sensors")', "pass", town=LIVELY),
    Mutant("dedupe keys are not recorded", _RECORDING, 'writes.rows(sensor_sql.INSERT_KEYS, changes.sensor_keys, guarded=True, what="dedupe keys", now=now)', "pass", town=LIVELY),
    Mutant("dedupe keys are not looked up", _SENSORS, "for team, name, key in transaction.launched_keys(keys) if keys else ():", "for team, name, key in ():", town=LIVELY),
    Mutant("a failed evaluation moves the cursor", _SENSORS, "known, cursor = self._standing[asked.title], answer.cursor if answer is not None else None", 'known, cursor = self._standing[asked.title], answer.cursor if answer is not None else "9"', town=LIVELY),
    Mutant("a new leader forgets the cursor", _SENSORS, "self._standing = {one.place.title: one for one in standing}", "self._standing = {one.place.title: type(one)(*one.place, None, one.number, one.failures, one.last_at, one.next_at) for one in standing}", town=LIVELY),
    Mutant("every worker evaluates", "hedgerow_workers.evaluations", "if self._claims.take([claim], now_ms, logging.DEBUG) == [None]:", "if False:", town=LIVELY),
    Mutant("what is to be told is not recorded", _RECORDING, "writes.rows(reaction_sql.INSERT_DELIVERIES, changes.deliveries)", "pass", town=LIVELY),
    Mutant("what happens first in a term is not told", _REACTIONS, "self._take_up()  # at once", "pass  # at once", town=LIVELY),
    Mutant("what is still to be told is forgotten at takeover", _REACTIONS, "self._waiting = {each.id: each for each in waiting}", "self._waiting = {}", town=LIVELY),
    Mutant("what could not be told counts as told", _TELLING, 'if answer.reason == "ok":', "if True:", town=LIVELY),
    Mutant("a reaction is told again for ever", _TELLING, "attempts=delivery.attempts + 1", "attempts=delivery.attempts", town=LIVELY),
    Mutant("a reaction is told again at once", _TELLING, "next_at=now + delay", "next_at=now", town=LIVELY),
    Mutant("teams hear what others' code says", _TELLING, 'if event.team in ("", team) else', "if True else", town=LIVELY),
    Mutant("happenings are told once more", _REACTIONS, "for event in self._snapshot.happenings.take():", "for event in [*self._snapshot.happenings._new, *self._snapshot.happenings.take()]:", town=LIVELY),
    Mutant("a former output that is judged late counts as made", _OUTCOMES, "MaterializationState.SUPERSEDED if attempt.judges_former else MaterializationState.CURRENT", "MaterializationState.CURRENT", town=LIVELY),
    Mutant("an output is as old as its checks", _FRESHNESS, "self._board.make(key, partition, at or now)", "self._board.make(key, partition, now)", town=LIVELY),
    Mutant("a new leader tells again what is late", _FRESHNESS, "self._board.recall(not_fresh)", "pass", town=LIVELY),
    Mutant("what is on time again is not recorded", _RECORDING, 'writes.rows(DELETE_FRESHNESS, [one for one in told if one.status == "on_time"])', "pass", town=LIVELY),
    Mutant("what conditions remember is not recorded", _RECORDING, "writes.rows(sql.UPSERT_MEMORIES, [rows.MemoryRow(asset, body) for asset, body in changes.memories.items()])", "pass", town=LIVELY),
    Mutant("a new leader remembers nothing of conditions", _ENGINE, "self._stored = dict(stored or {})", "self._stored = {}", town=LIVELY),
    Mutant("what was updated before is forgotten at takeover", _MEMORY, "memory.sets = {(place, of): BitMap.deserialize(found) for place, of, found in stored.sets}", "pass", town=LIVELY),
    Mutant("levels of buckets are not recorded", _RECORDING, "writes.rows(sql.UPSERT_BUCKETS, changes.buckets)", "pass"),
)  # fmt: skip
