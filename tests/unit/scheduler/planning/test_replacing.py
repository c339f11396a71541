"""A manifest in place of the location's former one: the catalog is the one that would be built anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import asset, catalog_of, external, manifest, multi, published

from hedgerow.manifest.model import Check, Job, Manifest
from hedgerow_scheduler.planning.catalog import Catalog, find_cycle

KEYS = {("a", "a"): "pqr", ("a", "z"): "stu", ("b", "b"): "vwx"}
ALL = "".join(KEYS.values())


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """What one of three locations declares: some of its own keys, made from any."""
    (team, location), own = draw(st.sampled_from(sorted(KEYS.items())))
    keys = sorted(draw(st.sets(st.sampled_from(own))))
    made = []
    if len(keys) == 3 and draw(st.booleans()):
        made.append(multi((keys[0], keys[1]), *sorted(draw(st.sets(st.sampled_from(ALL), max_size=2)))))
        keys = keys[2:]
    for key in keys:
        above = sorted(draw(st.sets(st.sampled_from(ALL), max_size=3)))
        made.append(external(key) if draw(st.booleans()) else asset(key, *above, priority=draw(st.integers(0, 1))))
    jobs = tuple(Job(name, "*") for name in sorted(draw(st.sets(st.sampled_from(["nightly", "weekly"])))))
    checks = tuple(Check("fits", key) for key in keys if draw(st.booleans()))
    return manifest(team, *made, location=location, jobs=jobs, checks=checks)


def picture(catalog: Catalog) -> object:
    """All that can be asked of a catalog."""
    keys = {*ALL, *catalog.assets}
    return (
        dict(catalog.assets),
        dict(catalog.computations),
        dict(catalog.jobs),
        dict(catalog.published),
        {key: catalog.downstream(key) for key in keys},
        {name: catalog.home(name) for name in catalog.computations},
    )


@given(st.lists(manifests(), max_size=8))
def test_what_was_replaced_piece_by_piece_is_what_is_built_at_once(several: list[Manifest]) -> None:
    catalog = Catalog()
    for one in several:
        former, catalog = catalog, catalog.replacing(published(one))
        assert picture(catalog) == picture(Catalog(catalog.published.values()))
        same = [key for key in catalog.assets if former.assets.get(key) == catalog.assets[key]]
        assert all(former.assets[key] is catalog.assets[key] for key in same)


@given(st.lists(manifests(), max_size=8))
def test_what_is_declared_otherwise_than_in_a_former_catalog_is_known_without_looking_at_all(
    several: list[Manifest],
) -> None:
    known = [Catalog()]
    for one in several:
        known.append(known[-1].replacing(published(one)))
    for former in known:
        assets, before = known[-1].assets, former.assets
        different = {key for key in assets.keys() | before.keys() if assets.get(key) != before.get(key)}
        found = known[-1].changed_since(former)
        assert different <= found <= assets.keys() | before.keys()
        assert former is not known[-1] or not found


@given(st.lists(manifests(), max_size=8))
def test_a_cycle_that_a_manifest_closes_goes_through_what_it_declares(several: list[Manifest]) -> None:
    catalog = Catalog()
    for one in several:
        after = catalog.replacing(published(one))
        found = find_cycle(after, [computation.name for computation in one.computations])
        assert bool(found) == bool(find_cycle(after))
        if not found:
            catalog = after


def test_what_was_declared_twice_by_what_is_stored_is_built_anew() -> None:
    catalog = catalog_of(manifest("a", asset("x")), manifest("b", asset("x", "y")))
    after = catalog.replacing(published(manifest("a", asset("z"))))
    assert after.assets["x"].team == "b"
    assert after.downstream("y") == ("x",)
