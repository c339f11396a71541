"""What conditions request when keys of dynamic partitions come and go."""

from __future__ import annotations

from support.automated import Made, Stage

from hedgerow.conditions import constructors as hr
from hedgerow.partitions import mapping
from hedgerow.partitions.constructors import daily, static
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import KeySet

NOON = "2026-01-05T12:00"
DAYS = daily("2026-01-01")


class Keyed:
    """A stage whose assets are partitioned by a set of customers that begins with some keys."""

    def __init__(self, *keys: str) -> None:
        self.keys = KeySet("sales", "customers")
        for key in keys:
            self.keys.add(key)
        self.customers = KnownPartitions(name="customers", dim="customer", known=self.keys)

    def begin(self, **assets: Made) -> Stage:
        self.stage = Stage(assets, NOON)
        return self.stage

    def add(self, *keys: str) -> list[str]:
        """What is requested when these keys come."""
        for key in keys:
            self.keys.add(key)
        self.stage.engine.keys_changed(self.stage.now)
        return sorted(self.stage.settle())

    def remove(self, *keys: str) -> list[str]:
        """What is requested when these keys go."""
        for key in keys:
            self.keys.remove(key)
        self.stage.engine.keys_changed(self.stage.now)
        return sorted(self.stage.settle())


def test_on_missing_makes_the_partition_of_a_new_key_and_leaves_those_of_before_alone() -> None:
    for known in ((), ("old",)):
        of = Keyed(*known)
        of.begin(only=Made((), hr.on_missing(), of.customers))
        assert of.add("acme", "globex") == ["only@acme", "only@globex"]
        assert of.stage.play("make only@acme", "make only@globex") == []
        assert of.add("acme") == []


def test_a_key_that_was_removed_is_news_when_it_comes_back_only_if_its_partition_is_missing() -> None:
    of = Keyed("old")
    of.begin(only=Made((), hr.on_missing(), of.customers))
    of.add("acme", "globex")
    of.stage.play("make only@acme", "fail only@globex")
    assert of.remove("acme", "globex") == []
    assert of.add("acme", "globex") == ["only@globex"]


def test_a_new_key_waits_for_what_is_upstream_of_it() -> None:
    of = Keyed("old")
    of.begin(up=Made(partitions=of.customers), down=Made(("up",), hr.eager(), of.customers))
    assert of.add("acme") == []
    assert of.stage.play("make up@acme") == ["down@acme"]


def test_what_reads_all_keys_is_asked_again_when_one_comes_and_when_the_last_that_lacks_goes() -> None:
    of = Keyed("acme")
    of.begin(up=Made(partitions=of.customers), down=Made(("up",), hr.eager()))
    assert of.stage.play("make up@acme") == ["down"]
    of.stage.play("make down")
    of.add("globex")
    assert of.stage.play("make up@acme") == []
    assert of.remove("globex") == ["down"]


def test_of_a_product_with_days_a_new_key_has_its_latest_day_made() -> None:
    of = Keyed("acme")
    of.begin(only=Made((), hr.on_missing(), DAYS * of.customers))
    assert of.add("globex") == ["only@2026-01-04|globex"]
    assert of.stage.play("at 2026-01-06T00:00") == ["only@2026-01-05|acme", "only@2026-01-05|globex"]
    of.remove("acme")
    assert of.stage.play("at 2026-01-07T00:00") == ["only@2026-01-06|globex"]


def test_a_new_key_asks_about_its_own_partitions_only() -> None:
    of = Keyed(*(f"old{number}" for number in range(1_000)))
    stage = of.begin(
        only=Made((), hr.on_missing("all"), DAYS * of.customers), other=Made((), hr.on_missing(), static("a"))
    )
    asked = stage.asked
    assert len(of.add("acme")) == 4
    assert stage.asked - asked <= 3
    assert max(finding.asked for finding in stage.evaluated["only"].findings) == 4


def test_sets_of_two_teams_belong_together_by_their_keys() -> None:
    theirs = KeySet("crm", "accounts")
    accounts = KnownPartitions(name="accounts", dim="account", known=theirs)
    of = Keyed("acme")
    of.begin(up=Made(partitions=accounts), down=Made(("up",), hr.eager(), of.customers))
    theirs.add("globex")
    theirs.add("acme")
    of.stage.engine.keys_changed(of.stage.now)
    assert of.stage.play("make up@acme") == ["down@acme"]
    assert of.stage.play("make up@globex") == []
    assert of.add("globex") == ["down@globex"]


def test_listed_keys_count_from_when_they_come() -> None:
    of = Keyed()
    listed = mapping.keys({"north": ["no", "se"], "*": []})
    of.begin(up=Made(partitions=of.customers), down=Made((("up", listed),), hr.eager(), static("north", "south")))
    of.add("se")
    assert of.stage.play("make up@se") == ["down@north"]


def test_another_leader_goes_on_from_what_was_asked() -> None:
    of = Keyed("old")
    stage = of.begin(only=Made((), hr.on_missing(), of.customers))
    assert of.add("acme") == ["only@acme"]
    assert stage.play("takeover") == []
    assert of.add("globex") == ["only@globex"]
