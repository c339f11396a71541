"""What the verdicts of judging steps come to: an output waits for them, becomes current, is held back, or is set free."""

from __future__ import annotations

from support.scheduling import World, asset, manifest, states, token_of

from hedgerow.manifest.model import Check
from hedgerow.protocol import events as ev
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization, Run
from hedgerow_scheduler.lifecycle.news import News
from hedgerow_scheduler.lifecycle.states import MaterializationState

CURRENT, REJECTED, UNCHECKED = (
    MaterializationState.CURRENT, MaterializationState.REJECTED, MaterializationState.UNCHECKED,
)  # fmt: skip


class Judged(World):
    """An asset `a` with a blocking check `sound` as a step of its own, and `b` which is made from it."""

    def __init__(self, blocking: bool = True) -> None:
        checks = (Check("sound", "a", blocking=blocking, own_step=True), Check("usual", "a", severity="warn"))
        super().__init__(manifest("sales", asset("a"), asset("b", "a"), checks=checks))
        self.snapshot.news.followed = {"a"}
        self.beat("sales")

    def out(self) -> Attempt:
        """The attempt that goes out and begins."""
        (attempt,) = self.cycle()
        self.begin(attempt)
        return attempt

    def judge(self, attempt: Attempt, blocking: bool = True, **verdicts: bool) -> None:
        """An attempt that began gives these verdicts, and ends as they say."""
        token = token_of(attempt)
        told: list[ev.Event] = [
            ev.CheckEvaluated(
                attempt.id, "a", name, passed, token, blocking=blocking and name == "sound",
                severity="error" if name == "sound" else "warn",
            )
            for name, passed in verdicts.items()
        ]  # fmt: skip
        if blocking and not verdicts.get("sound", True):
            self.send("sales", *told)
            self.fail(attempt, "check_failed", retryable=False)
        else:
            self.send("sales", *told, ev.AttemptSucceeded(attempt.id, token, 1.0))

    def made(self) -> Materialization:
        """The newest output of `a`."""
        outputs = [one for one in self.snapshot.changes.outputs.values() if one.asset == "a"]
        return max(outputs, key=lambda one: one.dispatch_seq)

    def news(self) -> list[tuple[str, bool | None, str]]:
        """What those who follow `a` are told of its data and checks."""
        told: list[News] = self.snapshot.news.take()
        return [(each.what, each.well, each.name) for each in told if each.what in ("made", "checked")]

    def make(self, sound: bool = True) -> Run:
        """A run of `a` and `b`, as far as the judging of `a`."""
        run = self.start("a b")
        self.finish(self.out())
        self.judge(self.out(), sound=sound)
        return run


def test_an_output_is_current_once_the_step_after_it_found_nothing_against_it() -> None:
    world = Judged()
    run = world.start("a b")
    world.finish(world.out())
    assert world.made().state is UNCHECKED
    assert states(run) == ["succeeded", "ready", "waiting"]
    assert world.news() == []
    world.judge(world.out(), sound=True)
    assert world.made().state is CURRENT
    assert states(run) == ["succeeded", "succeeded", "ready"]
    assert world.news() == [("made", None, "")]


def test_what_does_not_block_is_current_at_once_and_its_verdict_is_told() -> None:
    world = Judged(blocking=False)
    run = world.start("a b")
    world.finish(world.out())
    assert (world.made().state, states(run)[2]) == (CURRENT, "ready")
    judging = next(each for each in world.cycle() if each.step.number == 1)
    world.begin(judging)
    world.judge(judging, blocking=False, sound=False)
    assert (world.made().state, states(run)[1]) == (CURRENT, "succeeded")
    assert world.news() == [("made", None, ""), ("checked", False, "sound")]


def test_a_failed_blocking_check_rejects_the_output_until_the_step_is_tried_again_and_passes() -> None:
    world = Judged()
    run = world.make(sound=False)
    assert world.made().state is REJECTED
    assert states(run) == ["succeeded", "failed", "upstream_failed"]
    world.snapshot.retry_steps(run, {1}, world.now)
    world.judge(world.out(), sound=True)
    assert world.made().state is CURRENT
    assert states(run) == ["succeeded", "succeeded", "ready"]


def test_what_passes_after_something_newer_became_current_is_superseded_and_no_news() -> None:
    world = Judged()
    world.start("a")
    world.finish(world.out())
    judging = world.out()
    judging.judges_former = True
    world.judge(judging, sound=True)
    assert world.made().state is MaterializationState.SUPERSEDED
    assert world.news() == []


def test_checks_run_again_hold_back_what_is_current_and_set_it_free() -> None:
    world = Judged()
    world.make()
    made = world.made()
    world.finish(world.out())
    world.news()
    world.start("a", checks_only=True)
    world.judge(world.out(), sound=False, usual=True)
    assert (world.made(), made.state) == (made, REJECTED)
    assert world.news() == [("checked", False, "sound"), ("checked", True, "usual")]
    world.start("a", checks_only=True)
    world.judge(world.out(), sound=True, usual=False)
    assert made.state is CURRENT
    assert world.news() == [("made", None, ""), ("checked", False, "usual")]
    world.start("a", checks_only=True)
    world.judge(world.out(), sound=True, usual=True)
    assert world.news() == [("checked", True, "sound"), ("checked", True, "usual")]  # nothing was made


def test_an_order_names_what_is_judged_and_asks_for_all_checks_unless_it_follows_the_step() -> None:
    world = Judged()
    world.make()
    verdicts = [(record.run_id, record.step_number, record.judged) for record in world.snapshot.changes.checks]
    judging = next(each for each in world.orders if each.step.number == 1)
    assert judging.judged is world.made()
    assert verdicts == [(judging.step.run.id, 1, world.made().attempt_id)]


def test_a_step_that_judges_makes_nothing_whatever_its_worker_says() -> None:
    world = Judged()
    world.start("a")
    world.finish(world.out())
    judging = world.out()
    world.finish(judging)
    assert len([one for one in world.snapshot.changes.outputs.values() if one.asset == "a"]) == 1
    assert world.fold.counted["sales", "stale:other_asset"] == 1


def test_what_was_never_made_is_skipped() -> None:
    world = Judged()
    run = world.start("a", checks_only=True)
    assert world.cycle() == []
    (step,) = run.steps
    assert step.error is not None
    assert (step.state, step.error.code) == ("skipped", "HR-Q029")


def test_a_judging_step_holds_the_assets_lock_and_is_no_news_of_its_steps() -> None:
    world = Judged()
    world.make()
    world.finish(world.out())
    world.snapshot.news.take()
    world.start("a", checks_only=True)
    judging = world.out()
    world.start("a")
    assert world.cycle() == []
    told = [each.what for each in world.snapshot.news.take()]
    assert told == ["begun"]  # the one that is to make it
    world.judge(judging, sound=True)
    assert [each.step.computation for each in world.cycle()] == ["a"]
