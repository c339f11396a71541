"""The `hedgerow` command: finds the command that was asked for among the installed packages and runs it.

Commands are entry points of the group `hedgerow.commands`, each `function(argv: list[str]) -> int`. Only the one that was
asked for is imported, so that this package alone can list them all and name the extra that is missing. A name may be of two
words: packages that don't know each other so share the first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import NamedTuple

from hedgerow.errors import HedgerowError, PlatformError
from hedgerow.suggestion import did_you_mean

GROUP = "hedgerow.commands"

OK, FAILED, BAD_INPUT, UNREACHABLE, MISSING_EXTRA, INTERRUPTED = 0, 1, 2, 3, 4, 130


class Command(NamedTuple):
    """One line of the list of commands, and the extra that brings what it imports."""

    summary: str
    extra: str


COMMANDS: dict[str, Command] = {
    "dev": Command("Run everything on this machine, and reload teams when their code changes.", "local"),
    "check": Command("Load a code location and report every mistake in it.", "scheduler"),
    "preview": Command("Print what a working tree would launch in the hours to come.", "scheduler"),
    "plan": Command("Print what a deploy of a working tree would change.", "scheduler"),
    "materialize": Command("Launch a run of a selection of assets and follow it.", "scheduler"),
    "run": Command("List, show, cancel or retry runs, and read their logs.", "scheduler"),
    "backfill": Command("Make many partitions that lie in the past, and steer that.", "scheduler"),
    "asset": Command("List, show and search assets, and draw their graph.", "scheduler"),
    "explain": Command("Say why a step or an asset is not running.", "scheduler"),
    "schedule": Command("Schedules: list, look ahead, pause, resume.", "scheduler"),
    "partition": Command("Dynamic partitions: list sets and keys, add, remove.", "scheduler"),
    "sensor": Command("Sensors: list, look at evaluations, preview, evaluate, pause, resume.", "scheduler"),
    "reaction": Command("Reactions: list, look at what they were told, tell again.", "scheduler"),
    "pause": Command("Hold back whatever is launched by itself; list what is held back.", "scheduler"),
    "resume": Command("Let go on what is paused.", "scheduler"),
    "limits": Command("List limits, and set them otherwise while work flows.", "scheduler"),
    "queue": Command("List queues, pause one, let it go on.", "scheduler"),
    "audit": Command("Show who changed what of the platform, and why.", "scheduler"),
    "team": Command("Show teams, their workers and the state of their code.", "scheduler"),
    "worker": Command("Run a worker of one code location.", "worker"),
    "worker list": Command("List the live workers of all teams.", "scheduler"),
    "worker drain": Command("Have a worker finish what runs and leave.", "scheduler"),
    "scheduler": Command("Run the scheduler.", "scheduler"),
    "api": Command("Run the HTTP API.", "scheduler"),
    "db": Command("Create or upgrade the metadata database.", "scheduler"),
}
# What belongs to a team's own packages or to ours: a failed import of these is a defect, not a missing extra.
OWN_PACKAGES = frozenset({"hedgerow", "hedgerow_workers", "hedgerow_scheduler"})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code (see docs/reference/cli.md)."""
    name, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if rest and f"{name} {rest[0]}" in (installed.keys() | COMMANDS.keys()):
        name, *rest = f"{name} {rest[0]}", *rest[1:]
    if name in ("-h", "--help", "help"):
        print(overview(installed))
        return OK
    if name in ("-V", "--version"):
        print(f"hedgerow {installed_version()}")
        return OK
    if name not in installed:
        return _unknown(name, installed)
    try:
        return _run(installed[name], rest)
    except HedgerowError as error:
        print(error, file=sys.stderr)
        return UNREACHABLE if is_unreachable(error) else BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has gone; what is still buffered would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def overview(installed: Mapping[str, EntryPoint]) -> str:
    """The help text: every command in the table, then those that other packages add, one line each."""
    names = [*COMMANDS, *sorted(installed.keys() - COMMANDS.keys())]
    width = max(len(name) for name in names)
    lines = [f"  {name:<{width}}  {_summary(name)}" for name in names]
    return "\n".join(
        [
            "Usage: hedgerow COMMAND [ARGUMENTS]",
            "",
            *lines,
            "",
            "`hedgerow COMMAND --help` says more about one; `hedgerow --version` prints the version.",
        ]
    )


def installed_version() -> str:
    """The version of the installed distribution, "unknown" when it runs from a bare source tree."""
    try:
        return version("hedgerow")
    except PackageNotFoundError:
        return "unknown"


def is_unreachable(error: HedgerowError) -> bool:
    """Whether something of the platform is not there. A mistake in platform.toml, a wrong directory or port, or a second start
    is bad input.
    """
    asked_wrongly = error.code.startswith("HR-C") or error.code in ("HR-P204", "HR-P205", "HR-P206", "HR-P207")
    return isinstance(error, PlatformError) and (not asked_wrongly or error.code == "HR-C008")


def _summary(name: str) -> str:
    return COMMANDS[name].summary if name in COMMANDS else "(added by another package)"


def _unknown(name: str, installed: Mapping[str, EntryPoint]) -> int:
    if name in COMMANDS:
        print(f"hedgerow: the command '{name}' is not installed. {_install(name)}", file=sys.stderr)
        return MISSING_EXTRA
    hint = did_you_mean(name, [*COMMANDS, *installed], "commands are")
    print(f"hedgerow: there is no command '{name}'. {hint}", file=sys.stderr)
    return BAD_INPUT


def _run(entry: EntryPoint, argv: list[str]) -> int:
    try:
        return int(entry.load()(argv) or OK)
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in OWN_PACKAGES:
            raise
        print(
            f"hedgerow {entry.name} needs the package '{missing}', which is not installed. {_install(entry.name)}",
            file=sys.stderr,
        )
        return MISSING_EXTRA


def _install(name: str) -> str:
    extra = COMMANDS[name].extra if name in COMMANDS else "local"
    return f'Install it with: pip install "hedgerow[{extra}]"'


if __name__ == "__main__":
    sys.exit(main())
