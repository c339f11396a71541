"""A real runner whose team's code exits, forks, closes its output, hangs, or raises what can't be sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hedgerow.protocol.events import AttemptSucceeded
from hedgerow.protocol.runner import LoadFailed

pytestmark = pytest.mark.processes

DEADLINE_S = 20.0
QUIET = "\n@hr.asset\ndef quiet() -> None:\n    print('still here')\n"


def steps(bodies: list[str]) -> str:
    """One asset, `step_0` and so on, for each body."""
    return "".join(f"\n@hr.asset\ndef step_{n}() -> None:\n    {body}\n" for n, body in enumerate(bodies))


def eventually(happened: Callable[[], bool]) -> bool:
    """Whether it happens before the deadline; polls what other processes do."""
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        if sys.platform == "linux":
            return False
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True).stdout.strip()[:1] not in (
        b"",
        b"Z",
    )


def written_pid(path: Path) -> int:
    assert eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


RAISED = [
    ("raise SystemExit(3)", "SystemExit: 3"),
    ("import sys; sys.exit()", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise GeneratorExit('g')", "GeneratorExit: g"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(5)", "KeyboardInterrupt"),
    ("raise Mute()", "team.Mute: (its text can't be had: __str__ raised)"),
    ("raise Odd(lambda: 1, open(__file__))", "team.Odd: \\udc80 odd"),
    ("step_7()", "RecursionError: maximum recursion depth exceeded"),
    ("raise ExceptionGroup('many', [ValueError(1), KeyError(2)])", "ExceptionGroup: many (2 sub-exceptions)"),
    ("raise ValueError('x' * 10_000_000)", "ValueError: xxx"),
]


def test_whatever_is_raised_fails_the_step_and_not_the_runner(loaded: Any, failure: Any) -> None:
    head = """
class Mute(Exception):
    def __str__(self):
        raise ZeroDivisionError

class Odd(Exception):
    def __str__(self):
        return "\\udc80 odd"
"""
    runner = loaded(head + steps([body for body, _ in RAISED]) + QUIET)
    for number, (_, message) in enumerate(RAISED):
        end = failure(runner.execute(f"step_{number}"))
        assert end.reason == "user_error"
        assert end.error.code == "HR-X001"
        assert end.error.message.startswith(message)
        assert len(end.error.message) <= 2_000
        assert end.error.file == "team.py"
        assert isinstance(runner.execute("quiet")[-1], AttemptSucceeded)


def test_output_of_every_kind_lands_in_the_log_in_order(loaded: Any) -> None:
    runner = loaded(
        """
        import ctypes, logging, os, subprocess, sys

        @hr.asset
        def a(ctx: hr.Context) -> None:
            print("printed")
            os.write(1, b"by descriptor\\n")
            subprocess.run(["sh", "-c", "echo by child; echo child error >&2"])
            print("to stderr", file=sys.stderr)
            ctx.log.warning("logged %s", "here")
            logging.getLogger("library").warning("of a library")
            ctypes.CDLL(None).puts(b"by a library in C")
            sys.stdout.buffer.write(b"\\xff raw bytes\\n")
            print("\\udc80", "no newline", end="")
        """
        + "\n".join("        " + line for line in QUIET.splitlines())
    )
    runner.execute("a")
    lines = runner.log.read_bytes().splitlines()
    assert lines[:5] == [b"printed", b"by descriptor", b"by child", b"child error", b"to stderr"]
    assert lines[5].endswith(b"Z WARNING logged here")
    assert lines[6].endswith(b"Z WARNING of a library")
    assert lines[7:] == [b"by a library in C", b"\xff raw bytes", b"\\udc80 no newline"]
    runner.execute("quiet")
    assert runner.log.read_bytes().endswith(b"no newlinestill here\n")
    assert runner.boot_log.read_text() == ""


def test_a_line_is_in_the_log_while_the_step_still_runs(loaded: Any) -> None:
    runner = loaded(
        """
        import time
        from pathlib import Path

        @hr.asset
        def a() -> None:
            print("first line")
            while not Path("go").exists():
                time.sleep(0.01)
        """
    )
    runner.begin("a")
    assert eventually(lambda: runner.log.exists() and "first line\n" in runner.logged())
    (runner.root / "go").touch()
    runner.finish()


MEDDLING = [
    "sys.stdout.close()",
    "sys.stderr.close(); sys.stdout.close()",
    "os.close(1); os.close(2)",
    "sys.stdout = io.StringIO(); print('lost')",
    "sys.stdout = sys.stderr = None",
    "threading.Thread(target=print, args=('from a thread',)).start()",
    "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
    "os.chdir('/'); signal.signal(signal.SIGTERM, signal.SIG_IGN)",
]


def test_the_next_step_prints_as_if_nothing_had_happened(loaded: Any) -> None:
    runner = loaded("import io, os, signal, sys, threading\n" + steps(MEDDLING) + QUIET)
    for number in range(len(MEDDLING)):
        assert isinstance(runner.execute(f"step_{number}")[-1], AttemptSucceeded)
        assert isinstance(runner.execute("quiet")[-1], AttemptSucceeded)
        assert runner.logged().endswith("still here\n")
        runner.log.unlink()


def test_a_crash_leaves_its_stack_in_the_log(loaded: Any) -> None:
    runner = loaded("import os\n@hr.asset\ndef a() -> None:\n    os.abort()\n")
    with pytest.raises(Exception) as caught:
        runner.execute("a")
    assert type(caught.value).__name__ == "RunnerEnded"
    assert runner.wait() == -signal.SIGABRT
    assert 'team.py", line 5 in a' in runner.logged()


def test_a_log_that_can_not_be_opened_costs_the_log_and_nothing_else(loaded: Any, tmp_path: Path) -> None:
    runner = loaded(QUIET)
    for log in (tmp_path / "new" / "folder" / "x.log", tmp_path):
        runner.log = log
        assert isinstance(runner.execute("quiet")[-1], AttemptSucceeded)
    assert (tmp_path / "new" / "folder" / "x.log").read_text() == "still here\n"
    assert runner.execute("quiet")[-1].log == "dropped:unopened:0:0"


FULL = """
import io, resource, sys

