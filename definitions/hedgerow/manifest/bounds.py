"""How much one code location may declare: what others wait for when it is read, planned with or counted must end somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from datetime import timedelta

import msgspec

from hedgerow.conditions.bounds import oversize
from hedgerow.conditions.model import Condition
from hedgerow.durations import milliseconds
from hedgerow.errors import Problem
from hedgerow.manifest.model import (
    Computation,
    CustomCondition,
    Job,
    Manifest,
    Reaction,
    Retry,
    Schedule,
    Sensor,
    Source,
)
from hedgerow.partitions.model import ByDim, Keys, Last, Mapping, Window
from hedgerow.sizes import size_text

MAX_MANIFEST_BYTES = 16 * 2**20
MAX_ASSETS = 10_000
MAX_QUEUES = 1_000
MAX_POOLS = 1_000
MAX_SCHEDULES = 1_000
MAX_SENSORS = 500
MAX_REACTIONS = 200
MAX_CONDITIONS = 200
MAX_JOBS = 1_000
MAX_CHECKS = 20_000
MAX_TELLINGS = 20  # of one happening to one reaction, after the first
MAX_RUN_TAGS = 50  # of a schedule or sensor: each of its runs carries them
MAX_TAG_TEXT = 255
MAX_SCHEDULE_BYTES = 80 * 2**10
SHORTEST_EVERY, LONGEST_EVERY = timedelta(seconds=1), timedelta(days=1)  # between evaluations of a sensor
LONGEST_EVALUATION = timedelta(hours=1)
LONGEST_PERIOD_MS = milliseconds(timedelta(days=366 * 10))  # timeouts of steps, delays between retries
MAX_RETRIES = 1_000  # of one step by its own policy
MAX_WINDOWS = 10_000  # that a mapping counts on or back, or from the end: each step walks through them
MAX_LISTED = 100_000  # keys that all mapping.keys of a location list together
MAX_SELECTION = 40_000  # characters: each item is looked for among all assets of the platform
MAX_AT_ONCE = 1_000_000  # slots of a pool, steps of a queue or run: beyond it, no limit is meant
MAX_PARTITIONS_PER_RUN = 10_000  # of one asset in a backfill
# Of one step:
MAX_STEP_ASSETS = 1_000
MAX_STEP_DEPENDENCIES = 1_000
MAX_STEP_POOLS = 32
MAX_STEP_LIMITS = 16


def excess(manifest: Manifest, size_bytes: int) -> tuple[Problem, ...]:
    """Everything of which a manifest, whose canonical JSON has `size_bytes`, holds more than it may, as HR-D025."""
    return tuple(_excess(manifest, size_bytes))


def too_large(location: str, size_bytes: int) -> Problem:
    """That a manifest is larger than it may be."""
    return _problem(
        f"Location '{location}'",
        f"has a manifest of {size_text(min(size_bytes, 2**50))}; it may have {size_text(MAX_MANIFEST_BYTES)}",
        "Shorten descriptions, metadata and lists of partitions, or split it into several locations.",
    )


def _excess(manifest: Manifest, size_bytes: int) -> Iterator[Problem]:
    if size_bytes > MAX_MANIFEST_BYTES:
        yield too_large(manifest.location, size_bytes)
    here = f"Location '{manifest.location}'"
    split = "Split it into several locations, or make partitions of what is alike."
    yield from _too_many(here, manifest.assets, "assets", MAX_ASSETS, split)
    fewer = "Use one queue for all that the same workers do; pools and key limits hold back parts of it."
    yield from _too_many(here, manifest.queues, "queues", MAX_QUEUES, fewer)
    by_key = "Limit by key instead: limits=[hr.limit(per=...)]."
    yield from _too_many(here, manifest.pools, "pools", MAX_POOLS, by_key)
    together = "Let one schedule of a job stand for those that come due together."
    yield from _too_many(here, manifest.schedules, "schedules", MAX_SCHEDULES, together)
    for schedule in manifest.schedules:
        yield from _schedule_excess(schedule)
    yield from _too_many(here, manifest.sensors, "sensors", MAX_SENSORS, "Let one sensor look for all that is alike.")
    fewer = "Let one function answer for all assets that are alike."
    yield from _too_many(here, manifest.conditions, "conditions", MAX_CONDITIONS, fewer)
    for condition in manifest.conditions:
        yield from _condition_excess(condition)
    yield from _too_many(here, manifest.jobs, "jobs", MAX_JOBS, "Let one job stand for those that are alike.")
    for job in manifest.jobs:
        yield from _job_excess(job)
    yield from _too_many(here, manifest.checks, "checks", MAX_CHECKS, split)
    fewer = "Let one reaction be told of all that is alike."
    yield from _too_many(here, manifest.reactions, "reactions", MAX_REACTIONS, fewer)
    for reaction in manifest.reactions:
        yield from _reaction_excess(reaction)
    for sensor in manifest.sensors:
        yield from _sensor_excess(sensor)
    for computation in manifest.computations:
        yield from _step_excess(computation)
    listed = sum(_listed(dep.mapping) for computation in manifest.computations for dep in computation.deps)
    if listed > MAX_LISTED:
        too_many = f"lists {listed:,} keys in mapping.keys; it may list {MAX_LISTED:,}"
        yield _problem(here, too_many, "Give the downstream the upstream's partitions, or read all with mapping.all().")
    judged: set[Condition] = set()  # very many assets may have the same one
    for asset in manifest.assets:
        if asset.automation is None or asset.automation in judged:
            continue
        if (says := oversize(asset.automation)) is None:
            judged.add(asset.automation)
        else:
            yield _problem(f"The condition of asset '{asset.key[:80]}'", says, "Make it simpler.", asset.source)


def _schedule_excess(schedule: Schedule) -> Iterator[Problem]:
    return _launcher_excess(f"Schedule '{schedule.name[:80]}'", schedule, "Shorten its description and config.")


def _reaction_excess(reaction: Reaction) -> Iterator[Problem]:
    it = f"Reaction '{reaction.name[:80]}'"
    if reaction.retry.attempts > MAX_TELLINGS:
        says = f"is told up to {shown(reaction.retry.attempts)} times again; it may be {MAX_TELLINGS}"
        yield _problem(it, says, "Try less often, and wait longer in between.", reaction.source)
    yield from _retry_excess(it, reaction.retry, reaction.source)
    yield from _period_excess(it, "timeout", reaction.timeout_ms, LONGEST_EVALUATION, reaction.source)
    yield from _selection_excess(it, reaction.selection, reaction.source)
    if (size := len(msgspec.json.encode(reaction))) > MAX_SCHEDULE_BYTES:
        says = f"takes {size_text(size)}; it may take {size_text(MAX_SCHEDULE_BYTES)}"
        yield _problem(it, says, "Shorten its description and selection.", reaction.source)


def _condition_excess(condition: CustomCondition) -> Iterator[Problem]:
    it = f"Condition '{condition.name[:80]}'"
    yield from _period_excess(it, "interval", condition.every_ms, LONGEST_EVERY, condition.source)
    yield from _period_excess(it, "timeout", condition.timeout_ms, LONGEST_EVALUATION, condition.source)


def _job_excess(job: Job) -> Iterator[Problem]:
    it = f"Job '{job.name[:80]}'"
    yield from _selection_excess(it, job.selection, job.source)
    yield from _too_many(it, job.tags, "tags", MAX_RUN_TAGS, "Each of its runs carries them: keep fewer.", job.source)


def _sensor_excess(sensor: Sensor) -> Iterator[Problem]:
    return _launcher_excess(f"Sensor '{sensor.name[:80]}'", sensor, "Shorten its description and selection.")


def _launcher_excess(it: str, declared: Schedule | Sensor, shorter: str) -> Iterator[Problem]:
    source = declared.source
    yield from _selection_excess(it, declared.selection, source)
    yield from _too_many(it, declared.tags, "tags", MAX_RUN_TAGS, "Each of its runs carries them: keep fewer.", source)
    if any(not 0 < len(text) <= MAX_TAG_TEXT for tag in declared.tags.items() for text in tag):
        remedy = f"Names and values of tags have 1 to {MAX_TAG_TEXT} characters."
        yield _problem(it, "has a tag that is too long or empty", remedy, source)
    if (size := len(msgspec.json.encode(declared))) > MAX_SCHEDULE_BYTES:
        says = f"takes {size_text(size)}; it may take {size_text(MAX_SCHEDULE_BYTES)}"
        yield _problem(it, says, shorter, source)


def _step_excess(made: Computation) -> Iterator[Problem]:
    it, source = f"Asset '{made.name}'", made.source
    split = "Split it, or make partitions of what is alike."
    yield from _too_many(it, made.assets, "assets in one step", MAX_STEP_ASSETS, split, source)
    gather = "Let an asset in between gather them, or read partitions of one."
    yield from _too_many(it, made.deps, "dependencies", MAX_STEP_DEPENDENCIES, gather, source)
    together = "Let one pool stand for those that are always used together."
    yield from _too_many(it, made.pools, "pools", MAX_STEP_POOLS, together, source)
    yield from _too_many(it, made.limits, "limits", MAX_STEP_LIMITS, "Leave out those that others imply.", source)
    yield from _retry_excess(it, made.retry, source)
    if made.timeout_ms is not None and not 0 < made.timeout_ms <= LONGEST_PERIOD_MS:
        yield _problem(
            it, "has a timeout that is not above zero and at most ten years", 'Give one such as "30m".', source
        )
    if made.max_partitions_per_run is not None and not 1 <= made.max_partitions_per_run <= MAX_PARTITIONS_PER_RUN:
        says = f"makes {shown(made.max_partitions_per_run)} partitions in one run of a backfill"
        yield _problem(it, says, f"Give 1 to {MAX_PARTITIONS_PER_RUN:,}.", source)
    for dep in made.deps:
        if (how := _mapping_excess(dep.mapping)) is not None:
            yield _problem(it, f"reads '{dep.key[:80]}' by {how}", f"Count at most {MAX_WINDOWS:,} windows.", source)


def _listed(mapping: Mapping | None) -> int:
    """How many keys a mapping lists."""
    ones = [each for _, each in mapping.pairs] if isinstance(mapping, ByDim) else [mapping]
    return sum(1 + len(keys) for one in ones if isinstance(one, Keys) for _, keys in one.pairs)


def _mapping_excess(mapping: Mapping | None) -> str | None:
    """What is wrong with the numbers of a mapping, as the end of a sentence; None when nothing is."""
    for one in [each for _, each in mapping.pairs] if isinstance(mapping, ByDim) else [mapping]:
        if isinstance(one, Last) and not 1 <= one.count <= MAX_WINDOWS:
            return f"mapping.last({shown(one.count)}); it may read 1 to {MAX_WINDOWS:,}"
        if isinstance(one, Window) and not -MAX_WINDOWS <= one.start <= one.end <= MAX_WINDOWS:
            return f"mapping.window({shown(one.start)}, {shown(one.end)}), which is backwards or too far away"
    return None


def _retry_excess(it: str, retry: Retry, source: Source | None) -> Iterator[Problem]:
    if not 0 <= retry.attempts <= MAX_RETRIES:
        says = f"is tried again {shown(retry.attempts)} times; it may be 0 to {MAX_RETRIES:,}"
        yield _problem(it, says, "Give another number of retries.", source)
    if not all(0 <= delay_ms <= LONGEST_PERIOD_MS for delay_ms in (retry.delay_ms, retry.max_delay_ms)):
        says = "waits below zero or over ten years between retries"
        yield _problem(it, says, "Give another delay or max_delay.", source)


def _period_excess(it: str, what: str, period_ms: int, longest: timedelta, source: Source | None) -> Iterator[Problem]:
    """Of evaluations in a team's runner, whose periods begin at a second."""
    if not milliseconds(SHORTEST_EVERY) <= period_ms <= milliseconds(longest):
        says = f"has a {what} of {shown(period_ms)} ms"
        yield _problem(it, says, f"Give a duration from 1s to {int(longest.total_seconds() // 3600)}h.", source)


def _selection_excess(it: str, selection: str, source: Source | None) -> Iterator[Problem]:
    if len(selection) > MAX_SELECTION:
        says = f"has a selection of {len(selection):,} characters; it may have {MAX_SELECTION:,}"
        yield _problem(it, says, "Select by group or tag instead of naming each asset.", source)


def shown(number: int) -> str:
    """A number of whatever size, for people.

    >>> shown(1_000), shown(10**30)
    ('1,000', 'over 10^18')
    """
    if abs(number) > 10**18:
        return "over 10^18" if number > 0 else "below -10^18"
    return f"{number:,}"


def _too_many(
    subject: str, declared: Sized, what: str, most: int, remedy: str, source: Source | None = None
) -> Iterator[Problem]:
    if len(declared) > most:
        yield _problem(subject, f"has {len(declared):,} {what}; it may have {most:,}", remedy, source)


def _problem(subject: str, says: str, remedy: str, source: Source | None = None) -> Problem:
    place = (source.file, source.line) if source else (None, None)
    return Problem("HR-D025", f"{subject} {says}.", remedy, *place)
