"""Bounds: what an event or a manifest must keep to, beyond its form, so that one team's oddity can be recorded and planned with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from math import prod

import msgspec
from cronsim import CronSim

from hedgerow.conditions.bounds import crons_of, oversize
from hedgerow.conditions.model import Condition
from hedgerow.cron import cron
from hedgerow.durations import milliseconds
from hedgerow.errors import DefinitionError
from hedgerow.freshness import Freshness, freshness_defect
from hedgerow.identifiers import is_name, is_partition_key
from hedgerow.manifest.bounds import LONGEST_EVALUATION, LONGEST_EVERY, MAX_AT_ONCE, MAX_QUEUES, SHORTEST_EVERY
from hedgerow.manifest.keys import is_per
from hedgerow.manifest.model import (
    Computation,
    CustomCondition,
    Job,
    Manifest,
    Pool,
    Queue,
    Reaction,
    Schedule,
    Sensor,
)
from hedgerow.partitions.algebra import bounds, count
from hedgerow.partitions.key_sets import MAX_KEY_BYTES, is_dynamic_key
from hedgerow.partitions.model import (
    CADENCES,
    Dimension,
    DynamicPartitions,
    Partitions,
    StaticPartitions,
    TimePartitions,
    dimensions,
    is_cron,
)
from hedgerow.partitions.resolution import validate_mapping
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Envelope, split_batch
from hedgerow.settings.rates import LEAST, MOST

MAX_ID = 200  # of a worker
MAX_TEXT = 300  # of a hash or the name of a machine
MAX_CHUNKS = 1024  # of a manifest
MAX_COUNT = 100_000  # of orders at work, in what a heartbeat says
MAX_DEPTH = 300  # of nested lists and maps: PostgreSQL and the encoder both refuse very deep ones
MAX_JOINED_KEY = 1_000  # bytes of a partition's key over all dimensions: it is part of an index
MAX_PARTITIONS = 1_000_000  # of an asset
MAX_ZONES = 50  # of a location's partitions
MAX_TICKS_A_DAY = 10_000  # of all cron expressions of a location's partitions
PRIORITIES = range(-32_768, 32_768)

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')


def taken_apart(body: bytes) -> list[msgspec.Raw]:
    """The encoded envelopes of an entry; `msgspec.MsgspecError` when it is no batch of them, or more than a worker sends at once."""
    if len(body) > MAX_BATCH_BYTES:
        raise msgspec.ValidationError(f"it is over {MAX_BATCH_BYTES // 1024:,} KiB")
    parts = split_batch(body)
    if len(parts) > MAX_BATCH_EVENTS:
        raise msgspec.ValidationError(f"it holds {len(parts):,} events, at most {MAX_BATCH_EVENTS:,} are taken")
    return parts


def envelope_defect(envelope: Envelope) -> str | None:
    """Why an envelope can't be accepted at all; None when it can."""
    if not 0 < len(envelope.worker) <= MAX_ID or not envelope.worker.isprintable():
        return "the worker's id is out of bounds"
    if envelope.seq < 0:
        return "its number is below 0"
    if envelope.seq == 0 and envelope.kind != "worker_heartbeat":
        return f"'{envelope.kind}' has no number"
    return None


def body_defect(body: object, data: bytes, team: str) -> str | None:
    """Why an event's body can't be recorded for `team`; None when it can. `data` is the envelope as it was received."""
    if isinstance(body, ev.AttemptStarted):
        if not body.token:
            return "it has no token"
    elif isinstance(body, ev.WorkerHeartbeat):
        numbers = 0 <= body.slots <= ev.MAX_WORKER_SLOTS and 0 <= body.busy <= MAX_COUNT and 0 <= body.pid < 1 << 31
        if len(body.queues) > MAX_QUEUES:
            return f"it names {len(body.queues):,} queues, at most {MAX_QUEUES:,} are served"
        if not numbers or not is_name(body.location) or not all(is_name(queue) for queue in body.queues):
            return "a name or number is out of bounds"
        if len(body.manifest) > MAX_TEXT or len(body.host) > MAX_TEXT:
            return "a text is too long"
    elif isinstance(body, ev.LocationFailed | ev.ManifestPublished):
        if body.team != team:
            return f"it names the team {body.team[:80]!r}"
        if not is_name(body.location):
            return "the location's name is out of bounds"
        if isinstance(body, ev.ManifestPublished) and (len(body.hash) > MAX_TEXT or body.size_bytes < 0):
            return "the manifest's hash or size is out of bounds"
    elif isinstance(body, ev.ManifestChunk):
        if not 0 <= body.index < body.count <= MAX_CHUNKS or len(body.hash) > MAX_TEXT:
            return "no manifest has such a part"
    elif isinstance(body, ev.Evaluated):
        if not 0 <= body.duration_ms < 1 << 31 or len(body.log.encode()) > 2 * ev.MAX_EVALUATION_LOG_BYTES:
            return "its duration or log is out of bounds"
    elif isinstance(body, ev.CheckEvaluated) and not 0 < len(body.check) <= MAX_ID:
        return "the check's name is out of bounds"
    elif isinstance(body, ev.PartitionsChanged) and not (
        is_name(body.name) and all(map(is_dynamic_key, (*body.added, *body.removed)))
    ):
        return "the name of a set or a key is malformed"
    return "it is nested too deeply" if depth(data) > MAX_DEPTH else None


