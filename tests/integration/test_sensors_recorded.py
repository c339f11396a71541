"""What a leader records of sensors: everything that an answer asks for, or nothing, whichever term takes it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import text
from support.played import Platform, played, settings_of
from support.processes import eventually
from support.scheduling import asset, manifest

from hedgerow.manifest.model import Sensor
from hedgerow.protocol import control
from hedgerow.protocol.events import Evaluated
from hedgerow.protocol.sensing import RequestedRun, SensorAnswer, SensorQuestion
from hedgerow_scheduler.metadata.recording import EVALUATIONS_KEPT

pytestmark = pytest.mark.servers
SALES = manifest("sales", asset("totals"), sensors=(Sensor("files", "totals", every_ms=1_000),))
CURSOR = 'Grüße "\\u0000"\n' * 100
FOUND = SensorAnswer((RequestedRun(dedupe_key="a"), RequestedRun(dedupe_key="b")), CURSOR)


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url), SALES) as platform:
        yield platform


def asked(platform: Platform, other_than: str = "") -> control.Evaluate:
    """The last question, once there is another one."""

    def look() -> control.Evaluate | None:
        platform.attend()
        told = [each for each in platform.sales.told if isinstance(each, control.Evaluate)]
        return told[-1] if told and told[-1].evaluation_id != other_than else None

    found = eventually(look, what="an evaluation is asked for")
    assert found is not None
    return found


def answer(platform: Platform, question: control.Evaluate, said: SensorAnswer) -> None:
    result = msgspec.Raw(msgspec.json.encode(said))
    platform.sales.report(Evaluated(question.evaluation_id, "sensor", question.name, "ok", result, log="a\0b"))


def execute(platform: Platform, statement: str) -> None:
    with platform.engine.begin() as connection:
        connection.execute(text(statement))


def test_runs_keys_and_cursor_are_recorded_together_or_not_at_all_and_what_was_not_is_asked_again(
    platform: Platform,
) -> None:
    with platform.scheduling("one") as metrics:
        platform.deployed()
        first = asked(platform)
        assert msgspec.json.decode(first.argument, type=SensorQuestion).cursor is None
        execute(
            platform,
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$ LANGUAGE plpgsql",
        )
        execute(
            platform,
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON sensor_evaluations DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        answer(platform, first, FOUND)
        ended = lambda: sum(metrics.terms.labels(end)._value.get() for end in ("failed", "defect"))  # noqa: E731
        eventually(lambda: ended() >= 1, what="the term ends at the commit")
        assert platform.rows("SELECT count(*) FROM runs") == [(0,)]
        assert platform.rows("SELECT count(*) FROM sensor_keys") == [(0,)]
        assert platform.rows("SELECT cursor, number FROM sensors") == [(None, 0)]
        execute(platform, "DROP TRIGGER late ON sensor_evaluations")
        second = asked(platform, first.evaluation_id)
        answer(platform, first, FOUND)  # of a term that is over
        answer(platform, second, FOUND)
        platform.until("SELECT count(*) FROM runs", (2,))
    last = asked(platform)  # perhaps by the first one, which is gone
    with platform.scheduling("two"):
        third = asked(platform, last.evaluation_id)
        assert msgspec.json.decode(third.argument, type=SensorQuestion).cursor == CURSOR
        answer(platform, third, FOUND)
        platform.until("SELECT number FROM sensors", (2,))
    assert platform.rows("SELECT key FROM sensor_keys ORDER BY key") == [("a",), ("b",)]
    runs = platform.rows("SELECT id, tags ->> 'dedupe_key', author FROM runs ORDER BY 2")
    assert [run[1:] for run in runs] == [("a", "sensor sales/files"), ("b", "sensor sales/files")]
    told = platform.rows("SELECT outcome, launched, deduped, log FROM sensor_evaluations ORDER BY ended_at")
    assert told == [("launched", 2, 0, "a\ufffdb"), ("skipped", 0, 2, "a\ufffdb")]


def test_of_each_outcome_the_last_evaluations_are_kept(platform: Platform) -> None:
    with platform.scheduling("one"):
        platform.deployed()
        question = asked(platform)
        execute(
            platform,
            "INSERT INTO sensor_evaluations (id, team, name, at, ended_at, outcome, launched, deduped, run_ids, reason, log, duration_ms) "
            "SELECT gen_random_uuid(), 'sales', n, now(), now() - i * interval '1 min', o, 0, 0, '[]', '', '', 0 "
            "FROM generate_series(1, 60) AS i, unnest(ARRAY['files', 'other']) AS n, unnest(ARRAY['skipped', 'failed']) AS o",
        )
        answer(platform, question, SensorAnswer(skipped="nothing new"))
        platform.until("SELECT reason FROM sensor_evaluations WHERE reason <> ''", ("nothing new",))
    kept = "SELECT outcome, count(*) FROM sensor_evaluations WHERE name = '{}' GROUP BY 1 ORDER BY 1"
    assert platform.rows(kept.format("files")) == [("failed", EVALUATIONS_KEPT), ("skipped", EVALUATIONS_KEPT)]
    assert platform.rows(kept.format("other")) == [("failed", 60), ("skipped", 60)]
