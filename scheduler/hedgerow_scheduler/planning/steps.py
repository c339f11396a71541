"""Steps: what a run request comes to, as numbered steps with the edges between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import structs

from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.model import Computation
from hedgerow.partitions import algebra
from hedgerow.partitions.model import Partitions, StaticPartitions, TimePartitions, dimensions
from hedgerow.partitions.resolution import upstream_keys, validate_mapping
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.lifecycle.judging import judging_name
from hedgerow_scheduler.planning.catalog import Catalog, looks_back
from hedgerow_scheduler.planning.config import config_problems
from hedgerow_scheduler.planning.judges import judge_only, judged_after, judging_step
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.request import RunRequest, check_cap, check_checks_only
from hedgerow_scheduler.planning.selection import resolve

MAX_STEPS = 100_000
MAX_EDGES = 1_000_000
MAX_KEYED = 50_000  # limits by key, of all steps together: each may be a limit of its own
MAX_LOOKS = 2_000_000  # at what the steps read, whether the run makes that or not
STEPS_AT_ONCE = 1_000


def _nothing() -> None:
    pass


def plan_steps(
    catalog: Catalog, request: RunRequest, now: datetime, stay: Callable[[], None] = _nothing
) -> tuple[PlannedStep, ...]:
    """The steps of a run, in an order in which each comes after what it waits for. `stay` is called in between, for many take seconds.

    RequestError: HR-Q001 to HR-Q003 (selection), HR-Q101 to HR-Q105 (partitions), HR-Q004 (partitions for nothing that has
    them), HR-Q005 and HR-Q007 (config), HR-Q006 (too many steps), HR-Q008 (max_concurrent), HR-Q031 (checks only).
    """
    check_cap(request)
    check_checks_only(request)
    chosen = resolve(catalog, request.selection)
    computations = in_dependency_order(catalog, chosen)
    check_config(catalog, request.config, chosen)
    keys = _partition_keys(computations, request, now)
    stay()
    if request.checks_only:
        _check_total(sum(len(keys[made.name]) for key in chosen if (made := catalog.assets[key].computation)))
        return judge_only(catalog, chosen, keys)
    return _steps(catalog, computations, keys, set(chosen), now, stay)


def plan_exactly(
    catalog: Catalog, wanted: Mapping[str, Collection[str | None]], now: datetime
) -> tuple[PlannedStep, ...]:
    """The steps of a run that makes exactly these partitions of these assets, as `plan_steps` orders them; assets that are not
    declared (any more) are left out. RequestError HR-Q006 when it is too large.
    """
    chosen = [key for key in wanted if (asset := catalog.assets.get(key)) is not None and asset.computation is not None]
    computations = in_dependency_order(catalog, chosen)
    keys = {
        computation.name: tuple(dict.fromkeys(each for key in computation.assets for each in wanted.get(key, ())))
        for computation in computations
    }
    return _steps(catalog, computations, keys, set(chosen), now)


def _steps(
    catalog: Catalog,
    computations: Sequence[Computation],
    keys: Mapping[str, tuple[str | None, ...]],
    wanted: Collection[str],
    now: datetime,
    stay: Callable[[], None] = _nothing,
) -> tuple[PlannedStep, ...]:
    assets = {each.name: tuple(key for key in each.assets if not each.subset or key in wanted) for each in computations}
    judged = {each.name: judged_after(catalog, each, assets[each.name]) for each in computations}
    total = sum(len(keys[name]) * (1 + len(judges)) for name, judges in judged.items())
    _check_total(total)
    _check_keyed(sum(len(keys[each.name]) * len(each.limits) for each in computations))
    numbers: dict[tuple[str, str | None], int] = {}
    for computation in computations:
        names = (computation.name, *map(judging_name, judged[computation.name]))
        for key in keys[computation.name]:
            for name in names:
                numbers[name, key] = len(numbers)
    planned: list[PlannedStep] = []
    total_edges = looked = 0
    for computation in computations:
        team, location = catalog.home(computation.name)
        edges = _Edges(catalog, computation, judged, numbers, now)
        for key in keys[computation.name]:
            planned.append(
                PlannedStep(
                    numbers[computation.name, key], team, location, computation.queue, computation.priority,
                    computation.name, assets[computation.name], key, edges.of(key),
                )
            )  # fmt: skip
            total_edges += len(planned[-1].upstream)
            looked += edges.looked_at
            if not len(planned) % STEPS_AT_ONCE:
                stay()
            for asset in judged[computation.name]:
                judge = judging_step(catalog, computation, asset, key, len(planned))
                planned.append(structs.replace(judge, upstream=(numbers[computation.name, key],)))
            if total_edges > MAX_EDGES or looked > MAX_LOOKS:
                too_many = (
                    f"{MAX_EDGES:,} dependencies between"
                    if total_edges > MAX_EDGES
                    else f"{MAX_LOOKS:,} partitions read by"
                )
                raise RequestError.of(
                    "HR-Q006",
                    f"The request comes to over {too_many} its {total:,} steps.",
                    "Split it into several runs, or read fewer partitions of each upstream at once.",
                )
    return tuple(planned)


def _check_total(total: int) -> None:
    if total > MAX_STEPS:
        raise RequestError.of(
            "HR-Q006",
            f"The request comes to {total:,} steps; a run takes at most {MAX_STEPS:,}.",
            "Split it into several runs.",
        )


def _check_keyed(total: int) -> None:
    if total > MAX_KEYED:
        raise RequestError.of(
            "HR-Q006",
            f"The request's steps are held to {total:,} limits by key; those of a run may be held to {MAX_KEYED:,}.",
            "Split it into several runs, or use a pool where all steps share one limit.",
        )


class _Edges:
    """The edges of one computation's steps to the steps of the same run: `planned` are its computations with what of each is judged after
    the step, and whether that blocks.
    """

    def __init__(
        self,
        catalog: Catalog,
        computation: Computation,
        planned: Mapping[str, Mapping[str, bool]],
        numbers: Mapping[tuple[str, str | None], int],
        now: datetime,
    ) -> None:
        self._computation, self._numbers, self._now = computation, numbers, now
        self.looked_at = 0
        """How many upstream partitions the last step was found to read, those that no step of the run makes among them."""
        self._above = []
        for dep in computation.deps:
            asset = catalog.assets.get(dep.key)
            if asset is None or asset.computation is None or asset.computation.name not in planned:
                continue
            if asset.computation.name != computation.name or looks_back(dep):
                blocks = planned[asset.computation.name].get(dep.key)
                self._above.append(
                    (dep, asset.computation, judging_name(dep.key) if blocks else asset.computation.name)
                )

    def of(self, key: str | None) -> tuple[int, ...]:
        """The numbers of the steps that the step of partition `key` waits for, sorted."""
        found: set[int] = set()
        self.looked_at = 0
        for dep, above, name in self._above:
            keys = upstream_keys(dep.mapping, self._computation.partitions, above.partitions, key, self._now)
            self.looked_at += len(keys)
            for partition in keys:
                number = self._numbers.get((name, partition))
                if number is not None:
                    found.add(number)
        return tuple(sorted(found))


def in_dependency_order(catalog: Catalog, chosen: Sequence[str]) -> list[Computation]:
    """The computations of the chosen assets, each after those it reads from; ties by name. Cycles can't be: manifests that close one are refused."""
    computations: dict[str, Computation] = {}
    for key in chosen:
        computation = catalog.assets[key].computation
        if computation is not None:
            computations[computation.name] = computation
    above: dict[str, set[str]] = {}
    for name, computation in computations.items():
        makers = (catalog.assets[dep.key].computation for dep in computation.deps if dep.key in catalog.assets)
        above[name] = {maker.name for maker in makers if maker is not None and maker.name in computations} - {name}
    below: dict[str, list[str]] = {name: [] for name in computations}
    for name, makers_above in above.items():
        for maker_name in makers_above:
            below[maker_name].append(name)
    left = {name: len(makers_above) for name, makers_above in above.items()}
    ordered: list[Computation] = []
    ready = sorted(name for name, count in left.items() if not count)
    while ready:
        ordered.extend(computations[name] for name in ready)
        freed = []
        for name in ready:
            for following in below[name]:
                left[following] -= 1
                if not left[following]:
                    freed.append(following)
        ready = sorted(freed)
    if len(ordered) < len(computations):
        raise AssertionError("the catalog holds a cycle")
    return ordered


