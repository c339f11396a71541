"""Every cause for which a step waits: brought about by the real admission on a real PostgreSQL, and told by HTTP, commands and metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, update
from support import seeding
from support.recorded import Recorded
from support.scheduling import asset, chunks, manifest, token_of
from support.served import served

from hedgerow.manifest.model import Check, Dependency, KeyLimit, Pool, PoolUse, Queue, Retry
from hedgerow.protocol import events as ev
from hedgerow.settings.platform import TeamPolicy, read_platform
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import explain, runs
from hedgerow_scheduler.lifecycle.changes import Changes, Effects
from hedgerow_scheduler.lifecycle.model import Attempt, Run, Step
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.metadata import leadership, limits
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.inputs import read_stored
from hedgerow_scheduler.metadata.postgres_store import PostgresTransaction
from hedgerow_scheduler.metadata.recording import record
from hedgerow_scheduler.metadata.runs import request_run
from hedgerow_scheduler.metadata.writes import Writes
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.observe.pictures import Pictures
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.rules import PlatformLimits, Rules
from hedgerow_scheduler.service.requests import take_requested_runs

pytestmark = pytest.mark.servers

TEAMS = {"ml": TeamPolicy(max_slots=1)}
POOLS = (Pool("snowflake", 2),)
QUEUES = (
    Queue("default"), Queue("narrow", concurrency=1), Queue("slow", rate_per_s=0.001, burst=1.0), Queue("held"), Queue("far"),
)  # fmt: skip
SALES = manifest(
    "sales",
    asset("narrow1", queue="narrow"), asset("narrow2", queue="narrow"),
    asset("slow1", queue="slow"), asset("slow2", queue="slow"),
    asset("held1", queue="held"), asset("far1", queue="far"),
    asset("free1"), asset("free2"), asset("below", "free1"),
    asset("pooled1", pools=(PoolUse("snowflake", 2),)), asset("pooled2", pools=(PoolUse("snowflake"),)),
    asset("greedy", pools=(PoolUse("snowflake", 4),)), asset("lost", pools=(PoolUse("nobodys"),)),
    asset("called1", pools=(PoolUse("api"),)), asset("called2", pools=(PoolUse("api"),)),
    asset("keyed1", limits=(KeyLimit("account", "tags.account", 1),)),
    asset("keyed2", limits=(KeyLimit("account", "tags.account", 1),)),
    asset("reading", Dependency("free2", parameter="free2")),
    asset("dangling", Dependency("fx/rates")),
    asset("flaky", retry=Retry(1, delay_ms=60_000, jitter=False)),
    queues=QUEUES,
    pools=(Pool("api", rate_per_s=0.001, burst=1.0),),
    checks=(Check("not_empty", "free2", blocking=True),),
)  # fmt: skip
ML = manifest("ml", asset("model1"), asset("model2"))
HR = manifest("hr", asset("pay1"), asset("pay2"))


class Town(Recorded):
    """Three teams on one platform, recorded as the leader records them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        granted = PlatformLimits(TEAMS, {pool.name: pool for pool in POOLS})
        self.snapshot.rules = Rules(self.snapshot.catalog, granted, (), self.snapshot.run_caps)
        self.metrics = SchedulerMetrics()
        with engine.begin() as connection:
            seeding.lead(connection)
        for one in (SALES, ML, HR):
            self.send(one.team, *chunks(one))
        self.beat("sales", slots=50, queues=("default", "narrow", "slow", "held"))
        self.beat("ml", slots=50)
        self.beat("hr", slots=1)
        self.tick()

    def cycle(self) -> list[Attempt]:
        """A cycle that finds what is really stored."""
        self.snapshot.fire_timers(self.now)
        grants = self.admission.grant(self.snapshot, self.now)
        with self.engine.begin() as connection:
            self.dispatcher.dispatch(self.snapshot, grants, self.now, lambda pairs: read_stored(connection, pairs))
        fresh = [attempt for attempt in self.snapshot.changes.new_attempts if attempt not in self.orders]
        self.orders.extend(fresh)
        self.snapshot.changes.buckets.extend(self.snapshot.limits.levels())
        return fresh

    def tick(self) -> list[Attempt]:
        """A cycle at this moment."""
        with self.engine.begin() as connection:
            self.now = leadership.read_time(connection)
        return self.cycle_recorded()

    def make(self, *selection: str, tags: dict[str, str] | None = None, **more: Any) -> Run:
        """A run that was asked for, taken up, and what can start of it dispatched."""
        run_id = self.ask(*selection, tags=tags or {}, **more)
        self.tick()
        return self.snapshot.runs[run_id]

    def ask(self, *selection: str, tags: dict[str, str] | None = None, **more: Any) -> str:
        """A run that was asked for only."""
        with self.engine.begin() as connection:
            return request_run(connection, RunRequest(selection, **more), tags or {}, "ann")[0]

    def plan_only(self, *selection: str) -> Run:
        """A run that was taken up by a cycle that is not over."""
        run_id = self.ask(*selection)
        with self.engine.begin() as connection:
            self.now = leadership.read_time(connection)
            take_requested_runs(PostgresTransaction(connection, Writes()), self.snapshot, self.now)
            self.snapshot.effects = Effects()
            changes, self.snapshot.changes = self.snapshot.changes, Changes()
            record(connection, changes, self.now)
        return self.snapshot.runs[run_id]

    def start_work(self) -> None:
        """Whatever was dispatched runs."""
        self.begin(*(attempt for attempt in self.orders if attempt.step.state is StepState.DISPATCHED))
        self.tick()

    def set_limit(self, kind: str, name: str, **fields: float) -> None:
        """An operator sets a limit."""
        with self.engine.begin() as connection:
            limits.set_overrides(connection, (kind, name), dict(fields), "ada", "month end", None)  # type: ignore[arg-type]
            use_overrides(self.snapshot, limits.read_overrides(connection), self.now)
        self.tick()

    def draw(self) -> Callable[[str, dict[str, str]], float | None]:
        """The metrics as they would be scraped after two seconds in which nothing changed."""
        pictures = Pictures(self.metrics)
        for later in (0, 2):
            now = self.now + timedelta(seconds=later)
            pictures.draw(self.snapshot, self.admission.capacities(self.snapshot, self.now), now)
        return self.metrics.registry.get_sample_value


