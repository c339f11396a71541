"""`hedgerow asset show KEY --partitions`: an asset's partitions by state, as ranges."""

from __future__ import annotations

import argparse
from typing import Any

from rich.text import Text

from hedgerow.errors import RequestError
from hedgerow_scheduler.cli.client import connect, segment
from hedgerow_scheduler.cli.command import OK
from hedgerow_scheduler.cli.output import Output, clean

ALL = ""
STATES = (("materialized", "green"), ("missing", "yellow"), ("failed", "red"), ("stale", "yellow"))


def show_partitions(options: argparse.Namespace, output: Output) -> int:
    """The partitions of an asset, or of a range `FIRST..LAST` of them."""
    first, last = _ends(options.partitions)
    path = "/".join(segment(part) for part in options.key.split("/"))
    found = connect().get(f"/partitions/{path}", first=first, last=last, ranges=options.history)
    if output.as_json:
        output.json(found)
        return OK
    output.line(Text(found["asset"], "bold").append(f"  {found['partitions']:,} partitions", "dim"))
    rows: list[tuple[str | Text, str, str]] = []
    for state, style in STATES:
        told = found[state]
        if told is None:
            rows.append((Text(state, style), "", "not compared: too many; ask for a range"))
            continue
        shown = [_range(each) for each in told["ranges"]]
        if told["more_ranges"]:
            shown.append(f"… and {told['more_ranges']:,} more; see --history")
        rows.append((Text(state, style), f"{told['partitions']:,}", shown[0] if shown else ""))
        rows += [("", "", each) for each in shown[1:]]
    output.table(("state", "partitions", "which"), rows)
    return OK


def _ends(text: str) -> tuple[str | None, str | None]:
    """The first and the last partition of a range; None, None for all."""
    if text == ALL:
        return None, None
    first, dots, last = text.partition("..")
    if not first or (dots and not last):
        raise RequestError.of("HR-Q321", f"'{text}' is no range of partitions.", "Write FIRST..LAST, or one partition.")
    return first, last or first


def _range(each: dict[str, Any]) -> str:
    if each["partitions"] == 1:
        return clean(each["first"])
    return f"{clean(each['first'])} .. {clean(each['last'])} ({each['partitions']:,})"
