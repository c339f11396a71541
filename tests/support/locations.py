"""Small code locations, written where a test needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent


def write_location(
    root: Path,
    team: str,
    code: str,
    *,
    module: str | None = None,
    slots: int = 1,
    extra: str = "",
    python: str | None = None,
) -> Path:
    """Makes `root` a code location of `team` whose one module holds `code`; `extra` is more TOML. Returns `root`."""
    name = module or f"{team.replace('-', '_')}_assets"
    root.mkdir(parents=True, exist_ok=True)
    (root / f"{name}.py").write_text(dedent(code).lstrip())
    (root / "hedgerow.toml").write_text(
        f'[team]\nname = "{team}"\n\n[code]\nmodules = ["{name}"]\npython = "{python or sys.executable}"\n\n'
        f"[worker]\nslots = {slots}\n\n{dedent(extra)}"
    )
    return root


TWO_ASSETS = """
    import hedgerow as hr

    @hr.asset
    def numbers() -> list:
        return [1, 2, 3]

    @hr.asset
    def total(numbers: list) -> int:
        return sum(numbers)
"""
