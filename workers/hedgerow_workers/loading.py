"""Judges what a worker's first runner says of the team's code: a manifest that can be served, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hedgerow.errors import PlatformError, Problem
from hedgerow.manifest import model
from hedgerow.protocol.events import LocationFailed
from hedgerow.protocol.runner import Loaded
from hedgerow_workers.settings import WorkerSettings

MAX_PROBLEMS = 25
MAX_TEXT = 4000


def read_manifest(answer: Loaded, settings: WorkerSettings) -> model.Manifest:
    """The manifest that the runner built; PlatformError when it is not the one of this team and location, whole."""
    body = answer.manifest.encode()
    try:
        manifest = model.decode(body)
    except msgspec.MsgspecError as error:
        raise _not_ours(f"its manifest can't be read: {error}") from error
    if model.manifest_hash(body) != answer.hash:
        raise _not_ours("its manifest does not have the hash that it says")
    if (manifest.team, manifest.location) != (settings.team, settings.location):
        raise _not_ours(f"its manifest is of team '{manifest.team}', location '{manifest.location}'")
    return manifest


def failure(settings: WorkerSettings, problems: Sequence[Problem]) -> LocationFailed:
    """The event that tells people of these problems, cut to the size of an event."""
    short = tuple(
        msgspec.structs.replace(
            each, message=each.message[:MAX_TEXT], traceback=(each.traceback or "")[-MAX_TEXT:] or None
        )
        for each in problems[:MAX_PROBLEMS]
    )
    return LocationFailed(settings.team, settings.location, short)


def _not_ours(why: str) -> PlatformError:
    return PlatformError(
        Problem(
            "HR-P104",
            f"The runner can't be used: {why}.",
            "Install the same version of hedgerow in the team's environment and the platform's.",
        )
    )
