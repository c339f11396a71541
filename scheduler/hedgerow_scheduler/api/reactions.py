"""Routes of reactions: what each is told, what became of it, and having it told again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.model import Reaction
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.teams import TeamFilter, find_team
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.automation.reactions import DeliveryState, Listeners
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.metadata import audit, commands
from hedgerow_scheduler.metadata.pauses import read_pauses
from hedgerow_scheduler.metadata.reactions import (
    DELIVERIES_KEPT,
    DeliveryEntry,
    Tally,
    match_deliveries,
    read_deliveries,
    read_given_up,
    read_tallies,
)
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.tuning import check_circumstances


class ReactionView(msgspec.Struct, frozen=True, kw_only=True):
    """A reaction. `assets` is how many assets its selection comes to (None: its team's own), `problem` why it can't be resolved, `pause`
    what holds it back, `tally` what became of what it was told. It is not `on` when it is disabled, or nothing is told here at all.
    """

    team: str
    location: str
    reaction: Reaction
    on: bool
    assets: int | None
    problem: Problem | None
    pause: Pause | None
    tally: Tally


class ReactionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A reaction with its last deliveries, the newest first."""

    reaction: ReactionView
    deliveries: tuple[DeliveryEntry, ...]


class RetryDeliveries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries to tell again, by their ids or the beginnings of them, all that were given up when there are none; who asks, and why."""

    deliveries: Annotated[tuple[str, ...], msgspec.Meta(max_length=DELIVERIES_KEPT)] = ()
    author: str = ""
    reason: str = "asked for"


class RetryAccepted(msgspec.Struct, frozen=True):
    """These deliveries will be told again; `command` numbers the request."""

    deliveries: tuple[str, ...]
    command: int


@get("/reactions", tags=["reactions"], sync_to_thread=True)
def show_reactions(services: NamedDependency[Services], team: TeamFilter = None) -> list[ReactionView]:
    """Every reaction by team and name."""
    with services.reading() as connection:
        if team is not None:
            find_team(connection, team)
        catalog = services.catalog(connection)
        declared = {place: one for place, one in declared_reactions(catalog).items() if team in (None, place.team)}
        return _views(services, connection, catalog, declared)


@get("/reactions/{team:str}/{name:str}", tags=["reactions"], sync_to_thread=True)
def show_reaction(
    services: NamedDependency[Services],
    team: FromPath[str],
    name: FromPath[str],
    count: Annotated[int, QueryParameter(ge=1, le=250, description="How many deliveries at most.")] = 10,
) -> ReactionDetail:
    """One reaction."""
    with services.reading() as connection:
        catalog = services.catalog(connection)
        place, reaction = find_reaction(catalog, team, name)
        (view,) = _views(services, connection, catalog, {place: reaction})
        return ReactionDetail(reaction=view, deliveries=read_deliveries(connection, team, name, count))


@post("/reactions/{team:str}/{name:str}/retries", tags=["reactions"], status_code=202, sync_to_thread=True)
def retry_deliveries(
    services: NamedDependency[Services],
    team: FromPath[str],
    name: FromPath[str],
    data: JSONBody[RetryDeliveries | None] = None,
) -> RetryAccepted:
    """Have what was given up told again, with all its tries. What can't be told again refuses all of the request."""
    wanted = data or RetryDeliveries()
    if problems := check_circumstances(wanted.author, wanted.reason, clock.now(), None):
        raise RequestError(problems)
    with services.writing() as connection:
        place, reaction = find_reaction(services.catalog(connection), team, name)
        if not reaction.enabled:
            raise RequestError.of(
                "HR-Q349", f"Reaction '{place.title}' is switched off: it is told nothing.", "Enable it, and deploy."
            )
        if wanted.deliveries:
            chosen = tuple(dict.fromkeys(_given_up(connection, place, prefix) for prefix in wanted.deliveries))
        else:
            chosen = tuple(each.id for each in read_given_up(connection, team, name))
        if not chosen:
            raise RequestError.of("HR-Q349", f"Nothing of reaction '{place.title}' was given up.", "Nothing to do.")
        after = {"deliveries": chosen}
        audit.write(connection, wanted.author, "retry", f"reaction {place.title}", None, after, wanted.reason)
        body = {"team": place.team, "name": place.name, **after}
        return RetryAccepted(chosen, commands.write(connection, "retry_deliveries", body, wanted.author))


def _given_up(connection: Connection, place: Place, prefix: str) -> str:
    """The id of the only delivery that begins with `prefix`, if it was given up; RequestError HR-Q349 otherwise."""
    found = match_deliveries(connection, place.team, place.name, prefix)
    see = f"See `hedgerow reaction show {place.title}`."
    if not found:
        raise RequestError.of("HR-Q349", f"Reaction '{place.title}' has no delivery '{prefix[:80]}'.", see)
    if len(found) > 1:
        message = f"Several deliveries begin with '{prefix[:80]}', among them {', '.join(found)}."
        raise RequestError.of("HR-Q349", message, "Give more digits of the id.")
    ((id, state),) = found.items()
    if state != DeliveryState.GIVEN_UP:
        message = f"Delivery {id} is {state}: only what was given up is told again."
        raise RequestError.of("HR-Q349", message, see)
    return id


def declared_reactions(catalog: Catalog) -> dict[Place, Reaction]:
    """Every reaction that is declared, by team and name."""
    found = {
        Place(team, location, reaction.name): reaction
        for (team, location), published in catalog.published.items()
        for reaction in published.manifest.reactions
    }
    return dict(sorted(found.items(), key=lambda item: (item[0].team, item[0].name)))


def find_reaction(catalog: Catalog, team: str, name: str) -> tuple[Place, Reaction]:
    """The reaction of this name; RequestError HR-Q348 when no one declares it."""
    declared = declared_reactions(catalog)
    for place, reaction in declared.items():
        if (place.team, place.name) == (team, name):
            return place, reaction
    raise RequestError.of(
        "HR-Q348",
        f"There is no reaction '{team[:80]}/{name[:80]}'.",
        did_you_mean(f"{team}/{name}", (place.title for place in declared)) or "No team declares a reaction.",
    )


def _views(
    services: Services, connection: Connection, catalog: Catalog, declared: Mapping[Place, Reaction]
) -> list[ReactionView]:
    listeners, pauses, now = Listeners(catalog), Pauses(read_pauses(connection)), clock.now()
    tallies = read_tallies(connection)
    views = []
    for place, reaction in declared.items():
        listener = listeners.by_title.get(place.title)
        views.append(
            ReactionView(
                team=place.team,
                location=place.location,
                reaction=reaction,
                on=reaction.enabled and services.automatic,
                assets=None if listener is None or listener.keys is None else len(listener.keys),
                problem=listeners.problems.get(place.title),
                pause=pauses.over_team(place.team, now),
                tally=tallies.get((place.team, place.name), Tally({})),
            )
        )
    return views


ROUTES = (show_reactions, show_reaction, retry_deliveries)
