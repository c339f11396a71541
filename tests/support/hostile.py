"""What a team might send, by mistake or on purpose: strategies for events that are well-formed and mean nothing good."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hedgerow.errors import Problem
from hedgerow.manifest import model
from hedgerow.partitions.model import StaticPartitions, TimePartitions
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, encode_body, encode_envelope
from hedgerow.protocol.references import Reference

from .scheduling import chunks

TEXTS = st.one_of(
    st.sampled_from(
        ["", "sales", "a", "x", "default", "\x00", "a\x00b", "'; drop table steps; --", "\\u0000", "é" * 40]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(1, 4000).map(lambda length: "\U0001f994é"[length % 2] * length),
)
NUMBERS = st.one_of(st.sampled_from([-1, 0, 1, 2**31, 2**62, -(2**62)]), st.integers(-5, 50))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
METADATA = st.dictionaries(TEXTS, JSON, max_size=3)
PROBLEMS = st.builds(Problem, TEXTS, TEXTS, TEXTS, TEXTS | st.none(), NUMBERS | st.none(), TEXTS | st.none())
REFERENCES = st.builds(Reference, TEXTS, TEXTS, TEXTS | st.none(), TEXTS, NUMBERS, METADATA)
COLUMNS = st.lists(st.builds(model.Column, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple)


def mostly(good: st.SearchStrategy[Any], odd: st.SearchStrategy[Any] = TEXTS) -> st.SearchStrategy[Any]:
    """`good` seven times of eight."""
    return st.integers(0, 7).flatmap(lambda which: odd if which == 0 else good)


REASONS = st.sampled_from(
    ["user_error", "timed_out", "check_failed", "bad_order", "runner_lost", "interrupted", "refused", "cancelled"]
)
PARTITIONS = st.none() | st.one_of(
    st.builds(StaticPartitions, st.lists(TEXTS, max_size=3).map(tuple), dim=TEXTS),
    st.builds(
        TimePartitions, st.sampled_from(["day", "hour"]), TEXTS | st.just("2024-01-01"), tz=TEXTS | st.just("UTC")
    ),
)


@st.composite
def manifests(draw: st.DrawFn, team: str) -> model.Manifest:
    """Manifests that contradict themselves in one way or another, and sometimes not."""
    keys = draw(
        st.lists(mostly(st.sampled_from(["a", "b", "n1", "n2", "other/o"])), min_size=1, max_size=3, unique=True)
    )
    partitions = draw(mostly(st.none(), PARTITIONS))
    retry = draw(mostly(st.just(model.Retry()), st.builds(model.Retry, NUMBERS, NUMBERS, st.just("linear"), NUMBERS)))
    made = set(draw(st.lists(st.sampled_from(keys), max_size=3)))
    deps = tuple(
        model.Dependency(key, draw(st.none() | TEXTS))
        for key in draw(st.lists(mostly(st.sampled_from(["x", *keys])), max_size=1))
    )
    return model.Manifest(
        draw(mostly(st.just(team))),
        draw(mostly(st.just(team))),
        tuple(model.Asset(key, key if key in made else None, partitions=partitions, tags={"t": key}) for key in keys),
        tuple(
            model.Computation(
                key,
                (key,),
                deps,
                partitions,
                queue=draw(mostly(st.just("default"))),
                priority=draw(mostly(st.just(0), NUMBERS)),
                pools=draw(mostly(st.just(()), st.builds(lambda *use: (model.PoolUse(*use),), TEXTS, NUMBERS))),
                limits=draw(
                    mostly(st.just(()), st.builds(lambda *one: (model.KeyLimit(*one),), TEXTS, TEXTS, NUMBERS))
                ),
                retry=retry,
            )
            for key in sorted(made)
        ),
        queues=(model.Queue("default", draw(mostly(st.none() | st.integers(1, 9), NUMBERS))),),
    )


def events(team: str, attempts: list[tuple[str, str]]) -> st.SearchStrategy[ev.Event]:
    """Events of every kind about these attempts, each with the token it is known by, and about others."""

    def told(make: Any, *more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        known = st.sampled_from(attempts)
        odd = st.tuples(st.sampled_from([attempt for attempt, _ in attempts]) | TEXTS, TEXTS)
        return st.builds(lambda pair, *rest: make(*pair, *rest), mostly(known, odd), *more)

    asset = mostly(st.sampled_from(["a", "b", "x", "y"]))
    held = st.lists(told(ev.Held), max_size=3).map(tuple)
    names = st.lists(mostly(st.just("default")), max_size=2).map(tuple)
    small = mostly(st.integers(0, 9), NUMBERS)
    return st.one_of(
        told(ev.AttemptStarted, TEXTS, TEXTS),
        told(lambda attempt, token, key, *rest: ev.AssetMaterialized(attempt, key, token, *rest),
             asset, TEXTS | st.none(), st.none() | REFERENCES, TEXTS, TEXTS, METADATA, COLUMNS),
        told(lambda attempt, token, key, name, passed, *rest: ev.CheckEvaluated(attempt, key, name, passed, token, *rest),
             asset, TEXTS, st.booleans(), TEXTS | st.none(), st.booleans(), st.sampled_from(["warn", "error"]), TEXTS, METADATA, TEXTS),
        told(ev.AttemptSucceeded, FLOATS, TEXTS),
        told(lambda attempt, token, reason, problem, *rest: ev.AttemptFailed(attempt, reason, problem, token, *rest),
             REASONS, PROBLEMS, st.booleans(), FLOATS, TEXTS),
        told(lambda attempt, token, why, *rest: ev.AttemptSkipped(attempt, why, token, *rest), TEXTS, FLOATS, TEXTS),
        st.builds(ev.ManifestPublished, TEXTS, mostly(st.just(team)), TEXTS, NUMBERS),
        st.builds(ev.ManifestChunk, TEXTS, NUMBERS, NUMBERS, TEXTS),
        manifests(team).map(lambda one: chunks(one, 100_000)[0]),
        st.builds(ev.LocationFailed, TEXTS, mostly(st.just(team)), st.lists(PROBLEMS, max_size=2).map(tuple)),
        st.builds(ev.WorkerHeartbeat, mostly(st.just(team)), TEXTS, names, small, small,
                  st.sampled_from(["starting", "ready", "draining"]), held, TEXTS, small, NUMBERS, NUMBERS),
        st.builds(ev.WorkerStopped, TEXTS),
    )  # fmt: skip


def envelopes(bodies: st.SearchStrategy[ev.Event]) -> st.SearchStrategy[list[bytes]]:
    """Events of a worker in envelopes, most of them with the number that is expected."""

    @st.composite
    def some(draw: st.DrawFn) -> list[bytes]:
        worker, seq, found = draw(mostly(st.just(f"evil{draw(st.integers(0, 1 << 30))}"))), 0, []
        for body in draw(st.lists(bodies, max_size=12)):
            heartbeat = isinstance(body, ev.WorkerHeartbeat)
            seq += not heartbeat
            number = 0 if heartbeat else draw(st.sampled_from([seq] * 20 + [seq - 1, seq + 1, -seq]))
            kind = draw(mostly(mostly(st.just(ev.KIND_OF[type(body)]), st.just(ev.KIND_OF[type(body)]))))
            found.append(
                encode_envelope(
                    Envelope(draw(TEXTS), kind, WIRE_VERSION, encode_body(body), draw(NUMBERS), worker, number)
                )
            )
        return found

    return some()
