"""What a judging step is given, by what is recorded of its asset; and which checks of an output have failed last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from support import seeding
from support.scheduling import asset, catalog_of, manifest, planned, run_of

from hedgerow.manifest.model import Check
from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.metadata import tables
from hedgerow_scheduler.metadata.automation import read_facts
from hedgerow_scheduler.metadata.backfills import read_failed
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.judging import read_failed_checks, read_judgeable

pytestmark = pytest.mark.servers


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


CATALOG = catalog_of(manifest("sales", asset("a"), checks=(Check("sound", "a", own_step=True),)))


def judging(maker: str | None, follows: bool) -> Step:
    """A step that judges `a`, after a step of which `maker` is the attempt, or by itself."""
    run = run_of(planned(CATALOG, "a", checks_only=not follows))
    run.steps[0].attempt_id = maker if follows else None
    return run.steps[-1]


@pytest.mark.parametrize(
    ("outputs", "maker", "by_itself", "after"),
    [
        ((), None, None, None),
        (("discarded", "candidate"), None, None, None),
        (("current",), None, 0, 0),
        (("superseded", "unchecked"), None, 1, 1),
        (
            ("current", "rejected"),
            None,
            1,
            0,
        ),  # a check of the step that made it has rejected it: not to be overruled by others
        (("current", "rejected"), 1, 1, 1),  # it is tried again
        (("superseded", "current"), 0, 1, 0),  # another run was faster
        (("current", "discarded"), 1, 0, 0),
        (("unchecked", "rejected"), 0, 1, 0),
    ],
)
def test_the_output_of_the_step_before_is_judged_or_else_the_newest(
    engine: Engine, outputs: tuple[str, ...], maker: int | None, by_itself: int | None, after: int | None
) -> None:
    attempts = []
    with engine.begin() as connection:
        for number, state in enumerate(outputs):
            run = seeding.run(connection, "succeeded")
            attempts.append(seeding.attempt(connection, run, 0, "succeeded", dispatch_seq=number))
            seeding.output(connection, attempts[-1], run, 0, "a", state, dispatch_seq=number)
        alone = judging(None, follows=False)
        follows = judging(attempts[maker] if maker is not None else None, follows=True)
        alone.run.id, follows.run.id = "alone", "follows"
        found = read_judgeable(connection, [alone, follows])
    told = {place[0]: attempts.index(judged.output.attempt_id) for place, judged in found.items()}
    assert (told.get("alone"), told.get("follows")) == (by_itself, after)


def test_the_last_verdict_of_each_check_counts_whichever_attempt_gave_it(engine: Engine) -> None:
    with engine.begin() as connection:
        run = seeding.run(connection, "succeeded", steps=1)
        made, first, second = (seeding.attempt(connection, run, number, "succeeded") for number in range(3))
        seeding.output(connection, made, run, 0, "a", "current")
        for minute, (attempt, check, passed) in enumerate(
            [
                (made, "usual", False), (made, "good", True), (made, "mended", False),
                (first, "sound", False), (first, "mended", True), (first, "good", False), (second, "sound", True),
            ]
        ):  # fmt: skip
            seeding.add(
                connection, tables.check_results, attempt_id=attempt, asset="a", check_name=check, partition="", run_id=run,
                step_number=0, passed=passed, blocking=False, severity="error", created_at=seeding.AT + timedelta(minutes=minute),
                judged=None if attempt == made else made,
            )  # fmt: skip
        assert read_failed_checks(connection, [made]) == {(made, "a"): {"usual", "good"}}
        assert read_facts(connection, ["a"], []).failed_checks == (("a", "", "good"), ("a", "", "usual"))


def test_a_judging_step_that_failed_is_no_failure_to_make_its_asset(engine: Engine) -> None:
    with engine.begin() as connection:
        run = seeding.run(connection, "failed", steps=3)
        seeding.step(connection, run, 0, "a", "succeeded", team="sales")
        seeding.step(connection, run, 1, "a", "failed", team="sales", computation="a:checks")
        seeding.step(connection, run, 2, "b", "failed", team="sales")
        assert read_facts(connection, ["a", "b"], ["a", "b"]).failed == (("b", ""),)
        assert [len(read_failed(connection, key, None)) for key in ("a", "b")] == [0, 1]