class Situation(NamedTuple):
    """A step that waits: the words that its cause must say, who holds what it waits for, and which metrics must show it."""

    step: str
    says: tuple[str, ...]
    holder: Step | None = None
    state: str | None = None  # of hedgerow_queue_steps
    queue: tuple[str, str] = ("sales", "default")
    limit: tuple[str, str, float] | None = None  # kind, name and hedgerow_limit_in_use


def name(run: Run, number: int = 0) -> str:
    return run.steps[number].name


def queue_concurrency(town: Town) -> Situation:
    first, second = town.make("narrow1"), town.make("narrow2")
    says = ("Queue sales/narrow is full, 1/1",)
    return Situation(
        name(second), says, first.steps[0], "concurrency_limited", ("sales", "narrow"), ("queue", "sales/narrow", 1)
    )


def queue_rate(town: Town) -> Situation:
    town.make("slow1")
    second = town.make("slow2")
    says = ("Queue sales/slow starts 0.001/s at most", "0.0 tokens are left, the next start in 16 m")
    return Situation(name(second), says, None, "rate_limited", ("sales", "slow"), ("queue", "sales/slow", 1))


def paused(town: Town) -> Situation:
    town.set_limit("queue", "sales/held", paused=1)
    run = town.make("held1")
    says = ("Queue sales/held is paused by ada", '"month end"', "hedgerow queue resume sales/held")
    return Situation(name(run), says, None, "paused", ("sales", "held"), ("queue", "sales/held", 0))


def team_slots(town: Town) -> Situation:
    first, second = town.make("model1"), town.make("model2")
    says = ("Team ml is full, 1/1",)
    return Situation(name(second), says, first.steps[0], "concurrency_limited", ("ml", "default"), ("team", "ml", 1))


