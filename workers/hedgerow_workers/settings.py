"""What one worker is started with: hedgerow.toml, the platform's settings, the environment, and the command line over all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from hedgerow.errors import PlatformError, Problem
from hedgerow.settings.location import LocationSettings, check_memory, read_location
from hedgerow.settings.platform import STATE_DIRECTORY, find_root, read_platform
from hedgerow.sizes import parse_size
from hedgerow.suggestion import did_you_mean

# What a runner inherits of the worker's environment. All else stays out: the worker's has URLs with passwords in it.
PASSED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "OMP_NUM_THREADS",
)
PASSED_PREFIXES = ("LC_",)
FORBIDDEN_PREFIX = "HEDGEROW_"


class WorkerSettings(msgspec.Struct, frozen=True):
    """Everything a worker needs to know, with durations in seconds. `path` is the directory of hedgerow.toml.

    `memory_limit_bytes` and `recycle_after` (steps) are of each runner; None: without limit, never.
    """

    deployment: str
    team: str
    location: str
    path: Path
    python: Path
    queues: tuple[str, ...]
    slots: int
    broker: str
    storage: str
    state: Path
    environment: dict[str, str]
    heartbeat_s: float = 5.0
    lease_s: float = 20.0
    grace_s: float = 60.0
    kill_grace_s: float = 5.0
    load_timeout_s: float = 300.0
    watchdog_s: float = 60.0
    metrics_port: int = 0
    log_format: Literal["plain", "json"] = "plain"
    celery_tools: bool = False
    memory_limit_bytes: int | None = None
    recycle_after: int | None = None

    @property
    def outboxes(self) -> Path:
        """The directory of the outboxes of this team's workers on this machine."""
        return self.state / "outbox" / self.team


class Overrides(msgspec.Struct, frozen=True):
    """What the command line says, as it was written; None: nothing."""

    slots: int | None = None
    queues: str | None = None
    memory_limit: str | None = None
    recycle_after: int | None = None
    metrics_port: int | None = None
    state: Path | None = None
    log_format: Literal["plain", "json"] | None = None


def read(path: Path, environ: Mapping[str, str], overrides: Overrides | None = None) -> WorkerSettings:
    """The settings of a worker for the code location at `path`.

    Variables: HEDGEROW_WORKER_SLOTS, HEDGEROW_WORKER_QUEUES (names with commas between), HEDGEROW_WORKER_MEMORY_LIMIT (a size, 0:
    none), HEDGEROW_WORKER_RECYCLE_AFTER (steps, 0: never), HEDGEROW_WORKER_METRICS_PORT, HEDGEROW_WORKER_STATE (a directory), HEDGEROW_WORKER_LOG_FORMAT
    (plain or json), HEDGEROW_WORKER_WATCHDOG_S, HEDGEROW_WORKER_CELERY_TOOLS (1: remote control and task events, for `celery
    inspect` and Flower), and those of the platform. DefinitionError or PlatformError with all mistakes.
    """
    over = overrides or Overrides()
    location = read_location(path)
    root = find_root(location.root)
    platform = read_platform(root, environ)
    state = over.state or (
        Path(environ["HEDGEROW_WORKER_STATE"])
        if environ.get("HEDGEROW_WORKER_STATE")
        else (root or location.root) / STATE_DIRECTORY
    )
    log_format = over.log_format or environ.get("HEDGEROW_WORKER_LOG_FORMAT") or "plain"
    if log_format not in ("plain", "json"):
        raise PlatformError(
            Problem("HR-P105", f"HEDGEROW_WORKER_LOG_FORMAT is '{log_format}'.", "Set it to plain or json.")
        )
    slots = over.slots if over.slots is not None else _number(environ, "HEDGEROW_WORKER_SLOTS", location.slots, 1)
    return WorkerSettings(
        deployment=platform.name,
        team=location.team,
        location=location.location,
        path=location.root,
        python=location.python,
        queues=_queues(location, over.queues, environ),
        slots=slots,
        broker=platform.broker_of(location.team),
        storage=platform.storage,
        state=Path(os.path.abspath(state)),
        environment=runner_environment(environ, location.python, location.environment),
        heartbeat_s=platform.timings.heartbeat_s,
        lease_s=platform.timings.lease_s,
        grace_s=platform.timings.grace_s,
        metrics_port=over.metrics_port
        if over.metrics_port is not None
        else _number(environ, "HEDGEROW_WORKER_METRICS_PORT", 0, 0),
        log_format="json" if log_format == "json" else "plain",
        watchdog_s=_number(environ, "HEDGEROW_WORKER_WATCHDOG_S", 60, 1),
        celery_tools=environ.get("HEDGEROW_WORKER_CELERY_TOOLS", "") in ("1", "true", "yes"),
        memory_limit_bytes=_memory_limit(location, over.memory_limit, environ),
        recycle_after=(
            over.recycle_after
            if over.recycle_after is not None
            else _number(environ, "HEDGEROW_WORKER_RECYCLE_AFTER", location.recycle_after or 0, 0)
        )
        or None,
    )


