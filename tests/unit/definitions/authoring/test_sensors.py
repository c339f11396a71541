"""Sensors as a team declares them, and what it reads when they are declared wrongly."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

import hedgerow as hr
from hedgerow.errors import DefinitionError, ExecutionError
from hedgerow.manifest.difference import compare
from hedgerow.manifest.model import Sensor, decode, encode
from hedgerow.protocol.sensing import RequestedRun, SensorAnswer, SensorQuestion

ASSET = "@hr.asset(group='sales')\ndef orders(): ...\n"
NOW = datetime(2024, 1, 31, 12, tzinfo=UTC)


def test_sensors_stand_in_the_manifest_sorted_by_name_and_are_bound_to_their_functions(load) -> None:
    location = load(
        ASSET
        + """
nightly = hr.job("nightly", "group:sales+")

class Inbox(hr.Resource):
    names = ["b.csv", "a.csv"]

inbox = Inbox()

@hr.sensor(every="5m", target=nightly, timeout="10s", tags={"tier": "gold"})
def new_files(ctx: hr.SensorContext, inbox: Inbox):
    '''Looks into the inbox.'''
    for name in sorted(inbox.names):
        if ctx.cursor is None or name > ctx.cursor:
            yield hr.RunRequest(dedupe_key=name)
            ctx.update_cursor(name)

@hr.sensor(name="idle", enabled=False, description="Does nothing.")
async def never():
    return hr.skip("nothing to do")
"""
    )
    idle, files = location.manifest.sensors
    assert idle == Sensor("idle", "", 30_000, 60_000, {}, "Does nothing.", False, idle.source)
    assert files == Sensor(
        "new_files", "job:nightly", 300_000, 10_000, {"tier": "gold"}, "Looks into the inbox.", True, files.source
    )
    assert files.source is not None
    assert files.source.line == 12
    assert decode(encode(location.manifest)) == location.manifest


def test_an_evaluation_takes_a_question_and_gives_an_answer_as_json(load) -> None:
    load("")

    @hr.sensor(target="orders")
    def new_days(ctx: hr.SensorContext):
        assert ctx.cursor == "before"
        return [hr.RunRequest(partition=f"{ctx.now:%Y-%m-%d}", config={"orders": {"region": "no"}})]

    from hedgerow.binding import bind
    from hedgerow.bound import Surroundings
    from hedgerow.declarations import Declarations
    from hedgerow.manifest.lowering import Sources

    bound = bind(Declarations(sensors=[new_days]), Surroundings(complete=False), Sources()).sensors["new_days"]
    told = msgspec.json.encode(bound.call(msgspec.json.encode(SensorQuestion(NOW, "before"))))
    assert msgspec.json.decode(told, type=SensorAnswer) == SensorAnswer(
        (RequestedRun(partitions=("2024-01-31",), config={"orders": {"region": "no"}}),)
    )


def test_a_sensor_is_tried_out_in_process_with_resources_of_the_test() -> None:
    class Inbox(hr.Resource):
        def __init__(self, *names: str) -> None:
            self.names = names

    @hr.sensor(target="raw/orders")
    def new_files(ctx: hr.SensorContext, inbox: Inbox):
        fresh = [name for name in inbox.names if name > (ctx.cursor or "")]
        if not fresh:
            return hr.skip("no new file")
        return hr.SensorResult([hr.RunRequest(dedupe_key=name) for name in fresh], cursor=fresh[-1])

    found = hr.evaluate_sensor(new_files, resources=[Inbox("a.csv", "b.csv")])
    assert (found.dedupe_keys, found.cursor, found.skipped) == (("a.csv", "b.csv"), "b.csv", "")
    again = hr.evaluate_sensor(new_files, cursor=found.cursor, resources={"inbox": Inbox("a.csv", "b.csv")})
    assert (again.runs, again.cursor, again.skipped) == ((), "b.csv", "no new file")
    assert new_files(hr.SensorContext(cursor="z"), Inbox("a.csv")).why == "no new file"
    with pytest.raises(DefinitionError, match="HR-D014"):
        hr.evaluate_sensor(new_files)


def test_a_sensor_adds_partitions_together_with_their_runs() -> None:
    @hr.sensor(target="invoices")
    def new_customers(ctx: hr.SensorContext):
        ctx.add_partitions("customers", ["acme", "globex"])
        ctx.remove_partitions("customers", "initech")
        return hr.RunRequest(partition="acme")

    found = hr.evaluate_sensor(new_customers)
    assert found.partitions_added == {"customers": ("acme", "globex")}
    assert found.partitions_removed == {"customers": ("initech",)}

    @hr.sensor(target="invoices")
    def too_many(ctx: hr.SensorContext):
        ctx.add_partitions("customers", "acme")
        return [hr.RunRequest(partition="acme")] * 101

    with pytest.raises(ExecutionError, match="HR-X232"):
        hr.evaluate_sensor(too_many)


@pytest.mark.parametrize(
    ("code", "expected", "told", "remedy"),
    [
        ("@hr.sensor(every='0s')\ndef s(): ...", "HR-D012", "every='0s'", "above zero"),
        ("@hr.sensor(every='-5s')\ndef s(): ...", "HR-D012", "every='-5s'", "no duration"),
        ("@hr.sensor(every='10ms')\ndef s(): ...", "HR-D012", "every='10ms'", "from 1s to 24h"),
        ("@hr.sensor(every='2d')\ndef s(): ...", "HR-D012", "every='2d'", "from 1s to 24h"),
        ("@hr.sensor(every=30)\ndef s(): ...", "HR-D012", "every=30", "no duration"),
        ("@hr.sensor(timeout='2h')\ndef s(): ...", "HR-D012", "timeout='2h'", "from 1s to 1h"),
        ("@hr.sensor(target=7)\ndef s(): ...", "HR-D012", "target=7", "raw/*"),
        ("@hr.sensor(target=' ')\ndef s(): ...", "HR-D012", "target=' '", "raw/*"),
        ("@hr.sensor(evry='1m')\ndef s(): ...", "HR-D012", "no argument 'evry'", "Did you mean 'every'?"),
        ("@hr.sensor(enabled=1)\ndef s(): ...", "HR-D012", "enabled=1", "True or False"),
        ("@hr.sensor(name='New files')\ndef s(): ...", "HR-D002", "'New files' is no name", "lower-case"),
        ("@hr.sensor(target=hr.job('n', 'orders'))\ndef s(): ...", "HR-D026", "job 'n'", "Bind the job"),
        ("@hr.sensor\ndef s(ctx): ...", "HR-D005", "'ctx' is neither", "ctx: hr.SensorContext"),
        ("@hr.sensor\ndef s(ctx: hr.Context): ...", "HR-D005", "'ctx' is neither", "ctx: hr.SensorContext"),
        ("@hr.sensor\ndef s(*rest): ...", "HR-D013", "variable", "name of its own"),
        ("@hr.sensor(tags={'a': ''})\ndef s(): ...", "HR-D025", "Sensor 's' has a tag", "1 to 255"),
    ],
)
def test_what_is_declared_wrongly_is_told_with_its_line(mistakes, code, expected, told, remedy) -> None:
    (problem,) = mistakes(ASSET + code)
    assert problem.code == expected
    assert told in problem.message
    assert remedy in problem.remedy
    assert problem.line == 4


def test_an_external_asset_is_observed_by_a_sensor_of_its_own(load) -> None:
    location = load(
        """
