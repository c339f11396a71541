"""Any manifest survives encoding, and its hash depends on what it says alone."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.manifest import model
from hedgerow.manifest.model import decode, encode, manifest_hash
from hedgerow.partitions import model as partitions

names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
keys = st.lists(names, min_size=1, max_size=3).map("/".join)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
sorted_texts = st.sets(texts, max_size=3).map(lambda found: tuple(sorted(found)))
text_maps = st.dictionaries(texts, texts, max_size=3)
numbers = st.integers(-(2**63), 2**63 - 1)
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, plain, max_size=3)

time = st.builds(
    partitions.TimePartitions,
    cadence=st.sampled_from(["hour", "day", "week", "month"]),
    start=texts,
    end=st.none() | texts,
    tz=texts,
    dim=names,
)
static = st.builds(partitions.StaticPartitions, keys=st.lists(texts, max_size=3).map(tuple), dim=names)
product = st.builds(partitions.ProductPartitions, dims=st.lists(time | static, max_size=3).map(tuple))
any_partitions = st.none() | time | static | product
pairs = st.lists(st.tuples(texts, st.lists(texts, max_size=2).map(tuple)), max_size=2).map(tuple)
one_dim = st.one_of(
    st.builds(partitions.Same),
    st.builds(partitions.All),
    st.builds(partitions.Last, count=numbers),
    st.builds(partitions.Window, start=numbers, end=numbers),
    st.builds(partitions.Keys, pairs=pairs),
)
mappings = one_dim | st.builds(partitions.ByDim, pairs=st.lists(st.tuples(names, one_dim), max_size=2).map(tuple))

sources = st.none() | st.builds(model.Source, file=texts, line=st.integers(1, 10**6), module=texts, name=texts)
columns = st.lists(st.builds(model.Column, name=texts, type=texts, description=texts), max_size=2).map(tuple)
assets = st.builds(
    model.Asset,
    key=keys,
    computation=st.none() | keys,
    description=texts,
    owners=sorted_texts,
    group=names,
    tags=text_maps,
    kinds=sorted_texts,
    metadata=objects,
    columns=columns,
    partitions=any_partitions,
    stored=st.booleans(),
    io=st.none() | names,
    immutable=st.booleans(),
    value_type=texts,
    source=sources,
)
deps = st.builds(
    model.Dependency,
    key=keys,
    parameter=st.none() | names,
    type=texts,
    mapping=st.none() | mappings,
    optional=st.booleans(),
)
retries = st.builds(
    model.Retry,
    attempts=st.integers(0, 100),
    delay_ms=st.integers(0, 2_000),
    backoff=st.sampled_from(["constant", "linear", "exponential"]),
    max_delay_ms=st.sampled_from([600_000, 5]),
    jitter=st.booleans(),
)
computations = st.builds(
    model.Computation,
    name=keys,
    assets=st.lists(keys, max_size=2).map(tuple),
    deps=st.lists(deps, max_size=2).map(tuple),
    partitions=any_partitions,
    subset=st.booleans(),
    queue=names,
    priority=numbers,
    pools=st.lists(st.builds(model.PoolUse, pool=names, slots=st.integers(1, 9)), max_size=2).map(tuple),
    limits=st.lists(st.builds(model.KeyLimit, name=texts, per=texts, concurrency=st.integers(1, 9)), max_size=2).map(
        tuple
    ),
    retry=retries,
    timeout_ms=st.none() | st.integers(0, 10**12),
    isolation=st.sampled_from(["warm", "process"]),
    on_lost_contact=st.sampled_from(["finish", "stop"]),
    code_version=texts,
    config_schema=st.none() | objects,
    resources=sorted_texts,
    source=sources,
)
limits = st.none() | st.floats(0.001, 1e6)
manifests = st.builds(
    model.Manifest,
    team=names,
    location=names,
    assets=st.lists(assets, max_size=2).map(tuple),
    computations=st.lists(computations, max_size=2).map(tuple),
    checks=st.lists(
        st.builds(
            model.Check,
            name=names,
            asset=keys,
            description=texts,
            blocking=st.booleans(),
            severity=st.sampled_from(["warn", "error"]),
            source=sources,
        ),
        max_size=2,
    ).map(tuple),
    pools=st.lists(
        st.builds(model.Pool, name=names, slots=st.none() | st.integers(1, 99), rate_per_s=limits, burst=limits),
        max_size=2,
    ).map(tuple),
    queues=st.lists(
        st.builds(model.Queue, name=names, concurrency=st.none() | st.integers(1, 99), rate_per_s=limits, burst=limits),
        max_size=2,
    ).map(tuple),
    jobs=st.lists(
        st.builds(
            model.Job,
            name=names,
            selection=texts,
            description=texts,
            tags=text_maps,
            source=sources,
            max_concurrent=st.none() | st.integers(1, 99),
        ),
        max_size=2,
    ).map(tuple),
    schedules=st.lists(
        st.builds(
            model.Schedule,
            name=names,
            selection=texts,
            cron=texts,
            tz=texts,
            partitions=st.sampled_from(["latest", None]),
            catch_up=st.sampled_from(["skip", "last", "all"]),
            config=objects,
            tags=text_maps,
            description=texts,
            enabled=st.booleans(),
            source=sources,
        ),
        max_size=2,
    ).map(tuple),
    sensors=st.lists(
        st.builds(
            model.Sensor,
            name=names,
            selection=texts,
            observes=st.just("") | keys,
            every_ms=st.integers(1),
            timeout_ms=st.integers(1),
            tags=text_maps,
            description=texts,
            enabled=st.booleans(),
            source=sources,
        ),
        max_size=2,
    ).map(tuple),
    environment=st.builds(model.Environment, python=texts, packages=text_maps, commit=texts),
)


@settings(max_examples=150)
@given(manifests)
def test_a_manifest_survives_encoding_and_its_hash_is_stable(manifest: model.Manifest) -> None:
    body = encode(manifest)
    again = decode(body)
    assert again == manifest
    assert encode(again) == body
    assert manifest_hash(encode(again)) == manifest_hash(body)


@settings(max_examples=100)
@given(manifests)
def test_equal_manifests_give_equal_bytes_however_they_were_made(manifest: model.Manifest) -> None:
    rebuilt = msgspec.convert(msgspec.to_builtins(manifest), model.Manifest)
    assert rebuilt == manifest
    assert encode(rebuilt) == encode(manifest)
