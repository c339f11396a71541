"""Runs parts: carries out what the table in parts.py decides, and feeds it with what happens."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hedgerow import clock
from hedgerow_scheduler.embedded.children import Child, Launch, Unfit, rotate
from hedgerow_scheduler.embedded.parts import (
    Action,
    Changed,
    Due,
    Ended,
    Event,
    Kill,
    Part,
    Ready,
    Refused,
    Spawn,
    State,
    Stop,
    Terminate,
    transition,
)
from hedgerow_scheduler.embedded.reasons import reason

TICK_S = 0.05
PROBE_S = 0.1
ROTATE_S = 30.0
CANNOT_RUN = 127  # as a shell says it


@dataclass(frozen=True)
class Report:
    """A part as it is now, for display: where it is reached, and the number of its process."""

    part: Part
    where: str
    pid: int | None


class Supervisor:
    """Starts, watches, restarts, reloads and ends parts, in one thread of its own. All methods may be called from any thread.

    `on_change` is called in that thread with the Report of each part whose state or detail changed; `on_processes` when
    another process serves a part, or none.
    """

    def __init__(self, on_change: Callable[[Report], None], on_processes: Callable[[], None]) -> None:
        self._on_change = on_change
        self._on_processes = on_processes
        self._inbox: queue.Queue[Callable[[], None]] = queue.Queue()
        self._parts: dict[str, Part] = {}
        self._launches: dict[str, Launch] = {}
        self._children: dict[str, dict[int, Child]] = {}
        self._probed: dict[str, float] = {}
        self._reports: dict[str, Report] = {}
        self._moved = threading.Condition()
        self._over = threading.Event()
        self._rotate_at = 0.0
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def add(self, part: Part, launch: Launch) -> None:
        """Runs one more part."""

        def act() -> None:
            self._launches[part.name] = launch
            self._children[part.name] = {}
            self._parts[part.name] = part
            self._send(part.name, Due())

        self._inbox.put(act)

    def changed(self, name: str) -> None:
        """Says that the code of the part `name` has changed."""
        self._inbox.put(lambda: self._send(name, Changed()))

    def stop(self, names: list[str]) -> None:
        """Asks the parts `names` to end; asked again, to end more quickly."""

        def act() -> None:
            for name in names:
                if name in self._parts:
                    self._send(name, Stop())

        self._inbox.put(act)

    def reports(self) -> Mapping[str, Report]:
        """All parts as they were a moment ago, by name, in the order in which they were added."""
        with self._moved:
            return dict(self._reports)

    def wait(self, condition: Callable[[Mapping[str, Report]], bool], seconds: float) -> bool:
        """Waits until `condition` holds of the reports (True), or `seconds` have passed (False)."""
        with self._moved:
            return self._moved.wait_for(lambda: condition(dict(self._reports)), seconds)

    def close(self) -> None:
        """Ends the thread; whatever still runs is killed."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for children in self._children.values():
            for child in children.values():
                child.kill()
                child.wait(5)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._inbox.get(timeout=TICK_S)()
            except queue.Empty:
                pass
            for name in list(self._parts):
                self._observe(name)
                self._send(name, Due())
            if clock.monotonic() >= self._rotate_at:
                self._rotate_at = clock.monotonic() + ROTATE_S
                for launch in self._launches.values():
                    rotate(launch.log)

    def _observe(self, name: str) -> None:
        """Notices processes that ended, and asks the one that starts whether it serves."""
        for number, child in list(self._children[name].items()):
            status = child.poll()
            if status is not None:
                del self._children[name][number]
                self._send(name, Ended(number, status, reason(child.output(last=True), status)))
        part = self._parts[name]
        asked = {State.STARTING: part.current, State.RELOADING: part.candidate}.get(part.state)
        if asked is not None and clock.monotonic() >= self._probed.get(name, 0.0) + PROBE_S:
            self._probed[name] = clock.monotonic()
            starting = self._children[name].get(asked)
            if starting is not None:
                self._probe(name, asked, starting)

    def _probe(self, name: str, number: int, child: Child) -> None:
        try:
            serves = child.launch.ready(child)
        except Unfit as error:
            self._send(name, Refused(number, str(error)))
        except Exception:
            pass  # whatever a probe stumbles over (a server that is down just now), it has not seen the part serve
        else:
            if serves:
                self._send(name, Ready(number))

    def _send(self, name: str, event: Event) -> None:
        part, actions = transition(self._parts[name], event, clock.monotonic())
        self._parts[name] = part
        for action in actions:
            self._carry_out(name, action)
        current = self._children[name].get(part.current) if part.current is not None else None
        report = Report(part, self._launches[name].where, current.pid if current else None)
        shown = self._reports.get(name)
        if report != shown:
            with self._moved:
                self._reports[name] = report
                self._moved.notify_all()
            if shown is None or (shown.part.state, shown.part.detail) != (part.state, part.detail):
                self._on_change(report)
            if shown is None or shown.pid != report.pid:
                self._on_processes()

    def _carry_out(self, name: str, action: Action) -> None:
        child = self._children[name].get(action.incarnation)
        match action:
            case Spawn(number):
                try:
                    self._children[name][number] = Child(self._launches[name])
                except Exception as error:  # one part that can't be started must not take the others with it
                    told = f"it can't be started: {error}"
                    self._inbox.put(lambda: self._send(name, Ended(number, CANNOT_RUN, told)))
            case Terminate() if child is not None:
                child.terminate()
            case Kill() if child is not None:
                child.kill()
