"""Has a runner load the team's code, and judges what it says of it: a manifest that can be served, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hedgerow import clock
from hedgerow.errors import PlatformError, Problem
from hedgerow.manifest import model
from hedgerow.protocol.events import LocationFailed
from hedgerow.protocol.runner import Load, Loaded, LoadFailed
from hedgerow_workers.runners import Runner, RunnerEndedError, describe_exit
from hedgerow_workers.settings import WorkerSettings

MAX_PROBLEMS = 25
MAX_TEXT = 4000


def load(runner: Runner, path: Path, timeout_s: float, leaving: Callable[[], bool]) -> Loaded | LoadFailed | str:
    """What a runner says of the code at `path`; why it can't be used if it says nothing of it, or `leaving` says that none is needed."""
    try:
        runner.send(Load(str(path)))
        deadline = clock.monotonic() + timeout_s
        while clock.monotonic() < deadline:
            envelope = runner.receive(min(1.0, timeout_s))
            if leaving():
                return "the worker is leaving"
            if envelope is not None and envelope.kind == "loaded":
                answer = msgspec.json.decode(envelope.body, type=Loaded)
                runner.hash = answer.hash
                return answer
            if envelope is not None and envelope.kind == "load_failed":
                return msgspec.json.decode(envelope.body, type=LoadFailed)
    except RunnerEndedError:
        return "it ended while it loaded the code"
    except msgspec.MsgspecError as error:
        return f"it does not speak the protocol: {error}"
    return f"it did not load the code within {timeout_s:g} s"


def unusable(why: str, code: int, tail: str) -> Problem:
    """That a runner which has ended with `code` can't be used."""
    return Problem(
        "HR-P101",
        f"A runner can't be used: {why} ({describe_exit(code)})." + (f"\n{tail}" if tail else ""),
        "Check that hedgerow is installed in the interpreter of [code] python in hedgerow.toml, and what its modules do on import.",
    )


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
