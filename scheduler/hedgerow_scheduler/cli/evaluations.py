"""What an evaluation of a team's code left: its error, and the end of what it printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hedgerow.errors import Problem
from hedgerow_scheduler.cli.output import Output, clean, show_problem

LOG_LINES = 20


def show_told(output: Output, title: str, told: Mapping[str, Any]) -> None:
    """Prints both under a title, if there is any of them."""
    if not (told["error"] or told["log"]):
        return
    output.line(f"{title}:", "bold")
    if told["error"]:
        show_problem(output, msgspec.convert(told["error"], Problem))
    lines = clean(told["log"], lines=True).rstrip().splitlines()
    if len(lines) > LOG_LINES:
        output.line(f"    ... {len(lines) - LOG_LINES} lines before", "dim")
    for line in lines[-LOG_LINES:]:
        output.line(f"    {line}")
