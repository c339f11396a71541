"""Every relative link in the documentation leads to a file, and to a heading if it names one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """All Markdown pages of the repository, without those of installed packages."""
    places = (ROOT / "docs", ROOT / "deploy", ROOT / "tests")
    below = [page for place in places for page in sorted(place.rglob("*.md"))]
    ours = [page for page in below if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)]
    return [*sorted(ROOT.glob("*.md")), *ours]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        place, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            found.append(f"{page.relative_to(ROOT)}: {link}")
    return found


def test_every_relative_link_leads_somewhere() -> None:
    assert [link for page in pages() for link in broken(page)] == []


def test_every_page_of_the_documentation_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        if page.suffix == ".md":
            links = (link.partition("#")[0] for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))))
            targets = [(page.parent / link).resolve() for link in links if link and not re.match(r"[a-z]+:", link)]
            waiting += [target for target in targets if target.is_file()]
    assert sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md") if page not in reached) == []
