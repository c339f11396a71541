"""What someone asks to be backfilled, checked and resolved: for each computation, the set of its partitions that are to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from pyroaring import BitMap

from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.bounds import MAX_PARTITIONS_PER_RUN
from hedgerow.manifest.model import Computation
from hedgerow.partitions import algebra
from hedgerow.partitions.model import Partitions
from hedgerow.settings.rates import parse_rate
from hedgerow_scheduler.lifecycle.backfills import PartitionState
from hedgerow_scheduler.partitions.crossing import EMPTY, Crossing
from hedgerow_scheduler.partitions.spaces import ONLY, space_of
from hedgerow_scheduler.partitions.states import StateSets
from hedgerow_scheduler.planning.backfill_tracks import Track, connect
from hedgerow_scheduler.planning.backfills import Settings
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.request import PartitionRange
from hedgerow_scheduler.planning.selection import resolve
from hedgerow_scheduler.planning.steps import check_config, in_dependency_order, related

MAX_PARTITIONS = 20_000_000
MAX_TRACKS = 1_000
MAX_CANARY = 10_000
MAX_RUNS = 1_000
DEFAULT_RUNS = 10
DEFAULT_PER_RUN = 100
DEFAULT_THRESHOLD = 0.1  # of a canary for which none was given
Only: TypeAlias = Literal["missing", "failed"]
# The partitions of an asset that are materialized, or whose last step failed.
Facts: TypeAlias = Callable[[str, Partitions | None], BitMap]


class BackfillRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A selection of assets, and which partitions of them: keys, a range, or all; `only` those of these that are missing or failed last.

    `config` is as of a run. `canary`: of each asset so many partitions go first; the rest follows if fewer than `abort_threshold` of
    them failed (a share above 0 and up to 1, by default a tenth), which ends the backfill later as well if it is given. `max_runs`: runs at once
    (default 10). `rate`: partitions launched at most, such as "600/m". `max_partitions_per_run`: instead of what the assets say.
    """

    selection: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    partition_range: PartitionRange | None = None
    all_partitions: bool = False
    only: Only | None = None
    config: dict[str, Any] = {}
    canary: int = 0
    abort_threshold: float | None = None
    max_runs: int = DEFAULT_RUNS
    rate: str | None = None
    max_partitions_per_run: int | None = None


def settings_of(request: BackfillRequest) -> Settings:
    """How it is to be gone about; RequestError HR-Q362 with everything that makes no sense."""
    problems = list(_misfits(request))
    try:
        rate = None if request.rate is None else parse_rate(request.rate)
    except ValueError as error:
        rate = None
        problems.append(Problem("HR-Q362", f"The rate of the backfill: {error}.", 'Write it such as "600/m".'))
    if problems:
        raise RequestError(problems)
    threshold = request.abort_threshold
    if threshold is None and request.canary:
        threshold = DEFAULT_THRESHOLD
    return Settings(request.max_runs, request.canary, threshold, rate)


def check_pace(max_runs: int | None) -> Iterator[Problem]:
    """What is wrong with the number of runs at once."""
    if max_runs is not None and not 1 <= max_runs <= MAX_RUNS:
        message = f"A backfill can't have {max_runs} runs at once."
        yield Problem("HR-Q362", message, f"Give a whole number from 1 to {MAX_RUNS:,}; to launch nothing, pause it.")


def _misfits(request: BackfillRequest) -> Iterator[Problem]:
    if not 0 <= request.canary <= MAX_CANARY:
        message = f"A canary can't have {request.canary} partitions of each asset."
        yield Problem("HR-Q362", message, f"Give a whole number from 1 to {MAX_CANARY:,}, or leave it out.")
    threshold = request.abort_threshold
    if threshold is not None and not 0 < threshold <= 1:
        message = f"The abort threshold can't be {threshold:g}."
        yield Problem(
            "HR-Q362", message, "Give the share of failures that ends it, above 0 and up to 1, such as 0.1 or 10%."
        )
    yield from check_pace(request.max_runs)
    per_run = request.max_partitions_per_run
    if per_run is not None and not 1 <= per_run <= MAX_PARTITIONS_PER_RUN:
        message = f"A run of a backfill can't make {per_run} partitions."
        yield Problem("HR-Q362", message, f"Give a whole number from 1 to {MAX_PARTITIONS_PER_RUN:,}.")


def plan_backfill(
    catalog: Catalog, request: BackfillRequest, now: datetime, materialized: Facts, failed: Facts
) -> tuple[Track, ...]:
    """The tracks of a backfill, in dependency order. Assets of which nothing is to be made are left out.

    RequestError: HR-Q001 to HR-Q003 (selection), HR-Q004 (nothing selected is partitioned), HR-Q005 and HR-Q007 (config), HR-Q101 to
    HR-Q105 (partitions), HR-Q361 (nothing to make), HR-Q363 (too many).
    """
    chosen = resolve(catalog, request.selection)
    computations = in_dependency_order(catalog, chosen)
    check_config(catalog, request.config, chosen)
    _check_ways(request, computations)
    if len(computations) > MAX_TRACKS:
        raise _too_many(f"{len(computations):,} assets", f"{MAX_TRACKS:,} assets")
    wanted = wanted_of(computations, request, now)
    tracks = []
    for computation in computations:
        assets = tuple(key for key in computation.assets if not computation.subset or key in chosen)
        which = wanted[computation.name]
        if request.only is not None:
            which = _narrowed(
                request.only, computation, assets, which, materialized if request.only == "missing" else failed
            )
        if which:
            sets = StateSets(PartitionState, {PartitionState.TO_DO: which})
            team, per_run = catalog.home(computation.name)[0], _per_run(request, computation)
            tracks.append(Track(computation.name, team, assets, computation.partitions, per_run, sets))
    for track, why in connect(tracks, catalog):
        raise RequestError.of(
            "HR-Q104", f"'{track.name}' {why}.", "Mend the mapping, or leave the asset out of the selection."
        )
    total = sum(len(track.sets[PartitionState.TO_DO]) for track in tracks)
    if total > MAX_PARTITIONS:
        raise _too_many(f"{total:,} partitions", f"{MAX_PARTITIONS:,}")
    if not total:
        what = {"missing": "None of these partitions is missing", "failed": "None of these partitions failed last"}
        raise RequestError.of(
            "HR-Q361", f"{what.get(request.only or '', 'No partition is complete yet')}.", "There is nothing to do."
        )
    return tuple(tracks)