def depth(data: bytes) -> int:
    """How deep JSON is nested, at most; 0 when it is shallow at first sight."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return 0
    deepest = here = 0
    for byte in _TEXT.sub(b"", data):
        if byte in b"[{":
            here += 1
            deepest = max(deepest, here)
        elif byte in b"]}":
            here -= 1
    return deepest


def manifest_defect(manifest: Manifest, now: datetime) -> str | None:
    """Why no one could plan with a manifest; None when one can. Whatever the definitions of a team's own code check at home is
    checked here again as far as others would suffer from it. Names are judged by planning.catalog.refusals.
    """
    by_key = {asset.key: asset for asset in manifest.assets}
    if len(by_key) != len(manifest.assets):
        return "two assets have the same key"
    if (why := _calendars_defect(asset.partitions for asset in manifest.assets)) is not None:
        return why
    judged: set[Condition] = set()  # very many assets may have the same one
    policies: set[Freshness] = set()
    for key, asset in by_key.items():
        if asset.partitions is not None and (why := _partitions_defect(asset.partitions, now)):
            return f"the partitions of '{key}': {why}"
        if asset.automation is not None and asset.automation not in judged:
            if why := _condition_defect(asset.automation):
                return f"the condition of '{key}' {why}"
            judged.add(asset.automation)
        if asset.freshness is not None and asset.freshness not in policies:
            if why := freshness_defect(asset.freshness):
                return f"the freshness of '{key}' {why}"
            policies.add(asset.freshness)
    names = {computation.name for computation in manifest.computations}
    if len(names) != len(manifest.computations):
        return "two computations have the same name"
    if missing := sorted({asset.computation for asset in manifest.assets if asset.computation} - names):
        return f"there is no computation {missing[0][:80]!r}"
    limits: tuple[Queue | Pool, ...] = (*manifest.queues, *manifest.pools)
    for limit in limits:
        if not _can_be_counted(limit):
            return f"the limits of {limit.name[:80]!r} are out of bounds"
    for job in manifest.jobs:
        if job.max_concurrent is not None and not 1 <= job.max_concurrent <= MAX_AT_ONCE:
            return f"max_concurrent of job {job.name[:80]!r} is out of bounds"
    if (what := _named_twice(manifest)) is not None:
        return f"two {what} have the same name"
    for schedule in manifest.schedules:
        if not _can_tick(schedule):
            return f"the times of schedule {schedule.name[:80]!r} are none"
        if depth(msgspec.json.encode(schedule.config)) > MAX_DEPTH:
            return f"the config of schedule {schedule.name[:80]!r} is nested too deeply"
    for sensor in manifest.sensors:
        if not _can_be_evaluated(sensor):
            return f"the times of sensor {sensor.name[:80]!r} are out of bounds"
        seen = by_key.get(sensor.observes) if sensor.observes else None
        if sensor.observes and (seen is None or seen.computation is not None or seen.partitions is not None):
            return f"sensor {sensor.name[:80]!r} observes what it can't"
    slots = {pool.name: pool.slots for pool in manifest.pools if pool.slots is not None}
    for computation in manifest.computations:
        if not computation.assets or computation.name != computation.assets[0]:
            return f"computation {computation.name[:80]!r} is not named by its first asset"
        for key in computation.assets:
            made = by_key.get(key)
            if made is None or made.computation != computation.name or made.partitions != computation.partitions:
                return f"computation '{computation.name}' and asset {key[:80]!r} do not fit each other"
        if why := _uses_defect(computation):
            return f"{why} of '{computation.name}' is out of bounds"
        for use in computation.pools:
            if use.slots > slots.get(use.pool, use.slots):
                return (
                    f"'{computation.name}' asks for {use.slots} slots of pool '{use.pool}', which has {slots[use.pool]}"
                )
        if computation.priority not in PRIORITIES:
            return f"the priority of '{computation.name}' is out of bounds"
        for dep in computation.deps:
            upstream = by_key.get(dep.key)
            if upstream is not None and validate_mapping(dep.mapping, computation.partitions, upstream.partitions):
                return f"'{computation.name}' can't read the partitions of '{dep.key}' by its mapping"
    return None


def _named_twice(manifest: Manifest) -> str | None:
    """Of what two have the same name; None when of nothing. A job may be declared by several locations, but by none twice."""
    declared: dict[str, tuple[Pool | Queue | Job | Schedule | Sensor | Reaction | CustomCondition, ...]] = {
        "pools": manifest.pools, "queues": manifest.queues, "jobs": manifest.jobs, "schedules": manifest.schedules,
        "sensors": manifest.sensors, "reactions": manifest.reactions, "conditions": manifest.conditions,
    }  # fmt: skip
    checks = {(check.asset, check.name) for check in manifest.checks}
    if len(checks) != len(manifest.checks):
        return "checks of an asset"
    return next((what for what, some in declared.items() if len({one.name for one in some}) != len(some)), None)


def _condition_defect(condition: Condition) -> str | None:
    if why := oversize(condition):
        return why
    return (
        None if all(_is_time(each.expression, each.tz) for each in crons_of(condition)) else "names times that are none"
    )


def _can_be_evaluated(sensor: Sensor) -> bool:
    shortest = milliseconds(SHORTEST_EVERY)
    return shortest <= sensor.every_ms <= milliseconds(LONGEST_EVERY) and shortest <= sensor.timeout_ms <= milliseconds(
        LONGEST_EVALUATION
    )


def _can_tick(schedule: Schedule) -> bool:
    return _is_time(schedule.cron, schedule.tz)


def _is_time(expression: str, tz: str) -> bool:
    if len(expression) > MAX_ID or len(tz) > MAX_ID:
        return False
    try:
        cron(expression, tz)
    except DefinitionError:
        return False
    return True


def _can_be_counted(limit: Queue | Pool) -> bool:
    slots = limit.slots if isinstance(limit, Pool) else limit.concurrency
    return (
        (slots is None or 1 <= slots <= MAX_AT_ONCE)
        and (limit.rate_per_s is None or LEAST <= limit.rate_per_s <= MOST)
        and (limit.burst is None or 1 <= limit.burst <= MOST)
    )


def _uses_defect(computation: Computation) -> str | None:
    """What the steps of a computation may not take of limits; of a shared pool, a use below nothing would make room for others."""
    if len({use.pool for use in computation.pools}) != len(computation.pools):
        return "a pool that is used twice"
    if not all(is_name(use.pool) and 1 <= use.slots <= MAX_AT_ONCE for use in computation.pools):
        return "a use of a pool"
    for limit in computation.limits:
        named = is_name(limit.name) or limit.name == f"{computation.name}:{limit.per}"
        if not named or not is_per(limit.per) or not 1 <= limit.concurrency <= MAX_AT_ONCE:
            return "a limit"
    return (
        None if len({limit.name for limit in computation.limits}) == len(computation.limits) else "a limit given twice"
    )


def _calendars_defect(declared: Iterable[Partitions | None]) -> str | None:
    """What is too much about all calendars together by which assets are partitioned: each is worked out year by year, by cron tick by tick."""
    found = {
        (dim.cadence, dim.tz)
        for partitions in set(declared)
        for dim in (dimensions(partitions) if partitions is not None else ())
        if isinstance(dim, TimePartitions)
    }
    if len({tz for _, tz in found}) > MAX_ZONES:
        return f"assets are partitioned in over {MAX_ZONES} time zones"
    ticks = sum(_ticks_a_day(cadence) for cadence, tz in found if is_cron(cadence) and _is_time(cadence, tz))
    return f"windows by cron have over {MAX_TICKS_A_DAY:,} edges a day" if ticks > MAX_TICKS_A_DAY else None


def _ticks_a_day(expression: str) -> int:
    matching = CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
    return len(matching.hours) * len(matching.minutes)


def _about(dim: Dimension, now: datetime) -> int:
    """How many keys there are, hours by their span: where clocks change, counting them means to look at every year's changes."""
    if isinstance(dim, TimePartitions) and dim.cadence == "hour":
        start, end = bounds(dim)
        until = now if end is None else min(now, end)
        return max(0, int((until - start).total_seconds()) // 3600)
    return count(dim, now)


def _partitions_defect(partitions: Partitions, now: datetime) -> str | None:
    longest = 0
    for dim in dimensions(partitions):
        keys: Iterable[str] = dim.keys if isinstance(dim, StaticPartitions) else ()
        if not all(is_partition_key(key) for key in keys) or len(set(keys)) != len(tuple(keys)):
            return "a key is malformed or repeated"
        if isinstance(dim, DynamicPartitions):
            if not (is_name(dim.name) and is_name(dim.dim)):
                return "a name of a set or dimension breaks the grammar of names"
            longest += MAX_KEY_BYTES + 1
            continue
        longest += max((len(key.encode()) for key in keys), default=32) + 1
        if isinstance(dim, TimePartitions) and not (dim.cadence in CADENCES or _is_time(dim.cadence, dim.tz)):
            return f"{dim.cadence!r} is no cadence"
    try:
        if (number := prod(_about(dim, now) for dim in dimensions(partitions))) > MAX_PARTITIONS:
            return f"there are {number:,}, at most {MAX_PARTITIONS:,} can be planned with"
    except Exception as error:  # zones, starts and ends come from elsewhere: whatever is wrong with them, it is theirs
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return "its keys are too long together" if longest > MAX_JOINED_KEY else None
