"""Rules: what every limit is set to by those who declare it and by operators' overrides, and which limits a step needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from hedgerow.manifest.keys import key_of
from hedgerow.manifest.model import Computation, KeyLimit, Pool
from hedgerow.settings.platform import PoolCap, TeamPolicy
from hedgerow.settings.rates import default_burst
from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.limits.limit import NO_LIMIT, LimitId, Values
from hedgerow_scheduler.planning.catalog import Catalog

FIELDS: Mapping[str, tuple[str, ...]] = {
    "queue": ("concurrency", "rate", "burst", "paused"),
    "pool": ("concurrency", "rate", "burst", "paused"),
    "team": ("concurrency", "weight", "minimum", "paused"),
    "run": ("concurrency", "paused"),
    "key": ("concurrency",),
}

NOBODYS = Values(concurrency=0)  # a pool that nobody declares lets nobody out until someone does

# A limit that a step needs, of how many slots, and who is charged for them: the team, or the location within a team.
Wants: TypeAlias = tuple[LimitId, int, str]


class Override(msgspec.Struct, frozen=True):
    """What an operator set one field of a limit to; `value` None means without that limit. It counts until `expires_at`."""

    kind: str
    name: str
    field: str
    value: float | None
    author: str
    reason: str
    set_at: datetime
    expires_at: datetime | None = None


class PlatformLimits(msgspec.Struct, frozen=True):
    """What platform.toml grants teams, its shared pools by name, and what operators may set these to at most."""

    teams: Mapping[str, TeamPolicy] = {}
    pools: Mapping[str, Pool] = {}
    caps: Mapping[str, PoolCap] = {}


class Shape(msgspec.Struct, frozen=True):
    """What the steps of one computation need beyond queue and team: pools, and limits by key."""

    pools: tuple[Wants, ...] = ()
    keys: tuple[KeyLimit, ...] = ()


class Rules:
    """One immutable picture of all limits, made anew when a manifest or an override changes. `runs` gives the runs' own caps."""

    def __init__(
        self,
        catalog: Catalog,
        platform: PlatformLimits | None = None,
        overrides: Iterable[Override] = (),
        runs: Mapping[str, int] | None = None,
    ) -> None:
        self.catalog, self.platform = catalog, platform or PlatformLimits()
        self.runs = runs if runs is not None else {}
        self.overrides = tuple(overrides)
        self._fields: dict[LimitId, dict[str, Override]] = defaultdict(dict)
        for override in self.overrides:
            self._fields[override.kind, override.name][override.field] = override  # type: ignore[index]
        self._own_pools: dict[str, Pool] = {}
        self._keys: dict[str, KeyLimit] = {}
        for (team, _), published in catalog.published.items():
            for pool in published.manifest.pools:
                name = f"{team}/{pool.name}"
                known = self._own_pools.get(name)
                self._own_pools[name] = pool if known is None else _stricter(known, pool)
            for computation in published.manifest.computations:
                for limit in computation.limits:
                    key = f"{team}/{limit.name}"
                    if key not in self._keys or limit.concurrency < self._keys[key].concurrency:
                        self._keys[key] = limit
        self._by_name: dict[tuple[str, str, str], Shape] = {}

    def with_runs(self, runs: Mapping[str, int]) -> Rules:
        """The same rules with other caps of runs."""
        rules = copy(self)
        rules.runs = runs
        return rules

    # -- what limits are set to --------------------------------------------------------------------------------------

    def values(self, id: LimitId, now: datetime) -> Values:
        """What a limit is set to at `now`."""
        base = self.declared(id)
        fields = {
            field: override
            for field, override in self._fields.get((id[0], spec_name(id)), {}).items()
            if override.expires_at is None or now < override.expires_at
        }
        if not fields:
            return base
        caps = self._caps(id)
        return overridden(base, {field: _at_most(one.value, caps.get(field)) for field, one in fields.items()})

    def _caps(self, id: LimitId) -> Mapping[str, float | None]:
        """What operators may not exceed, by field: also not by an override that is older than a cap."""
        kind, name = id
        if kind == "pool" and (cap := self.platform.caps.get(name)) is not None:
            return {"concurrency": cap.slots, "rate": cap.rate_per_s}
        if kind == "team" and (policy := self.platform.teams.get(name)) is not None:
            return {"concurrency": policy.max_slots}
        return {}

    def declared(self, id: LimitId) -> Values:
        """What a limit is set to without overrides; without limit when nobody declares it, but for pools, which then are closed."""
        kind, name = id
        if kind == "queue":
            declared = self.catalog.queue(*queue_place(name))
            return Values(declared.concurrency, declared.rate_per_s, declared.burst)
        if kind == "pool":
            pool = self._own_pools.get(name) if "/" in name else self.platform.pools.get(name)
            return Values(pool.slots, pool.rate_per_s, pool.burst) if pool else NOBODYS
        if kind == "team":
            policy = self.platform.teams.get(name)
            return Values(policy.max_slots, weight=policy.weight, minimum=policy.min_slots) if policy else NO_LIMIT
        if kind == "run":
            return Values(self.runs.get(name))
        limit = self._keys.get(spec_name(id))
        return Values(limit.concurrency) if limit else NO_LIMIT

    def next_expiry(self, now: datetime) -> datetime | None:
        """When the first override that still counts does so no more."""
        return min(
            (o.expires_at for o in self.overrides if o.expires_at is not None and o.expires_at > now), default=None
        )

    def known(self) -> Iterator[LimitId]:
        """Every limit that is declared somewhere, queues without any limit and teams among them; keys by their limit."""
        for (team, location), published in self.catalog.published.items():
            for queue in published.manifest.queues:
                yield "queue", queue_limit_name(team, location, queue.name)
        for name in self.platform.pools:
            yield "pool", name
        for name in self._own_pools:
            yield "pool", name
        for team in {*self.platform.teams, *(team for team, _ in self.catalog.published)}:
            yield "team", team
        for name in self._keys:
            yield "key", name
        for run in self.runs:
            yield "run", run

    # -- what steps need ---------------------------------------------------------------------------------------------

    def shape(self, team: str, location: str, computation: Computation) -> Shape:
        """What the steps of a computation need."""
        known = self._by_name.get((team, location, computation.name))
        if known is None:
            pools: list[Wants] = []
            for use in computation.pools:
                own, shared = f"{team}/{use.pool}", use.pool in self.platform.pools
                if shared:
                    pools.append((("pool", use.pool), use.slots, team))
                if own in self._own_pools or not shared:
                    pools.append((("pool", own), use.slots, location))
            known = self._by_name[team, location, computation.name] = Shape(tuple(pools), computation.limits)
        return known

    def limits_run(self, run_id: str) -> bool:
        """Whether a run has a limit of its own."""
        return run_id in self.runs or ("run", run_id) in self._fields

    def wants(self, step: Step, computation: Computation | None) -> tuple[Wants, ...]:
        """The limits that a step needs beyond its queue's and its team's; `computation` as the code in force declares it."""
        run_id = step.run.id
        own: tuple[Wants, ...] = ()
        if self.limits_run(run_id):
            own = ((("run", run_id), 1, run_id),)
        if computation is None:
            return own
        shape = self.shape(step.team, step.location, computation)
        if not shape.keys:
            return own + shape.pools if shape.pools else own
        config = next((step.run.config[key] for key in computation.assets if key in step.run.config), None)
        keyed: list[Wants] = []
        for limit in shape.keys:
            value = key_of(limit.per, config, step.partition, computation.partitions, step.run.tags)
            keyed.append((("key", f"{step.team}/{limit.name}={value}"), 1, step.location))
        return (*own, *shape.pools, *keyed)


