"""The source of a team's code as one digest: two workers with equal digests run the same code."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

DIGITS = 16
_ENVIRONMENTS = frozenset({"site-packages", "dist-packages", "__pycache__"})


def source_digest(root: Path, modules: Iterable[str]) -> str:
    """Sixteen hexadecimal digits over the names and contents of every Python file of the packages that `modules` belong to, and
    of whatever else below `root` was imported. What is installed is not part of it (its versions are told beside it).
    """
    files = {*_of_packages(root, modules), *_imported(root)}
    digest = hashlib.sha256()
    for path in sorted(files):
        try:
            content = path.read_bytes()
        except OSError:
            continue  # it was removed since
        digest.update(f"{os.path.relpath(path, root)}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()[:DIGITS]


def _of_packages(root: Path, modules: Iterable[str]) -> Iterator[Path]:
    for name in {module.partition(".")[0] for module in modules}:
        if (root / f"{name}.py").is_file():
            yield root / f"{name}.py"
        for folder, folders, names in os.walk(root / name):
            folders[:] = [each for each in folders if each not in _ENVIRONMENTS]
            yield from (Path(folder, each) for each in names if each.endswith(".py"))


def _imported(root: Path) -> Iterator[Path]:
    below = str(root) + os.sep
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(below) and file.endswith(".py"):
            path = Path(file)
            if _ENVIRONMENTS.isdisjoint(path.parts) and not _in_environment(path, root):
                yield path


def _in_environment(path: Path, root: Path) -> bool:
    """Whether a virtual environment lies between `root` and the file."""
    return any((parent / "pyvenv.cfg").is_file() for parent in path.parents if root in parent.parents)
