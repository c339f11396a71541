"""Freshness policies as a team declares them, and what it reads when they are declared wrongly."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hedgerow.cron import Cron
from hedgerow.freshness import FreshBy, Freshness, FreshWithin, policy_text
from hedgerow.manifest.difference import compare
from hedgerow.manifest.model import Asset, Manifest, decode, encode
from hedgerow_scheduler.ingest.bounds import manifest_defect

NOW = datetime(2026, 1, 5, tzinfo=UTC)
H = 3_600_000


def test_policies_stand_in_the_manifest_with_their_assets(load) -> None:
    location = load(
        """
@hr.asset(freshness=hr.fresh_within("26h", warn="24h"))
def orders(): ...

@hr.multi_asset(hr.spec("low", freshness=hr.fresh_by(" 0 6 * *  *", tz="Europe/Oslo", since="6h", warn="30m")), hr.spec("high"))
def extremes(): ...
"""
    )
    high, low, orders = location.manifest.assets
    assert orders.freshness == FreshWithin(26 * H, 24 * H)
    assert low.freshness == FreshBy(Cron("0 6 * * *", "Europe/Oslo"), 6 * H, H // 2)
    assert high.freshness is None
    assert decode(encode(location.manifest)) == location.manifest
    other = load(
        """
@hr.asset(freshness=hr.fresh_within("27h", warn="24h"))
def orders(): ...
"""
    )
    changed = next(change for change in compare(location.manifest, other.manifest).changed if change.key == "orders")
    assert changed.fields == ("freshness",)
    assert not changed.code


@pytest.mark.parametrize(
    ("policy", "code", "told"),
    [
        ("hr.fresh_within('2h', warn='2h')", "HR-D112", "warns when it is late already"),
        ("hr.fresh_within('2h', warn='3h')", "HR-D112", "warns when it is late already"),
        ("hr.fresh_within('0s')", "HR-D112", "not above zero"),
        ("hr.fresh_within('-1h')", "HR-D112", "is no duration"),
        ("hr.fresh_within('1 hour')", "HR-D112", "is no duration"),
        ("hr.fresh_within(26)", "HR-D112", "is no duration"),
        ("hr.fresh_within('4000d')", "HR-D112", "at most ten years"),
        ("hr.fresh_within('1h', warn='0m')", "HR-D112", "not above zero"),
        ("hr.fresh_by('0 0 30 2 *')", "HR-D108", "no time at all"),
        ("hr.fresh_by('@daily')", "HR-D108", "has 1 field instead of five"),
        ("hr.fresh_by('0 0 6 * * *')", "HR-D108", "has 6 fields instead of five"),
        ("hr.fresh_by('0 6 * * *', tz='Europe/Olso')", "HR-D103", "'Europe/Olso'"),
        ("hr.fresh_by('0 6 * * *', since='1h', warn='1h')", "HR-D112", "before anything that counts"),
        ("hr.fresh_by('0 6 * * *', since='0h')", "HR-D112", "not above zero"),
        ("'26h'", "HR-D012", "freshness='26h'"),
    ],
)
def test_what_is_declared_wrongly_is_told_with_its_place(mistakes, policy, code, told) -> None:
    (problem,) = mistakes(f"@hr.asset(freshness={policy})\ndef orders(): ...\n")
    assert problem.code == code
    assert told in problem.message
    assert problem.remedy
    assert problem.line in (2, 3)


def test_an_asset_that_hedgerow_does_not_make_has_a_policy_only_if_it_is_looked_at(load, mistakes) -> None:
    (problem,) = mistakes("hr_x = hr.external('x', freshness=hr.fresh_within('1h'))\n")
    assert problem.code == "HR-D012"
    assert "observe=" in problem.remedy
    location = load("x = hr.external('x', freshness=hr.fresh_within('1h'), observe=lambda: 'v1')\n")
    assert location.manifest.assets[0].freshness == FreshWithin(H)


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (FreshWithin(0), "periods"),
        (FreshWithin(-5, -9), "periods"),
        (FreshWithin(H, H), "periods"),
        (FreshWithin(H, 2 * H), "periods"),
        (FreshWithin(2**62), "periods"),
        (FreshBy(Cron("0 6 * * *"), 0), "periods"),
        (FreshBy(Cron("0 6 * * *"), H, 2 * H), "periods"),
        (FreshBy(Cron("0 0 31 2 *"), H), "times that are none"),
        (FreshBy(Cron("* * * * *", "Nowhere/None"), H), "times that are none"),
        (FreshBy(Cron("0 6 * * *" + " " * 500 + "7"), H), "times that are none"),
    ],
)
def test_what_no_constructor_gives_is_refused_by_the_scheduler(policy: Freshness, says: str) -> None:
    manifest = Manifest("sales", "sales", (Asset("x", freshness=policy),))
    assert f"the freshness of 'x' {'has' if says == 'periods' else 'names'} {says}" in (
        manifest_defect(manifest, NOW) or ""
    )


def test_a_policy_reads_as_a_sentence_goes_on() -> None:
    assert policy_text(FreshWithin(90_000, 1)) == "within 90 s, warned of from 1 ms on"
    assert policy_text(FreshWithin(7 * 24 * H)) == "within 7 d"
    told = "by '0 6 * * *' (Europe/Oslo), made since 6 h before, warned of from 30 m before"
    assert policy_text(FreshBy(Cron("0 6 * * *", "Europe/Oslo"), 6 * H, H // 2)) == told