@hr.asset
def logs(ctx: hr.Context) -> None:
    ctx.log.info("no room")
    ctx.log.info("still none")

@hr.asset
def prints() -> None:
    for _ in range(3):
        try:
            print("never to be seen")
        except OSError:
            pass

@hr.asset
def recovers(ctx: hr.Context) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    print("before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    ctx.log.info("cut in the middle")
    ctx.log.info("not written at all")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    ctx.log.info("after")
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
def test_lines_that_a_full_disk_does_not_take_are_counted_and_told(loaded: Any) -> None:
    runner = loaded(FULL + QUIET)
    plain, runner.log = runner.log, Path("/dev/full")
    logs = runner.execute("logs")[-1]
    assert isinstance(logs, AttemptSucceeded)
    assert logs.log.startswith("dropped:unwritten:2:")
    prints = runner.execute("prints")[-1]
    assert isinstance(prints, AttemptSucceeded)
    assert prints.log == "dropped:unwritten:3:51"

    runner.log = plain
    assert runner.execute("quiet")[-1].log == ""
    assert runner.logged() == "still here\n"  # what an earlier step could not print is not printed by this one
    assert runner.boot_log.read_text() == ""


def test_when_there_is_room_again_the_log_itself_says_what_is_missing(loaded: Any) -> None:
    runner = loaded(FULL)
    assert runner.execute("recovers")[-1].log == ""
    before, torn, marker, after = runner.logged().splitlines()
    assert (before, marker) == ("before", "… 2 lines dropped here: the log file did not take them")
    assert len(before) + 1 + len(torn) == 20
    assert after.endswith("INFO after")


def test_a_process_that_ends_itself_is_seen_as_the_end_of_the_pipe(loaded: Any) -> None:
    runner = loaded("import os\n@hr.asset\ndef a() -> None:\n    os._exit(7)\n")
    with pytest.raises(Exception) as caught:
        runner.execute("a")
    assert type(caught.value).__name__ == "RunnerEnded"
    assert runner.wait() == 7


def test_a_child_that_outlives_the_step_does_not_keep_the_pipe_open(loaded: Any) -> None:
    runner = loaded(
        """
        import os, time
        from pathlib import Path

        @hr.asset
        def a() -> None:
            if os.fork() == 0:
                os.setsid()
                Path("child").write_text(f"{os.getpid()}\\n")
                time.sleep(60)
                os._exit(0)
            os._exit(9)
        """
    )
    with pytest.raises(Exception) as caught:
        runner.execute("a")
    assert type(caught.value).__name__ == "RunnerEnded"
    os.kill(written_pid(runner.root / "child"), signal.SIGKILL)


def test_a_fork_that_returns_from_the_function_says_nothing(loaded: Any) -> None:
    runner = loaded(
        """
        import os

        @hr.asset
        def a() -> None:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
        """
        + "\n".join("        " + line for line in QUIET.splitlines())
    )
    assert len(runner.execute("a")) == 2
    assert len(runner.execute("quiet")) == 2


HANGS = """
    import os, subprocess, sys, time
    from pathlib import Path

    @hr.asset
    def a() -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        Path("child").write_text(f"{child.pid}\\n")
        while True:
            try:
                time.sleep(300)
            except BaseException:
                pass
"""


def test_when_the_worker_is_gone_the_runner_and_its_children_end_at_once(loaded: Any) -> None:
    runner = loaded(HANGS)
    runner.begin("a")
    child = written_pid(runner.root / "child")
    os.close(runner.orders)
    assert runner.wait() == -signal.SIGKILL
    assert eventually(lambda: not is_running(child))


def test_an_idle_runner_ends_with_its_worker(loaded: Any) -> None:
    runner = loaded(QUIET)
    os.close(runner.orders)
    runner.wait()


def test_a_runner_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "hedgerow.toml").write_text('[team]\nname = "sales"\n[code]\nmodules = ["team"]\n')
    (tmp_path / "team.py").write_text("import hedgerow as hr\n" + QUIET)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, subprocess, sys, time\n"
            "orders, keep = os.pipe(); events, theirs = os.pipe()\n"
            "env = {**os.environ, 'HEDGEROW_ORDERS_FD': str(orders), 'HEDGEROW_EVENTS_FD': str(theirs)}\n"
            "child = subprocess.Popen([sys.executable, '-m', 'hedgerow.runner'], env=env, pass_fds=(orders, theirs),\n"
            "                         start_new_session=True)\n"
            "os.close(orders)\n"
            "print(child.pid, flush=True)\n"
            "time.sleep(300)\n",
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    runner = int(parent.stdout.readline())
    assert is_running(runner)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not is_running(runner))


