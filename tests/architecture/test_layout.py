"""The shape of the repository: small modules in three packages, and nothing that belongs to one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_FOLDERS = {"definitions": "hedgerow", "workers": "hedgerow_workers", "scheduler": "hedgerow_scheduler"}
MAX_LINES = 400
# In pieces, so that this file does not find itself.
HOSTS = re.compile(
    "|".join(
        [
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            "artifact" + "ory",
            "registry" + r"\.npmjs",
            "deb" + r"\.debian",
            "index" + "-url",
        ]
    ),
    re.IGNORECASE,
)
MACHINE_PATHS = re.compile(
    "|".join(
        [r"(?<![\w.])/" + "work/", r"(?<![\w.])/" + "root/", r"/home/" + r"[a-z]\w*/", "/" + r"Users/[A-Za-z]\w*/"]
    )
)


def modules() -> list[Path]:
    """Every Python module that we ship."""
    return sorted(path for folder in TOP_FOLDERS for path in (ROOT / folder).rglob("*.py"))


def committed_files() -> list[Path]:
    """Every file that is, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_module_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in modules()
        if (lines := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_every_module_with_code_says_in_a_docstring_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if (text := path.read_text("utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


@pytest.mark.parametrize("folder", TOP_FOLDERS)
def test_a_top_folder_holds_its_package_and_nothing_else(folder: str) -> None:
    entries = {path.name for path in (ROOT / folder).iterdir() if path.name not in ("__pycache__", ".DS_Store")}
    assert entries == {TOP_FOLDERS[folder]}


@pytest.mark.parametrize("package", [f"{folder}/{package}" for folder, package in TOP_FOLDERS.items()])
def test_every_package_directory_has_an_init_and_the_root_says_that_it_is_typed(package: str) -> None:
    root = ROOT / package
    assert (root / "py.typed").is_file()
    bare = {
        str(path.parent.relative_to(ROOT)) for path in root.rglob("*.py") if not (path.parent / "__init__.py").is_file()
    }
    assert {name for name in bare if "/migrations" not in name} == set()


def test_no_committed_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    found = []
    for path in committed_files():
        if path.suffix in {".png", ".svg", ".gz", ".parquet", ".ico"}:
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if HOSTS.search(line) or MACHINE_PATHS.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert found == []


def test_the_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+", line)] == []
