"""Dynamic partitions as a team writes and tries them: any key in process, and what steps change of a set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import hedgerow as hr
from hedgerow.errors import DefinitionError, ExecutionError, RequestError
from hedgerow.key_changes import MAX_AT_ONCE, MAX_PART_BYTES, KeyChanges
from hedgerow.partitions import contains, count, keys, upstream_keys, validate_mapping
from hedgerow.partitions.algebra import latest
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import KeySet

CUSTOMERS = hr.dynamic("customers", dim="customer")
NOW = datetime(2024, 1, 3, 12, tzinfo=UTC)


@hr.asset
def signups(ctx: hr.Context) -> int:
    ctx.add_partitions("customers", ["acme", "globex", "acme"])
    ctx.remove_partitions("customers", "initech")
    return 2


@hr.asset(partitions=CUSTOMERS)
def invoices(ctx: hr.Context) -> str:
    ctx.remove_partitions("customers", "globex")
    return ctx.partition_key


@hr.asset(partitions=hr.daily("2024-01-01") * CUSTOMERS)
def usage(ctx: hr.Context, invoices: str) -> str:
    return f"{ctx.partition_keys_by_dim['time']} {invoices}"


@hr.asset
def undecided(ctx: hr.Context) -> int:
    ctx.add_partitions("customers", "hooli")
    raise ValueError("not today")


@hr.asset
def nothing_new(ctx: hr.Context) -> int:
    ctx.add_partitions("customers", "hooli")
    return hr.skip("nothing new")


def test_any_key_is_a_partition_in_process() -> None:
    found = hr.materialize([invoices, usage], partition="2024-01-02|acme/eu", now=NOW)
    assert found.value("usage") == "2024-01-02 acme/eu"
    assert found.value("invoices") == "acme/eu"
    for wrong in ("a|b", "x" * 201, "", "tab\t"):
        with pytest.raises(RequestError) as raised:
            hr.materialize([invoices], partition=wrong)
        assert raised.value.code == "HR-Q101"


def test_the_outcome_says_what_the_steps_changed_each_key_as_it_was_changed_last() -> None:
    found = hr.materialize([signups, invoices], partition="acme")
    assert found.partitions_added == {"customers": ("acme",)}
    assert found.partitions_removed == {"customers": ("initech", "globex")}


def test_a_step_that_fails_changes_nothing_and_one_that_is_skipped_does() -> None:
    failed = hr.materialize([undecided, invoices], partition="a", raise_on_error=False)
    assert (failed.partitions_added, failed.success) == ({}, False)
    assert hr.materialize([nothing_new, invoices], partition="a").partitions_added == {"customers": ("hooli",)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda ctx: ctx.add_partitions("custmers", "acme"), "Did you mean 'customers'?"),
        (lambda ctx: ctx.add_partitions("customers", "a|b"), "without '|'"),
        (lambda ctx: ctx.remove_partitions("customers", ["ok", 7]), "A key is a text"),
        (lambda ctx: ctx.add_partitions("customers", map(str, range(MAX_AT_ONCE + 1))), "Change fewer"),
    ],
)
def test_what_can_not_be_a_change_is_refused_where_it_is_asked_for(
    change: Callable[[hr.Context], None], says: str
) -> None:
    context = hr.Context(key_changes=KeyChanges(("customers",)))
    with pytest.raises(ExecutionError) as raised:
        change(context)
    assert (raised.value.code, says in raised.value.problems[0].remedy) == ("HR-X214", True)


def test_many_changes_are_told_in_small_parts() -> None:
    changes = KeyChanges()
    changes.note("customers", [f"{number}-{'x' * 150}" for number in range(2_000)], True)
    changes.note("other", ["a"], False)
    parts = list(changes.parts())
    assert [part for part in parts if part[0] == "other"] == [("other", (), ("a",))]
    added = [key for _, keys_added, _ in parts for key in keys_added]
    assert len(added) == len(set(added)) == 2_000
    assert max(sum(map(len, part[1])) for part in parts) <= MAX_PART_BYTES


def test_a_name_that_breaks_the_grammar_is_refused_with_every_problem() -> None:
    with pytest.raises(DefinitionError) as raised:
        hr.dynamic("Customers", dim="No")
    assert [problem.code for problem in raised.value.problems] == ["HR-D105", "HR-D110"]
    assert hr.dynamic("customers").dim == "customers"


def test_bound_to_a_set_its_keys_are_the_partitions_in_the_order_in_which_they_came() -> None:
    known = KeySet("sales", "customers")
    bound = KnownPartitions(name="customers", dim="customer", known=known)
    assert (keys(bound, NOW), count(bound, NOW)) == ((), 0)
    for key in ("globex", "acme", "initech"):
        known.add(key)
    known.remove("acme")
    assert keys(bound, NOW) == latest(bound, NOW) == ("globex", "initech")
    assert [contains(bound, key, NOW) for key in ("globex", "acme", "hooli")] == [True, False, False]
    both = hr.daily("2024-01-02") * bound
    assert keys(both, NOW) == ("2024-01-02|globex", "2024-01-02|initech")
    assert upstream_keys(hr.mapping.all(), None, bound, None, NOW) == ("globex", "initech")
    assert upstream_keys(hr.mapping.last(1), None, bound, None, NOW) == ("initech",)
    assert upstream_keys(None, both, bound, "2024-01-02|acme", NOW) == ("acme",)


@pytest.mark.parametrize(
    ("mapping", "down", "up", "says"),
    [
        (None, hr.daily("2024-01-01"), CUSTOMERS, "the upstream by the keys of 'customers'"),
        (None, CUSTOMERS, hr.static("a", "b"), "mapping.keys"),
        (hr.mapping.window(-1, 0), CUSTOMERS, CUSTOMERS, "keys that come and go"),
        (hr.mapping.keys({"a|b": "acme"}), CUSTOMERS, CUSTOMERS, "can't exist"),
    ],
)
def test_mappings_that_mean_nothing_for_keys_that_come_and_go_are_refused(
    mapping: object, down: object, up: object, says: str
) -> None:
    problem = validate_mapping(mapping, down, up)  # type: ignore[arg-type]
    assert problem is not None
    assert (problem.code, says in f"{problem.message} {problem.remedy}") == ("HR-D107", True)
