"""Creates each team's virtual environment, and leaves it alone while what it was made from has not changed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path(__file__).resolve().parent
TEAMS = ("ingest", "analytics", "ml")
STAMP = "made-from.sha256"


def prepare(say: Callable[[str], None]) -> None:
    """Makes `.venv` in each team's directory: the team's requirements and the light `hedgerow`, nothing else.

    RuntimeError with the end of the output when an installation fails; what is half made is made anew the next time.
    """
    with ThreadPoolExecutor(len(TEAMS)) as threads:
        for line in threads.map(_prepare, (EXAMPLE / team for team in TEAMS)):
            say(line)


def _prepare(team: Path) -> str:
    environment = team / ".venv"
    stamp, wanted = environment / STAMP, _fingerprint(team)
    if stamp.is_file() and stamp.read_text() == wanted:
        return f"{team.name}: environment is up to date"
    _run(sys.executable, "-m", "venv", "--clear", str(environment))
    # Editable, so that the runners always speak the same protocol as the worker of this very tree.
    pip = (str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "-r", str(team / "requirements.txt"), "-e", str(ROOT))
    stamp.write_text(wanted)
    return f"{team.name}: environment made"


def _fingerprint(team: Path) -> str:
    made_from = hashlib.sha256(f"{sys.version}\n{ROOT}\n".encode())
    for file in (team / "requirements.txt", ROOT / "pyproject.toml"):
        made_from.update(file.read_bytes())
    return made_from.hexdigest()


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout[-4000:]}")


if __name__ == "__main__":
    prepare(print)
