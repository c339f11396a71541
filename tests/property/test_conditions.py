"""Conditions asked of what may be different answer as conditions that are asked of everything, at a cost that follows what happened."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from support.automated import Made, Restless, Stage
from support.condition_worlds import PARTITIONS, begun, scripts, worlds

LOOKS = timedelta(minutes=10)


class Thorough(Stage):
    """A stage whose turns ask every partition that there is of every asset with a condition, and that takes turns also when none is due."""

    def before_turn(self) -> None:
        for key in self.engine.declared.automated:
            self.engine._ask_again(key, self.engine.facts[key].space.existing(self.now))

    def play(self, *events: str) -> list[str]:
        """As other stages do, and one turn more that nothing asked for."""
        found = super().play(*events)
        self.before_turn()
        return sorted(found + self.settle())

    def _until(self, then: datetime) -> list[str]:
        found: list[str] = []
        while self.now < then:
            found += super()._until(min(self.now + LOOKS, then))
            self.before_turn()
            found += self.settle()
        return found


def played(kind: type[Stage], assets: dict[str, Made], script: list[str], taken_over: bool = False) -> list[list[str]]:
    """What is requested by each line. Conditions that ask for themselves without end, or in vain until the engine gives up, are left out."""
    try:
        stage = begun(kind, assets)
        found = []
        for line in script:
            found.append(stage.play(*line.split("; ")))
            # How often something was asked for in vain is not stored: another leader gives up later than its predecessor would have.
            if stage.engine.withheld.has_given_up:
                reject()
            if taken_over:
                found[-1] += stage.play("takeover")
    except Restless:
        reject()
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_what_is_asked_of_a_part_is_answered_as_if_it_were_asked_of_everything(data: st.DataObject) -> None:
    assets = data.draw(worlds())
    script = data.draw(scripts(assets))
    assert played(Stage, assets, script) == played(Thorough, assets, script)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_another_leader_at_any_time_changes_nothing(data: st.DataObject) -> None:
    assets = data.draw(worlds())
    script = data.draw(scripts(assets))
    assert played(Stage, assets, script) == played(Stage, assets, script, taken_over=True)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_nothing_is_asked_when_nothing_happens_and_only_neighbours_when_something_does(data: st.DataObject) -> None:
    assets = data.draw(worlds())
    try:
        stage = begun(Stage, assets)
    except Restless:
        reject()
    key = data.draw(st.sampled_from(sorted(assets)))
    reached = {key}
    for each, made in assets.items():
        if reached & {dep[0] for dep in made.deps}:
            reached.add(each)
    some = PARTITIONS[assets[key].partitions]
    stage.evaluated.clear()
    try:
        stage.play(f"fail {key}@{some[0]}" if some else f"fail {key}")
    except Restless:
        reject()
    assert stage.evaluated.keys() <= reached
    asked = stage.asked
    stage.settle()
    assert stage.asked == asked
