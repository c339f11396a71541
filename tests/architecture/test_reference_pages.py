"""The reference pages that are made from the code say what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_generated_pages_are_up_to_date() -> None:
    pages: dict[str, str] = runpy.run_path(str(REFERENCE / "generate.py"))["pages"]()
    stale = [
        name
        for name, text in pages.items()
        if not (REFERENCE / name).is_file() or (REFERENCE / name).read_text("utf-8") != text
    ]
    assert stale == [], "run `make docs`"
