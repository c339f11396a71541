"""Whether this process lives, and whether the platform behind it can work."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency
from sqlalchemy.exc import SQLAlchemyError

from hedgerow.errors import Problem
from hedgerow_scheduler.admission.causes import duration
from hedgerow_scheduler.admission.waiting import LEADER_STALE_S
from hedgerow_scheduler.api.bodies import Readiness
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.metadata.read_health import get_leader


@get("/healthz", tags=["health"], sync_to_thread=False)
def show_health() -> dict[str, bool]:
    """The process answers."""
    return {"alive": True}


@get("/readyz", tags=["health"], sync_to_thread=True)
def show_readiness(services: NamedDependency[Services]) -> Response[Readiness]:
    """200 when the database answers with the schema this program knows and a scheduler leads; 503 with what is missing otherwise."""
    problems: list[Problem] = []
    holder = None
    try:
        with services.reading() as connection:
            if not services.at_head(connection):
                problems.append(
                    Problem(
                        "HR-P353", "The database's schema is not the one of this version.", "Run `hedgerow db upgrade`."
                    )
                )
            else:
                leader = get_leader(connection)
                holder = leader.holder if leader else None
                if leader is None or leader.stale_s > LEADER_STALE_S:
                    since = f"the last renewed {duration(leader.stale_s)} ago" if leader else "none ever ran"
                    problems.append(
                        Problem("HR-P354", f"No scheduler leads: {since}.", "Start one: `hedgerow scheduler`.")
                    )
    except SQLAlchemyError:
        problems.append(
            Problem("HR-P351", "The platform's database does not answer.", "Check HEDGEROW_DATABASE and the server.")
        )
    return Response(Readiness(not problems, holder, tuple(problems)), status_code=503 if problems else 200)


ROUTES = [show_health, show_readiness]
