"""The supervisor with real processes of its own."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.processes import alive, descendants, eventually, python, running
from support.worker_bench import free_port

from hedgerow_scheduler.embedded.children import Child, Launch
from hedgerow_scheduler.embedded.parts import Part, State
from hedgerow_scheduler.embedded.probes import api_serves
from hedgerow_scheduler.embedded.supervisor import Report, Supervisor

pytestmark = pytest.mark.processes

PROGRAM = """
import pathlib, signal, sys
from hedgerow import lifeline
import os
lifeline.end_with_parent(os.environ)
code = pathlib.Path(sys.argv[1]).read_text()
if code.startswith("broken"):
    sys.exit("HR-D099  The code is broken.\\n         at code.txt:1\\n         Mend it.")
print("ready", code, flush=True)
while True:
    signal.pause()
"""


class Watched:
    """A supervisor, and every report that it made."""

    def __init__(self, tmp_path: Path) -> None:
        self.code = tmp_path / "code.txt"
        self.code.write_text("one")
        self.log = tmp_path / "logs" / "part.log"
        self.told: list[Report] = []
        self.supervisor = Supervisor(self.told.append, lambda: None)
        self.launch = Launch(
            name="part",
            command=python("-c", PROGRAM, self.code),
            log=self.log,
            environ=os.environ,
            ready=lambda child: "ready" in child.output(),
        )

    def run(self) -> None:
        self.supervisor.start()
        self.supervisor.add(Part("part", reloads=True, drain_s=10, grace_s=5), self.launch)

    def wait(self, state: State, detail: str = "") -> Report:
        def as_wanted() -> Report | None:
            report = self.supervisor.reports().get("part")
            return report if report and report.part.state is state and detail in report.part.detail else None

        found = eventually(as_wanted, what=f"{state} {detail}")
        assert found is not None
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.supervisor.close()
    assert not alive([p for p in descendants(os.getpid()) if str(watched.code) in p.cmdline()])


def test_a_part_that_is_killed_starts_again_and_the_report_says_by_what(watched: Watched) -> None:
    watched.run()
    first = watched.wait(State.READY)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: [r for r in watched.told if "killed by SIGKILL; starts again in" in r.part.detail])
    eventually(lambda: watched.wait(State.READY).pid not in (None, first.pid))


def test_a_reload_swaps_processes_and_broken_code_leaves_the_old_one(watched: Watched) -> None:
    watched.run()
    first = watched.wait(State.READY)
    watched.code.write_text("broken")
    watched.supervisor.changed("part")
    kept = watched.wait(State.READY, "HR-D099")
    assert kept.pid == first.pid
    assert "at code.txt:1" in kept.part.detail
    watched.code.write_text("two")
    watched.supervisor.changed("part")
    second = eventually(lambda: (r := watched.wait(State.READY)).pid != first.pid and r)
    assert second
    assert second.part.detail == ""
    assert first.pid is not None
    eventually(lambda: not psutil.pid_exists(first.pid or 0), what="the old process has ended")


def test_code_that_is_broken_at_the_start_is_reported_with_its_line_and_mended_by_a_change(watched: Watched) -> None:
    watched.code.write_text("broken")
    watched.run()
    assert "at code.txt:1" in watched.wait(State.BROKEN, "HR-D099").part.detail
    watched.code.write_text("mended")
    watched.supervisor.changed("part")
    watched.wait(State.READY)


def test_a_stop_ends_the_part(watched: Watched) -> None:
    watched.run()
    report = watched.wait(State.READY)
    watched.supervisor.stop(["part"])
    watched.wait(State.STOPPED)
    assert report.pid is not None
    assert not psutil.pid_exists(report.pid)


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "code.txt").write_text("one")
    parent = textwrap.dedent(f"""
        import os, sys, time
        from pathlib import Path
        from hedgerow_scheduler.embedded.children import Child, Launch
        child = Child(Launch("part", [sys.executable, {str(program)!r}, {str(tmp_path / "code.txt")!r}],
                             Path({str(tmp_path / "child.log")!r}), os.environ, lambda child: True))
        time.sleep(600)
    """)
    with running(python("-c", parent), log=tmp_path / "log") as process:
        eventually(lambda: "ready" in (tmp_path / "child.log").read_text())
        below = descendants(process.pid)
        assert below
        process.kill()
        eventually(lambda: not alive(below), within=10, what="the child has ended")


def test_an_api_that_answers_in_place_of_ours_is_not_taken_for_ours(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (tmp_path / "healthz").touch()
    (tmp_path / "idle.py").write_text("import signal\nsignal.pause()\n")
    serve = f"import http.server\nprint('serving {url}/api/v1', flush=True)\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')\n"
    (tmp_path / "serve.py").write_text(serve)

    def child(name: str) -> Child:
        command = python(tmp_path / f"{name}.py")
        return Child(Launch(name, command, tmp_path / f"{name}.log", os.environ, lambda _: True, directory=tmp_path))

    theirs, ours = child("serve"), child("idle")
    try:
        eventually(lambda: api_serves(url, theirs), what="theirs answers")
        assert not api_serves(url, ours)
    finally:
        for each in (theirs, ours):
            each.kill()
            each.wait(10)


def test_a_log_that_has_grown_large_is_emptied_under_a_running_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hedgerow_scheduler.embedded import children

    monkeypatch.setattr(children, "LOG_LIMIT_BYTES", 100)
    log = tmp_path / "part.log"
    code = "import time\nfor n in range(1000): print('x' * 50, n, flush=True); time.sleep(0.01)"
    child = Child(Launch("part", python("-c", code), log, os.environ, lambda _child: True))
    eventually(lambda: log.stat().st_size > 100)
    children.rotate(log)
    small = log.stat().st_size
    eventually(lambda: log.stat().st_size > small, what="it goes on writing")
    assert log.with_suffix(".1.log").stat().st_size > 100
    assert "\0" not in log.read_text()
    child.kill()
    assert child.wait(10) == -signal.SIGKILL
