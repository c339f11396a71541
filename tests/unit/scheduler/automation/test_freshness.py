"""Freshness, scenario by scenario: when what is warned of, late, and fresh again."""

from __future__ import annotations

import pytest
from support.aged import Aging, Assets, Script, act_out

from hedgerow.freshness import Freshness, fresh_by, fresh_within
from hedgerow.partitions import daily, hourly, static, weekly
from hedgerow.partitions.model import Partitions

DAY = fresh_within("26h", warn="24h")
SIX = fresh_by("0 6 * * *")
SIX_WARNED = fresh_by("0 6 * * *", since="6h", warn="1h")
DAYS = daily("2026-01-01")
KEYS = static("de", "no")
SPRING = daily("2026-03-01", tz="Europe/Oslo")  # the clocks go forward on 29 March
AUTUMN = hourly("2026-10-25T00", tz="Europe/Oslo")  # and back on 25 October


def one(policy: Freshness | None, partitions: Partitions | None = None) -> Assets:
    return {"a": Aging(policy, partitions)}


AGES: dict[str, tuple[Assets, Script]] = {
    "what was never made is neither late nor warned of": (one(DAY), [("02-01T00:00", "", "")]),
    "it is warned of and late to the second": (
        one(DAY),
        [
            ("01-05T06:00", "a", ""),
            ("01-06T05:59:59.999999", "", ""),
            ("01-06T06:00", "", "warn a"),
            ("01-06T07:59:59.999999", "", ""),
            ("01-06T08:00", "", "late a"),
            ("01-09T08:00", "", ""),
        ],
    ),
    "made again before, it has as long again": (
        one(DAY),
        [("01-05T06:00", "a", ""), ("01-05T20:00", "a", ""), ("01-06T08:00", "", ""), ("01-06T20:00", "", "warn a")],
    ),
    "made while warned of": (
        one(DAY),
        [
            ("01-05T06:00", "a", ""),
            ("01-06T07:00", "", "warn a"),
            ("01-06T07:30", "a", "on_time a"),
            ("01-06T08:00", "", ""),
        ],
    ),
    "made when late, and late again": (
        one(DAY),
        [
            ("01-05T06:00", "a", ""),
            ("01-07T00:00", "", "late a"),
            ("01-07T01:00", "a", "on_time a"),
            ("01-08T01:00", "", "warn a"),
            ("01-08T03:00", "", "late a"),
        ],
    ),
    "without warning": (
        one(fresh_within("1h")),
        [("01-05T06:00", "a", ""), ("01-05T06:59", "", ""), ("01-05T07:00", "", "late a")],
    ),
    "several that come due at once": (
        {"a": Aging(DAY), "b": Aging(fresh_within("24h")), "c": Aging(None)},
        [("01-05T06:00", "a b c", ""), ("01-06T06:00", "", "late b warn a")],
    ),
    "static keys each by their own age": (
        one(DAY, KEYS),
        [
            ("01-05T06:00", "a@de", ""),
            ("01-05T07:00", "a@no", ""),
            ("01-06T06:00", "", "warn a@de"),
            ("01-06T07:00", "", "warn a@no"),
            ("01-06T08:00", "", "late a@de"),
            ("01-06T08:30", "a@de", "on_time a@de"),
            ("01-06T09:00", "", "late a@no"),
        ],
    ),
    "a static key that was never made is missing, not late": (
        one(DAY, KEYS),
        [("01-05T06:00", "a@de", ""), ("02-05T06:00", "", "late a@de")],
    ),
    "static keys made out of turn": (
        one(DAY, KEYS),
        [("01-05T06:00", "a@de a@no", ""), ("01-05T08:00", "a@de", ""), ("01-06T08:00", "", "late a@no warn a@de")],
    ),
    "a key that is none is passed over": (one(DAY, KEYS), [("01-05T06:00", "a@se", ""), ("01-09T06:00", "", "")]),
    "by a tick: made since the day before counts": (
        one(SIX),
        [("01-05T06:30", "a", ""), ("01-06T06:00", "", ""), ("01-07T05:59", "", ""), ("01-07T06:00", "", "late a")],
    ),
    "by a tick: late from the tick until it is made": (
        one(SIX),
        [
            ("01-05T05:00", "a", ""),
            ("01-06T06:00", "", "late a"),
            ("01-06T09:00", "a", "on_time a"),
            ("01-07T06:00", "", ""),
        ],
    ),
    "by a tick: what is too old for the next one is warned of before": (
        one(SIX_WARNED),
        [
            ("01-05T05:30", "a", ""),
            ("01-05T06:00", "", ""),
            ("01-06T04:59", "", ""),
            ("01-06T05:00", "", "warn a"),
            ("01-06T06:00", "", "late a"),
            ("01-06T07:00", "a", "on_time a"),
            ("01-07T05:00", "", "warn a"),
            ("01-07T05:30", "a", "on_time a"),
            ("01-07T06:00", "", ""),
        ],
    ),
    "by a tick: made exactly since then counts": (one(SIX_WARNED), [("01-05T00:00", "a", ""), ("01-05T06:00", "", "")]),
    "by a tick: made just before then does not": (
        one(SIX_WARNED),
        [("01-04T23:59:59", "a", ""), ("01-05T05:00", "", "warn a"), ("01-05T06:00", "", "late a")],
    ),
    "by a tick of the week": (
        one(fresh_by("0 6 * * MON", since="2d")),
        [("01-03T06:00", "a", ""), ("01-05T06:00", "", ""), ("01-12T05:59", "", ""), ("01-12T06:00", "", "late a")],
    ),
    "by a tick, never made": (one(SIX), [("01-06T06:00", "", ""), ("01-07T06:00", "", "")]),
    "by a tick, each static key": (
        one(SIX, KEYS),
        [
            ("01-05T05:00", "a@de a@no", ""),
            ("01-05T20:00", "a@no", ""),
            ("01-06T06:00", "", "late a@de"),
            ("01-07T06:00", "", "late a@no"),
        ],
    ),
    "by a tick in a zone, before and after its clocks go forward": (
        one(fresh_by("0 6 * * *", tz="Europe/Oslo", since="1h")),
        [
            ("03-28T04:30", "a", ""),  # 5:30 there
            ("03-28T05:00", "", ""),
            ("03-29T03:59", "", ""),
            ("03-29T04:00", "", "late a"),  # 6:00 there, a day of 23 hours later
        ],
    ),
    "by a tick that a skipped hour holds": (
        one(fresh_by("30 2 * * *", tz="Europe/Oslo", since="1h")),
        [("03-28T01:00", "a", ""), ("03-29T00:59", "", ""), ("03-29T01:00", "", "late a")],
    ),
    "by a tick that comes twice is due the first time": (
        one(fresh_by("30 2 * * *", tz="Europe/Oslo", since="1h")),
        [
            ("10-24T00:00", "a", ""),
            ("10-25T00:29", "", ""),
            ("10-25T00:30", "", "late a"),
            ("10-25T01:00", "a", "on_time a"),
            ("10-25T01:30", "", ""),
        ],
    ),
}

