"""`hedgerow asset checks`: the verdicts of an asset's checks through time."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from hedgerow import clock
from hedgerow_scheduler.cli.client import connect, segment
from hedgerow_scheduler.cli.command import OK
from hedgerow_scheduler.cli.output import Output, ago, clean, short, value_text
from hedgerow_scheduler.cli.steps import verdict_text


def show_checks(options: argparse.Namespace, output: Output) -> int:
    """`asset checks`."""
    client = connect()
    key = options.key.strip("/")
    if options.check is not None:
        names = [options.check]
    else:
        asset = client.get("/assets/" + "/".join(segment(part) for part in key.split("/")))
        names = sorted({one["name"] for one in asset["checks"]} | {one["check_name"] for one in asset["check_results"]})
    asked = {"asset": key, "partition": options.partition, "passed": "false" if options.failed else None}
    found = [
        verdict for name in names for verdict in client.pages("/check-results", options.history, check=name, **asked)
    ]
    if output.as_json:
        output.json({"items": found})
        return OK
    if not names:
        output.line("This asset has no checks.")
        return OK
    if not found:
        output.line("No such verdict is recorded.")
        return OK
    now = clock.now()
    rows = (
        (
            one["check_name"],
            one["partition"],
            verdict_text(one),
            ago(one["created_at"], now),
            f"{short(one['run_id'])}/{one['step_number']}",
            _told(one),
        )
        for one in found
    )
    output.table(("check", "partition", "verdict", "when", "step", "description"), rows)
    return OK


def _told(verdict: Mapping[str, Any]) -> str:
    said = (verdict["error"].strip().splitlines()[-1:] or [verdict["description"]])[0]
    values = ", ".join(f"{clean(name)} = {value_text(value)}" for name, value in verdict["metadata"].items())
    return "  ".join(part for part in (clean(said), values) if part)