def check_config(catalog: Catalog, config: Mapping[str, Any], chosen: Sequence[str]) -> None:
    """RequestError HR-Q005 or HR-Q007 when config, by asset key, does not fit the chosen assets."""
    problems: list[Problem] = []
    for key, value in config.items():
        computation = catalog.assets[key].computation if key in chosen else None
        if computation is None:
            message = f"Config is given for '{key}', which the run does not make."
            problems.append(Problem("HR-Q005", message, did_you_mean(key, chosen, "The run makes")))
        else:
            problems += config_problems(computation, key, value)
    if problems:
        raise RequestError(problems)


def _partition_keys(
    computations: Sequence[Computation], request: RunRequest, now: datetime
) -> dict[str, tuple[str | None, ...]]:
    """Which partitions of each computation the request asks for; (None,) where there are none to choose."""
    partitioned = [computation for computation in computations if computation.partitions is not None]
    latest = request.latest_at
    ways = [bool(request.partitions), request.partition_range is not None, request.all_partitions, latest is not None]
    if sum(ways) > 1:
        raise RequestError.of(
            "HR-Q105",
            "Partitions are chosen in more than one way.",
            "Give keys, a range, all partitions or the latest, only one of these.",
        )
    if latest is not None:
        return _latest_keys(computations, min(latest, now))
    asked = any(ways)
    if asked and not partitioned and not request.all_partitions:
        raise RequestError.of(
            "HR-Q004",
            "Partitions are given, but nothing in the selection is partitioned.",
            "Leave the partitions out, or select a partitioned asset.",
        )
    keys: dict[str, tuple[str | None, ...]] = {computation.name: (None,) for computation in computations}
    choice = _Choice(request, [computation.partitions for computation in partitioned if computation.partitions], now)
    for computation in partitioned:
        if computation.partitions is not None:
            if not asked:
                raise RequestError.of(
                    "HR-Q101",
                    f"Asset '{computation.assets[0]}' is partitioned, and no partition was given.",
                    "Give --partition KEY, --range FIRST..LAST or --all-partitions.",
                )
            keys[computation.name] = choice.keys_of(computation.partitions)
    return keys


