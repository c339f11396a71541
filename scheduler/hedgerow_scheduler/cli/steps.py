"""One step of a run as people see it: attempts, what it made, verdicts, errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow_scheduler.cli.explain import waits_text
from hedgerow_scheduler.cli.output import (
    Output,
    ago,
    between,
    clean,
    output_name,
    problem_text,
    short,
    show_problem,
    state_text,
    value_text,
)
from hedgerow_scheduler.lifecycle.judging import is_judging

SHORT_WORKER = 13


def split_target(target: str) -> tuple[str, int | None]:
    """A run's id and, after a slash, a step's number.

    >>> split_target("0190aa/12"), split_target("0190aa")
    (('0190aa', 12), ('0190aa', None))
    """
    run_id, slash, number = target.partition("/")
    if not slash:
        return run_id, None
    if not number.isdecimal():
        raise RequestError.of("HR-Q321", f"'{target}' names no step.", "Write RUN/NUMBER, such as 0190aa11/3.")
    return run_id, int(number)


def show_step(output: Output, step: dict[str, Any]) -> None:
    now = clock.now()
    output.line(
        Text("step ").append(f"{step['run_id']}/{step['number']} ", "bold").append_text(state_text(step["state"]))
    )
    output.line(
        f"{'checks ' if is_judging(step['computation']) else 'makes  '}  {clean(', '.join(step['assets']))}"
        + (f" [{clean(step['partition'])}]" if step["partition"] else "")
    )
    output.line(f"queue    {clean(step['team'])}/{clean(step['queue'])}")
    if step["upstream"]:
        output.line(f"after    {', '.join(map(str, step['upstream'][:20]))}")
    if step["waits"]:
        output.line(f"waited   {waits_text(step['waited_s'], step['waits']).removeprefix('waited ')}")
    rows = (
        (
            one["number"],
            state_text(one["state"]),
            ago(one["dispatched_at"], now),
            between(one["dispatched_at"], one["started_at"]),
            between(one["started_at"], one["ended_at"], now if one["state"] == "running" else None),
            one["manifest_hash"][:12],
            one["worker"][:SHORT_WORKER],
        )
        for one in step["attempts"]
    )
    output.table(("attempt", "state", "dispatched", "waited", "ran", "manifest", "worker"), rows, right=(0,))
    for made in step["materializations"]:
        where = made["reference"]["uri"] if made["reference"] else "nothing stored"
        output.line(
            Text(clean(made["asset"]), "bold")
            .append(" ")
            .append_text(state_text(made["state"]))
            .append(f"  {clean(where)}", "dim")
        )
        for name, value in made["metadata"].items():
            output.line(f"    {clean(name)} = {value_text(value)}")
    for verdict in step["checks"]:
        output.line(check_text(verdict))
    if step["error"]:
        show_error(output, step["error"], traceback=True)
    if step["state"] in ("waiting", "ready", "retry_wait", "dispatched"):
        output.line(f"Why it waits: `hedgerow explain {short(step['run_id'])}/{step['number']}`.", "dim")


def verdict_text(verdict: Mapping[str, Any]) -> Text:
    """What a check found, in short.

    >>> str(verdict_text({"passed": False, "severity": "warn", "blocking": False}))
    'warning'
    >>> str(verdict_text({"passed": False, "severity": "error", "blocking": True}))
    'failed (blocking)'
    """
    if verdict["passed"]:
        return Text("passed", "green")
    if verdict["severity"] == "warn":
        return Text("warning", "yellow")
    return Text("failed (blocking)" if verdict["blocking"] else "failed", "bold red")


def check_text(verdict: dict[str, Any]) -> Text:
    """The verdict of a check in one line."""
    text = (
        Text("check ")
        .append(clean(verdict["check_name"]), "bold")
        .append(f" of {clean(output_name([verdict['asset']], verdict['partition']))} ")
    )
    text.append_text(verdict_text(verdict))
    if verdict["blocking"] and verdict["passed"]:
        text.append(" (blocking)")
    told = verdict["error"].strip().splitlines()[-1:] or [verdict["description"]]
    if told[0]:
        text.append(f": {clean(told[0])}")
    values = ", ".join(f"{clean(name)} = {value_text(value)}" for name, value in verdict["metadata"].items())
    return text.append(f"  {values}", "dim") if values else text


def show_error(output: Output, error: dict[str, Any] | None, traceback: bool) -> None:
    if not error:
        return
    problem = msgspec.convert(error, Problem)
    show_problem(output, problem) if traceback else output.line(problem_text(problem))
