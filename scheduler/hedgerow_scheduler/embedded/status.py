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
        where = f"{report.where}  pid {report.pid}" if report.pid is not None else ""
        first, *more = part.detail.splitlines() or [""]
        if part.state is State.READY and not first.startswith("the old code"):
            first, more = first, more
        told = "  ".join(text for text in (where, first) if text)
        self._line(f"{part.name:<18} ", part.state, told)
        for line in more:
            self._console.print(f"{'':<9} {escape(line)}", style=STYLES[part.state], highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line about all of it."""
        self._console.print(f"[dim]{self._time()}[/] [bold]{escape(text)}[/]", highlight=False, soft_wrap=True)

    def _line(self, name: str, state: State, told: str) -> None:
        self._console.print(
            f"[dim]{self._time()}[/] [bold]{escape(name)}[/] [{STYLES[state]}]{state.value:<10}[/] {escape(told)}",
            highlight=False,
            soft_wrap=True,
        )

    @staticmethod
    def _time() -> str:
        return f"{clock.now().astimezone():%H:%M:%S}"
