"""Routes of workers: which there are, and having one leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter
from sqlalchemy import Connection

from hedgerow.errors import RequestError
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.bodies import DrainAccepted, DrainWorker
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.teams import find_team
from hedgerow_scheduler.metadata import audit, commands
from hedgerow_scheduler.metadata.read_teams import Worker, list_workers

WorkerId = Annotated[
    str, PathParameter(description="The worker's id, or the beginning of it as long as no other worker has the same.")
]


@get("/workers", tags=["workers"], sync_to_thread=True)
def show_workers(
    services: NamedDependency[Services],
    team: Annotated[str | None, QueryParameter(description="Only this team's.")] = None,
    worker: Annotated[
        str | None, QueryParameter(description="Only the one whose id begins like this; an error if it is not one.")
    ] = None,
) -> tuple[Worker, ...]:
    """Every live worker by team and id."""
    with services.reading() as connection:
        if team is not None:
            find_team(connection, team)
        live = list_workers(connection, services.limits.worker_silence_s, team)
    return live if worker is None else (only_worker(live, worker),)


@post("/teams/{team:str}/workers/{worker:str}/drain", tags=["workers"], status_code=202, sync_to_thread=True)
def drain_worker(
    services: NamedDependency[Services],
    team: FromPath[str],
    worker: WorkerId,
    data: JSONBody[DrainWorker | None] = None,
) -> DrainAccepted:
    """Have a worker leave: it takes no more orders, finishes what runs within its grace, hands back the rest and exits with 0."""
    wanted = data or DrainWorker()
    with services.writing() as connection:
        found = _find_worker(connection, services, team, worker)
        audit.write(connection, wanted.author, "drain", f"worker {found.id}", None, {"team": team}, wanted.reason)
        body = {"team": team, "worker": found.id, "reason": wanted.reason}
        return DrainAccepted(team, found.id, commands.write(connection, "drain_worker", body, wanted.author))


def _find_worker(connection: Connection, services: Services, team: str, prefix: str) -> Worker:
    find_team(connection, team)
    return only_worker(list_workers(connection, services.limits.worker_silence_s, team), prefix)


def only_worker(live: Sequence[Worker], prefix: str) -> Worker:
    """The only one whose id begins with `prefix`; RequestError HR-Q325 when there is none, HR-Q326 when there are several."""
    found = [worker for worker in live if worker.id.startswith(prefix)]
    if not found:
        known = did_you_mean(prefix, [worker.id for worker in live], "live are")
        raise RequestError.of("HR-Q325", f"There is no live worker '{prefix[:80]}'.", known or "No worker is live.")
    if len(found) > 1:
        ids = ", ".join(worker.id for worker in found[:5])
        raise RequestError.of(
            "HR-Q326", f"Several workers begin with '{prefix}', among them {ids}.", "Give more digits of the id."
        )
    return found[0]


ROUTES = [show_workers, drain_worker]
