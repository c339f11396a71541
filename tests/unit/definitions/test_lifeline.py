"""A process ends with the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from hedgerow import lifeline


def test_the_end_of_the_other_side_is_noticed_once_and_what_is_written_is_ignored() -> None:
    reading, writing = os.pipe()
    ended = threading.Event()
    thread = lifeline.watch(reading, ended.set)
    os.write(writing, b"still here")
    assert not ended.wait(0.05)
    os.close(writing)
    thread.join(10)
    assert ended.is_set()
    os.close(reading)


def _child(code: str, grace_s: float) -> tuple[subprocess.Popen[bytes], int]:
    reading, writing = os.pipe()
    program = (
        f"import os, signal, threading\nfrom hedgerow import lifeline\n{code}\n"
        f"lifeline.end_with_parent(os.environ, {grace_s})\nprint('up', flush=True)\n"
        "while True: signal.pause()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, lifeline.VARIABLE: str(reading)},
        pass_fds=(reading,),
        stdout=subprocess.PIPE,
    )
    os.close(reading)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    return child, writing


def test_a_process_ends_by_sigterm_when_its_parent_is_gone() -> None:
    child, writing = _child("", 30)
    os.close(writing)
    child.communicate(timeout=20)
    assert child.returncode == -signal.SIGTERM


def test_a_process_that_does_not_heed_sigterm_is_killed() -> None:
    child, writing = _child("signal.signal(signal.SIGTERM, lambda *_: None)", 0.1)
    os.close(writing)
    child.communicate(timeout=20)
    assert child.returncode == -signal.SIGKILL