def _queues(location: LocationSettings, option: str | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The queues that were chosen, in the order of the file; all of them when none was."""
    known = [queue.name for queue in location.queues]
    asked_by, text = _given("--queues", option, "HEDGEROW_WORKER_QUEUES", environ)
    if text is None:
        return tuple(known)
    chosen = [name.strip() for name in text.split(",")]
    problems = [
        Problem(
            "HR-P105",
            f"{asked_by} asks for queue '{name}', which hedgerow.toml does not have.",
            did_you_mean(name, known, "its queues are"),
        )
        for name in chosen
        if name not in known
    ]
    if problems:
        raise PlatformError(problems)
    return tuple(name for name in known if name in chosen)


def _memory_limit(location: LocationSettings, option: str | None, environ: Mapping[str, str]) -> int | None:
    asked_by, text = _given("--memory-limit", option, "HEDGEROW_WORKER_MEMORY_LIMIT", environ)
    if text is None:
        return location.memory_limit_bytes
    if text == "0":
        return None
    try:
        check_memory(text)
    except ValueError as error:
        raise PlatformError(Problem("HR-P105", f"{asked_by} is wrong: {error}.", "0 stands for no limit.")) from None
    return parse_size(text)


def _given(option: str, value: str | None, variable: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Who has given a value, and the value; None when nobody has."""
    return (option, value) if value is not None else (variable, environ.get(variable) or None)


def runner_environment(environ: Mapping[str, str], python: Path, passed: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment of a runner: an allowed few of ours, what the team's file passes on, and the interpreter's own.

    >>> runner_environment({"PATH": "/bin", "HEDGEROW_BROKER": "redis://:secret@b", "SECRET": "1", "KEY": "2"}, Path("/v/bin/python"), ("KEY", "HEDGEROW_BROKER"))
    {'PATH': '/v/bin:/bin', 'KEY': '2'}
    """
    environment = {
        name: value
        for name, value in environ.items()
        if (name in PASSED or name.startswith(PASSED_PREFIXES) or name in passed)
        and not name.startswith(FORBIDDEN_PREFIX)
    }
    # The tools of the team's environment come first, as if it were activated.
    environment["PATH"] = f"{python.parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    if (python.parent.parent / "pyvenv.cfg").is_file():
        environment["VIRTUAL_ENV"] = str(python.parent.parent)
    return environment


def _number(environ: Mapping[str, str], variable: str, default: int, least: int) -> int:
    text = environ.get(variable, "")
    if text == "":
        return default
    if not text.isdecimal() or int(text) < least:
        raise PlatformError(
            Problem("HR-P105", f"{variable} is '{text}'.", f"Set it to a whole number of at least {least}.")
        )
    return int(text)
