"""The platform's settings: the file platform.toml, the environment, and what `hedgerow dev` runs itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec

from hedgerow.errors import PlatformError, Problem
from hedgerow.manifest.model import Pool
from hedgerow.settings.location import PoolTable, read_pools
from hedgerow.settings.rates import parse_rate
from hedgerow.settings.toml import Document, check_name, convert, entry, hint, read_document

PLATFORM_FILE = "platform.toml"
STATE_DIRECTORY = ".hedgerow"
RUNTIME_FILE = "runtime.json"
EMBEDDED = "embedded"
DEFAULT_NAME = "dev"
LEAST_WEIGHT = 0.001
Table = TypeVar("Table", bound=msgspec.Struct)
SERVERS = ("database", "broker", "storage", "api")


Deployment = Annotated[
    str, entry("The deployment's name, part of every key on the broker; by default dev.", "prod", check_name, "HR-C005")
]


def _url(*schemes: str) -> Callable[[str], None]:
    """The check of an address: it must begin with one of `schemes`. What it holds is not repeated: it may be a password."""

    def check(text: str) -> None:
        if text not in ("", EMBEDDED) and text.partition("://")[0] not in schemes:
            raise ValueError(f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")

    return check


def check_weight(weight: float) -> None:
    """`ValueError` unless shares can be reckoned with it: zero would starve the team, and extremes everyone else."""
    if not LEAST_WEIGHT <= weight <= 1 / LEAST_WEIGHT:
        raise ValueError(f"{weight:g} is not from {LEAST_WEIGHT:g} to {1 / LEAST_WEIGHT:g}")


_database_url, _broker_url = _url("postgresql", "postgres", "postgresql+psycopg"), _url("redis", "rediss", "unix")
Database = Annotated[str, entry("PostgreSQL, as a URL.", "postgresql://hedgerow@db/hedgerow", _database_url)]
Broker = Annotated[str, entry("Redis or Valkey, as a URL.", "redis://broker:6379/0", _broker_url)]
Storage = Annotated[str, entry("Where outputs and logs go: a directory or an fsspec URL.", "s3://lake/hedgerow")]
Api = Annotated[str, entry("The HTTP API, as a URL.", "http://hedgerow:8080", _url("http", "https"))]
Weight = Annotated[float, entry("The team's part of contended capacity, relative to other teams'.", 2, check_weight)]
MinSlots = Annotated[int, entry("Steps at once that are the team's whatever others do.", 4, ge=0)]
MaxSlots = Annotated[int, entry("Steps at once that the team never exceeds; by default without limit.", 64, ge=1)]
TeamBroker = Annotated[
    str, entry("The team's own broker, as a URL; by default the platform's.", "redis://sales:6379/0", _broker_url)
]
CapSlots = Annotated[int, entry("Slots that operators may set live at most; by default without cap.", 16, ge=1)]
CapRate = Annotated[
    str, entry("Rate that operators may set live at most; by default without cap.", "50/s", parse_rate, "HR-C006")
]
Heartbeat = Annotated[float, entry("Between two heartbeats of a worker.", 5, gt=0)]
Lease = Annotated[float, entry("After this long without a heartbeat a running attempt counts as lost.", 20, gt=0)]
StartTimeout = Annotated[float, entry("An order no worker started within this time is taken back.", 30, gt=0)]
Grace = Annotated[float, entry("How long a worker that was told to stop may finish its steps.", 60, ge=0)]
MaxBatch = Annotated[
    int, entry("Orders of very short steps in one message at most; 1 sends each step alone.", 64, ge=1, le=1000)
]
Enabled = Annotated[bool, entry("Whether schedules and conditions launch anything by themselves.", False)]


class PlatformTable(msgspec.Struct, frozen=True):
    """The deployment's name and its servers; `"embedded"` means: started by `hedgerow dev` on this machine."""

    name: Deployment | None = None
    database: Database = EMBEDDED
    broker: Broker = EMBEDDED
    storage: Storage = EMBEDDED
    api: Api = EMBEDDED


class TeamPolicy(msgspec.Struct, frozen=True):
    """What the platform grants a team."""

    weight: Weight = 1.0
    min_slots: MinSlots = 0
    max_slots: MaxSlots | None = None
    broker: TeamBroker | None = None


class SharedPoolTable(PoolTable, frozen=True):
    """A limit shared by whatever uses it, of all teams together."""

    max_slots: CapSlots | None = None
    max_rate: CapRate | None = None