def version(ctx: hr.SensorContext):
    'Looks at the feed.'
    return "v2" if ctx.cursor == "v1" else "v1"

feed = hr.external("raw/feed", observe=version, every="1m")
plain = hr.external("raw/plain")
"""
    )
    (probe,) = location.manifest.sensors
    assert (probe.name, probe.observes, probe.every_ms, probe.timeout_ms) == (
        "observe-raw-feed",
        "raw/feed",
        60_000,
        60_000,
    )
    assert probe.description == "Looks at the feed."
    found = location.evaluables["sensor", "observe-raw-feed"].call(msgspec.json.encode(SensorQuestion(NOW, "v1")))
    assert found == SensorAnswer(cursor="v2")


@pytest.mark.parametrize(
    ("returned", "answer"),
    [
        ("etag-7", SensorAnswer(cursor="etag-7")),
        (None, SensorAnswer()),
        (hr.skip("away"), SensorAnswer(skipped="away")),
    ],
)
def test_a_probe_tells_a_data_version_or_nothing(returned: object, answer: SensorAnswer) -> None:
    found = hr.evaluate_sensor(hr.external("raw/feed", observe=lambda: returned))
    assert (found.cursor, found.skipped) == (answer.cursor, answer.skipped)


@pytest.mark.parametrize("returned", [7, "", "x" * 256, "a\0", hr.RunRequest()])
def test_what_is_no_data_version_is_refused(returned: object) -> None:
    with pytest.raises(ExecutionError, match="HR-X230"):
        hr.evaluate_sensor(hr.external("raw/feed", observe=lambda: returned))


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("observe=7", "HR-D012", "observe=7"),
        ("every='5m'", "HR-D012", "observe=None"),
        ("observe=lambda: 'v', every='0s'", "HR-D012", "every='0s'"),
        ("observe=print, partitions=hr.static('a')", "HR-D012", "without partitions"),
        ("observe=lambda what: what", "HR-D005", "'what' is neither"),
    ],
)
def test_a_probe_that_is_declared_wrongly_is_told(mistakes, arguments: str, code: str, told: str) -> None:
    problem = mistakes(f"feed = hr.external('raw/feed', {arguments})")[0]
    assert problem.code == code
    assert told in problem.message + problem.remedy


def test_two_sensors_of_one_name_are_refused(mistakes) -> None:
    (problem,) = mistakes("@hr.sensor\ndef s(): ...\n@hr.sensor(name='s')\ndef t(): ...\n")
    assert problem.code == "HR-D018"
    assert "Sensor 's' is declared twice" in problem.message


def test_what_changed_of_sensors_is_told_by_name(load) -> None:
    code = "@hr.sensor\ndef a(): ...\n@hr.sensor\ndef b(): ...\n"
    before = load(code).manifest
    assert not compare(before, load("\n" + code).manifest)
    after = load(code.replace("@hr.sensor\ndef b", "@hr.sensor(every='1m')\ndef b") + "@hr.sensor\ndef c(): ...\n")
    assert compare(before, after.manifest).sensors == ("b", "c")
