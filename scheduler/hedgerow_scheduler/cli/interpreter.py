"""Asking a team's own interpreter about its code, in a process that ends with the answer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from hedgerow.errors import DefinitionError, Problem
from hedgerow.settings.location import LOCATION_FILE, LocationSettings
from hedgerow_scheduler.cli.output import clean

T = TypeVar("T")


class Problems(msgspec.Struct, frozen=True):
    """What the runner answers when the code can't be loaded, or fails."""

    problems: tuple[Problem, ...]


def ask(
    settings: LocationSettings,
    environ: Mapping[str, str],
    *words: str,
    decode: Callable[[bytes], T],
    within_s: float,
    late: Problem,
    given: bytes = b"",
    shown: bool = False,
) -> T:
    """What `python -m hedgerow.runner` of the location answers to `words` and what is `given` to it; DefinitionError with what is wrong,
    `late` when there is no answer in time. `shown`: what the code prints goes to our standard error; it is dropped otherwise.
    """
    python = str(settings.python)
    command = [python, "-m", "hedgerow.runner", *words]
    # What we are told by the environment is not the team's business.
    passed = {name: value for name, value in environ.items() if not name.startswith("HEDGEROW_")}
    try:
        done = subprocess.run(
            command,
            cwd=settings.root,
            env=passed,
            stdout=subprocess.PIPE,
            stderr=None if shown else subprocess.PIPE,
            timeout=within_s,
            check=False,
            input=given,
        )
    except subprocess.TimeoutExpired as error:
        raise DefinitionError((late,)) from error
    except OSError as error:
        raise DefinitionError.of(
            "HR-C007",
            f"The interpreter {python} can't be started: {error.strerror}.",
            f"Correct [code] python in {LOCATION_FILE}.",
        ) from error
    try:
        if done.returncode == 0:
            return decode(done.stdout)
        problems = msgspec.json.decode(done.stdout, type=Problems).problems
    except msgspec.MsgspecError as error:
        last = (done.stderr or b"").decode("utf-8", "replace").strip().rpartition("\n")[2]
        said = clean(last) or f"it ended with {done.returncode}"
        missing = "No module named hedgerow" in said
        remedy = "Install hedgerow there: it needs nothing else." if missing else f"Try it: {' '.join(command)}"
        raise DefinitionError.of("HR-Q323", f"{python} can't {words[0]} the location: {said}.", remedy) from error
    raise DefinitionError(problems)
