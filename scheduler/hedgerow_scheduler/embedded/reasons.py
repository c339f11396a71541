"""Finds in a process's output why it ended."""

from __future__ import annotations

import re

PROBLEM = re.compile(r"^(?:.*\s)?(HR-[A-Z]\d{3}  .*(?:\n {9}\S.*)*)", re.MULTILINE)
SHOWN_PROBLEMS = 5
WIDEST = 300


def reason(output: str, status: int) -> str:
    """The problems with a code that `output` tells of (their lines below as they stand), else its last line; "" if it is empty.

    The last line explains nothing when a signal ended the process.

    >>> reason("starting\\nHR-D014  Asset 'orders' is wrong.\\n         at sales.py:3\\n         Correct it.\\n", 1)
    "HR-D014  Asset 'orders' is wrong.\\n         at sales.py:3\\n         Correct it."
    >>> reason("Traceback (most recent call last):\\n  ...\\nOSError: no space\\n", 1)
    'OSError: no space'
    """
    problems = list(dict.fromkeys(match[1] for match in PROBLEM.finditer(output)))
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        return "\n".join([*problems[:SHOWN_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:WIDEST] if lines and status > 0 else ""
