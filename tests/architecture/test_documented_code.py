"""The code of the tutorials and how-tos is sound: locations pass `hedgerow check`, and their tests pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?:python|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.(?:py|toml))\n")
CHECK = "import sys; from hedgerow.console import main; sys.exit(main(['check', *sys.argv[1:], '--no-platform']))"


def named_files(page: str) -> dict[str, str]:
    """The blocks of a page whose first line is a comment with the name of a file."""
    blocks = BLOCK.findall((ROOT / page).read_text("utf-8"))
    return {match[1]: block[match.end() :] for block in blocks if (match := FILE.match(block))}


def whole(page: str, module: str) -> dict[str, str]:
    """All Python blocks of a page as one module."""
    return {f"{module}.py": "\n\n".join(BLOCK.findall((ROOT / page).read_text("utf-8")))}


def write_location(place: Path, files: dict[str, str], module: str) -> None:
    """Writes the files, and a hedgerow.toml if the page has none."""
    toml = f'[team]\nname = "docs"\n\n[code]\nmodules = ["{module}"]\n'
    for name, text in {"hedgerow.toml": toml, **files}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Making the environments that a page describes would take a minute; the tests' own does.
        path.write_text(re.sub(r"^python = .*\n", "", text, flags=re.MULTILINE), "utf-8")


def run(*command: str, place: Path) -> str:
    """What a program said; the test fails when it did."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the plugins take longer than the tests
    done = subprocess.run(
        [sys.executable, *command], cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("page", "module"),
    [("README.md", "shop"), ("docs/how-to/testing.md", "sales")],
)
def test_the_tests_of_a_page_pass(page: str, module: str, tmp_path: Path) -> None:
    write_location(tmp_path, named_files(page), module)
    assert "ok" in run("-c", CHECK, ".", place=tmp_path)
    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", place=tmp_path)


@pytest.mark.parametrize("page", ["docs/how-to/partitions.md", "docs/how-to/custom-io.md"])
def test_the_code_of_a_page_passes_the_check(page: str, tmp_path: Path) -> None:
    write_location(tmp_path, whole(page, "sales"), "sales")
    assert "ok" in run("-c", CHECK, ".", place=tmp_path)


def test_the_two_teams_of_the_tutorial_fit_together(tmp_path: Path) -> None:
    write_location(tmp_path / "shop", named_files("README.md"), "shop")
    bank = {
        name.removeprefix("bank/"): text
        for name, text in named_files("docs/tutorial/two-teams.md").items()
        if name.startswith("bank/")
    }
    write_location(tmp_path / "bank", bank, "bank")
    assert run("-c", CHECK, ".", place=tmp_path).count(": ok") == 2