WINDOWS: dict[str, tuple[Assets, Script]] = {
    "nothing was ever made": (one(DAY, DAYS), [("02-01T00:00", "", ""), ("02-02T03:00", "", "")]),
    "a day is warned of and late after its end": (
        one(DAY, DAYS),
        [
            ("01-05T03:00", "a@2026-01-03 a@2026-01-04", ""),
            ("01-06T23:59", "", ""),
            ("01-07T00:00", "", "warn a@2026-01-05"),  # complete since the 6th
            ("01-07T02:00", "", "late a@2026-01-05"),
            ("01-07T05:00", "a@2026-01-05", "on_time a@2026-01-05"),
            ("01-08T00:00", "", "warn a@2026-01-06"),
            ("01-08T01:00", "a@2026-01-06", "on_time a@2026-01-06"),
            ("01-08T02:00", "", ""),
        ],
    ),
    "a late day makes way for the next when that is due": (
        one(DAY, DAYS),
        [
            ("01-05T03:00", "a@2026-01-03 a@2026-01-04", ""),
            ("01-07T02:00", "", "late a@2026-01-05"),
            ("01-08T00:00", "", "warn a@2026-01-06"),
            ("01-08T02:00", "", "gone a@2026-01-05 late a@2026-01-06"),
        ],
    ),
    "windows before the first that was ever made are not judged": (
        one(DAY, DAYS),
        [("01-05T03:00", "a@2026-01-04", ""), ("01-06T02:00", "", ""), ("01-07T02:00", "", "late a@2026-01-05")],
    ),
    "by a tick: nor are they": (
        one(SIX, DAYS),
        [("01-05T07:00", "a@2026-01-04", ""), ("01-06T06:00", "", "late a@2026-01-05")],
    ),
    "a window that is filled in before the first makes those after it count": (
        one(DAY, DAYS),
        [("01-05T03:00", "a@2026-01-04", ""), ("01-05T04:00", "a@2026-01-02", "late a@2026-01-03")],
    ),
    "old holes are missing, not late": (
        one(DAY, DAYS),
        [("02-05T03:00", "a@2026-02-03 a@2026-01-20", ""), ("02-05T04:00", "", "")],
    ),
    "filling an old hole changes nothing": (
        one(DAY, DAYS),
        [
            ("02-05T03:00", "a@2026-02-03", ""),
            ("02-06T02:00", "", "late a@2026-02-04"),
            ("02-06T03:00", "a@2026-01-20", ""),
        ],
    ),
    "made again it was there already": (
        one(DAY, DAYS),
        [("01-05T03:00", "a@2026-01-03", ""), ("01-05T04:00", "a@2026-01-03", "")],
    ),
    "a first day that is old says that there is a policy to keep": (
        one(DAY, DAYS),
        [("02-05T03:00", "a@2026-01-20", "late a@2026-02-03")],
    ),
    "a long period warns of every window that is not late yet": (
        one(fresh_within("3d", warn="1d"), DAYS),
        [
            ("01-05T00:00", "a@2026-01-01", "warn a@2026-01-02 warn a@2026-01-03"),
            ("01-06T00:00", "", "late a@2026-01-02 warn a@2026-01-04"),
            ("01-06T12:00", "a@2026-01-03", "on_time a@2026-01-03"),
            ("01-07T00:00", "", "gone a@2026-01-02 warn a@2026-01-05"),
        ],
    ),
    "each static key of a window": (
        one(fresh_within("2h"), DAYS * KEYS),
        [
            ("01-05T01:00", "a@2026-01-04|de", ""),
            ("01-05T02:00", "", "late a@2026-01-04|no"),
            ("01-05T03:00", "a@2026-01-04|no", "on_time a@2026-01-04|no"),
            ("01-06T02:00", "", "late a@2026-01-05|de late a@2026-01-05|no"),
        ],
    ),
    "a day of 23 hours ends an hour earlier": (
        one(fresh_within("2h"), SPRING),
        [
            ("03-28T00:00", "a@2026-03-27", ""),
            ("03-29T01:00", "", "late a@2026-03-28"),
            ("03-29T23:59", "a@2026-03-28", "on_time a@2026-03-28"),
            ("03-30T00:00", "", "late a@2026-03-29"),
        ],
    ),
    "the hour that comes twice is two windows": (
        one(fresh_within("30m"), AUTUMN),
        [
            ("10-24T23:30", "a@2026-10-25T00", ""),
            ("10-25T00:30", "", "late a@2026-10-25T01"),
            ("10-25T01:30", "", "gone a@2026-10-25T01 late a@2026-10-25T02"),
        ],
    ),
    "weeks": (
        one(fresh_within("12h"), weekly("2026-01-05")),
        [("01-12T01:00", "a@2026-01-05", ""), ("01-19T11:59", "", ""), ("01-19T12:00", "", "late a@2026-01-12")],
    ),
    "windows that have an end keep the last one": (
        one(fresh_within("1h"), daily("2026-01-01", end="2026-01-04")),
        [
            ("01-03T00:30", "a@2026-01-02", ""),
            ("01-04T01:00", "", "late a@2026-01-03"),
            ("02-01T00:00", "", ""),
            ("02-01T01:00", "a@2026-01-03", "on_time a@2026-01-03"),
        ],
    ),
    "by a tick: the day before must be there": (
        one(SIX, DAYS),
        [
            ("01-05T03:00", "a@2026-01-04", ""),
            ("01-06T05:59", "", ""),
            ("01-06T06:00", "", "late a@2026-01-05"),
            ("01-06T07:00", "a@2026-01-05", "on_time a@2026-01-05"),
            ("01-07T06:00", "", "late a@2026-01-06"),
        ],
    ),
    "by a tick: warned of before": (
        one(SIX_WARNED, DAYS),
        [
            ("01-05T03:00", "a@2026-01-04", ""),
            ("01-06T05:00", "", "warn a@2026-01-05"),
            ("01-06T06:00", "", "late a@2026-01-05"),
        ],
    ),
    "by a tick: the last one gives way at the next tick": (
        one(SIX, DAYS),
        [
            ("01-05T03:00", "a@2026-01-04", ""),
            ("01-06T06:00", "", "late a@2026-01-05"),
            ("01-07T00:00", "", ""),
            ("01-07T06:00", "", "gone a@2026-01-05 late a@2026-01-06"),
        ],
    ),
    "by a tick at the end of a window: that window has until the next": (
        one(fresh_by("0 * * * *"), hourly("2026-01-01T00")),
        [("01-05T03:10", "a@2026-01-05T02", ""), ("01-05T04:00", "", ""), ("01-05T05:00", "", "late a@2026-01-05T03")],
    ),
    "by a tick: of several windows the last counts, and warnings know which that will be": (
        one(fresh_by("0 6 * * *", warn="3h"), hourly("2026-01-01T00")),
        [
            ("01-05T02:30", "a@2026-01-05T01", ""),
            ("01-06T03:00", "", "late a@2026-01-05T04"),
            ("01-06T05:59", "a@2026-01-05T04", "on_time a@2026-01-05T04 warn a@2026-01-06T04"),
            ("01-06T06:00", "", "late a@2026-01-06T04"),
        ],
    ),
    "by a tick in a zone": (
        one(fresh_by("0 6 * * *", tz="Europe/Oslo"), SPRING),
        [("03-28T03:00", "a@2026-03-27", ""), ("03-29T03:59", "", ""), ("03-29T04:00", "", "late a@2026-03-28")],
    ),
}