def _latest_keys(computations: Sequence[Computation], at: datetime) -> dict[str, tuple[str | None, ...]]:
    """The latest partitions of each computation; none of one that has no complete window yet, unless nothing else is left."""
    keys: dict[str, tuple[str | None, ...]] = {}
    for computation in computations:
        partitions = computation.partitions
        if partitions is None:
            keys[computation.name] = (None,)
            continue
        timeless = (dim for dim in dimensions(partitions) if not isinstance(dim, TimePartitions))
        _check_total(math.prod(algebra.count(dim, at) for dim in timeless))
        keys[computation.name] = algebra.latest(partitions, at)
    if not any(keys.values()):
        first = next(one for one in computations if one.partitions is not None)
        raise RequestError.of(
            "HR-Q101",
            f"Asset '{first.assets[0]}' has no complete partition at {at:%Y-%m-%d %H:%M} UTC.",
            "Nothing to do: its first window is not over yet.",
        )
    return keys


class _Choice:
    """The partitions a request asks for, in the terms of each definition.

    A definition that knows a key of the request takes it as it is. For keys that it does not know, it takes what belongs to
    them by way of a definition that does: the windows that overlap, or the dimensions that both have. Windows that are not
    complete yet are left out, unless nothing else would be left.
    """

    def __init__(self, request: RunRequest, definitions: Sequence[Partitions], now: datetime) -> None:
        self._request, self._now = request, now
        self._known: list[tuple[Partitions, tuple[str, ...]]] = []
        for definition in definitions:
            if all(definition != other for other, _ in self._known):
                self._known.append((definition, self._directly(definition)))
        if definitions and not request.all_partitions:
            self._refuse_unknown(definitions[0])

    def keys_of(self, partitions: Partitions) -> tuple[str, ...]:
        """The keys of a definition in its order; RequestError when the request's keys mean nothing in it."""
        own = next(keys for definition, keys in self._known if definition == partitions)
        if self._request.all_partitions:
            return own
        found: dict[str | None, None] = dict.fromkeys(own)
        for definition, keys in self._known:
            if definition != partitions and related(definition, partitions):
                for key in keys:
                    if algebra.contains(partitions, key, self._now):
                        found[key] = None  # a range may begin before this definition does
                    else:
                        found |= dict.fromkeys(upstream_keys(None, definition, partitions, key, self._now))
        wanted = [key for key in found if key is not None]
        exist = set(own)
        complete = [key for key in wanted if key in exist or algebra.contains(partitions, key, self._now)]
        if not complete:
            algebra.check_key(partitions, wanted[0] if wanted else self._first_key(), self._now)
        return _in_order(partitions, complete)

    def _first_key(self) -> str:
        chosen = self._request.partition_range
        return chosen.first if chosen else self._request.partitions[0]

    def _directly(self, partitions: Partitions) -> tuple[str, ...]:
        request, now = self._request, self._now
        if request.all_partitions:
            _check_total(algebra.count(partitions, now))
            return algebra.keys(partitions, now)
        chosen = request.partition_range
        if chosen is None:
            return tuple(dict.fromkeys(key for key in request.partitions if algebra.contains(partitions, key, now)))
        if algebra.contains(partitions, chosen.first, now) and algebra.contains(partitions, chosen.last, now):
            return algebra.key_range(partitions, chosen.first, chosen.last, now)
        return ()

    def _refuse_unknown(self, first: Partitions) -> None:
        """Every key must be a partition of something that is selected, both ends of a range of the same one."""
        ends = self._request.partition_range
        exist = {key for _, keys in self._known for key in keys}
        for key in (ends.first, ends.last) if ends else self._request.partitions:
            if key not in exist and not any(
                algebra.contains(definition, key, self._now) for definition, _ in self._known
            ):
                algebra.check_key(first, key, self._now)
        if ends and not any(keys for _, keys in self._known):
            raise RequestError.of(
                "HR-Q103",
                f"'{ends.first}' and '{ends.last}' are partitions of different kinds.",
                "Give two keys of the same kind, such as two days.",
            )


def related(one: Partitions, other: Partitions) -> bool:
    """Whether keys of `one` say something about `other`: both are windows of time, or they share a dimension."""
    here, there = dimensions(one), dimensions(other)
    alone = len(here) == len(there) == 1 and isinstance(one, TimePartitions) and isinstance(other, TimePartitions)
    shared = {(dim.dim, type(dim)) for dim in here} & {(dim.dim, type(dim)) for dim in there}
    return (alone or bool(shared)) and validate_mapping(None, one, other) is None


def _in_order(partitions: Partitions, keys: Iterable[str]) -> tuple[str, ...]:
    """Keys in the order of their definition. The keys of windows, and dynamic ones, sort as text."""
    places: list[Mapping[str, int]] = [
        {key: number for number, key in enumerate(dim.keys)} if isinstance(dim, StaticPartitions) else {}
        for dim in dimensions(partitions)
    ]

    def place(key: str) -> list[int | str]:
        return [
            of.get(part, part) for of, part in zip(places, algebra.split_key(partitions, key).values(), strict=True)
        ]

    return tuple(sorted(keys, key=place))
