"""The command `hedgerow dev PATH`: runs the whole platform on this machine until it is told to stop."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from rich.console import Console

from hedgerow.errors import PlatformError
from hedgerow_scheduler.cli.command import whole_number
from hedgerow_scheduler.embedded.accounts import forget_elsewhere
from hedgerow_scheduler.embedded.homes import Home
from hedgerow_scheduler.embedded.parts import State
from hedgerow_scheduler.embedded.platform import Platform
from hedgerow_scheduler.embedded.status import StatusLines

OK, INTERRUPTED = 0, 130
NEVER_S = 7 * 86_400.0


def main(argv: list[str] | None = None) -> int:
    """Runs `hedgerow dev`; 0 after SIGTERM, 130 after Ctrl-C. Raises PlatformError when it can't start (see the console's codes)."""
    options = _parser().parse_args(argv)
    root = Path(options.path).resolve()
    if not root.is_dir():
        raise PlatformError.of(
            "HR-P205", f"There is no directory {root}.", "Give the directory of a code location, or of several."
        )
    lines = StatusLines(Console(soft_wrap=True))
    if options.fresh:
        _forget(root)
    numbers: list[int] = []
    leaving = threading.Event()
    platform = Platform(
        root,
        os.environ,
        port=options.port,
        teams=options.teams,
        reload=not options.no_reload,
        automation=options.automation,
        on_change=lines.show,
    )

    def on_signal(number: int, _frame: FrameType | None) -> None:
        numbers.append(number)
        if not leaving.is_set():
            leaving.set()
            raise KeyboardInterrupt
        # Not here: a handler runs between any two instructions, perhaps while the lock that stop() needs is held.
        threading.Thread(target=platform.stop, daemon=True).start()

    for watched in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(watched, on_signal)
    try:
        platform.start()
        platform.wait_ready(NEVER_S)  # the status lines say what is late and why; a person decides
        broken = [r.part.name for r in platform.reports().values() if r.part.state is State.BROKEN]
        but = f", but not {', '.join(broken)}" if broken else ""
        lines.say(f"ready at {platform.api_url}{but} (Ctrl-C stops everything)")
        if not options.automation:
            lines.say("conditions, schedules and sensors are off: --automation lets them launch")
        while True:
            signal.pause()
    except KeyboardInterrupt:
        lines.say("stopping")
    finally:
        leaving.set()
        platform.stop()
    lines.say("stopped")
    return INTERRUPTED if numbers[:1] == [signal.SIGINT] else OK


def _forget(root: Path) -> None:
    """Removes what earlier starts left in .hedgerow: metadata, outputs, logs. Raises PlatformError HR-P204 while they are in use."""
    home = Home(root)
    try:
        for entry in home.path.iterdir():
            if entry.is_symlink():
                forget_elsewhere(entry)
                entry.unlink()
            elif entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()
    finally:
        home.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hedgerow dev",
        description="Runs PostgreSQL, Valkey, the scheduler, the API and a worker for every code location at PATH, "
        "and reloads a team when its code changes. State is kept in PATH/.hedgerow.",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        default=".",
        help="a code location, or the directory above several (default: here)",
    )
    parser.add_argument(
        "--port", type=whole_number(1, 65535), help="the API's port (default: the one used before, or a free one)"
    )
    parser.add_argument(
        "--teams",
        type=lambda text: text.split(","),
        default=[],
        metavar="A,B",
        help="run the workers of these teams only",
    )
    parser.add_argument(
        "--automation",
        action="store_true",
        help="launch what schedules and conditions ask for, as in production (default: only what people ask for)",
    )
    parser.add_argument("--no-reload", action="store_true", help="do not follow changes of code")
    parser.add_argument(
        "--fresh", action="store_true", help="forget everything first: metadata, outputs and logs of earlier starts"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
