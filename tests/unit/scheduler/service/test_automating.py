"""What Prometheus is told of conditions: as much as changed, by team, once it is recorded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from pyroaring import BitMap
from support.scheduling import Made, World, asset, manifest

from hedgerow.conditions.constructors import eager, missing
from hedgerow.conditions.model import Condition
from hedgerow.manifest.model import Manifest
from hedgerow.partitions.model import ProductPartitions, TimePartitions
from hedgerow_scheduler.lifecycle.changes import Effects
from hedgerow_scheduler.metadata.automation import StoredFacts
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.service.automating import Automating

HOURS = TimePartitions("hour", "1980-01-01T00")


def conditional(team: str, condition: Condition, *parts: Made) -> Manifest:
    """A manifest all of whose assets have this condition."""
    found = manifest(team, *parts)
    return msgspec.structs.replace(
        found, assets=tuple(msgspec.structs.replace(each, automation=condition) for each in found.assets)
    )


class Term:
    """A term of leadership over these manifests, of whose assets nothing was made before."""

    def __init__(self, *manifests: Manifest) -> None:
        self.world, self.metrics = World(*manifests), SchedulerMetrics()
        for each in manifests:
            self.metrics.add_team(each.team)
        ids = (f"run-{number}" for number in range(100))
        self.automating = Automating(self.world.snapshot, {}, True, lambda: next(ids), lambda _: BitMap())

    def facts(self, keys: Collection[str], with_failures: Collection[str]) -> StoredFacts:
        """Nothing is recorded."""
        return StoredFacts()

    def cycle(self) -> None:
        """Cycles of the leader until nothing is left to do, each of them recorded."""
        while self.automating.turn(self, self.world.now, lambda: None):
            pass
        effects, self.world.snapshot.effects = self.world.snapshot.effects, Effects()
        self.metrics.take(effects.measures)

    def make(self, key: str) -> None:
        """A step of another run has made an asset."""
        self.world.start(key)
        for attempt in self.world.cycle():
            self.world.begin(attempt)
            self.world.finish(attempt)

    def counted(self, name: str, team: str) -> Any:
        """A counter of conditions."""
        return self.metrics.registry.get_sample_value(f"hedgerow_conditions_{name}_total", {"team": team})

    def turns(self) -> Any:
        """How many turns have come to an end."""
        return self.metrics.registry.get_sample_value("hedgerow_condition_turn_seconds_count")


def test_what_is_asked_and_launched_is_counted_by_team_and_nothing_while_nothing_changes() -> None:
    raw = manifest("raw", asset("x"), asset("y"))
    term = Term(raw, conditional("sales", eager(), asset("one", "x"), asset("two", "x"), asset("other", "y")))
    term.world.beat("raw", slots=1)
    term.cycle()
    asked, turns = term.counted("evaluated", "sales"), term.turns()
    assert asked >= 3
    assert (term.counted("requested", "sales"), term.counted("evaluated", "raw")) == (0, 0)
    term.cycle()
    assert (term.counted("evaluated", "sales"), term.turns()) == (asked, turns)
    term.make("x")
    term.cycle()
    assert term.counted("requested", "sales") == 2
    assert term.counted("evaluated", "sales") > asked
    assert term.turns() > turns
    assert term.counted("broken", "sales") == 0


def test_a_condition_that_cannot_be_taken_up_is_counted_once_whatever_others_deploy() -> None:
    unheard_of = ProductPartitions(
        (TimePartitions("hour", "2026-01-01T00", dim="one"), TimePartitions("hour", "2026-01-01T00", dim="other"))
    )
    broken = conditional("sales", eager(), asset("broken", partitions=unheard_of))
    term = Term(broken)
    term.cycle()
    assert term.counted("broken", "sales") == 1
    term.world.snapshot.catalog = World(broken, manifest("raw", asset("x"))).snapshot.catalog
    term.cycle()
    assert term.counted("broken", "sales") == 1


def test_a_request_that_is_too_large_to_plan_is_counted_as_broken_and_told() -> None:
    term = Term(conditional("sales", missing(), asset("hourly", partitions=HOURS)))
    term.cycle()
    assert (term.counted("broken", "sales"), term.counted("requested", "sales")) == (1, 0)
    evaluation = term.world.snapshot.changes.evaluations["hourly", "requested"]
    assert evaluation.problem.startswith("What it requests can't be planned: ")
    assert evaluation.run_id is None