LATER = fresh_within("50h", warn="48h")
SOONER = fresh_within("4h", warn="2h")
LATE = [("01-05T06:00", "a", ""), ("01-06T08:00", "", "late a")]
DEPLOYS: dict[str, tuple[Assets, Script]] = {
    "a longer period": (
        one(DAY),
        [*LATE, ("01-06T09:00", one(LATER), "on_time a"), ("01-07T06:00", "", "warn a"), ("01-07T08:00", "", "late a")],
    ),
    "a period that only warns yet": (
        one(DAY),
        [*LATE, ("01-06T09:00", one(fresh_within("50h", warn="20h")), "warn a")],
    ),
    "a shorter period": (
        one(DAY),
        [("01-05T06:00", "a", ""), ("01-05T09:00", one(SOONER), "warn a"), ("01-05T10:00", "", "late a")],
    ),
    "the same policy": (
        one(DAY),
        [*LATE, ("01-06T09:00", one(fresh_within("26h", warn="24h")), ""), ("01-06T10:00", "a", "on_time a")],
    ),
    "no policy any more": (one(DAY), [*LATE, ("01-06T09:00", one(None), "gone a"), ("01-06T10:00", "a", "")]),
    "no asset any more": (one(DAY), [*LATE, ("01-06T09:00", {"b": Aging(DAY)}, "gone a")]),
    "a first policy on what is old": (one(None), [("01-05T06:00", "a", ""), ("01-07T06:00", one(DAY), "late a")]),
    "from ages to ticks": (
        one(DAY),
        [*LATE, ("01-06T09:00", one(SIX_WARNED), ""), ("01-06T10:00", "a", "on_time a"), ("01-07T05:00", "", "warn a")],
    ),
    "other partitions": (
        one(DAY, KEYS),
        [
            ("01-05T06:00", "a@de a@no", ""),
            ("01-06T08:00", "", "late a@de late a@no"),
            ("01-06T09:00", one(DAY, static("fi", "no")), "gone a@de"),
        ],
    ),
    "what is made while it has no policy counts when it has one again": (
        one(DAY),
        [
            *LATE,
            ("01-06T09:00", one(None), "gone a"),
            ("01-07T06:00", "a", ""),
            ("01-07T09:00", one(DAY), ""),
            ("01-08T06:00", "", "warn a"),
        ],
    ),
}

