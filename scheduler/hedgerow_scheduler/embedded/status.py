"""How the platform's parts are shown: one line for every change of a part."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from hedgerow import clock
from hedgerow_scheduler.embedded.parts import State
from hedgerow_scheduler.embedded.supervisor import Report

STYLES = {
    State.READY: "green",
    State.WAITING: "yellow",
    State.BROKEN: "bold red",
    State.STARTING: "dim",
    State.RELOADING: "cyan",
    State.STOPPING: "dim",
    State.STOPPED: "dim",
}


class StatusLines:
    """Prints on `console`: with colours on a terminal, plain elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, report: Report) -> None:
        """One line: time, part, state, where and which process; below it why, if there is a reason."""
        part = report.part
        where = f"{report.where}  pid {report.pid}".strip() if report.pid is not None else ""
        first, *more = part.detail.splitlines() or [""]
        told = "  ".join(text for text in (where, first) if text)
        style = STYLES[part.state]
        self._print(f"[bold]{escape(f'{part.name:<18}')}[/] [{style}]{part.state.value:<10}[/] {escape(told)}".rstrip())
        for line in more:
            self._console.print(f"{'':<9}{escape(line)}", style=style, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line about all of it."""
        self._print(f"[bold]{escape(text)}[/]")

    def _print(self, markup: str) -> None:
        time = f"{clock.now().astimezone():%H:%M:%S}"
        self._console.print(f"[dim]{time}[/] {markup}", highlight=False, soft_wrap=True)
