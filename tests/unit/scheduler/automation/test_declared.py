"""What is declared, made from the picture before: the same as if it were made from nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.automated import Made, catalog_of

from hedgerow.conditions.constructors import eager, on_missing
from hedgerow.partitions.model import Partitions, StaticPartitions, TimePartitions, Window
from hedgerow_scheduler.automation.declared import Automated, Declared
from hedgerow_scheduler.planning.catalog import Catalog

KEYS = "abcdef"
PARTITIONS: list[Partitions | None] = [
    None,
    StaticPartitions(("no", "se"), "country"),
    TimePartitions("day", "2026-01-01"),
]


def after(former: Declared, catalog: Catalog) -> Declared:
    made = former.after(catalog)
    while True:
        try:
            next(made)
        except StopIteration as done:
            found: Declared = done.value
            return found


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, Made]:
    """Some assets, each made from earlier ones in an order that is another one each time."""
    order = draw(st.permutations(KEYS))[: draw(st.integers(1, 6))]
    found = {}
    for number, key in enumerate(order):
        above = draw(st.lists(st.sampled_from([*order[:number], "nobody's"]), max_size=2, unique=True))
        deps = tuple((each, Window(-1, 0)) if draw(st.integers(0, 5)) == 0 else each for each in sorted(above))
        automation = draw(st.sampled_from([None, eager(), on_missing()]))
        found[key] = Made(deps, automation, draw(st.sampled_from(PARTITIONS)), external=draw(st.integers(0, 5)) == 0)
    return found


def asks_otherwise(one: Automated | None, other: Automated | None) -> bool:
    return one is not other and (one is None or not one.asks_as(other))


def picture(declared: Declared) -> object:
    return (
        {key: (each.digest, each.team, list(each.deps)) for key, each in declared.automated.items()},
        {key: {(each.key, way) for each, way in pairs} for key, pairs in declared.watchers.items()},
        declared.problems,
    )


@given(st.lists(declarations(), min_size=1, max_size=6))
def test_made_step_by_step_it_is_what_is_made_from_nothing(several: list[dict[str, Made]]) -> None:
    declared, catalog = Declared(), Catalog()
    for one in several:
        (entry,) = catalog_of(one).published.values()
        catalog = catalog.replacing(entry)
        former, declared = declared, after(declared, catalog)
        anew = Declared()
        anew._programs, anew._crossings = declared._programs, declared._crossings
        anew = after(anew, catalog)
        assert picture(declared) == picture(anew)
        for key, each in declared.automated.items():
            assert all(declared._ranks.get(above, -1) < each.rank for above, _ in each.deps if above in one)
            assert all(declared.automated[each.key] is each for each, _ in declared.watchers.get(key, ()))
        differing = {
            key
            for key in {*KEYS, *declared.watchers, *former.watchers}
            if asks_otherwise(declared.automated.get(key), former.automated.get(key))
            or declared.watchers.get(key) != former.watchers.get(key)
        }
        assert differing <= declared.touched


def test_where_nothing_is_different_nothing_is_touched() -> None:
    catalog = catalog_of({"a": Made(), "b": Made(("a",), eager()), "c": Made(("b",), eager())})
    declared = after(Declared(), catalog)
    assert after(declared, catalog).touched == set()
    assert declared.touched == {"a", "b", "c"}