def _per_run(request: BackfillRequest, computation: Computation) -> int:
    asked = request.max_partitions_per_run or computation.max_partitions_per_run or DEFAULT_PER_RUN
    return max(1, min(asked, MAX_PARTITIONS_PER_RUN))


def _narrowed(only: Only, computation: Computation, assets: Sequence[str], which: BitMap, facts: Facts) -> BitMap:
    known = [facts(asset, computation.partitions) for asset in assets]
    if only == "missing":
        return which - BitMap.intersection(*known)
    return which & BitMap.union(*known)


def _check_ways(request: BackfillRequest, computations: Sequence[Computation]) -> None:
    ways = [bool(request.partitions), request.partition_range is not None, request.all_partitions]
    if sum(ways) > 1:
        raise RequestError.of(
            "HR-Q105",
            "Partitions are chosen in more than one way.",
            "Give keys, a range or all partitions, only one of these.",
        )
    partitioned = [computation for computation in computations if computation.partitions is not None]
    if not partitioned:
        raise RequestError.of(
            "HR-Q004",
            "Nothing in the selection is partitioned: there is nothing to backfill.",
            "Select a partitioned asset, or launch a run: `hedgerow materialize`.",
        )
    if not any(ways) and request.only is None:
        raise RequestError.of(
            "HR-Q101",
            f"Asset '{partitioned[0].assets[0]}' is partitioned, and no partition was given.",
            "Give --range FIRST..LAST, --partition KEY, --missing, --failed or --all.",
        )


def wanted_of(computations: Sequence[Computation], request: BackfillRequest, now: datetime) -> dict[str, BitMap]:
    """Which partitions of each computation are asked for, as `plan_steps` has it: a definition that does not know the keys takes what
    belongs to them by way of one that does. Windows that are not complete yet are left out.
    """
    definitions = {_id(one.partitions): one.partitions for one in computations if one.partitions is not None}
    known = {number: _directly(partitions, request, now) for number, partitions in definitions.items()}
    if not request.all_partitions and _is_given(request):
        _refuse_unknown(request, definitions, known, now)
    found: dict[str, BitMap] = {}
    for computation in computations:
        if computation.partitions is None:
            found[computation.name] = ONLY
            continue
        which = known[_id(computation.partitions)]
        if _is_given(request):
            which = which | _by_way_of_others(computation, definitions, known, now)
        found[computation.name] = which & space_of(computation.partitions).existing(now)
    return found


def _id(partitions: Partitions | None) -> int:
    return id(space_of(partitions))


def _is_given(request: BackfillRequest) -> bool:
    return bool(request.partitions) or request.partition_range is not None


def _directly(partitions: Partitions, request: BackfillRequest, now: datetime) -> BitMap:
    space, ends = space_of(partitions), request.partition_range
    if not _is_given(request):
        return space.existing(now)
    if ends is None:
        ordinals = (space.ordinal(key) for key in request.partitions if algebra.contains(partitions, key, now))
        return BitMap(ordinal for ordinal in ordinals if ordinal is not None)
    if algebra.contains(partitions, ends.first, now) and algebra.contains(partitions, ends.last, now):
        return space.range(ends.first, ends.last, now)
    return EMPTY


def _by_way_of_others(
    computation: Computation, definitions: Mapping[int, Partitions], known: Mapping[int, BitMap], now: datetime
) -> BitMap:
    own, found, is_related = computation.partitions, EMPTY, bool(known[_id(computation.partitions)])
    assert own is not None  # one without partitions has nothing to choose
    for number, other in definitions.items():
        if known[number] and other != own and related(other, own):
            is_related = True
            found = found | Crossing(None, other, own).upstream(known[number], now)
    if not is_related:
        raise RequestError.of(
            "HR-Q101",
            f"The partitions that are given mean nothing for asset '{computation.assets[0]}', which is partitioned otherwise.",
            "Leave it out of the selection, or backfill it on its own.",
        )
    return found


def _refuse_unknown(
    request: BackfillRequest, definitions: Mapping[int, Partitions], known: Mapping[int, BitMap], now: datetime
) -> None:
    """Every key must be a partition of something that is selected, both ends of a range of the same one."""
    ends = request.partition_range
    for key in (ends.first, ends.last) if ends is not None else request.partitions:
        if not any(algebra.contains(partitions, key, now) for partitions in definitions.values()):
            algebra.check_key(next(iter(definitions.values())), key, now)
    if ends is not None and not any(known.values()):
        raise RequestError.of(
            "HR-Q103",
            f"'{ends.first}' and '{ends.last}' are partitions of different kinds.",
            "Give two keys of the same kind, such as two days.",
        )


def _too_many(what: str, most: str) -> RequestError:
    message = f"The request comes to {what}; a backfill takes at most {most}."
    return RequestError(Problem("HR-Q363", message, "Split it into several backfills, or choose fewer partitions."))