TAKEOVERS: dict[str, tuple[Assets, Script]] = {
    "what was told is not told again": (one(DAY), [*LATE, ("01-06T09:00", "takeover", ""), ("01-06T10:00", "a", "on_time a")]),
    "what came due meanwhile is told": (one(DAY), [("01-05T06:00", "a", ""), ("01-06T06:00", "", "warn a"), ("01-06T09:00", "takeover", "late a")]),
    "what is fresh stays on the heap": (one(DAY), [("01-05T06:00", "a", ""), ("01-05T07:00", "takeover", ""), ("01-06T06:00", "", "warn a")]),
    "windows": (
        one(DAY, DAYS),
        [("01-05T03:00", "a@2026-01-03 a@2026-01-04", ""), ("01-07T02:00", "", "late a@2026-01-05"), ("01-07T03:00", "takeover", ""), ("01-07T04:00", "a@2026-01-05", "on_time a@2026-01-05"), ("01-08T00:00", "takeover", "warn a@2026-01-06"), ("01-08T02:00", "", "late a@2026-01-06")],
    ),
    "windows that are complete and made but not due yet are known": (
        one(DAY, DAYS),
        [("01-05T03:00", "a@2026-01-03 a@2026-01-04", ""), ("01-05T04:00", "takeover", ""), ("01-06T02:00", "", ""), ("01-07T00:00", "", "warn a@2026-01-05")],
    ),
    "static keys": (
        one(DAY, KEYS),
        [("01-05T06:00", "a@de", ""), ("01-05T07:00", "a@no", ""), ("01-06T08:00", "", "late a@de warn a@no"), ("01-06T08:30", "takeover", ""), ("01-06T09:00", "", "late a@no")],
    ),
    "by a tick": (one(SIX), [("01-05T05:00", "a", ""), ("01-06T06:00", "", "late a"), ("01-06T08:00", "takeover", ""), ("01-06T09:00", "a", "on_time a")]),
}  # fmt: skip


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(each, id=name) for some in (AGES, WINDOWS, DEPLOYS, TAKEOVERS) for name, each in some.items()],
)
def test_it_is_told_once_and_in_time(scenario: tuple[Assets, Script]) -> None:
    act_out(*scenario)
