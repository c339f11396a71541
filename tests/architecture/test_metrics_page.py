"""Every metric that a process exports is documented, and every documented one is exported."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def exported(registry: CollectorRegistry) -> set[str]:
    """The names in the text that Prometheus would read, without those it adds (when a counter was created)."""
    names = re.findall(r"^# TYPE (hedgerow_\S+)", generate_latest(registry).decode(), re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}


def documented(title: str) -> set[str]:
    """The names in one section of the page."""
    page = (REFERENCE / "metrics.md").read_text("utf-8")
    section = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(hedgerow_\w+)` \|", section, re.MULTILINE))


def test_the_page_has_exactly_the_metrics_that_are_exported() -> None:
    registries = runpy.run_path(str(REFERENCE / "generate.py"))["registries"]()
    assert {title: exported(registry) for title, _, registry in registries} == {
        title: documented(title) for title, _, _ in registries
    }