def no_workers(town: Town) -> Situation:
    run = town.make("far1")
    says = ("No live worker serves queue sales/far", "hedgerow worker PATH")
    return Situation(name(run), says, None, "no_workers", ("sales", "far"))


def slots_busy(town: Town) -> Situation:
    first, second = town.make("pay1"), town.make("pay2")
    town.start_work()
    says = ("Every slot of the worker of queue hr/default is taken, 1/1",)
    return Situation(name(second), says, first.steps[0], "ready", ("hr", "default"))


def run_concurrency(town: Town) -> Situation:
    run = town.make("free1 free2", max_concurrent=1)
    return Situation(name(run, 1), (f"Run {run.id} is full, 1/1",), run.steps[0], "concurrency_limited")


def pool_slots(town: Town) -> Situation:
    first = town.make("pooled1")
    town.start_work()
    second = town.make("pooled2")
    says = ("Pool snowflake is full, 2/2", "(2 slots, team sales, for")
    return Situation(name(second), says, first.steps[0], "pool_limited", limit=("pool", "snowflake", 2))


def pool_slots_by_an_operator(town: Town) -> Situation:
    first = town.make("pooled2")
    town.set_limit("pool", "snowflake", concurrency=1)
    says = (
        "Pool snowflake has 1 slot",
        'from 2 to 1 by ada: "month end"',
        "needs 2: it can't start until there are more",
        "--concurrency 2",
    )
    return Situation(name(town.make("pooled1")), says, first.steps[0], "pool_limited", limit=("pool", "snowflake", 1))


def pool_slots_of_a_need_too_large(town: Town) -> Situation:
    says = ("Pool snowflake has 2 slots, and the step needs 4: it can't start until there are more", "--concurrency 4")
    return Situation(name(town.make("greedy")), says, None, "pool_limited", limit=("pool", "snowflake", 0))


def pool_slots_of_a_pool_that_nobody_declares(town: Town) -> Situation:
    says = ("Pool 'nobodys' is declared by nobody", 'hr.pool("nobodys"')
    return Situation(name(town.make("lost")), says, None, "pool_limited", limit=("pool", "sales/nobodys", 0))


def pool_rate(town: Town) -> Situation:
    town.make("called1")
    second = town.make("called2")
    says = ("Pool sales/api starts 0.001/s at most", "the next start in 16 m")
    return Situation(name(second), says, None, "rate_limited", limit=("pool", "sales/api", 1))


def key_concurrency(town: Town) -> Situation:
    first, second = (town.make(which, tags={"account": "42"}) for which in ("keyed1", "keyed2"))
    says = ("Key limit sales/account of '42' is full, 1/1",)
    return Situation(name(second), says, first.steps[0], "concurrency_limited")


def same_output(town: Town) -> Situation:
    first, second = town.make("free1"), town.make("free1")
    return Situation(name(second), ("is making free1 now", "one at a time"), first.steps[0], "ready")


def unresolved(town: Town) -> Situation:
    says = ("Upstream 'fx/rates' is declared by no team", 'hr.external("fx/rates")')
    return Situation(name(town.make("dangling")), says, None, "ready")


def blocked_by_check(town: Town) -> Situation:
    bad = town.make("free2")
    town.start_work()
    attempt = town.orders[-1]
    token = token_of(attempt)
    town.send("sales", ev.AssetMaterialized(attempt.id, "free2", token, data_version="v1"))
    town.send("sales", ev.CheckEvaluated(attempt.id, "free2", "not_empty", False, token, blocking=True))
    town.finish(attempt)
    town.tick()
    says = (f"Upstream free2 has no accepted output: blocking check 'not_empty' failed in run {bad.id}",)
    return Situation(name(town.make("reading")), says, None, "ready")


def no_code(town: Town) -> Situation:
    newer = msgspec.structs.replace(
        SALES,
        assets=tuple(sorted((*SALES.assets, asset("zeta")[0][0]), key=lambda one: one.key)),
        computations=tuple(sorted((*SALES.computations, asset("zeta")[1]), key=lambda one: one.name)),
    )
    town.send("sales", *chunks(newer))
    says = ("serve older code, which does not declare zeta",)
    return Situation(name(town.make("zeta")), says, None, "no_workers")


