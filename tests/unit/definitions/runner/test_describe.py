"""`python -m hedgerow.runner describe` says what a location declares, or what is wrong with it, in one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from hedgerow.manifest.model import Manifest


def described(root: Path, code: str) -> tuple[int, str, str]:
    (root / "hedgerow.toml").write_text('[team]\nname = "sales"\n[code]\nmodules = ["team"]\n')
    (root / "team.py").write_text(code)
    command = [sys.executable, "-m", "hedgerow.runner", "describe", str(root / "hedgerow.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_a_good_location_is_its_manifest(tmp_path: Path) -> None:
    status, out, err = described(
        tmp_path, "import hedgerow as hr\nprint('hello')\n@hr.asset\ndef a() -> int: return 1\n"
    )
    assert status == 0
    manifest = msgspec.json.decode(out, type=Manifest)
    assert [asset.key for asset in manifest.assets] == ["a"]
    assert err == "hello\n"


def test_a_broken_location_is_its_problems(tmp_path: Path) -> None:
    status, out, _ = described(
        tmp_path, "import hedgerow as hr\n@hr.asset\ndef Bad(): ...\n@hr.asset\ndef Worse(): ...\n"
    )
    assert status == 1
    problems = json.loads(out)["problems"]
    assert [(problem["file"], problem["line"]) for problem in problems] == [("team.py", 2), ("team.py", 4)]
    assert all(problem["code"] and problem["remedy"] for problem in problems)


def test_a_folder_without_settings_is_a_problem_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hedgerow.runner", "describe", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"][0]["code"] == "HR-C003"


def test_bad_usage_is_told(tmp_path: Path) -> None:
    for arguments in ([], ["describe"], ["evaluate", str(tmp_path), "sensor"], ["serve", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-m", "hedgerow.runner", *arguments], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage:")
