"""The ground truth: a file outside of the platform to which every step appends when it begins, while it works, and when it ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.history import Execution

AT_WORK_S = 0.1  # between two signs of life of a step
Key = tuple[str, str, str, int, int]

# What the teams' code imports. It writes with one system call to a file opened for appending: nothing is lost by a kill, nothing is torn.
MODULE = """
import json
import os
import time

SINK = {sink!r}


def _file(ctx):
    return SINK


def _write(said, ctx, suffix="", **more):
    line = {{
        "said": said, "run": ctx.run_id, "asset": ctx.asset_key + suffix, "partition": ctx.partition_key, "attempt": ctx.attempt,
        "pid": os.getpid(), "worker": os.getppid(), "mono": time.monotonic(), "wall": time.time(), **more,
    }}
    file = os.open(_file(ctx), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, json.dumps(line).encode() + b"\\n")
    finally:
        os.close(file)


def judge(ctx, seconds, read):
    work(ctx, seconds, read, suffix=":checks")
    return True


def work(ctx, seconds, read=(), fail=False, suffix=""):
    _write("begin", ctx, suffix, read=[[key, value["run"], value["attempt"]] for key, value in read])
    try:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min({at_work_s}, left))
            if left > {at_work_s}:
                _write("at work", ctx, suffix)
        if fail:
            raise RuntimeError("it was told to fail")
    except Exception:
        _write("raised", ctx, suffix)
        raise
    except BaseException:
        _write("stopped", ctx, suffix)
        raise
    _write("end", ctx, suffix)
    return {{"run": ctx.run_id, "attempt": ctx.attempt}}
"""


def module(sink: Path) -> str:
    """The code of the module that steps write to the sink with."""
    return MODULE.format(sink=str(sink), at_work_s=AT_WORK_S)


class Sink:
    """Reads the file as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._known: dict[Key, Execution] = {}

    def executions(self) -> list[Execution]:
        """All executions so far, in the order in which they began."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._offset += len(whole)
            self.add(json.loads(line) for line in whole.splitlines())
        return list(self._known.values())

    def at_work(self) -> list[Execution]:
        """Those that have not said that they ended."""
        return [execution for execution in self.executions() if not execution.how]

    def add(self, lines: Iterable[dict[str, Any]]) -> None:
        """Takes in what steps have said."""
        for line in lines:
            key = (line["run"], line["asset"], line["partition"], line["attempt"], line["pid"])
            known = self._known.get(key)
            if known is None:
                read = tuple((asset, run, attempt) for asset, run, attempt in line.get("read", ()))
                self._known[key] = Execution(
                    *(line["run"], line["asset"], line["partition"], line["attempt"], line["pid"], line["worker"]),
                    began=line["wall"],
                    last=line["wall"],
                    read=read,
                )
            else:
                how = "" if line["said"] == "at work" else line["said"]
                self._known[key] = replace(known, last=line["wall"], how=how or known.how)
