"""A tiny process that runs one server as its child and ends it when the supervisor is gone.

    HEDGEROW_LIFELINE_FD=N python -I -S keeper.py --record FILE --stop SIGINT:10,SIGQUIT:5 [--uid N --gid N] -- COMMAND…

It imports the standard library only, so that it starts in a few milliseconds and depends on nothing that could be broken.
SIGTERM to the keeper, or end-of-file on descriptor N (see hedgerow.lifeline), sends the signals of `--stop` one after the other, each with its patience in
seconds, then SIGKILL; a further SIGTERM goes on to the next signal at once. The keeper ends as its child ended: with the
same exit code, or by the same signal. If the keeper itself is killed, Linux sends the first signal (PR_SET_PDEATHSIG);
elsewhere the next start finds the process in FILE and ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def identity(pid: int) -> str | None:
    """What tells the process `pid` from a later one with the same number (its start time); None if there is none."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]  # proc(5): state and starttime, counted from after `comm`
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def end_with_keeper(keeper: int, number: int) -> None:
    """Asks Linux to send signal `number` to this process when its parent ends. Runs in the child, after its setuid (which would clear it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != keeper:
            os.kill(os.getpid(), signal.SIGKILL)


def end_like(status: int) -> int:
    """Ends this process by the signal that ended the child, or returns the exit code to leave with."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status if status >= 0 else 128 - status


def keep(child: subprocess.Popen[bytes], lifeline: int, wake: int, stop: list[tuple[int, float]]) -> int:
    """Waits until `child` has ended, ending it when asked to; its return code as subprocess states it."""
    steps = [*stop, (int(signal.SIGKILL), 3600.0)]
    watched = [lifeline, wake]
    deadline: float | None = None
    while (status := child.poll()) is None:
        patience = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select(watched, [], [], patience)
        asked = deadline is not None and time.monotonic() >= deadline
        if wake in readable and signal.SIGTERM in os.read(wake, 64):
            asked = True
        if lifeline in readable and not os.read(lifeline, 1024):
            watched.remove(lifeline)
            asked = asked or deadline is None
        if asked and steps:
            number, seconds = steps.pop(0)
            deadline = time.monotonic() + seconds
            child.send_signal(number)
    return status


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="keeper")
    parser.add_argument("--record", required=True)
    parser.add_argument("--stop", required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    stop = [
        (int(signal.Signals[name]), float(wait)) for name, wait in (part.split(":") for part in options.stop.split(","))
    ]

    lifeline = int(os.environ.pop("HEDGEROW_LIFELINE_FD"))
    os.set_inheritable(lifeline, False)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's business

    keeper, first = os.getpid(), stop[0][0]

    def in_child() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        end_with_keeper(keeper, first)

    child = subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        cwd="/",
        umask=0o077,
        user=options.uid,
        group=options.gid,
        extra_groups=None if options.gid is None else [options.gid],
        preexec_fn=in_child,
    )
    with open(options.record + ".new", "w", encoding="utf-8") as file:
        json.dump({"pid": child.pid, "identity": identity(child.pid)}, file)
    os.replace(options.record + ".new", options.record)
    status = keep(child, lifeline, wake, stop)
    with contextlib.suppress(FileNotFoundError):  # someone has removed the directory meanwhile
        os.unlink(options.record)
    return end_like(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
