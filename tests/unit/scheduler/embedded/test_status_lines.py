"""What a person reads while the platform runs."""

from __future__ import annotations

import io
import re
from dataclasses import replace

from rich.console import Console

from hedgerow_scheduler.embedded.parts import Part, State
from hedgerow_scheduler.embedded.status import StatusLines
from hedgerow_scheduler.embedded.supervisor import Report

READY = Part("worker sales", state=State.READY)


def _shown(part: Part, where: str = "", pid: int | None = None) -> str:
    file = io.StringIO()
    StatusLines(Console(file=file)).show(Report(part, where, pid))
    return re.sub(r"^\d\d:\d\d:\d\d ", "", file.getvalue())


def test_a_line_says_which_part_in_what_state_where_and_by_which_process() -> None:
    assert _shown(READY, "/srv/sales", 42) == "worker sales       ready      /srv/sales  pid 42\n"


def test_a_reason_goes_on_below_and_its_brackets_are_not_markup() -> None:
    part = replace(READY, state=State.BROKEN, detail="HR-D001  No [bold]module[/].\n         at sales.py:3")
    assert _shown(part).splitlines() == [
        "worker sales       broken     HR-D001  No [bold]module[/].",
        "                  at sales.py:3",
    ]
