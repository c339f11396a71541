"""The manifest: all that a team's code declares, as frozen data that can be hashed, sent and read without running that code.

Ordering rule for a stable hash: assets, computations, checks, pools, jobs, schedules, sensors, reactions and conditions are sorted by key or name; string sets are
sorted tuples; maps are encoded with sorted keys. `encode` gives the canonical JSON; `manifest_hash` its SHA-256.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal, TypeAlias

import msgspec

from hedgerow.conditions.model import Condition
from hedgerow.freshness import Freshness
from hedgerow.partitions.model import Mapping, Partitions
from hedgerow.protocol.happenings import HappeningKind

MANIFEST_VERSION = 1

Severity: TypeAlias = Literal["warn", "error"]


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a definition stands: a file relative to the code location's root, the line counted from 1, and the object's name."""

    file: str
    line: int
    module: str
    name: str


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of a table: name, type as text, description."""

    name: str
    type: str = ""
    description: str = ""


class Dependency(msgspec.Struct, frozen=True, omit_defaults=True):
    """An edge to an upstream asset. `parameter` names the function's parameter that receives its value, None for order only.

    `mapping` None means the default (see hedgerow.partitions.default_mapping). `type` is the annotation's qualified
    name, for display. An `optional` upstream may be missing: nothing waits for it.
    """

    key: str
    parameter: str | None = None
    type: str = ""
    mapping: Mapping | None = None
    optional: bool = False


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a failed step is tried again: at most `attempts` retries, the first after `delay_ms`."""

    attempts: int = 0
    delay_ms: int = 1_000
    backoff: Literal["constant", "linear", "exponential"] = "exponential"
    max_delay_ms: int = 600_000
    jitter: bool = True


class PoolUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step takes of a pool while it runs."""

    pool: str
    slots: int = 1


class KeyLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """At most `concurrency` steps at once for each value of `per` (see hedgerow.manifest.keys).

    Limits of one name in a team are one limit. `name` is the declared one, or `{computation}:{per}` for a limit of its own.
    """

    name: str
    per: str
    concurrency: int


class Asset(msgspec.Struct, frozen=True, omit_defaults=True):
    """One data asset. `computation` is None for an external asset, which Hedgerow never materializes.

    `stored` is False for `-> None`: nothing is kept and nobody may load it. `io` names the team's io object, None for the
    default storage; `immutable` says whether each write goes to a place of its own. `automation` says when it is materialized by itself, `freshness` when it is late. `value_type` is the qualified name of the
    return annotation, empty when there is none.
    """

    key: str
    computation: str | None = None
    description: str = ""
    owners: tuple[str, ...] = ()
    group: str = "default"
    tags: dict[str, str] = {}
    kinds: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    columns: tuple[Column, ...] = ()
    partitions: Partitions | None = None
    stored: bool = True
    io: str | None = None
    immutable: bool = True
    value_type: str = ""
    source: Source | None = None
    automation: Condition | None = None
    freshness: Freshness | None = None


class Computation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One function of a team and the assets that a step running it materializes, in order of declaration.

    Named by its first asset's key. `subset` says whether a step may compute only some of the assets. `code_version` is the
    declared one or, for `"auto"`, the hash of the normalised source. `config_schema` is the JSON schema of its config, None
    when it takes none. `resources` are the type names it asks for. `pools` and `limits` are sorted by name. `skip_unchanged`: a step that could give
    nothing else than what is current does not run. `max_partitions_per_run`: how many partitions one run of a backfill makes, None for the default.
    """

    name: str
    assets: tuple[str, ...]
    deps: tuple[Dependency, ...] = ()
    partitions: Partitions | None = None
    subset: bool = False
    queue: str = "default"
    priority: int = 0
    pools: tuple[PoolUse, ...] = ()
    limits: tuple[KeyLimit, ...] = ()
    retry: Retry = Retry()
    timeout_ms: int | None = None
    isolation: Literal["warm", "process"] = "warm"
    on_lost_contact: Literal["finish", "stop"] = "finish"
    code_version: str = ""
    config_schema: dict[str, Any] | None = None
    resources: tuple[str, ...] = ()
    source: Source | None = None
    skip_unchanged: bool = False
    max_partitions_per_run: int | None = None


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """A check of one asset of the same team; it runs in the asset's step, right after the asset was written, or in one of its own after that
    (`own_step`). With `former_columns` it is given no value, but the columns of the output and those of the one that was accepted last.
    """

    name: str
    asset: str
    description: str = ""
    blocking: bool = False
    severity: Severity = "error"
    source: Source | None = None
    own_step: bool = False
    former_columns: bool = False


class Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit shared by whatever uses it: `slots` at once, `rate_per_s` with `burst`; None means without that limit."""

    name: str
    slots: int | None = None
    rate_per_s: float | None = None
    burst: float | None = None


class Queue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A team's queue with its declared limits; None means without that limit."""

    name: str
    concurrency: int | None = None
    rate_per_s: float | None = None
    burst: float | None = None


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named selection. `max_concurrent` caps the steps at once of a run of it; None means without that cap."""

    name: str
    selection: str
    description: str = ""
    tags: dict[str, str] = {}
    source: Source | None = None
    max_concurrent: int | None = None


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a selection is launched: `cron` (see hedgerow.cron) on the clocks of `tz`.

    `partitions` "latest": of partitioned assets the last window that is complete at the tick; None: nothing partitioned. `catch_up`
    says which of the ticks that were missed are launched afterwards. `config` is a run's, by asset key. `checks_only`: nothing is made, the checks of what is stored are run.
    """

    name: str
    selection: str
    cron: str
    tz: str = "UTC"
    partitions: Literal["latest"] | None = "latest"
    catch_up: Literal["skip", "last", "all"] = "last"
    config: dict[str, Any] = {}
    tags: dict[str, str] = {}
    description: str = ""
    enabled: bool = True
    source: Source | None = None
    checks_only: bool = False


class Sensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that is evaluated every `every_ms` and killed after `timeout_ms`; runs without a selection of their own are of `selection`
    ("": each must have one). `tags` are a run's. One that `observes` an external asset asks for no runs: its cursor is the data version.
    """

    name: str
    selection: str = ""
    every_ms: int = 30_000
    timeout_ms: int = 60_000
    tags: dict[str, str] = {}
    description: str = ""
    enabled: bool = True
    source: Source | None = None
    observes: str = ""


class CustomCondition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that conditions of the location's assets ask: for each of them every `every_ms`, for at most `timeout_ms`."""

    name: str
    every_ms: int = 60_000
    timeout_ms: int = 30_000
    description: str = ""
    source: Source | None = None


class Reaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that is told when something of these `kinds` happens to the assets of `selection` ("": to the team's own); `severity` None:
    of either. One telling may take `timeout_ms`, and is tried again as `retry` says.
    """

    name: str
    kinds: tuple[HappeningKind, ...]
    selection: str = ""
    severity: Severity | None = None
    retry: Retry = Retry(3, 10_000)
    timeout_ms: int = 60_000
    description: str = ""
    enabled: bool = True
    source: Source | None = None


class Environment(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the code was loaded with: the interpreter's version, the installed packages' versions, the git commit ("" if unknown, suffix
    `+` if changed), and a digest of the team's own source, so that other code is always another manifest.
    """

    python: str = ""
    packages: dict[str, str] = {}
    commit: str = ""
    source: str = ""


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that one code location of one team declares."""

    team: str
    location: str
    assets: tuple[Asset, ...] = ()
    computations: tuple[Computation, ...] = ()
    checks: tuple[Check, ...] = ()
    pools: tuple[Pool, ...] = ()
    queues: tuple[Queue, ...] = ()
    jobs: tuple[Job, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    environment: Environment = Environment()
    sensors: tuple[Sensor, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    conditions: tuple[CustomCondition, ...] = ()
    version: int = MANIFEST_VERSION


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """The canonical JSON of a manifest: equal manifests give equal bytes."""
    return _encoder.encode(manifest)


def decode(body: bytes) -> Manifest:
    """The manifest of its JSON; `msgspec.ValidationError` when it is not one."""
    return _decoder.decode(body)


def manifest_hash(body: bytes) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()
