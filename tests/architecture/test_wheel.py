"""What is installed: one wheel with three packages, light by default."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this source tree."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(directory),
        str(ROOT),
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(directory.glob("hedgerow-*.whl")))


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.partition("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "hedgerow",
        "hedgerow_workers",
        "hedgerow_scheduler",
    }
    assert {f"{package}/py.typed" for package in ("hedgerow", "hedgerow_workers", "hedgerow_scheduler")} <= set(
        wheel.namelist()
    )


def test_every_source_file_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    folders = ("definitions", "workers", "scheduler")
    sources = {str(path.relative_to(ROOT / folder)) for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert sources - set(wheel.namelist()) == set()


def test_without_an_extra_only_msgspec_and_cronsim_are_required(wheel: zipfile.ZipFile) -> None:
    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = [
        line
        for line in wheel.read(metadata).decode().splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert sorted(line.split()[1].rstrip(">=<.0123456789") for line in required) == ["cronsim", "msgspec"]
