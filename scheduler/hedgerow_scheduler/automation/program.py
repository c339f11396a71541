"""Programs: a condition made ready to be asked again and again, and the asking itself.

An evaluation is asked for some partitions only, the *scope*: those for which something may be different. What each operand
remembers changes for those alone. The answer for a partition never depends on which others are asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol, TypeAlias

import msgspec
from pyroaring import BitMap

from hedgerow.conditions import model as c
from hedgerow.conditions.bounds import customs_of
from hedgerow.cron import Cron, last_tick
from hedgerow_scheduler.automation.facts import EMPTY, Facts, Moments
from hedgerow_scheduler.automation.labels import label_of
from hedgerow_scheduler.automation.memory import Memory
from hedgerow_scheduler.automation.moments import MOMENTS, is_momentary, settles
from hedgerow_scheduler.partitions.crossing import Crossing


class World(Protocol):
    """What an evaluation may look at besides its own asset."""

    now: datetime

    def facts(self, key: str) -> Facts:
        """What is so of an asset; of one that nobody declares, that it is missing."""

    def moments(self, key: str) -> Moments | None:
        """What has happened to an asset since the evaluation before."""

    def requesting(self, key: str) -> BitMap:
        """The partitions of an asset that this evaluation requests."""

    def makes(self, run_id: str, key: str) -> bool:
        """Whether a run makes an asset too."""


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """How many partitions one operand (by its place in the program) held for, of those it was asked of: of an upstream asset, or of "" itself."""

    place: int
    of: str
    asked: int
    true: int


class Asking:
    """One evaluation. `key` and `facts` are those of the asset that is looked at now: upstream ones below an AnyDep or AllDeps."""

    __slots__ = ("crons", "deps", "facts", "findings", "key", "memory", "of", "root", "scope", "wakes", "world")

    def __init__(
        self,
        world: World,
        root: str,
        deps: Sequence[tuple[str, Crossing]],
        memory: Memory,
        crons: frozenset[Cron],
        scope: BitMap,
    ) -> None:
        self.world, self.root, self.deps, self.memory, self.crons = world, root, deps, memory, crons
        self.findings: list[Finding] = []
        self.wakes: list[tuple[datetime, str, BitMap]] = []  # when to ask again, and of which asset's partitions
        self.key, self.of, self.facts, self.scope = root, "", world.facts(root), scope

    def above(self, key: str, scope: BitMap) -> Asking:
        """The same evaluation, asked of an upstream asset."""
        asking = Asking.__new__(Asking)
        asking.world, asking.root, asking.deps, asking.memory, asking.crons = (
            self.world, self.root, (), self.memory, self.crons,
        )  # fmt: skip
        asking.findings, asking.wakes = self.findings, self.wakes
        asking.key, asking.of, asking.facts, asking.scope = key, key, self.world.facts(key), scope
        return asking


Ask: TypeAlias = Callable[[Asking], BitMap]


class Program:
    """A condition as functions. Equal conditions of different assets share one."""

    def __init__(self, condition: c.Condition) -> None:
        self.condition = condition
        self.crons: set[Cron] = set()
        self.lookbacks: set[int | None] = set()
        self.labels: list[str] = []  # what each place asks, for people
        self.depths: list[int] = []  # how deep each place stands below the whole
        self.moments: set[int] = set()  # the places that are true for an evaluation only
        self.customs = tuple(dict.fromkeys(customs_of(condition)))  # the functions of the team's own code that it asks
        self.states: set[int] = set()  # the places that remember what was so
        self.waits: dict[int, timedelta] = {}  # after how long a place that remembers times is asked again
        self.kinds: set[type] = set()  # of all its operands
        self._depth = 0
        self._ask = self._ready(condition)
        # A moment is over in the next evaluation.
        self.settles = settles(condition)

    @cached_property
    def digest(self) -> str:
        """What tells this condition from others, over restarts."""
        return hashlib.sha256(msgspec.json.encode(self.condition)).hexdigest()[:32]

    def ask(self, asking: Asking) -> BitMap:
        """The partitions in the scope for which the condition holds."""
        return self._ask(asking)

    def _ready(self, condition: c.Condition) -> Ask:
        place = len(self.labels)
        self.labels.append(label_of(condition))
        self.depths.append(self._depth)
        self.kinds.add(type(condition))
        if isinstance(condition, (*MOMENTS, c.BecameTrue)):
            self.moments.add(place)
        if isinstance(condition, c.BecameTrue | c.Debounce) or (
            isinstance(condition, c.Since) and not is_momentary(condition.of)
        ):
            self.states |= {place, ~place}
        self._depth += 1
        ask = self._function(condition, place)
        self._depth -= 1

        def noted(asking: Asking) -> BitMap:
            found = ask(asking)
            asking.findings.append(Finding(place, asking.of, len(asking.scope), len(found)))
            return found

        return noted

    def _function(self, condition: c.Condition, place: int) -> Ask:
        match condition:
            case c.And(of=of):
                return _all_of([self._ready(each) for each in of])
            case c.Or(of=of):
                return _any_of([self._ready(each) for each in of])
            case c.Not(of=of):
                inner = self._ready(of)
                return lambda asking: asking.scope - inner(asking)
            case c.Labeled(of=of):
                return self._ready(of)
            case c.Since(of=of, reset=reset):
                began = self._ready(of)  # what was so when it was reset has to become so anew
                return _since(began if is_momentary(of) else _became_true(began, ~place), self._ready(reset), place)
            case c.BecameTrue(of=of):
                return _became_true(self._ready(of), place)
            case c.Debounce(of=of, quiet_ms=quiet_ms):
                quiet = self.waits[place] = timedelta(milliseconds=quiet_ms)
                return _debounce(self._ready(of), quiet, place)
            case c.AtMost(of=of, count=count, per_ms=per_ms):
                per = self.waits[place] = timedelta(milliseconds=per_ms)
                return _at_most(self._ready(of), count, per, place)
            case c.ExceptDuring(of=of, cron=cron, lasting_ms=lasting_ms):
                self.crons.add(cron)  # what holds stops holding when it comes due
                return _except_during(self._ready(of), cron, timedelta(milliseconds=lasting_ms))
            case c.AnyDep(of=of, keys=keys, but=but):
                return _any_dep(self._ready(of), keys, but)
            case c.AllDeps(of=of, keys=keys, but=but, some=some):
                return _all_deps(self._ready(of), keys, but, some)
            case c.CronTick(cron=cron):
                self.crons.add(cron)
                return lambda asking: asking.scope if cron in asking.crons else EMPTY
            case c.InLatestWindow(lookback_ms=lookback_ms):
                self.lookbacks.add(lookback_ms)
                return _in_latest_window(None if lookback_ms is None else timedelta(milliseconds=lookback_ms))
        return _operand(condition)


def _operand(condition: c.Condition) -> Ask:
    match condition:
        case c.Missing():
            return _missing
        case c.InProgress():
            return lambda asking: asking.facts.in_progress & asking.scope
        case c.Failed():
            return lambda asking: asking.facts.failed & asking.scope
        case c.CodeChanged():
            return lambda asking: asking.facts.by_other_code() & asking.scope
        case c.CheckFailed(check=check):
            return lambda asking: asking.facts.with_failed_check(check) & asking.scope
        case c.Late(severity=severity):
            return lambda asking: (
                (asking.facts.late if severity == "error" else asking.facts.late | asking.facts.warned) & asking.scope
            )
        case c.Custom(name=name):
            return lambda asking: said.within(asking.scope) if (said := asking.memory.said.get(name)) else EMPTY
        case c.Updated(elsewhere=elsewhere):
            return _updated_elsewhere if elsewhere else _updated
        case c.DataChanged():
            return lambda asking: m.changed & asking.scope if (m := asking.world.moments(asking.key)) else EMPTY
        case c.Requested():
            return lambda asking: m.requested & asking.scope if (m := asking.world.moments(asking.key)) else EMPTY
        case c.Started():
            return lambda asking: m.started & asking.scope if (m := asking.world.moments(asking.key)) else EMPTY
        case c.WillBeRequested():
            return lambda asking: asking.world.requesting(asking.key) & asking.scope
        case c.FirstSeen():
            return lambda asking: asking.scope if asking.memory.is_first else EMPTY
    raise AssertionError(f"no operand {condition!r}")


def _missing(asking: Asking) -> BitMap:
    facts = asking.facts
    if facts.is_external:
        return EMPTY
    return (facts.space.existing(asking.world.now) & asking.scope) - facts.materialized


def _updated(asking: Asking) -> BitMap:
    moments = asking.world.moments(asking.key)
    if moments is None or not moments.updated:
        return EMPTY
    return BitMap.union(EMPTY, *moments.updated.values()) & asking.scope


def _updated_elsewhere(asking: Asking) -> BitMap:
    moments = asking.world.moments(asking.key)
    if moments is None or not moments.updated:
        return EMPTY
    makes, root = asking.world.makes, asking.root
    others = [made for run_id, made in moments.updated.items() if not makes(run_id, root)]
    return BitMap.union(EMPTY, *others) & asking.scope


def _in_latest_window(lookback: timedelta | None) -> Ask:
    def ask(asking: Asking) -> BitMap:
        latest = asking.facts.space.latest(asking.world.now, lookback)
        return asking.scope if latest is None else latest & asking.scope

    return ask


def _all_of(asks: Sequence[Ask]) -> Ask:
    def ask(asking: Asking) -> BitMap:
        found = asking.scope
        for each in asks:  # each is asked, whatever the others say: some remember, and people want to know
            found = found & each(asking)
        return found

    return ask


def _any_of(asks: Sequence[Ask]) -> Ask:
    def ask(asking: Asking) -> BitMap:
        found = EMPTY
        for each in asks:
            found = found | each(asking)
        return found

    return ask


def _since(of: Ask, reset: Ask, place: int) -> Ask:
    def ask(asking: Asking) -> BitMap:
        began, ended = of(asking), reset(asking)
        where = (place, asking.of)
        known = asking.memory.sets.get(where)
        if known is None:
            if not began:
                return EMPTY
            known = asking.memory.sets[where] = BitMap()
        known |= began
        known -= ended
        return known & asking.scope

    return ask


def _became_true(of: Ask, place: int) -> Ask:
    def ask(asking: Asking) -> BitMap:
        true = of(asking)
        where = (place, asking.of)
        known = asking.memory.sets.get(where)
        if known is None:
            if not true:
                return EMPTY
            known = asking.memory.sets[where] = BitMap()
        fresh = true - known
        known -= asking.scope
        known |= true
        return fresh

    return ask


def _debounce(of: Ask, quiet: timedelta, place: int) -> Ask:
    def ask(asking: Asking) -> BitMap:
        true, now = of(asking), asking.world.now
        groups = asking.memory.times.setdefault((place, asking.of), {})
        over = asking.scope - true
        known, long = BitMap(), BitMap()
        for since in list(groups):
            group = groups[since]
            group -= over
            if not group:
                del groups[since]
                continue
            known |= group
            if since + quiet <= now:
                long |= group
        if fresh := true - known:
            groups[now] = groups.get(now, EMPTY) | fresh
            asking.wakes.append((now + quiet, asking.of, fresh))
        return long & asking.scope

    return ask


def _at_most(of: Ask, count: int, per: timedelta, place: int) -> Ask:
    def ask(asking: Asking) -> BitMap:
        true, now = of(asking), asking.world.now
        groups = asking.memory.times.setdefault((place, asking.of), {})
        moments = asking.world.moments(asking.key)
        if moments and (asked := moments.requested & asking.scope):
            at = now
            while at in groups:  # asked for twice in one instant, which are two times
                at += timedelta(microseconds=1)
            groups[at] = asked
            asking.wakes.append((at + per, asking.of, asked))
        reached = [BitMap() for _ in range(count)]  # at place n those that were requested over n times
        for at in list(groups):
            if at + per <= now:
                del groups[at]
                continue
            more = groups[at]
            for times in range(count - 1, 0, -1):
                reached[times] |= reached[times - 1] & more
            reached[0] |= more
        return true - reached[-1]

    return ask


def _except_during(of: Ask, cron: Cron, lasting: timedelta) -> Ask:
    def ask(asking: Asking) -> BitMap:
        true = of(asking)
        until = last_tick(cron, asking.world.now) + lasting
        if until <= asking.world.now:
            return true
        if true:
            asking.wakes.append((until, asking.of, true))
        return EMPTY

    return ask


def _chosen(
    deps: Sequence[tuple[str, Crossing]], keys: tuple[str, ...], but: tuple[str, ...]
) -> Sequence[tuple[str, Crossing]]:
    if not keys and not but:
        return deps
    return [dep for dep in deps if (not keys or dep[0] in keys) and dep[0] not in but]


def _any_dep(of: Ask, keys: tuple[str, ...], but: tuple[str, ...]) -> Ask:
    def ask(asking: Asking) -> BitMap:
        found, now, scope = EMPTY, asking.world.now, asking.scope
        for key, crossing in _chosen(asking.deps, keys, but):
            if holds := of(asking.above(key, crossing.upstream(scope, now))):
                found = found | crossing.any(scope, holds, now)
        return found

    return ask


def _all_deps(of: Ask, keys: tuple[str, ...], but: tuple[str, ...], some: bool) -> Ask:
    def ask(asking: Asking) -> BitMap:
        now, scope = asking.world.now, asking.scope
        found = scope
        for key, crossing in _chosen(asking.deps, keys, but):
            holds = of(asking.above(key, crossing.upstream(scope, now)))
            found = found & (crossing.any(scope, holds, now) if some else crossing.all(scope, holds, now))
        return found

    return ask
