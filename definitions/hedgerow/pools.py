"""Pools: limits shared by whatever uses them, over all queues of a team."""

from __future__ import annotations

from dataclasses import dataclass

from hedgerow.arguments import Arguments
from hedgerow.errors import Problem
from hedgerow.manifest import model
from hedgerow.settings.rates import check_burst, default_burst, parse_rate
from hedgerow.site import Site, of_caller


@dataclass(frozen=True)
class PoolDefinition:
    """A pool declared in code; `limit` is what the manifest carries."""

    limit: model.Pool
    site: Site
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.limit.name


@dataclass(frozen=True)
class Use:
    """What a step takes of a pool while it runs."""

    pool: str | PoolDefinition
    slots: int = 1


def pool(name: str, *, slots: int | None = None, rate: str | None = None, burst: float | None = None) -> PoolDefinition:
    """A limit by name: `slots` at once, `rate` of starts such as `"5/s"` with `burst` (default: one second's worth).

    >>> pool("orders_api", rate="5/s").limit
    Pool(name='orders_api', slots=None, rate_per_s=5.0, burst=5.0)
    """
    arguments = Arguments(f"Pool {name!r}", of_caller())
    if slots is None and rate is None:
        arguments.wrong("slots", None, 'Give slots=8, or rate="5/s", or both.')
    rate_per_s = None
    if rate is not None:
        try:
            rate_per_s = parse_rate(arguments.text("rate", rate, "1/s"))
        except ValueError as error:
            arguments.wrong("rate", rate, f"{error}.")
    if burst is not None and not (rate is not None and _is_burst(burst)):
        arguments.wrong("burst", burst, "Give a number from 1 on, beside a rate.")
        burst = None
    if burst is None and rate_per_s is not None:
        burst = default_burst(rate_per_s)
    limit = model.Pool(
        arguments.name("name", name),
        None if slots is None else arguments.whole("slots", slots, 1, least=1),
        rate_per_s,
        None if burst is None else float(burst),
    )
    return PoolDefinition(limit, arguments.site, tuple(arguments.problems))


def _is_burst(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        check_burst(value)
    except ValueError:
        return False
    return True


def shown(limit: model.Pool) -> str:
    """A pool's limits in words.

    >>> shown(model.Pool("dw", 8)), shown(model.Pool("api", 2, 0.5, 1.0)), shown(model.Pool("free"))
    ('8 slots', '2 slots and 0.5/s with burst 1', 'no limit')
    """
    slots = [] if limit.slots is None else ["1 slot" if limit.slots == 1 else f"{limit.slots} slots"]
    rate = [] if limit.rate_per_s is None else [f"{limit.rate_per_s:g}/s with burst {limit.burst or 1:g}"]
    return " and ".join(slots + rate) or "no limit"


def use(pool: str | PoolDefinition, *, slots: int = 1) -> Use:
    """Take `slots` of a pool while the step runs: `pools=[hr.use("snowflake", slots=2)]`. A pool's name alone takes one."""
    return Use(pool, slots)


def lower_uses(value: object, arguments: Arguments) -> tuple[model.PoolUse, ...]:
    """The pools of a step as a manifest carries them, sorted by name."""

    def read(item: object) -> model.PoolUse | None:
        taken = item if isinstance(item, Use) else Use(item)  # type: ignore[arg-type]
        name = taken.pool.name if isinstance(taken.pool, PoolDefinition) else taken.pool
        if not isinstance(name, str):
            arguments.wrong("pools", item, 'Give names of pools, or hr.use("name", slots=2).')
            return None
        return model.PoolUse(arguments.name("pool", name), arguments.whole("slots", taken.slots, 1, least=1))

    uses = arguments.sequence("pools", value, read)
    for name in {one.pool for one in uses if sum(other.pool == one.pool for other in uses) > 1}:
        arguments.wrong("pools", name, f"Name the pool {name!r} once, with hr.use({name!r}, slots=...).")
    return tuple(sorted({one.pool: one for one in uses}.values(), key=lambda one: one.pool))