def upstream(town: Town) -> Situation:
    run = town.make("free1 below")
    town.start_work()
    return Situation(name(run, 1), ("It waits for 1 upstream step of its run: 0 free1 (running)",))


def retry_wait(town: Town) -> Situation:
    run = town.make("flaky")
    town.start_work()
    town.fail(town.orders[-1])
    town.tick()
    return Situation(name(run), ("Attempt 2 comes in ", "after HR-X001: It broke."))


def dispatch(town: Town) -> Situation:
    return Situation(name(town.make("free1")), ("Its order is on the way to a worker",), None, "dispatched")


def planning(town: Town) -> Situation:
    return Situation(town.ask("free1"), ("The scheduler has not taken the run up yet",))


def turn(town: Town) -> Situation:
    run = town.plan_only("free1 free2")
    return Situation(name(run, 1), ("1 step comes first",), None, "ready")


def scheduler_down(town: Town) -> Situation:
    run = town.plan_only("free1")
    with town.engine.begin() as connection:
        seeding.lead(connection, stale_s=75)
    return Situation(name(run), ("No scheduler leads: the last renewed 1 m ", "hedgerow scheduler"))


SITUATIONS = (
    queue_concurrency, queue_rate, paused, team_slots, no_workers, slots_busy, run_concurrency, pool_slots,
    pool_slots_by_an_operator, pool_slots_of_a_need_too_large, pool_slots_of_a_pool_that_nobody_declares, pool_rate,
    key_concurrency, same_output, unresolved, blocked_by_check, no_code, upstream, retry_wait, dispatch, planning, turn,
    scheduler_down,
)  # fmt: skip


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url)
    yield found
    found.dispose()


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The API of the town's platform, which commands find as well."""
    environ = {
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_STORAGE": str(tmp_path),
        "HEDGEROW_BROKER": "redis://127.0.0.1:1/0",
    }
    services = open_services(msgspec.structs.replace(read_platform(None, environ), teams=TEAMS, pools=POOLS))
    monkeypatch.chdir(tmp_path)
    with served(services) as address:
        for variable, value in {**environ, "HEDGEROW_API": address, "COLUMNS": "200"}.items():
            monkeypatch.setenv(variable, value)
        yield address
    services.engine.dispose()


