"""Nonsense: what only an attacker or a broken worker puts into a stream, each piece with what must become of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, encode_batch, encode_body
from support.scheduling import asset, chunks, manifest

DAY_MS = 86_400_000
WORKERS = 50
AT_ONCE = (1, 7, 50, 50, 50, 500)
HUGE = "x" * (ev.MAX_EVENT_BYTES + 1)
# What becomes of an event, as `Fold.counted` has it.
ASIDE = "quarantined"
FOLDED = "ingested"


class Target(NamedTuple):
    """An attempt that must not be touched, as an attacker speaks of it, and by which reason that is counted as stale.

    `can_start` False: nobody has begun it, so that the start that he reports would be one.
    """

    attempt_id: str
    token: str
    reason: str
    asset: str = "a"
    can_start: bool = True


class Piece(NamedTuple):
    """One entry for a stream, and how often what must become of it."""

    fields: dict[bytes, bytes]
    outcomes: Counter[str]


class Nonsense:
    """Draws entries for the stream of `team`, which is up to no good against the team `victim` and its asset `coveted`."""

    def __init__(
        self, draw: random.Random, now_ms: int, team: str, victim: str, coveted: str, targets: list[Target]
    ) -> None:
        self._draw, self._now_ms, self._team, self._victim = draw, now_ms, team, victim
        self._targets = targets
        self._known: Counter[str] = Counter()  # of each worker, the number that was taken last
        stolen, foreign = manifest(team, asset(coveted), location="trap"), manifest(victim, asset("z"))
        self._stolen, self._foreign = (encode_body(chunks(one, 100_000)[0]) for one in (stolen, foreign))
        self._bodies = {
            "of an attempt": (8, self._of_an_attempt),
            "no such kind": (2, self._no_such_kind),
            "no fitting body": (3, self._no_fitting_body),
            "no UTF-8": (1, self._no_utf8),
            "another team's": (2, self._another_teams),
            "a manifest": (1, self._manifest),
            "out of bounds": (2, self._out_of_bounds),
            "harmless": (1, self._harmless),
            "too large": (0.02, lambda: ("worker_stopped", {"why": HUGE}, ASIDE)),
            "too deep": (0.2, self._too_deep),
        }

    def pieces(self, events: int) -> Iterator[Piece]:
        """Entries with so many events or some more; an entry that can't be taken apart counts as one."""
        while events > 0:
            piece = self._whole() if self._draw.random() < 0.9 else self._broken()
            events -= piece.outcomes.total()
            yield piece

    def _whole(self) -> Piece:
        drawn: list[tuple[bytes, str]] = []
        size = 0
        for _ in range(self._draw.choice(AT_ONCE)):
            if size < MAX_BATCH_BYTES - 2 * ev.MAX_EVENT_BYTES:
                drawn.append(self._envelope())
                size += len(drawn[-1][0]) + 1
        return Piece({ev.STREAM_FIELD: encode_batch([data for data, _ in drawn])}, Counter(what for _, what in drawn))

    def _broken(self) -> Piece:
        """An entry that can't be taken apart."""
        some = encode_batch([b'{"id":"i","kind":"worker_stopped","v":1,"body":{},"worker":"never","seq":1}'] * 3)
        bodies = [
            b"", b"[", b"null", b'{"a": [1, 2, 3]}', some[:-3], b"\xff\xfe" + some, b"\x00" * 100, self._draw.randbytes(300) + b"\xff",
            b"[" * 50_000, encode_batch([b"1"] * (MAX_BATCH_EVENTS + 1)),
        ]  # fmt: skip
        if self._draw.random() < 0.02:
            bodies = [b'["' + b"x" * MAX_BATCH_BYTES + b'"]', encode_batch([b"1"] * 400_000)]
        field = ev.STREAM_FIELD if self._draw.random() < 0.9 else b"other"
        fields = {field: self._draw.choice(bodies)}
        return Piece(fields, Counter([ASIDE]))

    def _envelope(self) -> tuple[bytes, str]:
        names = list(self._bodies)
        (name,) = self._draw.choices(names, [self._bodies[each][0] for each in names])
        kind, body, outcome = self._bodies[name][1]()
        at_ms = self._draw.choice([0, -1, 2**62, self._now_ms + DAY_MS, self._now_ms - DAY_MS])
        envelope: dict[str, Any] = {"id": "i", "kind": kind, "v": self._draw.choice([1, 1, 99]), "at_ms": at_ms}
        worker = f"w-{self._draw.randrange(WORKERS)}"
        if kind != "worker_heartbeat":
            seq, outcome = self._numbered(worker, outcome)
            envelope["seq"] = seq
        envelope["worker"] = worker
        text = json.dumps(envelope).encode()
        data = text[:-1] + b', "body": ' + (body if isinstance(body, bytes) else json.dumps(body).encode()) + b"}"
        return data, outcome

    def _numbered(self, worker: str, outcome: str) -> tuple[int, str]:
        """A number for a worker's event, and what becomes of it then."""
        known = self._known[worker]
        how = self._draw.random()
        if how < 0.04:
            return self._draw.choice([0, -1, -(2**40)]), ASIDE
        if how < 0.1:
            return self._draw.choice([known + 2, 10**15, 2**63]), "gap"
        if how < 0.2 and known:
            return self._draw.choice([known, 1]), "duplicate"
        self._known[worker] += 1
        return known + 1, outcome

    # -- what is in the envelopes: a kind, a body and what becomes of it when its number is the next ---------------------

    def _of_an_attempt(self) -> tuple[str, object, str]:
        target = self._draw.choice(self._targets)
        about = {"attempt_id": target.attempt_id, "token": target.token}
        error = {"code": "X", "message": "é\x00", "remedy": ""}
        bodies: list[tuple[str, object]] = [
            ("asset_materialized", {**about, "asset": target.asset, "metadata": {"deep": [[[[]]]]}}),
            ("check_evaluated", {**about, "asset": target.asset, "check": "c", "passed": False, "blocking": True}),
        ]
        if target.reason != "other_asset":
            bodies += [
                ("attempt_succeeded", {**about, "duration_ms": 1e308}),
                ("attempt_failed", {**about, "reason": "user_error", "error": error}),
                ("attempt_skipped", {**about, "why": "x" * 9000}),
            ]
            if target.can_start:
                bodies.append(("attempt_started", about))
        kind, body = self._draw.choice(bodies)
        return kind, body, f"stale:{target.reason}"

    def _no_such_kind(self) -> tuple[str, object, str]:
        return self._draw.choice(["", "sang", "no_such_kind" * 1000, "Worker_Stopped"]), {"a": 1}, ASIDE

    def _no_fitting_body(self) -> tuple[str, object, str]:
        kind = self._draw.choice(["attempt_started", "check_evaluated", "attempt_failed", "manifest_chunk"])
        return kind, self._draw.choice([None, "no body", [], {}, {"attempt_id": 5}, 1e300]), ASIDE

    def _no_utf8(self) -> tuple[str, object, str]:
        return "worker_stopped", b'{"why": "\xff\xfe"}', ASIDE

    def _another_teams(self) -> tuple[str, object, str]:
        place = {"team": self._victim, "location": self._victim}
        bodies: list[tuple[str, object]] = [
            ("manifest_published", {**place, "hash": "0" * 64, "size_bytes": 1}),
            ("location_failed", {**place, "problems": []}),
            ("manifest_chunk", bytes(self._foreign)),
        ]
        kind, body = self._draw.choice(bodies)
        return kind, body, ASIDE

    def _manifest(self) -> tuple[str, object, str]:
        """One that takes another team's asset is refused; that is no misfit, but told at the location."""
        bodies: list[tuple[object, str]] = [
            (bytes(self._stolen), FOLDED),
            ({"hash": "0" * 64, "index": 0, "count": 1, "text": "x"}, ASIDE),
            ({"hash": "0" * 64, "index": 7, "count": 3, "text": "x"}, ASIDE),
        ]
        body, outcome = self._draw.choice(bodies)
        return "manifest_chunk", body, outcome

    def _out_of_bounds(self) -> tuple[str, object, str]:
        target = self._draw.choice(self._targets)
        about = {"attempt_id": target.attempt_id}
        bodies: list[tuple[str, object]] = [
            ("worker_heartbeat", {"location": "trap", "manifest": "m", "queues": ["default"], "slots": 10**9}),
            ("worker_heartbeat", {"location": "No\x00Name", "manifest": "m", "queues": [], "slots": 1}),
            ("manifest_published", {"team": self._team, "location": "trap", "hash": "h", "size_bytes": -1}),
            ("attempt_started", {**about, "token": ""}),
            ("check_evaluated", {**about, "asset": "a", "check": "", "passed": True}),
        ]
        kind, body = self._draw.choice(bodies)
        return kind, body, ASIDE

    def _harmless(self) -> tuple[str, object, str]:
        """What is taken, and helps its sender nothing."""
        holds = [{"attempt_id": target.attempt_id, "token": "guess"} for target in self._targets if target.can_start]
        beat = {"location": "trap", "manifest": "", "queues": ["default"], "slots": 0, "holds": holds}
        bodies: list[tuple[str, object]] = [
            ("worker_heartbeat", beat),
            ("worker_stopped", {}),
            ("location_failed", {"team": self._team, "location": "trap", "problems": []}),
            ("manifest_published", {"team": self._team, "location": "trap", "hash": "f" * 64, "size_bytes": 10**9}),
        ]
        kind, body = self._draw.choice(bodies)
        return kind, body, FOLDED

    def _too_deep(self) -> tuple[str, object, str]:
        deep = b'{"attempt_id":"a","asset":"a","token":"t","metadata":{"m":' + b"[" * 400 + b"]" * 400 + b"}}"
        return "asset_materialized", deep, ASIDE


def told_apart(outcomes: Counter[str]) -> dict[str, int]:
    """How often what became of events, all that is stale together."""
    found: Counter[str] = Counter()
    for what, count in outcomes.items():
        found[what.partition(":")[0]] += count
    return dict(found)
