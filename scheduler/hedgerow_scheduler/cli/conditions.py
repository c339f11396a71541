"""How the evaluation of a condition reads in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from hedgerow_scheduler.cli.condition_tree import ALL_OF, SINCE, Line, tree_lines
from hedgerow_scheduler.cli.output import Output, clean, paused_text


def show_condition(report: Mapping[str, Any], output: Output, *, whole: bool = False) -> None:
    """Prints why an asset was, or was not, requested; the `whole` of its condition, or what matters of it."""
    if not report["on"] and (report["has_condition"] or report["launched_by"]):
        output.line("  Nothing is launched by itself here: that is switched off.", "yellow")
        output.line("    Start it with `hedgerow dev --automation`, or see [automation] in platform.toml.", "dim")
    launchers = ", ".join(map(clean, report["launched_by"]))
    if not report["has_condition"]:
        by = f", and by {launchers}" if launchers else ""
        output.line(f"  It is materialized when someone asks{by}: it has no condition (automation=).", "dim")
        return
    if launchers:
        output.line(f"  Besides its condition, it is launched by {launchers}.")
    if report["pause"] is not None:
        output.line(f"  Held back: {paused_text(report['pause'])}", "yellow")
    if report["outside"]:
        output.line(f"  {clean(report['outside'])}: it is not requested by itself.")
        output.line('    Make it by hand, or look at more: hr.eager(window="7d"), window="all".', "dim")
    latest, requested, asked = report["latest"], report["requested"], report["of_partition"]
    if latest is None:
        output.line("  Its condition has not been evaluated yet.")
        return
    if latest["problem"]:
        output.line(f"  Its condition is in trouble: {clean(latest['problem'])}")
        output.line("    If this stays so, correct the condition or its asset and deploy.", "dim")
    if requested is None:
        output.line("  Its condition has requested nothing so far.")
    else:
        names = ", ".join(clean(each) for each in requested["requested"][:3] if each)
        more = requested["requested_count"] - 3
        which = f" ({names}{f' and {more:,} more' if names and more > 0 else ''})" if names else ""
        run = f" as run {requested['run_id']}" if requested["run_id"] else ""
        output.line(f"  Last requested{which} at {requested['at'][:19].replace('T', ' ')} UTC{run}.")
        if asked is None and latest["operands"] and latest["operands"][0]["true"] and report["pause"] is None:
            output.line("    What it holds for is not requested again before it has been otherwise.", "dim")
    if asked is not None:
        would_launch = report["on"] and report["pause"] is None and not report["outside"]
        _show_partition(asked, output, would_launch=would_launch, whole=whole)
        return
    if waits := waits_for(latest["operands"]):
        output.line(f"  It waits for: {'; '.join(waits)}.")
    if latest["operands"]:
        output.line(f"  Its condition, as found at {latest['at'][:19].replace('T', ' ')} UTC:")
        _show_tree(latest["operands"], output, whole=whole)


def _show_tree(told: Sequence[Mapping[str, Any]], output: Output, *, whole: bool) -> None:
    lines = list(tree_lines(told, whole=whole))
    for line in lines:
        output.line(line_text(line))
    if any(line.folded for line in lines):
        output.line("    What stands behind … changes nothing of that: --whole shows it too.", "dim")


def _show_partition(asked: Mapping[str, Any], output: Output, *, would_launch: bool, whole: bool) -> None:
    """Prints what the condition finds of one partition."""
    name, told = clean(asked["partition"]), asked["operands"]
    if asked["problem"]:
        output.line(f"  Of {name} nothing can be said: {clean(asked['problem'])}.")
        return
    if waits := waits_for(told):
        output.line(f"  {name} waits for: {'; '.join(waits)}.")
    elif asked["holds"] and asked["was_so"]:
        output.line(f"  It holds for {name}, which was dealt with when that began.")
        output.line("    It is not requested again before it has been otherwise.", "dim")
    elif asked["holds"] and would_launch:
        output.line(f"  It holds for {name}: that is about to be requested.")
    output.line(f"  Its condition, asked of {name} now:")
    _show_tree(told, output, whole=whole)


def waits_for(operands: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of a condition all of whose operands must hold, those that hold for nothing, in words.

    >>> def told(depth, label, true): return {"depth": depth, "label": label, "of": "", "asked": 1, "true": true}
    >>> waits_for([told(0, "all of", 0), told(1, "missing", 1), told(1, "since (a, until b)", 0), told(2, "updated", 0)])
    ['updated']
    >>> waits_for([told(0, "all of", 1), told(1, "missing", 1)]), waits_for([told(0, "missing", 0)])
    ([], [])
    >>> waits_for([told(0, "all of", 0), told(1, "missing", 1)])
    ['a partition for which all of it holds at once']
    """
    if not operands or operands[0]["label"] != ALL_OF or operands[0]["true"]:
        return []
    found = []
    for place, one in enumerate(operands):
        if one["depth"] == 1 and not one["true"]:
            # What `since` waits for is its first operand, unless that has held and the second came after it.
            below = operands[place + 1] if place + 1 < len(operands) else one
            since = one["label"].startswith(SINCE) and below["depth"] > 1 and not below["true"]
            found.append(clean((below if since else one)["label"]))
    return found or ["a partition for which all of it holds at once"]


def line_text(line: Line) -> Text:
    """One operand, indented by its depth, with whether it held or for how many partitions."""
    asked, true = line.asked, line.true
    mark, style = (
        ("yes", "green")
        if true == asked and true
        else ("no", "red")
        if not true
        else (f"{true:,} of {asked:,}", "yellow")
    )
    of = f"{clean(line.of)}: " if line.of else ""
    text = Text("    " + "  " * line.depth)
    text.append(f"{of}{clean(line.label)}").append(f"  {mark}", style)
    return text.append("  …", "dim") if line.folded else text
