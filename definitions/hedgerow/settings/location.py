"""A code location's settings: the file hedgerow.toml, which its team owns."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from hedgerow.errors import DefinitionError
from hedgerow.manifest.model import Pool, Queue
from hedgerow.settings.rates import check_burst, default_burst, parse_rate
from hedgerow.settings.toml import Document, check_name, entry, read_document
from hedgerow.sizes import parse_size, size_text

LOCATION_FILE = "hedgerow.toml"
DEFAULT_QUEUE = "default"
# An interpreter with hedgerow takes a third of it: less can only be a mistake, and would end every step.
LEAST_MEMORY_BYTES = 64 * 2**20


def check_modules(names: tuple[str, ...]) -> None:
    """`ValueError` unless each is the dotted name of a module."""
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"'{name}' is not the name of a module; write it as in an import, without .py")


def check_memory(text: str) -> None:
    """`ValueError` unless it is a size in which a runner can live."""
    if parse_size(text) < LEAST_MEMORY_BYTES:
        raise ValueError(f"'{text}' is too little for a runner, which needs at least {size_text(LEAST_MEMORY_BYTES)}")


TeamName = Annotated[str, entry("The team's name.", "sales", check_name, "HR-C005")]
LocationName = Annotated[str, entry("The code location's name; by default the team's.", "sales", check_name, "HR-C005")]
Modules = Annotated[
    tuple[str, ...],
    entry("The modules that hold definitions, by dotted name.", ["sales.definitions"], check_modules, min_length=1),
]
Interpreter = Annotated[
    str, entry("The team's interpreter, relative to this file; by default the current one.", ".venv/bin/python")
]
Variables = Annotated[
    tuple[str, ...],
    entry("Environment variables that the team's code gets from the worker's environment.", ["AWS_PROFILE"]),
]
Rate = Annotated[str, entry("Starts per time, as a token bucket.", "20/s", parse_rate, "HR-C006")]
Burst = Annotated[
    float, entry("Starts at once after a pause, from 1 on; by default one second's worth.", 40, check_burst, "HR-C006")
]
Concurrency = Annotated[int, entry("Steps at once over all workers; by default without limit.", 8, ge=1)]
PoolSlots = Annotated[int, entry("Slots at once; by default without limit.", 4, ge=1)]
WorkerSlots = Annotated[int, entry("Steps at once in one worker process.", 2, ge=1, le=1024)]
MemoryLimit = Annotated[
    str,
    entry(
        "Memory that one runner and the processes below it may take; a step that takes more is ended. By default without limit.",
        "2GiB",
        check_memory,
    ),
]
RecycleAfter = Annotated[
    int, entry("Steps after which a runner is replaced by a new one; by default it is not.", 500, ge=1)
]


class TeamTable(msgspec.Struct, frozen=True):
    """Whose code this is."""

    name: TeamName


class CodeTable(msgspec.Struct, frozen=True):
    """Where the definitions are, and the interpreter that runs them."""

    modules: Modules
    location: LocationName | None = None
    python: Interpreter | None = None
    environment: Variables = ()


class QueueTable(msgspec.Struct, frozen=True):
    """A queue of the team and its limits."""

    concurrency: Concurrency | None = None
    rate: Rate | None = None
    burst: Burst | None = None


class PoolTable(msgspec.Struct, frozen=True):
    """A limit shared by whatever uses it, over all queues."""

    slots: PoolSlots | None = None
    rate: Rate | None = None
    burst: Burst | None = None


class WorkerTable(msgspec.Struct, frozen=True):
    """What `hedgerow dev` starts for the team; a worker started by hand may override it."""

    slots: WorkerSlots = 2
    memory_limit: MemoryLimit | None = None
    recycle_after: RecycleAfter | None = None


class LocationFile(msgspec.Struct, frozen=True):
    """hedgerow.toml, one per code location."""

    team: TeamTable
    code: CodeTable
    queues: dict[str, QueueTable] = {}
    pools: dict[str, PoolTable] = {}
    worker: WorkerTable = WorkerTable()


class LocationSettings(msgspec.Struct, frozen=True):
    """What hedgerow.toml says, checked: names are names, `python` is an absolute path, `queues` and `pools` are sorted by name.

    The queue `default` is always there. `root` is the absolute directory of the file.
    """

    root: Path
    team: str
    location: str
    modules: tuple[str, ...]
    python: Path
    queues: tuple[Queue, ...]
    pools: tuple[Pool, ...]
    slots: int
    environment: tuple[str, ...] = ()
    memory_limit_bytes: int | None = None
    recycle_after: int | None = None


def read_location(root: Path) -> LocationSettings:
    """The settings of the code location at `root`, the directory of a hedgerow.toml or that file itself.

    DefinitionError with every mistake of the file (HR-C…), each with its line.
    """
    directory = Path(os.path.abspath(root.parent if root.name == LOCATION_FILE else root))
    document = read_document(directory / LOCATION_FILE, LOCATION_FILE)
    if not isinstance(document, Document):
        raise DefinitionError(document)
    file = document.decode(LocationFile) if not document.problems else None
    settings = _settings(directory, document, file) if file is not None else None
    if settings is None or document.problems:
        raise DefinitionError(document.problems)
    return settings


def read_pools(document: Document, tables: Mapping[str, PoolTable]) -> tuple[Pool, ...]:
    """The pools of a file, sorted by name; mistakes are noted in the document."""
    return tuple(
        Pool(name, table.slots, *_limits(document, ("pools", name), table.rate, table.burst))
        for name, table in sorted(tables.items())
    )


def _limits(
    document: Document, path: tuple[str, ...], rate: str | None, burst: float | None
) -> tuple[float | None, float | None]:
    if rate is None:
        if burst is not None:
            document.problem(
                "HR-C006",
                (*path, "burst"),
                f"[{'.'.join(path)}] has a burst without a rate.",
                'Add a rate such as "20/s", or remove the burst.',
            )
        return None, None
    rate_per_s = parse_rate(rate)
    return rate_per_s, burst if burst is not None else default_burst(rate_per_s)


def _settings(root: Path, document: Document, file: LocationFile) -> LocationSettings:
    tables = {DEFAULT_QUEUE: QueueTable(), **file.queues}
    queues = tuple(
        Queue(name, table.concurrency, *_limits(document, ("queues", name), table.rate, table.burst))
        for name, table in sorted(tables.items())
    )
    # Not resolved: a virtual environment's python is a symbolic link, and following it would leave the environment.
    declared = Path(file.code.python or sys.executable).expanduser()
    python = Path(os.path.abspath(root / declared))
    if not (python.is_file() and os.access(python, os.X_OK)):
        document.problem(
            "HR-C007",
            ("code", "python"),
            f"The interpreter '{declared}' of [code] python does not exist or can't be executed.",
            f"Create the environment (python3 -m venv {declared.parent.parent}), install the team's packages in it, or correct the path.",
        )
    return LocationSettings(
        root=root,
        team=file.team.name,
        location=file.code.location or file.team.name,
        modules=file.code.modules,
        python=python,
        queues=queues,
        pools=read_pools(document, file.pools),
        slots=file.worker.slots,
        environment=file.code.environment,
        memory_limit_bytes=parse_size(file.worker.memory_limit) if file.worker.memory_limit is not None else None,
        recycle_after=file.worker.recycle_after,
    )
