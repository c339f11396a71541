"""What is warned of and late, kept up to date by what happens, is what one finds by looking at everything, whoever leads."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from support.aged import Aging, Stage

from hedgerow.cron import ticks
from hedgerow.freshness import FreshBy, Freshness, FreshWithin, fresh_by, fresh_within
from hedgerow.partitions import daily, static
from hedgerow.partitions.model import Partitions

FIRST = date(2026, 3, 25)  # the clocks of Oslo go forward on the 29th
BEGIN = datetime(2026, 3, 26, tzinfo=UTC)
OSLO = ZoneInfo("Europe/Oslo")
KEYS = static("de", "no", "se")
DAYS = daily(str(FIRST), tz="Europe/Oslo")
PARTITIONS: list[Partitions | None] = [None, KEYS, DAYS, KEYS * DAYS]
POLICIES: list[Freshness | None] = [
    None, fresh_within("26h", warn="24h"), fresh_within("5h"), fresh_within("70h", warn="3h"), fresh_by("0 6 * * *"),
    fresh_by("0 6 * * *", tz="Europe/Oslo", since="6h", warn="5h"), fresh_by("0 */8 * * *", since="20h", warn="9h"),
]  # fmt: skip
CHANGES = st.one_of(
    st.tuples(st.just("wait"), st.timedeltas(timedelta(minutes=1), timedelta(hours=40))),
    st.tuples(st.just("wait until due"), st.none()),
    st.tuples(st.just("make"), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=3)),
    st.tuples(st.just("take over"), st.none()),
    st.tuples(st.just("deploy"), st.lists(st.sampled_from(POLICIES), min_size=4, max_size=4)),
)


def days_until(now: datetime) -> list[tuple[str, datetime]]:
    """The days that are complete, with their ends."""
    found = []
    day = FIRST
    while (end := datetime.combine(day + timedelta(days=1), time(), OSLO).astimezone(UTC)) <= now:
        found.append((str(day), end))
        day += timedelta(days=1)
    return found


def looked_at(asset: Aging, made: dict[str, datetime], now: datetime) -> dict[str, str]:
    """How each partition stands, by looking at every one."""
    policy, parts = asset.policy, asset.partitions
    if policy is None or not made:
        return {}
    last = following = now
    if isinstance(policy, FreshBy):
        known = list(takewhile(lambda tick: tick <= now, ticks(policy.cron, BEGIN - timedelta(days=3))))
        last, following = known[-1], next(ticks(policy.cron, now))
    if parts in (None, KEYS):
        return {name: how for name, at in made.items() if (how := _by_age(policy, at, now, last, following))}
    keys = ("",) if parts == DAYS else tuple(f"{key}|" for key in ("de", "no", "se"))
    first = min(name.rpartition("|")[2] for name in made)
    hows: dict[str, str] = {}
    for day, how in _by_window(policy, now, last, following).items():
        hows |= {name: how for key in keys if (name := f"{key}{day}") not in made and day >= first}
    return hows


def _by_age(policy: Freshness, at: datetime, now: datetime, last: datetime, following: datetime) -> str:
    if isinstance(policy, FreshWithin):
        age_ms = (now - at) / timedelta(milliseconds=1)
        return "late" if age_ms >= policy.within_ms else "warn" if policy.warn_ms and age_ms >= policy.warn_ms else ""
    since = timedelta(milliseconds=policy.since_ms)
    warns = following - timedelta(milliseconds=policy.warn_ms or 0)
    return "late" if at < last - since else "warn" if now >= warns and at < following - since else ""


def _by_window(policy: Freshness, now: datetime, last: datetime, following: datetime) -> dict[str, str]:
    """The days that are judged, and as what unless they are there."""
    complete = days_until(now)
    if isinstance(policy, FreshWithin):
        within, warn = (timedelta(milliseconds=ms or policy.within_ms) for ms in (policy.within_ms, policy.warn_ms))
        due = [day for day, end in complete if end + within <= now]
        return dict.fromkeys(due[-1:], "late") | {
            day: "warn" for day, end in complete if day not in due and end + warn <= now
        }
    hows = {}
    warns = following - timedelta(milliseconds=policy.warn_ms or 0)
    coming = [day for day, end in days_until(following) if end < following][-1:]
    if now >= warns:
        hows = {day: "warn" for day, _ in complete if day in coming}
    return hows | dict.fromkeys([day for day, end in complete if end < last][-1:], "late")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(POLICIES), min_size=4, max_size=4), st.lists(CHANGES, min_size=12, max_size=40))
def test_the_board_stands_as_one_finds_by_looking_at_everything(
    policies: list[Freshness | None], changes: list
) -> None:
    def assets(policies: list[Freshness | None]) -> dict[str, Aging]:
        return {key: Aging(*pair) for key, *pair in zip("abcd", policies, PARTITIONS, strict=True)}

    stage = Stage(assets(policies))
    stage.now = BEGIN
    for what, how in changes:
        if what == "wait":
            stage.now += how
        elif what == "wait until due":
            stage.now = max(stage.now, stage.board.next_due() or stage.now)
        elif what == "make":
            for asset, place in how:
                days = [day for day, _ in days_until(stage.now)][-4:]
                day, key = days[place % len(days)], ("de", "no", "se")[place % 3]
                name = ("a", f"b@{key}", f"c@{day}", f"d@{key}|{day}")[asset]
                stage.make(name)
        elif what == "take over":
            stage.take_over()
        else:
            stage.deploy(assets(how))
        stage.turn()
        found = {
            (key, name): status
            for key, asset in stage.assets.items()
            for name, status in looked_at(asset, stage.made.get(key, {}), stage.now).items()
        }
        assert stage.told == found, (what, how, stage.now)