class Timings(msgspec.Struct, frozen=True):
    """Durations in seconds; a lease must outlive two heartbeats."""

    heartbeat_s: Heartbeat = 5.0
    lease_s: Lease = 20.0
    start_timeout_s: StartTimeout = 30.0
    grace_s: Grace = 60.0


class Dispatch(msgspec.Struct, frozen=True):
    """How orders are sent to workers."""

    max_batch: MaxBatch = 64


class Automation(msgspec.Struct, frozen=True):
    """What is launched by itself; `hedgerow dev` sets it to false unless it is started with `--automation`."""

    enabled: Enabled = True


class PlatformFile(msgspec.Struct, frozen=True):
    """platform.toml, one per deployment, owned by the platform's operators."""

    platform: PlatformTable = PlatformTable()
    teams: dict[str, TeamPolicy] = {}
    pools: dict[str, SharedPoolTable] = {}
    timings: Timings = Timings()
    dispatch: Dispatch = Dispatch()
    automation: Automation = Automation()


class PoolCap(msgspec.Struct, frozen=True):
    """What operators may set live of a pool at most; None means without cap."""

    slots: int | None = None
    rate_per_s: float | None = None


class PlatformSettings(msgspec.Struct, frozen=True):
    """The settings in force. `declared` says for each of `SERVERS` its URL or `"embedded"`; `urls` holds those that are known now.

    `root` is the directory of platform.toml or .hedgerow, None when there is none. `pools` are shared by all teams, sorted by
    name; `caps` holds those of them that have one.
    """

    root: Path | None
    name: str
    declared: dict[str, str]
    urls: dict[str, str]
    teams: dict[str, TeamPolicy]
    pools: tuple[Pool, ...]
    timings: Timings
    caps: dict[str, PoolCap] = {}
    dispatch: Dispatch = Dispatch()
    automation: Automation = Automation()

    @property
    def database(self) -> str:
        """PostgreSQL's URL; PlatformError HR-C008 when it is embedded and not running. The same holds for the three below."""
        return self.url("database")

    @property
    def broker(self) -> str:
        """The platform's broker, as a URL; a team's may differ, see `broker_of`."""
        return self.url("broker")

    @property
    def storage(self) -> str:
        """The directory or fsspec URL under which outputs and logs lie."""
        return self.url("storage")

    @property
    def api(self) -> str:
        """The HTTP API's URL, without a slash at the end."""
        return self.url("api").rstrip("/")

    def is_embedded(self, server: str) -> bool:
        """Whether `hedgerow dev` is to run this one of `SERVERS` itself."""
        return self.declared[server] == EMBEDDED

    def url(self, server: str) -> str:
        """The URL of one of `SERVERS`."""
        if server not in self.urls:
            where = f" under {self.root / STATE_DIRECTORY}" if self.root else ""
            raise PlatformError(
                Problem(
                    "HR-C008",
                    f"The platform's {server} is not known: it is embedded, and nothing runs{where}.",
                    f"Start `hedgerow dev`, or set HEDGEROW_{server.upper()} or [platform] {server} to a URL.",
                )
            )
        return self.urls[server]

    def broker_of(self, team: str) -> str:
        """The broker of a team: its own or the platform's."""
        policy = self.teams.get(team)
        return policy.broker if policy is not None and policy.broker else self.broker


def find_root(start: Path) -> Path | None:
    """The nearest directory at or above `start` that holds platform.toml or .hedgerow; None when there is none."""
    here = Path(os.path.abspath(start))
    return next(
        (
            place
            for place in (here, *here.parents)
            if (place / PLATFORM_FILE).is_file() or (place / STATE_DIRECTORY).is_dir()
        ),
        None,
    )


def runtime_file(root: Path) -> Path:
    """Where `hedgerow dev` writes what it runs."""
    return root / STATE_DIRECTORY / RUNTIME_FILE


