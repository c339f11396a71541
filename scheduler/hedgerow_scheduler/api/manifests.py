"""Routes of the manifests in force: what every team declares, for whoever plans a deploy beside them."""

from __future__ import annotations

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from hedgerow.errors import RequestError
from hedgerow.manifest.model import encode
from hedgerow_scheduler.api.services import Services


class ManifestSummary(msgspec.Struct, frozen=True):
    """A code location with the hash of its manifest in force."""

    team: str
    location: str
    hash: str
    assets: int


@get("/manifests", tags=["teams"], sync_to_thread=True)
def list_manifests(services: NamedDependency[Services]) -> list[ManifestSummary]:
    """Every manifest in force, by team and location."""
    with services.reading() as connection:
        published = services.catalog(connection).published
    return [
        ManifestSummary(*place, entry.hash, len(entry.manifest.assets)) for place, entry in sorted(published.items())
    ]


@get("/manifests/{team:str}/{location:str}", tags=["teams"], sync_to_thread=True)
def show_manifest(services: NamedDependency[Services], team: FromPath[str], location: FromPath[str]) -> Response[bytes]:
    """The manifest in force of a code location, as its canonical JSON."""
    with services.reading() as connection:
        entry = services.catalog(connection).published.get((team, location))
    if entry is None:
        raise RequestError.of(
            "HR-Q309",
            f"No manifest of location '{location}' of team '{team}' is in force.",
            "GET /api/v1/manifests lists them.",
        )
    return Response(encode(entry.manifest), media_type=MediaType.JSON)


ROUTES = (list_manifests, show_manifest)