def _at_most(value: float | None, cap: float | None) -> float | None:
    """None is more than any number."""
    return cap if value is None or (cap is not None and value > cap) else value


def overridden(base: Values, fields: Mapping[str, float | None]) -> Values:
    """`base` with some fields set otherwise. A rate without a burst of its own gets a second's worth, unless a smaller or larger
    burst was declared on purpose.

    >>> overridden(Values(rate=5.0, burst=5.0), {"rate": 20.0}).burst, overridden(Values(rate=5.0, burst=1.0), {"rate": 20.0}).burst
    (20.0, 1.0)
    """
    changes: dict[str, Any] = {}
    for field, value in fields.items():
        if field == "paused":
            changes[field] = bool(value)
        elif field in ("concurrency", "minimum"):
            changes[field] = None if value is None else int(value)
        else:
            changes[field] = value
    rate = changes.get("rate")
    if rate is not None and "burst" not in changes:
        on_purpose = base.rate is not None and base.burst is not None and base.burst != default_burst(base.rate)
        changes["burst"] = base.burst if on_purpose else default_burst(rate)
    return msgspec.structs.replace(base, **changes)


def queue_limit_name(team: str, location: str, queue: str) -> str:
    """The name of a queue's limit: `team/queue`, or `team/location/queue` when the location has a name of its own.

    >>> queue_limit_name("sales", "sales", "default"), queue_limit_name("sales", "etl", "default")
    ('sales/default', 'sales/etl/default')
    """
    return f"{team}/{queue}" if team == location else f"{team}/{location}/{queue}"


def queue_place(name: str) -> tuple[str, str, str]:
    """(team, location, queue) of the name of a queue's limit.

    >>> queue_place("sales/etl/default")
    ('sales', 'etl', 'default')
    """
    first, _, rest = name.partition("/")
    location, slash, queue = rest.partition("/")
    return (first, location, queue) if slash else (first, first, location)


def sharer_of(id: LimitId, step: Step) -> str:
    """Who is charged for a limit that a step holds: the team for a pool of the platform, the location for what is the team's own."""
    if id[0] == "run":
        return id[1]
    return step.team if id[0] == "pool" and "/" not in id[1] else step.location


def spec_name(id: LimitId) -> str:
    """The name under which a limit is declared and overridden: that of a key's limit without its value."""
    return id[1].partition("=")[0] if id[0] == "key" else id[1]


def _stricter(one: Pool, other: Pool) -> Pool:
    """Two locations of a team declare a pool: the smaller of each number holds."""
    rates = [pool for pool in (one, other) if pool.rate_per_s is not None]
    slowest = min(rates, key=lambda pool: pool.rate_per_s or 0.0, default=one)
    slots = [pool.slots for pool in (one, other) if pool.slots is not None]
    return Pool(one.name, min(slots, default=None), slowest.rate_per_s, slowest.burst)
