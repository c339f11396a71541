"""Manifests as they arrive: asked for, put together, judged, and in force or refused whole. Pure, like the fold it belongs to."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from hedgerow.errors import Problem
from hedgerow.identifiers import is_name
from hedgerow.manifest.bounds import MAX_MANIFEST_BYTES, excess, too_large
from hedgerow.manifest.model import Manifest
from hedgerow.manifest.model import decode as decode_manifest
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import Envelope
from hedgerow_scheduler.ingest.asking import ASK_AGAIN, ASK_AGAIN_IF_REFUSED, Asking
from hedgerow_scheduler.ingest.bounds import manifest_defect
from hedgerow_scheduler.ingest.misfits import UNREADABLE, MisfitError
from hedgerow_scheduler.lifecycle.changes import LocationChange, NewManifest
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest, refusals
from hedgerow_scheduler.planning.limiting import use_catalog
from hedgerow_scheduler.planning.sharing import share_conditions
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.team_bounds import team_excess

MAX_TOLD = 100  # of what is wrong with a manifest
MAX_OPEN_MANIFESTS = 4  # of a team, of which some chunks have not come yet, or which are to be judged
SMALL_MANIFEST_BYTES = 512 * 1024  # of about 500 assets: those take a cycle no longer than its events do
MAX_WHY = 300
MAX_KEPT = 10  # of a location's manifests that no one serves any more
log = logging.getLogger("hedgerow.scheduler")


class Manifests:
    """What workers say about the code they serve. A large manifest is judged in a cycle of its own, by `take_offer`."""

    def __init__(self, snapshot: Snapshot, asking: Asking) -> None:
        self.snapshot, self._asking = snapshot, asking
        self.condemns: Callable[[str], bool] = lambda _: False
        """Whether a manifest, by its hash, has ended terms of the scheduler."""
        self._chunks: dict[tuple[str, str, int], dict[int, str]] = {}
        self._offered: deque[tuple[str, Manifest, bytes]] = deque()
        self._refused: set[str] = set()

    def published(self, team: str, envelope: Envelope, body: ev.ManifestPublished, now: datetime) -> None:
        known = self.snapshot.accepted.get(body.hash)
        if body.size_bytes > MAX_MANIFEST_BYTES:
            self._location_problems(team, body.location, (too_large(body.location, body.size_bytes),), now)
        elif known is None or known.manifest.team != team:
            # Even if it was refused a moment ago: this worker has just been started, and its supervisor waits for the answer.
            if self._asking.may_ask(("published", f"{envelope.worker}/{body.hash}"), now):
                self.ask_for(team, body.hash, now, timedelta(0))
        else:
            self._again_in_force(known, now)

    def _again_in_force(self, known: PublishedManifest, now: datetime) -> None:
        """A manifest that was accepted before is what the location's workers serve now."""
        team = known.manifest.team
        in_force = self.snapshot.catalog.manifest_hash(team, known.manifest.location) == known.hash
        after = None if in_force else self.snapshot.catalog.replacing(known)
        problems = refusals(self.snapshot.catalog, known.manifest, self.snapshot.owners, after) if after else ()
        if problems:  # others have moved on since it was in force
            self._refuse(known.hash, known.manifest, problems, now)
        else:
            self._put_in_force(known, after, now)

    def ask_for(self, team: str, manifest_hash: str, now: datetime, patience: timedelta) -> None:
        if self._asking.may_ask(("manifest", manifest_hash), now, patience):
            self.snapshot.effects.send_manifest[manifest_hash] = team

    def chunk(self, team: str, _: Envelope, body: ev.ManifestChunk, now: datetime) -> None:
        if body.hash in self.snapshot.accepted:
            return
        key = (team, body.hash, body.count)
        parts = self._chunks.setdefault(key, {})
        parts[body.index] = body.text
        if sum(map(len, parts.values())) > MAX_MANIFEST_BYTES:
            del self._chunks[key]
            raise MisfitError(f"manifest {body.hash}: it is too large", body.text.encode())
        if len(parts) < body.count:
            open_ones = [other for other in self._chunks if other[0] == team]
            if len(open_ones) > MAX_OPEN_MANIFESTS:
                del self._chunks[open_ones[0]]
            return
        del self._chunks[key]
        data = "".join(parts[index] for index in range(body.count)).encode()
        try:
            if hashlib.sha256(data).hexdigest() != body.hash:
                raise msgspec.ValidationError("its hash is another")
            manifest = decode_manifest(data)
            if manifest.team != team:
                raise msgspec.ValidationError(f"it names the team '{manifest.team}'")
            if not is_name(manifest.location):
                raise msgspec.ValidationError(f"it names the location {manifest.location[:80]!r}")
        except UNREADABLE as error:
            raise MisfitError(f"manifest {body.hash}: {error}", data) from None
        of_team = [offer for offer in self._offered if offer[1].team == team]
        if len(of_team) >= MAX_OPEN_MANIFESTS:
            self._offered.remove(of_team[0])
        self._offered.append((body.hash, manifest, data))
        if len(data) <= SMALL_MANIFEST_BYTES:
            self._judge_offer(*self._offered.pop(), now)

    def next_offer(self) -> str | None:
        """The hash of the manifest that has arrived and is to be judged next; None when there is none."""
        return self._offered[0][0] if self._offered else None

    def take_offer(self, now: datetime) -> None:
        """Judges one of the manifests that have arrived, if there is any: it comes into force, or is refused whole with the reasons."""
        if self._offered:
            self._judge_offer(*self._offered.popleft(), now)

    def _judge_offer(self, manifest_hash: str, manifest: Manifest, data: bytes, now: datetime) -> None:
        snapshot = self.snapshot
        if manifest_hash in snapshot.accepted:  # it came twice
            return
        if self.condemns(manifest_hash):
            self._refuse(manifest_hash, manifest, (put_aside(manifest_hash),), now)
            return
        published = PublishedManifest(manifest_hash, snapshot.key_sets.bind(manifest))
        try:
            problems, after = self._judge(published, len(data), now)
        except Exception as error:  # a defect that this manifest brings to light must not end one term after the other
            log.exception("manifest %s of team %s can't be judged", manifest_hash, manifest.team)
            problems, after = _contradiction(f"it can't be planned with: {error!r}"[:MAX_WHY]), None
        if problems or after is None:
            if after is not None:  # it is sound in itself, and may come into force once others have changed
                snapshot.changes.manifests.append(NewManifest(manifest_hash, manifest, data, False))
            self._refuse(manifest_hash, manifest, problems, now)
            return
        share_conditions(published.manifest)
        snapshot.changes.manifests.append(NewManifest(manifest_hash, manifest, data, True))
        self._refused.discard(manifest_hash)
        snapshot.owners |= dict.fromkeys((asset.key for asset in manifest.assets), (manifest.team, manifest.location))
        self._put_in_force(published, after, now)

    def _judge(
        self, published: PublishedManifest, size_bytes: int, now: datetime
    ) -> tuple[tuple[Problem, ...], Catalog | None]:
        """Why a manifest can't come into force, and the catalog with it, None when it makes no sense even by itself."""
        manifest, snapshot = published.manifest, self.snapshot
        if problems := excess(manifest, size_bytes):
            return problems, None
        if (why := manifest_defect(manifest, now)) is not None:
            return _contradiction(why), None
        if problems := team_excess(snapshot.catalog, manifest, snapshot.owners):
            return problems, None
        after = snapshot.catalog.replacing(published)
        return refusals(snapshot.catalog, manifest, snapshot.owners, after), after

    def _refuse(self, manifest_hash: str, manifest: Manifest, problems: tuple[Problem, ...], now: datetime) -> None:
        """What is in force stays so; the location shows why the other was refused."""
        self._refused.add(manifest_hash)
        self._location_problems(manifest.team, manifest.location, problems[:MAX_TOLD], now)

    def _put_in_force(self, published: PublishedManifest, after: Catalog | None, now: datetime) -> None:
        """A manifest comes into force, for the first time or again (a roll-back, a restart); None: it is in force already."""
        snapshot, manifest = self.snapshot, published.manifest
        snapshot.accepted.pop(published.hash, None)
        snapshot.accepted[published.hash] = published
        self._forget_old(manifest.team, manifest.location)
        if after is not None:
            use_catalog(snapshot, after, now)
        snapshot.broken.discard((manifest.team, manifest.location))
        snapshot.changes.locations.append(LocationChange(manifest.team, manifest.location, published.hash))

    def _forget_old(self, team: str, location: str) -> None:
        """Of a location, so many manifests are kept beside those that workers serve: one that comes back is asked for again."""
        snapshot = self.snapshot
        known = [
            hash
            for hash, each in snapshot.accepted.items()
            if (each.manifest.team, each.manifest.location) == (team, location)
        ]
        if len(known) > MAX_KEPT:
            served = {worker.manifest_hash for worker in snapshot.workers.values()}
            served |= {attempt.manifest_hash for attempt in snapshot.attempts.values()}
            for manifest_hash in known[:-MAX_KEPT]:
                if manifest_hash not in served:
                    del snapshot.accepted[manifest_hash]

    def location_failed(self, team: str, _: Envelope, body: ev.LocationFailed, now: datetime) -> None:
        self._location_problems(team, body.location, body.problems, now)

    def _location_problems(self, team: str, location: str, problems: tuple[Problem, ...], now: datetime) -> None:
        if (team, location) not in self.snapshot.broken and problems:
            details = {"location": location, "problems": len(problems)}
            self.snapshot.happenings.add("location_failed", team, now, (), problems[0].message, details)
        self.snapshot.broken.add((team, location))
        self.snapshot.changes.locations.append(LocationChange(team, location, None, problems))

    def serves(self, team: str, manifest_hash: str, now: datetime) -> None:
        """A worker serves this manifest: it is asked for when it is not known."""
        if manifest_hash and manifest_hash not in self.snapshot.accepted:
            patience = ASK_AGAIN_IF_REFUSED if manifest_hash in self._refused else ASK_AGAIN
            self.ask_for(team, manifest_hash, now, patience)


def put_aside(manifest_hash: str) -> Problem:
    """That a manifest is not to come into force, because it has ended terms of the scheduler."""
    return Problem(
        "HR-Q018",
        f"The manifest {manifest_hash[:12]} was put aside: with it, terms of the scheduler have ended.",
        "Deploy other code, and report it with the scheduler's log: no manifest should be able to do that.",
    )


def _contradiction(why: str) -> tuple[Problem, ...]:
    remedy = "Mend what made the manifest; `hedgerow check` finds such mistakes in Python code."
    return (Problem("HR-Q015", f"The manifest contradicts itself: {why}.", remedy),)
