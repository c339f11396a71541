"""Routes of dynamic partitions: which sets there are, their keys, and changing them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow.partitions.binding import names_of
from hedgerow.partitions.key_sets import MAX_KEY_BYTES, MAX_KEYS, is_dynamic_key
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.teams import find_team
from hedgerow_scheduler.metadata import audit, commands
from hedgerow_scheduler.metadata.key_sets import KeyEntry, SetCount, list_keys, list_sets
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.tuning import check_circumstances

MAX_CHANGED = 20_000  # keys by one request
TOLD = 5  # of a request's keys that the audit record names


class ChangeKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys to add to a set and which to remove, who asks and why."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    author: str = ""
    reason: str = "asked for"


class ChangeAsked(msgspec.Struct, frozen=True):
    """The keys will be changed; `request` numbers the request."""

    request: int


class ChangeRequest(msgspec.Struct, frozen=True):
    """What became of a request: `outcome` is None as long as nothing has, otherwise how many keys were `added` and `removed`, how many waiting
    steps were `cancelled`, and why keys were `refused`.
    """

    request: int
    outcome: dict[str, Any] | None


class KeyPage(msgspec.Struct, frozen=True):
    """Keys of a set in the order of their text; `next` is the cursor of the page after."""

    keys: tuple[KeyEntry, ...]
    next: str | None


@get("/partition-sets", tags=["partitions"], sync_to_thread=True)
def show_sets(services: NamedDependency[Services]) -> list[SetCount]:
    """Every set of dynamic partitions that is declared, or has had keys, by team and name."""
    with services.reading() as connection:
        return _sets(connection, services.catalog(connection))


@get("/partition-sets/{team:str}/{name:str}", tags=["partitions"], sync_to_thread=True)
def show_keys(
    services: NamedDependency[Services],
    team: FromPath[str],
    name: FromPath[str],
    removed: Annotated[bool, QueryParameter(description="Those that were removed instead.")] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1_000,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> KeyPage:
    """The keys of a set."""
    with services.reading() as connection:
        _find(connection, services.catalog(connection), team, name)
        found = list_keys(connection, team, name, after=cursor, limit=limit + 1, removed=removed)
    return KeyPage(found[:limit], found[limit - 1].key if len(found) > limit else None)


@post("/partition-sets/{team:str}/{name:str}/changes", tags=["partitions"], status_code=202, sync_to_thread=True)
def change_keys(
    services: NamedDependency[Services], team: FromPath[str], name: FromPath[str], data: JSONBody[ChangeKeys]
) -> ChangeAsked:
    """Add keys to a set, or remove some: steps of those that have not gone out are cancelled, and what was made of them stays."""
    problems = [*check_circumstances(data.author, data.reason, clock.now(), None)]
    problems += [_malformed(key) for key in (*data.add, *data.remove) if not is_dynamic_key(key)][:TOLD]
    if len(data.add) + len(data.remove) > MAX_CHANGED:
        problems.append(Problem("HR-Q108", f"Over {MAX_CHANGED:,} keys are given.", "Change fewer at once."))
    if problems:
        raise RequestError(problems)
    with services.writing() as connection:
        found = _find(connection, services.catalog(connection), team, name)
        known = services.key_sets.of(team, name)
        fresh = sum(known.number(key) is None for key in dict.fromkeys(data.add))
        if (total := found.keys + found.removed + fresh) > (room := min(known.room, MAX_KEYS)):
            message = f"The set would have had {total:,} keys, at most {room:,} are possible."
            raise RequestError.of(
                "HR-Q108", message, "Removed keys count: partition by something of which there are fewer."
            )
        told = {"added": list(data.add[:TOLD]), "removed": list(data.remove[:TOLD])}
        audit.write(connection, data.author, "change keys", f"partitions {team}/{name}", None, told, data.reason)
        body = {"team": team, "name": name, "add": list(data.add), "remove": list(data.remove)}
        return ChangeAsked(commands.write(connection, "change_keys", body, data.author))


@get(
    "/partition-sets/{team:str}/{name:str}/changes/{request_number:int}",
    tags=["partitions"],
    sync_to_thread=True,
)
def show_change(
    services: NamedDependency[Services], team: FromPath[str], name: FromPath[str], request_number: FromPath[int]
) -> ChangeRequest:
    """What became of a request to change keys."""
    with services.reading() as connection:
        outcome = commands.read_outcome(connection, request_number, "change_keys", {"team": team, "name": name})
    if outcome is None:
        raise RequestError.of(
            "HR-Q109", f"No one asked for change {request_number} of '{team}/{name}'.", "See `hedgerow partition list`."
        )
    return ChangeRequest(request_number, outcome or None)


def _sets(connection: Connection, catalog: Catalog) -> list[SetCount]:
    counted = {(each.team, each.name): each for each in list_sets(connection)}
    for (team, _), published in catalog.published.items():
        for name in names_of(asset.partitions for asset in published.manifest.assets):
            counted.setdefault((team, name), SetCount(team, name, 0, 0))
    return [counted[place] for place in sorted(counted)]


def _find(connection: Connection, catalog: Catalog, team: str, name: str) -> SetCount:
    """The set; RequestError HR-Q109 when there is none."""
    find_team(connection, team)
    sets = _sets(connection, catalog)
    for each in sets:
        if (each.team, each.name) == (team, name):
            return each
    known = [f"{each.team}/{each.name}" for each in sets]
    remedy = did_you_mean(f"{team}/{name}", known) or "Declare one: partitions=hr.dynamic(...) on an asset."
    raise RequestError.of("HR-Q109", f"There is no set of partitions '{team}/{name[:80]}'.", remedy)


def _malformed(key: str) -> Problem:
    message = f"{key[:300]!r} can't be the key of a partition."
    return Problem("HR-Q108", message, f"A key has at most {MAX_KEY_BYTES} bytes, all of them printable, and no '|'.")


ROUTES = [show_sets, show_keys, change_keys, show_change]
