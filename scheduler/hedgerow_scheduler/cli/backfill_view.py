"""How a backfill looks on a terminal: its line, its progress by asset, and what it would come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow_scheduler.admission.causes import duration
from hedgerow_scheduler.cli.output import (
    Output,
    ago,
    between,
    clean,
    grid,
    output_name,
    problem_text,
    short,
    state_text,
)
from hedgerow_scheduler.lifecycle.backfills import ENDED_BACKFILLS

ENDED = frozenset(state.value for state in ENDED_BACKFILLS)
OPEN = ("to_do", "launched")
BAR = 24
SHOWN = 3  # ranges of an asset's failed partitions
LOOKS = {"failed": "bold red", "upstream_failed": "red", "cancelled": "yellow", "skipped": "cyan", "launched": "blue"}


def line(one: Mapping[str, Any]) -> Text:
    """A backfill in one line."""
    text = Text(f"backfill {short(one['id'])} ").append_text(state_text(one["state"]))
    text.append(f": {ended_of(one['counts']):,} of {one['partitions']:,} partitions")
    if told := counts_text(one["counts"]):
        text.append(" (").append_text(told).append(")")
    if one["remaining_s"] is not None:
        text.append(f", about {duration(one['remaining_s'])} left")
    elif one["ended_at"]:
        text.append(f", in {between(one['started_at'] or one['created_at'], one['ended_at'])}")
    return text


def ended_of(counts: Mapping[str, int]) -> int:
    """How many partitions have come to their end."""
    return sum(count for state, count in counts.items() if state not in OPEN)


def counts_text(counts: Mapping[str, int], *without: str) -> Text:
    """How many partitions are in the states that say something."""
    parts = [
        Text(f"{counts[state]:,} {state.replace('_', ' ')}", look)
        for state, look in LOOKS.items()
        if counts.get(state) and state not in without
    ]
    return Text(", ").join(parts)


def pace_text(settings: Mapping[str, Any]) -> str:
    """How fast it may go, in words."""
    told = [f"at most {settings['max_runs']:,} {'run' if settings['max_runs'] == 1 else 'runs'} at once"]
    if rate := settings.get("rate_per_s"):
        told.append(f"launching {rate_text(rate)}")
    if settings.get("canary"):
        told.append(f"a canary of {settings['canary']:,} per asset first")
    if threshold := settings.get("abort_threshold"):
        told.append(f"aborted when {threshold:.0%} fail")
    return ", ".join(told)


def rate_text(rate_per_s: float) -> str:
    """A rate in the unit in which it reads best.

    >>> rate_text(2), rate_text(10 / 60), rate_text(5 / 3600)
    ('2/s', '10/m', '5/h')
    """
    for unit, seconds in (("s", 1), ("m", 60), ("h", 3600)):
        if rate_per_s * seconds >= 1:
            return f"{rate_per_s * seconds:g}/{unit}"
    return f"{rate_per_s * 86_400:g}/d"


def table(found: Mapping[str, Any]) -> Table:
    """The progress of each asset, in the order in which they depend on each other."""
    rows = Table.grid(padding=(0, 2))
    for track in found["tracks"]:
        counts, total = track["counts"], track["partitions"]
        ended = ended_of(counts)
        bad = counts.get("failed") or counts.get("upstream_failed")
        rows.add_row(
            Text(clean(track["team"]), "dim"),
            Text(clean(output_name(track["assets"]))),
            ProgressBar(total, ended, width=BAR, finished_style="red" if bad else "green"),
            Text(f"{ended:,}/{total:,}"),
            counts_text(counts),
        )
    return rows


def picture(found: Mapping[str, Any]) -> RenderableType:
    """A backfill while it goes on."""
    return Group(table(found), line(found["backfill"]))


def show_detail(output: Output, found: Mapping[str, Any]) -> None:
    """A backfill with all that people ask of it."""
    one = found["backfill"]
    output.line(line(one))
    about = f"  {clean(' '.join(one['selection']))}, started {ago(one['created_at'], clock.now())}"
    output.line(
        about
        + (f" by {clean(one['author'])}" if one["author"] else "")
        + (f": {clean(one['reason'])}" if one["reason"] else "")
    )
    output.line(f"  {pace_text(one['settings'])}")
    runs = found["runs"]
    if runs:
        told = ", ".join(f"{count:,} {state}" for state, count in sorted(runs.items()))
        output.line(f"  runs: {told} (`hedgerow run list --tag backfill={one['id']}`)")
    if found["pending"]:
        output.line("  The scheduler has not taken up yet what was asked of it last.", "yellow")
    output.out.print(table(found), soft_wrap=not output.out.is_terminal)
    for track in found["tracks"]:
        for each in track["failed"][:SHOWN]:
            which = each["first"] if each["partitions"] == 1 else f"{each['first']} to {each['last']}"
            output.line(f"failed: {clean(output_name(track['assets'], which or ''))}", "red")
        shown = sum(each["partitions"] for each in track["failed"][:SHOWN])
        if more := track["counts"].get("failed", 0) - shown:
            output.line(f"and {more:,} more of {clean(output_name(track['assets']))}", "dim")
    # A retry makes good what failed before it.
    if (failure := found["failure"]) and (one["counts"]["failed"] or one["problem"]):
        step = f"{short(failure['run_id'])}/{failure['number']}"
        example = Text(f"for example step {step}, {clean(output_name(failure['assets'], failure['partition']))}: ")
        if failure["error"]:
            example.append_text(
                problem_text(msgspec.structs.replace(msgspec.convert(failure["error"], Problem), remedy=""))
            )
        output.line(example)
    if one["problem"]:
        output.line(problem_text(msgspec.convert(one["problem"], Problem)))
    elif one["state"] in ("failed", "cancelled"):
        output.line(f"Make again what is not made: `hedgerow backfill retry {short(one['id'])}`.", "dim")


def show_plan(output: Output, plan: Mapping[str, Any]) -> None:
    """What a backfill would come to."""
    rows = []
    for track in plan["tracks"]:
        spans = [
            each["first"] or "the whole" if each["partitions"] == 1 else f"{each['first']} to {each['last']}"
            for each in track["ranges"][:3]
        ]
        listed = sum(each["partitions"] for each in track["ranges"][:3])
        if left := track["partitions"] - listed:
            spans.append(f"{left:,} more")
        rows.append(
            (
                output_name(track["assets"]),
                track["team"],
                f"{track['partitions']:,}",
                f"{track['canary']:,}" if track["canary"] else "",
                f"{track['runs']:,}",
                ", ".join(spans),
            )
        )
    output.out.print(
        grid(("asset", "team", "partitions", "canary", "runs", "which"), rows, right=(2, 3, 4)),
        soft_wrap=not output.out.is_terminal,
    )
    output.line(f"{plan['partitions']:,} partitions in about {plan['runs']:,} runs; {pace_text(plan['settings'])}.")
