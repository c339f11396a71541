"""Selections: what each form of the grammar names, and what is said when it names nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import asset, catalog_of, external, manifest

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Job
from hedgerow_scheduler.planning.selection import resolve, select_keys

# source → raw/orders → clean/orders → totals → report
#        → raw/fx ─────┘
CATALOG = catalog_of(
    manifest(
        "ingest",
        external("source"),
        asset("raw/orders", "source", group="raw", kinds=("python",)),
        asset("raw/fx", "source", group="raw", owners=("team:finance",)),
        jobs=(Job("nightly", "group:raw, clean/orders"),),
    ),
    manifest(
        "sales",
        asset("clean/orders", "raw/orders", "raw/fx", tags={"tier": "gold", "pii": ""}),
        asset("totals", "clean/orders", tags={"tier": "silver"}),
        asset("report", "totals"),
        asset("lonely", "nobody/declares"),
        jobs=(
            Job("loop", "job:loop"),
            Job("round", "job:about"),
            Job("about", "job:round"),
            Job("twice", "job:nightly"),
        ),
    ),
)
EVERYTHING = ["clean/orders", "lonely", "raw/fx", "raw/orders", "report", "totals"]


@pytest.mark.parametrize(
    ("selection", "keys"),
    [
        ("totals", ["totals"]),
        ("totals report", ["report", "totals"]),
        ("totals,report", ["report", "totals"]),
        ("totals , report", ["report", "totals"]),
        ("raw/*", ["raw/fx", "raw/orders"]),
        ("*orders", ["clean/orders", "raw/orders"]),
        ("raw/f?", ["raw/fx"]),
        ("[rt]*", ["raw/fx", "raw/orders", "report", "totals"]),
        ("+totals", ["clean/orders", "raw/fx", "raw/orders", "totals"]),
        ("1+totals", ["clean/orders", "totals"]),
        ("2+totals", ["clean/orders", "raw/fx", "raw/orders", "totals"]),
        ("0+totals", ["totals"]),
        ("clean/orders+", ["clean/orders", "report", "totals"]),
        ("clean/orders+1", ["clean/orders", "totals"]),
        ("clean/orders+2", ["clean/orders", "report", "totals"]),
        ("+clean/orders+1", ["clean/orders", "raw/fx", "raw/orders", "totals"]),
        ("1+totals+1", ["clean/orders", "report", "totals"]),
        ("group:raw", ["raw/fx", "raw/orders"]),
        ("group:raw+1", ["clean/orders", "raw/fx", "raw/orders"]),
        ("tag:tier", ["clean/orders", "totals"]),
        ("tag:tier=gold", ["clean/orders"]),
        ("tag:pii", ["clean/orders"]),
        ("tag:pii=", ["clean/orders"]),
        ("owner:team:finance", ["raw/fx"]),
        ("kind:python", ["raw/orders"]),
        ("team:ingest", ["raw/fx", "raw/orders"]),
        ("job:nightly", ["clean/orders", "raw/fx", "raw/orders"]),
        ("job:ingest/nightly", ["clean/orders", "raw/fx", "raw/orders"]),
        ("job:twice", ["clean/orders", "raw/fx", "raw/orders"]),
        ("job:nightly+1", ["clean/orders", "raw/fx", "raw/orders", "totals"]),
        ("* !raw/*", ["clean/orders", "lonely", "report", "totals"]),
        ("!raw/* *", ["clean/orders", "lonely", "report", "totals"]),
        ("* !totals+", ["clean/orders", "lonely", "raw/fx", "raw/orders"]),
        ("* !1+totals", ["lonely", "raw/fx", "raw/orders", "report"]),
        ("* !job:nightly", ["lonely", "report", "totals"]),
        ("+lonely", ["lonely"]),
        ("*", EVERYTHING),
    ],
)
def test_a_selection_names(selection: str, keys: list[str]) -> None:
    assert list(resolve(CATALOG, [selection])) == keys


def test_items_may_come_in_one_text_or_in_several() -> None:
    assert resolve(CATALOG, ["totals", "report"]) == resolve(CATALOG, ["totals report"])


def test_external_assets_are_passed_over_as_long_as_something_is_left() -> None:
    assert resolve(CATALOG, ["source+1"]) == ("raw/fx", "raw/orders")
    assert resolve(CATALOG, ["+raw/fx"]) == ("raw/fx",)


@pytest.mark.parametrize(
    ("selection", "code", "says"),
    [
        ("totls", "HR-Q001", "Did you mean 'totals'?"),
        ("raw/nothing*", "HR-Q001", "raw/"),
        ("group:rew", "HR-Q001", ""),
        ("tag:tier=bronze", "HR-Q001", ""),
        ("job:nigthly", "HR-Q001", "Did you mean 'nightly'?"),
        ("!totls *", "HR-Q001", "Did you mean 'totals'?"),
        ("source", "HR-Q002", "external"),
        ("totals !totals", "HR-Q002", "at least one"),
        ("!totals", "HR-Q002", "at least one"),
        ("", "HR-Q002", "at least one"),
        ("colour:blue", "HR-Q003", "group, tag, owner, kind, team, job"),
        ("++totals", "HR-Q003", "+ before or after"),
        ("+", "HR-Q003", "+ before or after"),
        ("!", "HR-Q003", "+ before or after"),
        ("a!b", "HR-Q003", "+ before or after"),
        ("totals+x", "HR-Q003", "+ before or after"),
        ("9" * 5000 + "+totals", "HR-Q003", "+ before or after"),
    ],
)
def test_a_selection_that_names_nothing_says_so(selection: str, code: str, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve(CATALOG, [selection])
    assert caught.value.code == code
    assert says in str(caught.value)


def test_a_misspelt_attribute_value_is_answered_with_the_values_there_are() -> None:
    with pytest.raises(RequestError) as caught:
        resolve(CATALOG, ["group:rew"])
    assert "Did you mean 'group:raw'?" in str(caught.value)


@pytest.mark.parametrize("job", ["loop", "round", "about"])
def test_jobs_that_name_each_other_in_a_circle_are_refused_instead_of_followed_for_ever(job: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve(CATALOG, [f"job:{job}"])
    assert caught.value.code == "HR-Q003"


def test_looking_keeps_external_assets_and_what_is_taken_away_is_gone() -> None:
    assert select_keys(CATALOG, ["+raw/fx"]) == ("raw/fx", "source")
    assert select_keys(CATALOG, []) == tuple(sorted([*EVERYTHING, "source"]))
    assert select_keys(CATALOG, ["*", "!raw/*"]) == ("clean/orders", "lonely", "report", "source", "totals")


def test_looking_refuses_what_can_not_be_read() -> None:
    with pytest.raises(RequestError) as caught:
        select_keys(CATALOG, ["++totals"])
    assert caught.value.code == "HR-Q003"


@given(st.lists(st.text("ab+!:*? ,/0123456789-_[]", max_size=12), max_size=4))
def test_whatever_is_written_is_resolved_or_refused_with_a_code(texts: list[str]) -> None:
    try:
        keys = resolve(CATALOG, texts)
    except RequestError as error:
        assert error.code in ("HR-Q001", "HR-Q002", "HR-Q003")
    else:
        assert set(keys) <= set(EVERYTHING)


@given(st.sampled_from(EVERYTHING), st.integers(0, 4), st.integers(0, 4))
def test_more_levels_never_name_less(key: str, fewer: int, more: int) -> None:
    low, high = sorted((fewer, more))
    assert set(resolve(CATALOG, [f"{low}+{key}+{low}"])) <= set(resolve(CATALOG, [f"{high}+{key}+{high}"]))
    assert set(resolve(CATALOG, [f"{high}+{key}+{high}"])) <= set(resolve(CATALOG, [f"+{key}+"]))