@pytest.mark.parametrize("bring_about", SITUATIONS, ids=lambda situation: situation.__name__)
def test_whoever_asks_is_told_the_cause_and_the_holder(
    bring_about: Callable[[Town], Situation], engine: Engine, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    town = Town(engine)
    situation = bring_about(town)
    kind = bring_about.__name__.partition("_by_an")[0].partition("_of_a")[0]

    answer = httpx.get(f"{url}/api/v1/explain", params={"step": situation.step}).json()
    causes = {cause["kind"]: cause for cause in answer["causes"]}
    assert kind in causes, answer
    told = causes[kind]["text"] + " " + causes[kind]["remedy"]
    assert [words for words in situation.says if words not in told] == [], told
    if situation.holder is not None:
        held = [(holder["run_id"], holder["number"]) for holder in causes[kind]["holders"]]
        assert held == [(situation.holder.run.id, situation.holder.number)]
    assert sum(wait["seconds"] for wait in answer["waits"]) == pytest.approx(answer["waited_s"])

    assert explain.main([situation.step, "--json"]) == 0
    assert kind in [cause["kind"] for cause in json.loads(capsys.readouterr().out)["causes"]]
    assert explain.main([situation.step]) == 0
    text = capsys.readouterr().out
    assert [words for words in situation.says if words not in text] == [], text
    if situation.holder is not None and "it can't start until there are more" not in text:
        assert situation.holder.name in text

    value = town.draw()
    if situation.state is not None:
        labels = dict(zip(("team", "queue"), situation.queue, strict=True)) | {"state": situation.state}
        assert (value("hedgerow_queue_steps", labels) or 0) >= 1, labels
    if situation.limit is not None:
        of = {"kind": situation.limit[0], "name": situation.limit[1]}
        assert value("hedgerow_limit_in_use", of) == situation.limit[2]
        assert value("hedgerow_limit_throttled_seconds_total", of) == pytest.approx(2)


def test_a_step_tells_its_place_when_it_is_likely_to_start_and_where_its_time_went(
    engine: Engine, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    town = Town(engine)
    town.make("slow1")
    town.make("slow2")
    second = town.make("slow2 slow1")  # what stands first of an older run comes before it
    answer = httpx.get(f"{url}/api/v1/explain", params={"step": name(second, 1)}).json()
    assert answer["position"] == {"queue": "sales/slow", "ahead": 2, "ready": 3}
    assert answer["estimated_start"] is not None
    assert explain.main([name(second, 1)]) == 0
    text = capsys.readouterr().out
    for words in ("Its place in queue sales/slow: about 3 of 3.", "It starts in about 49 m", "waited ", "queue_rate"):
        assert words in text
    assert runs.main(["show", name(second, 1)]) == 0
    assert "queue_rate" in capsys.readouterr().out


def test_the_causes_of_a_whole_wait_add_up_to_it(engine: Engine, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Planning, a full pool, a dispatch, an attempt that fails, a retry, a dispatch, and the step below it."""
    town = Town(engine)
    holder = town.make("pooled1")
    run = town.make("pooled2 flaky below free1")
    for _ in range(3):
        town.tick()
    town.start_work()
    by_name = {attempt.step.computation: attempt for attempt in town.orders}
    town.finish(by_name["pooled1"], by_name["free1"])
    town.fail(by_name["flaky"])
    town.tick()
    town.start_work()
    town.now += timedelta(seconds=61)
    town.beat("sales", slots=50, queues=("default", "narrow", "slow", "held"))
    town.cycle_recorded()
    town.begin(*(attempt for attempt in town.orders if attempt.step.state is StepState.DISPATCHED))
    town.cycle_recorded()
    assert holder.ended_at is not None

    with engine.connect() as connection:
        created = connection.execute(t.runs.select().where(t.runs.c.id == run.id)).one().created_at
        rows = connection.execute(t.steps.select().where(t.steps.c.run_id == run.id)).all()
        tries = connection.execute(t.attempts.select().where(t.attempts.c.run_id == run.id)).all()
    for row in rows:
        mine = sorted((one for one in tries if one.step_number == row.number), key=lambda one: one.number)
        ran = sum((one.ended_at - one.started_at).total_seconds() for one in mine[:-1])
        whole = (row.started_at - created).total_seconds() - ran
        assert sum(row.waits.values()) == pytest.approx(whole, rel=0.01), row.waits
    waits = {row.computation: row.waits for row in rows}
    assert waits["flaky"]["retry_wait"] > 59
    assert waits["pooled2"]["pool_slots"] > 0
    assert waits["below"]["upstream"] > 0

    summed = httpx.get(f"{url}/api/v1/runs/{run.id}/waits").json()
    recorded = sum(sum(row.waits.values()) for row in rows)
    assert sum(wait["seconds"] for wait in summed["waits"]) == pytest.approx(recorded, rel=0.01)
    assert explain.main([run.id, "--waits"]) == 0
    assert "retry_wait" in capsys.readouterr().out


def test_a_run_that_waits_tells_where_its_time_goes_now(engine: Engine, url: str) -> None:
    town = Town(engine)
    town.make("pooled1")
    run = town.make("pooled2 below free1")
    with engine.begin() as connection:  # all of this was half an hour ago
        earlier = timedelta(minutes=30)
        connection.execute(
            update(t.runs).values(created_at=t.runs.c.created_at - earlier, started_at=t.runs.c.started_at - earlier)
        )
        connection.execute(update(t.steps).values(ready_at=t.steps.c.ready_at - earlier))
    waits = httpx.get(f"{url}/api/v1/runs/{run.id}/waits").json()["waits"]
    assert {wait["cause"] for wait in waits if wait["share"] > 0.3} >= {"pool_slots", "upstream"}
