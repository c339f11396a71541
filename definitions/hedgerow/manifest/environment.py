"""What a team's code was loaded with: interpreter, installed packages, git commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from hedgerow.manifest.model import Environment

GIT_TIMEOUT_S = 5


def describe_environment(root: Path) -> Environment:
    """The environment of this process, and the commit of the repository in which `root` lies."""
    return Environment(platform.python_version(), _packages(), _commit(root))


def _packages() -> dict[str, str]:
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        # The first on the path wins, as in an import.
        if name and name.lower() not in found:
            found[name.lower()] = distribution.version or ""
    return dict(sorted(found.items()))


def _commit(root: Path) -> str:
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return ""
    return commit + "+" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".") else commit


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
