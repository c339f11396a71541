"""`python -m hedgerow.runner evaluate PATH KIND NAME`: one evaluation of what a location offers, by hand."""

from __future__ import annotations

import os
import sys

import msgspec

from hedgerow.errors import Problem
from hedgerow.runner.failures import problem_of, sendable
from hedgerow.runner.serve import load


def evaluate(path: str, kind: str, name: str) -> int:
    """Evaluate it for the argument on standard input; print the result as JSON and return 0, or `{"problems": [...]}` and return 1.

    Standard output holds that one line alone: what the team's code prints goes to standard error.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    result = _evaluated(path, kind, name, sys.stdin.buffer.read())
    body = msgspec.json.encode({"problems": result}) if isinstance(result, list) else result
    with open(answer, "wb") as output:
        output.write(body + b"\n")
    return int(isinstance(result, list))


def _evaluated(path: str, kind: str, name: str, argument: bytes) -> bytes | list[Problem]:
    loaded = load(path)
    if isinstance(loaded, list):
        return loaded
    location, _ = loaded
    try:
        return msgspec.json.encode(location.evaluables[kind, name].call(argument))  # type: ignore[index]
    except BaseException as error:  # SystemExit of the team's code too
        return [sendable(problem_of(error, location.settings.root, f"{kind.capitalize()} '{name}'"))]
