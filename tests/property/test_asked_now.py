"""What a condition is found to be by someone who asks of one partition is what the engine finds of it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from support.automated import Restless, Stage
from support.condition_worlds import begun, scripts, worlds

from hedgerow_scheduler.automation.asking_now import ask_now, looked_at
from hedgerow_scheduler.automation.declared import Automated, Declared
from hedgerow_scheduler.automation.facts import Facts
from hedgerow_scheduler.automation.knowledge import Knowledge
from hedgerow_scheduler.automation.memory import decode, encode


def only_of(facts: Facts, which: BitMap) -> Facts:
    """What is so of these partitions, and of no others."""
    found = Facts(None, facts.code_version)
    found.space, found.is_external = facts.space, facts.is_external
    found.materialized, found.failed = facts.materialized & which, facts.failed & which
    found.in_progress, found.warned, found.late = facts.in_progress & which, facts.warned & which, facts.late & which
    found.by_code = {version: made & which for version, made in facts.by_code.items()}
    found.failed_checks = {check: failed & which for check, failed in facts.failed_checks.items()}
    return found


def asked(stage: Stage, automated: Automated, ordinal: int) -> bool:
    """What is found of one partition by a stranger who knows what the condition is said to look at, and what is stored."""
    engine, known = stage.engine, Knowledge()
    wanted = looked_at(automated, ordinal, stage.now)
    known.facts = {key: only_of(engine.facts[key], which) for key, which in wanted.items() if key in engine.facts}
    memory = decode(encode(engine.memories[automated.key], automated.digest), automated.digest)
    assert memory is not None
    return ask_now(automated, ordinal, known, memory, stage.now).holds


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_one_partition_asked_about_by_itself_has_the_engines_answer(data: st.DataObject) -> None:
    assets = data.draw(worlds())
    script = data.draw(scripts(assets))
    try:
        stage = begun(Stage, assets)
        for line in script:
            stage.play(*line.split("; "))
        engine = stage.engine
        existing = {key: engine.facts[key].space.existing(stage.now) for key in engine.declared.automated}
        for key, which in existing.items():
            engine._ask_again(key, which)
        stage.settle()
    except Restless:
        reject()
    if engine.withheld.has_given_up or engine.withheld.released():
        reject()
    for key, which in existing.items():
        automated = Declared.only(engine.declared.catalog, key)
        assert automated is not None
        assert automated.digest == engine.declared.automated[key].digest
        found = BitMap(ordinal for ordinal in which if asked(stage, automated, ordinal))
        assert found == engine.memories[key].held & which, key