def test_sigterm_lets_the_code_clean_up_and_then_ends_without_a_word(loaded: Any) -> None:
    runner = loaded(
        """
        import time
        from pathlib import Path

        @hr.asset
        def a() -> str:
            Path("started").write_text("1\\n")
            try:
                time.sleep(300)
            except BaseException:
                Path("cleaned").write_text("yes")
            return "as if nothing had happened"
        """
    )
    runner.begin("a")
    written_pid(runner.root / "started")
    os.kill(runner.process.pid, signal.SIGTERM)
    with pytest.raises(Exception) as caught:
        runner.finish()
    assert type(caught.value).__name__ == "RunnerEnded"
    assert runner.wait() == 128 + signal.SIGTERM
    assert (runner.root / "cleaned").read_text() == "yes"


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import os, nonexistent_module", "def broken(:", "1/0"])
def test_code_that_can_not_be_imported_is_a_report_and_not_a_crash(code: str, start: Any) -> None:
    runner = start(code)
    answer = runner.load()
    assert isinstance(answer, LoadFailed)
    assert answer.problems[0].file == "team.py"
    assert answer.problems[0].line == 2


def test_nonsense_on_the_pipe_ends_the_runner_with_a_message(start: Any) -> None:
    for data in (b"no json", b'{"id": 1}'):
        runner = start("")
        runner.send_raw(data)
        assert runner.wait() == 2
        assert "HR-X008" in runner.boot_log.read_text()


def test_messages_of_unknown_kind_are_passed_over(loaded: Any) -> None:
    runner = loaded(QUIET)
    runner.send_raw(b'{"id": "x", "kind": "warm_up", "v": 9, "body": {}}')
    assert isinstance(runner.execute("quiet")[-1], AttemptSucceeded)
