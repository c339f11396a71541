"""What the terminal shows: tables, states, durations and times, safe from whatever users put in their metadata."""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TextIO

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hedgerow.errors import Problem
from hedgerow_scheduler.admission.causes import duration
from hedgerow_scheduler.lifecycle.judging import is_judging

UNBOUNDED = 10_000  # columns of text
WIDEST_BITS = 128
SHORT_ID = 13  # down to the millisecond of a version 7 UUID
ID_LENGTHS = (SHORT_ID, 18, 23)  # to the end of its second, third and fourth group
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])")
# Control characters but newline and tab, and those that turn the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
STYLES = {
    "succeeded": "green",
    "current": "green",
    "failed": "bold red",
    "poisoned": "bold red",
    "rejected": "red",
    "timed_out": "red",
    "lost": "red",
    "upstream_failed": "red",
    "cancelled": "yellow",
    "skipped": "cyan",
    "retry_wait": "yellow",
    "running": "bold blue",
    "dispatched": "blue",
    "requested": "dim",
    "waiting": "dim",
    "ready": "",
}


def clean(text: object, lines: bool = False) -> str:
    r"""`text` without escape sequences and control characters; on one line unless `lines`.

    >>> clean("\x1b[31mred\x1b[0m \x07bell\x1b]0;title\x07")
    'red \\x07bell'
    >>> clean("a\nb"), clean("a\r\nb", lines=True)
    ('a b', 'a\nb')
    """
    plain = _ESCAPES.sub("", str(text)).replace("\r\n", "\n")
    if not lines:
        plain = plain.replace("\n", " ").replace("\t", " ")
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", plain)


def json_text(value: object, indent: int = 0) -> str:
    r"""`value` as JSON, on one line without `indent`; no control character of a text stands in it as such.

    >>> print(json_text(["\x9b2J", "ö"]))
    ["\u009b2J","ö"]
    """
    body = msgspec.json.encode(value)
    text = (msgspec.json.format(body, indent=indent) if indent else body).decode()
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Output:
    """Standard output for what was asked for, standard error for everything else."""

    def __init__(self, as_json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.as_json = as_json
        self.out = _console(out or sys.stdout)
        self.err = _console(err or sys.stderr)

    def json(self, value: object) -> None:
        """`value` as indented JSON."""
        print(json_text(value, indent=2), file=self.out.file, flush=True)

    def line(self, text: str | Text = "", style: str | None = None) -> None:
        """One line of what was asked for, never cut or wrapped."""
        self.out.print(text, style=style, soft_wrap=True)

    def note(self, text: str | Text, style: str | None = None) -> None:
        """One line about what goes on."""
        self.err.print(text, style=style, soft_wrap=True)

    def problems(self, problems: Sequence[Problem]) -> None:
        """Every problem with code, message, place and remedy."""
        if self.as_json:
            self.json({"problems": problems})
            return
        for problem in problems:
            self.note(problem_text(problem))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], right: Iterable[int] = ()) -> None:
        """A table; without a terminal it is never cut or wrapped."""
        table = grid(columns, rows, right)
        self.out.print(table)


