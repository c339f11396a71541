"""What a person sees of a run while it goes on, and the table at its end."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow_scheduler.cli.following import Look
from hedgerow_scheduler.cli.output import (
    Output,
    between,
    clean,
    counted,
    grid,
    problem_text,
    short,
    state_text,
    step_name,
)

DONE = ("succeeded", "failed", "poisoned", "cancelled", "skipped", "upstream_failed")
MAX_ROWS = 20
PLAIN_EVERY_S = 5.0
PLAIN_SELDOM_S = 300.0
BAR = 24


class Progress:
    """Draws the looks at a run: live on a terminal, a line now and then elsewhere, nothing when data is asked for."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live = Live(console=output.err, refresh_per_second=8, transient=True) if output.err.is_terminal else None
        self._told_at = clock.monotonic()
        self._told = ""
        self._every_s = PLAIN_EVERY_S
        self._causes: Sequence[dict[str, Any]] = ()

    def __enter__(self) -> Progress:
        if self._live is not None and not self._output.as_json:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, look: Look) -> None:
        """Draws one look."""
        if self._output.as_json:
            return
        for step in look.failures:
            self._output.note(failure_text(step))
        if look.causes and look.causes != self._causes and self._live is None:
            for cause in look.causes:
                self._output.note(cause_text(cause))
        if look.causes or look.moves:
            self._causes = look.causes
        if self._live is not None:
            self._live.update(self._picture(look))
            return
        line, now = counts_line(look.run), clock.monotonic()
        if look.moves:
            self._every_s = PLAIN_EVERY_S
        if line != self._told and (look.ended or now - self._told_at > self._every_s):
            self._output.note(line)
            self._told, self._told_at = line, now
            self._every_s = min(self._every_s * 2, PLAIN_SELDOM_S)  # while nothing moves

    def _picture(self, look: Look) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        groups = sorted(look.run["progress"], key=lambda group: _rank(group["states"]))
        for group in groups[:MAX_ROWS]:
            states = group["states"]
            total, done = sum(states.values()), sum(states.get(state, 0) for state in DONE)
            bad = states.get("failed", 0) + states.get("poisoned", 0) + states.get("upstream_failed", 0)
            told = ", ".join(f"{states[state]} {state}" for state in ("running", "retry_wait") if states.get(state))
            table.add_row(
                Text(clean(group["team"]), "dim"),
                Text(clean(step_name(group))),
                ProgressBar(total, done, width=BAR, finished_style="red" if bad else "green"),
                Text(f"{done}/{total}"),
                Text(f"{bad} failed" if bad else "", "bold red"),
                Text(told, "blue"),
            )
        now = clock.now()
        parts: list[RenderableType] = [table]
        if len(groups) > MAX_ROWS:
            parts.append(Text(f"and {len(groups) - MAX_ROWS} more", "dim"))
        for step in look.running:
            spent = between(step["started_at"], None, now)
            parts.append(Text(f"  running {step['number']} {clean(step_name(step, step['partition']))} {spent}", "dim"))
        parts.extend(cause_text(cause) for cause in self._causes)
        parts.append(Text(counts_line(look.run), "bold"))
        return Group(*parts)


def _rank(states: dict[str, int]) -> int:
    """Rows with something running first, then those that wait, then those that are done."""
    if states.get("running") or states.get("dispatched"):
        return 0
    return 1 if any(state not in DONE for state in states) else 2


def counts_line(run: dict[str, Any]) -> str:
    """A run in one line."""
    counts: dict[str, int] = run["counts"]
    done = sum(counts.get(state, 0) for state in DONE)
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()) if state != "waiting")
    steps = f"{done:,}/{run['steps']:,} steps" if run["steps"] else "not planned yet"
    spent = between(run["started_at"] or run["created_at"], run["ended_at"], clock.now())
    return f"run {short(run['id'])} {run['state']}: {steps}" + (f" ({told})" if told else "") + f", {spent}"


def failure_text(step: dict[str, Any]) -> Text:
    """A failed step with what went wrong."""
    text = Text()
    text.append("failed ", "bold red").append(f"step {step['number']} {clean(step_name(step, step['partition']))}")
    if step["error"]:
        text.append("\n  ").append(problem_text(msgspec.convert(step["error"], Problem)))
    return text


def cause_text(cause: dict[str, Any]) -> Text:
    """Why something waits."""
    text = Text(f"waiting: {clean(cause['text'])}", "yellow")
    if cause["remedy"]:
        text.append(f" {clean(cause['remedy'])}", "dim")
    return text


def summary_table(run: dict[str, Any]) -> Table:
    """One row for each computation of a run."""
    now = clock.now()
    rows = []
    for group in run["progress"]:
        states = group["states"]
        failed = states.get("failed", 0) + states.get("poisoned", 0)
        other = {
            state: count
            for state, count in states.items()
            if state not in ("succeeded", "failed", "poisoned", "skipped")
        }
        rows.append(
            (
                step_name(group),
                group["team"],
                sum(states.values()),
                states.get("succeeded", 0),
                Text(str(failed), "bold red" if failed else ""),
                states.get("skipped", 0),
                ", ".join(f"{count} {state}" for state, count in sorted(other.items())),
                between(group["started_at"], group["ended_at"], None if run["ended_at"] else now),
            )
        )
    columns = ("asset", "team", "steps", "ok", "failed", "skipped", "other", "duration")
    return grid(columns, rows, right=(2, 3, 4, 5, 7))


def show_summary(output: Output, run: dict[str, Any], hints: bool = True) -> None:
    """How a run stands: the table, the counts and, with `hints`, what to do when it went wrong."""
    output.out.print(summary_table(run), soft_wrap=not output.out.is_terminal)
    text = Text("Run ").append(run["id"]).append(" ").append_text(state_text(run["state"]))
    spent = between(run["started_at"] or run["created_at"], run["ended_at"], clock.now())
    made, verdicts = run["materializations"], run["checks"]
    text.append(
        f"{' in' if run['ended_at'] else ', for'} {spent}: {run['counts'].get('succeeded', 0):,} of {run['steps']:,} steps succeeded, {counted(made, 'materialization')}"
    )
    if run["unchanged"]:
        text.append(f", {run['unchanged']:,} unchanged")
    if verdicts["passed"] or verdicts["failed"]:
        text.append(f", {counted(verdicts['passed'], 'check')} passed")
        text.append(f", {verdicts['failed']:,} failed", "bold red" if verdicts["failed"] else "")
    output.line(text.append("."))
    if run["error"]:
        output.line(problem_text(msgspec.convert(run["error"], Problem)))
    if hints and run["state"] in ("failed", "cancelled"):
        what = "What went wrong: `hedgerow run show" if run["state"] == "failed" else "What ran: `hedgerow run show"
        output.line(f"{what} {short(run['id'])}`; try again: `hedgerow run retry {short(run['id'])}`.", "dim")
