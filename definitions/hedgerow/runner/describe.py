"""`python -m hedgerow.runner describe PATH`: what a location declares, or what is wrong with it, as JSON."""

from __future__ import annotations

import os

import msgspec

from hedgerow.runner.serve import load


def describe(path: str) -> int:
    """Print the manifest's canonical JSON and return 0, or `{"problems": [...]}` and return 1.

    Standard output holds that one line alone: what the team's modules print on import goes to standard error.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    loaded = load(path)
    if isinstance(loaded, list):
        body, status = msgspec.json.encode({"problems": loaded}), 1
    else:
        body, status = loaded[1], 0
    with open(answer, "wb") as output:
        output.write(body + b"\n")
    return status
