"""How freshness reads in a terminal: what is late, how an asset stands, and by which policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.freshness import Freshness, policy_text
from hedgerow_scheduler.cli.client import connect
from hedgerow_scheduler.cli.command import OK
from hedgerow_scheduler.cli.output import Output, ago

LOOKS = {"late": "bold red", "warn": "yellow", "on_time": "green", "unknown": "dim"}
SAYS = {"late": "late", "warn": "late soon", "on_time": "on time", "unknown": "never made"}
SHOWN = 3


def list_late(selection: Sequence[str], output: Output) -> int:
    """`asset list --late`."""
    found = list(connect().pages("/freshness", None, select=selection))
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line("Nothing is late.", "green")
        return OK
    now = clock.now()
    rows = (
        (
            one["asset"],
            one["partition"],
            one["team"],
            Text(SAYS[one["status"]], LOOKS[one["status"]]),
            ago(one["since"], now),
            text_of(one["policy"]),
        )
        for one in found
    )
    output.table(("asset", "partition", "team", "status", "since", "should be"), rows)
    return OK


def stands_text(summary: Mapping[str, Any] | None) -> Text:
    """How an asset stands, in short.

    >>> str(stands_text({"status": "late", "late": 3, "warned": 1})), str(stands_text(None))
    ('3 late', '')
    """
    if summary is None:
        return Text("")
    status = summary["status"]
    count = summary["late"] if status == "late" else summary["warned"]
    return Text(f"{count:,} {SAYS[status]}" if count > 1 else SAYS[status], LOOKS[status])


def freshness_facts(detail: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The lines of `asset show`."""
    if detail is None:
        return []
    stands = str(stands_text(detail))
    if detail["since"]:
        stands += f", since {_minute(detail['since'])}"
    if names := [one["partition"] for one in detail["partitions"] if one["partition"]]:
        total = detail["late"] + detail["warned"]
        more = f" and {total - SHOWN:,} more" if total > SHOWN else ""
        stands += f": {', '.join(names[:SHOWN])}{more}"
    facts = [("freshness", text_of(detail["policy"])), ("on time?", stands)]
    if detail["deadline"] and detail["status"] != "late":
        facts.append(("late from", _minute(detail["deadline"])))
    return facts


def text_of(policy: object) -> str:
    """A policy in words; "" when there is none any more."""
    return "" if policy is None else policy_text(msgspec.convert(policy, Freshness))


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC"