def read_platform(root: Path | None, environ: Mapping[str, str]) -> PlatformSettings:
    """The settings of the platform at `root` (see `find_root`): the environment goes before platform.toml, that before the defaults.

    PlatformError with every mistake of the file and the environment (HR-C…). Variables: HEDGEROW_NAME, _DATABASE, _BROKER,
    _STORAGE, _API; HEDGEROW_HEARTBEAT_S and the other timings; HEDGEROW_TEAMS_{TEAM}_{ENTRY} for a team in the file.
    """
    file, document = PlatformFile(), Document(PLATFORM_FILE, "")
    if root is not None and (root / PLATFORM_FILE).is_file():
        read = read_document(root / PLATFORM_FILE, PLATFORM_FILE)
        if not isinstance(read, Document):
            raise PlatformError(read)
        document = read
        file = (document.decode(PlatformFile) if not document.problems else None) or file
    problems = document.problems
    table = _override(file.platform, "HEDGEROW_", environ, problems)
    timings = _override(file.timings, "HEDGEROW_", environ, problems)
    dispatch = _override(file.dispatch, "HEDGEROW_", environ, problems)
    automation = _override(file.automation, "HEDGEROW_AUTOMATION_", environ, problems)
    teams = {
        team: _override(policy, f"HEDGEROW_TEAMS_{team.upper().replace('-', '_')}_", environ, problems)
        for team, policy in file.teams.items()
    }
    pools = read_pools(document, file.pools)
    running = _running(root, problems)
    declared = {server: str(getattr(table, server)) or EMBEDDED for server in SERVERS}
    urls = {server: running.get(server, "") if url == EMBEDDED else url for server, url in declared.items()}
    name = table.name or running.get("name") or DEFAULT_NAME
    caps = _read_caps(document, file.pools)
    _check(document, teams, timings)
    if problems:
        raise PlatformError(problems)
    return PlatformSettings(
        root,
        name,
        declared,
        {server: url for server, url in urls.items() if url},
        teams,
        pools,
        timings,
        caps,
        dispatch,
        automation,
    )


def _override(table: Table, prefix: str, environ: Mapping[str, str], problems: list[Problem]) -> Table:
    """`table` with the entries that the environment sets."""
    hints = get_type_hints(type(table), include_extras=True)
    changes: dict[str, Any] = {}
    for field, annotation in hints.items():
        variable = prefix + field.upper()
        text = environ.get(variable, "")
        if text == "":
            continue
        try:
            changes[field] = convert(annotation, text, strict=False)
        except ValueError as error:
            message = f"The environment variable {variable} is wrong: {error}."
            problems.append(Problem("HR-C009", message, hint(annotation)))
    return msgspec.structs.replace(table, **changes) if changes else table


def _running(root: Path | None, problems: list[Problem]) -> dict[str, str]:
    """What `hedgerow dev` runs now, as its runtime file says; empty when nothing runs."""
    if root is None or not runtime_file(root).is_file():
        return {}
    try:
        content = msgspec.json.decode(runtime_file(root).read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, OSError) as error:
        problems.append(
            Problem(
                "HR-C010",
                f"{runtime_file(root)} can't be read: {error}.",
                "Stop `hedgerow dev` if it runs, delete the file, and start it again.",
            )
        )
        return {}
    return {entry: value for entry, value in content.items() if isinstance(value, str)}


def _read_caps(document: Document, tables: Mapping[str, SharedPoolTable]) -> dict[str, PoolCap]:
    """The caps of pools; one that is already exceeded by what the file itself declares is noted as a mistake."""
    caps: dict[str, PoolCap] = {}
    for name, table in sorted(tables.items()):
        cap = PoolCap(table.max_slots, parse_rate(table.max_rate) if table.max_rate is not None else None)
        if cap != PoolCap():
            caps[name] = cap
        for what, declared, most, number, limit in (
            ("slots", table.slots, table.max_slots, table.slots, cap.slots),
            (
                "rate",
                table.rate,
                table.max_rate,
                parse_rate(table.rate) if table.rate is not None else None,
                cap.rate_per_s,
            ),
        ):
            if limit is None or (number is not None and number <= limit):
                continue
            has = f"no {what}, so no limit" if number is None else f"{what} {declared}"
            document.problem(
                "HR-C011",
                ("pools", name, f"max_{what}"),
                f"[pools.{name}] has {has}, above max_{what} {most}.",
                f"Give {what}, at most max_{what}." if number is None else f"Raise max_{what} or lower {what}.",
            )
    return caps


def _check(document: Document, teams: Mapping[str, TeamPolicy], timings: Timings) -> None:
    """Notes the mistakes that need more than one entry to be seen."""
    for team, policy in teams.items():
        if policy.max_slots is not None and policy.max_slots < policy.min_slots:
            document.problem(
                "HR-C011",
                ("teams", team, "max_slots"),
                f"[teams.{team}] has max_slots {policy.max_slots} below min_slots {policy.min_slots}.",
                "Raise max_slots or lower min_slots.",
            )
    if timings.lease_s < 2 * timings.heartbeat_s:
        document.problem(
            "HR-C011",
            ("timings", "lease_s"),
            f"A lease of {timings.lease_s:g} s is too short for a heartbeat every {timings.heartbeat_s:g} s.",
            "Make lease_s at least twice heartbeat_s; one late heartbeat must not cost a step.",
        )