def _console(file: TextIO) -> Console:
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="backslashreplace")  # a terminal or pipe without Unicode shows less, but shows it
    # No markup: what users wrote in brackets is theirs. Only a terminal has a width that tables must keep to.
    width = None if Console(file=file).is_terminal else UNBOUNDED
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def grid(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Iterable[int] = ()) -> Table:
    """A table of cleaned cells; a cell of Text is taken as it is. A column with nothing in it is left out."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    aligned = set(right)
    cells = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
    shown = [index for index in range(len(columns)) if not cells or any(row[index].plain for row in cells)]
    for index in shown:
        justify: Literal["left", "right"] = "right" if index in aligned else "left"
        table.add_column(columns[index], justify=justify, overflow="fold", no_wrap=index == 0)
    for row in cells:
        table.add_row(*(row[index] for index in shown))
    return table


def problem_text(problem: Problem) -> Text:
    """A problem as people read it: code and message, where, the remedy."""
    line = f":{problem.line}" if problem.line is not None else ""
    text = Text()
    text.append(problem.code, "bold red").append("  ").append(clean(problem.message))
    if problem.file:
        text.append(f"\n         at {clean(problem.file)}{line}")
    if problem.remedy:
        text.append(f"\n         {clean(problem.remedy)}", "dim")
    return text


def show_problem(output: Output, problem: Problem) -> None:
    """Prints a problem with its traceback, if it has one."""
    output.line(problem_text(problem))
    for line in clean(problem.traceback or "", lines=True).rstrip().splitlines():
        output.line(f"    {line}", "dim")


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(clean(state), STYLES.get(state, ""))


def moment(text: str | None) -> datetime | None:
    """A time of the API."""
    return None if text is None else datetime.fromisoformat(text)


def between(start: str | None, end: str | None, now: datetime | None = None) -> str:
    """How long something took, or has taken until `now`; empty when it has not begun."""
    begin, finish = moment(start), moment(end) or now
    if begin is None or finish is None:
        return ""
    return duration(max(0.0, (finish - begin).total_seconds()))


def ago(text: str | None, now: datetime) -> str:
    """How long ago something was.

    >>> from datetime import UTC
    >>> ago("2024-01-01T00:00:00Z", datetime(2024, 1, 1, 0, 2, 5, tzinfo=UTC))
    '2 m 05 s ago'
    """
    then = moment(text)
    return "" if then is None else f"{duration(max(0.0, (now - then).total_seconds()))} ago"


def short(run_id: str) -> str:
    """The beginning of a run's id, long enough for people.

    >>> short("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    '017f22e2-79b0'
    """
    return run_id[:SHORT_ID]


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Each id's beginning, longer where several of them begin alike, as those of runs that were launched in one millisecond do.

    >>> list(short_ids(["017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b1-7cc3-98c4-dc0c0c07398f"]).values())
    ['017f22e2-79b0', '017f22e2-79b1']
    >>> list(short_ids(["017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7d01-98c4-dc0c0c07398f"]).values())
    ['017f22e2-79b0-7cc3', '017f22e2-79b0-7d01']
    """
    found = dict.fromkeys(ids, "")
    for length in ID_LENGTHS:
        counts = Counter(one[:length] for one in found)
        found = {one: known or (one[:length] if counts[one[:length]] == 1 else "") for one, known in found.items()}
    return {one: known or one for one, known in found.items()}


def paused_text(held: Mapping[str, Any]) -> str:
    """What is paused, by whom, until when and why.

    >>> paused_text({"kind": "team", "name": "sales", "author": "ada", "reason": "a move", "until": "2026-01-01T06:00:00Z"})
    'team sales is paused by ada until 2026-01-01 06:00 UTC: a move'
    """
    until = f" until {held['until'][:16].replace('T', ' ')} UTC" if held.get("until") else ""
    what = clean(f"{held['kind']} {held['name']}".strip())
    return f"{what} is paused by {clean(held['author'])}{until}: {clean(held['reason'])}"


def counted(number: int, what: str) -> str:
    """A number of things that are called `what` with an s.

    >>> counted(1, "asset"), counted(1200, "asset")
    ('1 asset', '1,200 assets')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def output_name(assets: Sequence[str], partition: str = "") -> str:
    """What a step makes.

    >>> output_name(["a/b", "a/c"], "2024-01-01")
    'a/b (+1) [2024-01-01]'
    """
    name = assets[0] + (f" (+{len(assets) - 1})" if len(assets) > 1 else "") if assets else ""
    return f"{name} [{partition}]" if partition else name


def step_name(step: Mapping[str, Any], partition: str = "") -> str:
    """What a step makes, or that it checks what is stored.

    >>> step_name({"computation": "a/b:checks", "assets": ["a/b"]}, "2024-01-01")
    'a/b [2024-01-01] (checks)'
    """
    return output_name(step["assets"], partition) + (" (checks)" if is_judging(step["computation"]) else "")


def value_text(value: Any) -> str:
    """A value of metadata on one line.

    >>> value_text(1234567), value_text(0.12345678), value_text({"a": [1]})
    ('1,234,567', '0.123457', '{"a":[1]}')
    """
    if isinstance(value, bool) or value is None:
        return msgspec.json.encode(value).decode()
    if isinstance(value, int):
        huge = value.bit_length() > WIDEST_BITS
        return f"{'-' if value < 0 else ''}10^{value.bit_length() * 0.30103:.0f} or so" if huge else f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return clean(value if isinstance(value, str) else msgspec.json.encode(value).decode())
