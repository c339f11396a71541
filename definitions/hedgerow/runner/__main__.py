"""`python -m hedgerow.runner`: serve a worker over the pipes it names, describe a location, or evaluate something of it."""

from __future__ import annotations

import os
import sys

from hedgerow.runner.describe import describe
from hedgerow.runner.pipe import Events, Orders
from hedgerow.runner.serve import Runner
from hedgerow.runner.trying import evaluate

USAGE = "usage: python -m hedgerow.runner [describe PATH | evaluate PATH KIND NAME]   (without arguments: started by a worker)"


def main(arguments: list[str]) -> int:
    """Exit code 0 for a normal end, 1 for a location with problems, 2 for bad usage."""
    if len(arguments) == 2 and arguments[0] == "describe":
        return describe(arguments[1])
    if len(arguments) == 4 and arguments[0] == "evaluate":
        return evaluate(*arguments[1:])
    try:
        orders, events = (int(os.environ.pop(name)) for name in ("HEDGEROW_ORDERS_FD", "HEDGEROW_EVENTS_FD"))
    except (KeyError, ValueError):
        print(USAGE, file=sys.stderr)
        return 2
    if arguments:
        print(USAGE, file=sys.stderr)
        return 2
    return Runner(Orders(orders), Events(events)).serve()


if __name__ == "__main__":
    # Threads that the team's code left behind must not keep the process alive.
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
