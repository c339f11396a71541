"""A graph as text."""

from __future__ import annotations

from typing import Any

from hedgerow_scheduler.cli.graph import dot_lines, mermaid_lines, tree_lines


def graph(*edges: str, **notes: dict[str, Any]) -> dict[str, Any]:
    pairs = [edge.split(">") for edge in edges]
    keys = sorted({key for pair in pairs for key in pair})
    node = {"team": "", "group": "", "external": False, "unresolved": False}
    return {
        "nodes": [{"key": key, **node, **notes.get(key, {})} for key in keys],
        "edges": [{"upstream": upstream, "downstream": downstream} for upstream, downstream in pairs],
    }


def test_a_tree_unfolds_every_asset_once() -> None:
    lines = list(tree_lines(graph("a>b", "a>c", "b>d", "c>d", "d>e")))
    assert lines == ["a", "├── b", "│   └── d", "│       └── e", "└── c", "    └── d (above)"]


def test_a_chain_longer_than_the_recursion_limit_is_drawn() -> None:
    edges = [f"k{number:05}>k{number + 1:05}" for number in range(3000)]
    assert sum(1 for _ in tree_lines(graph(*edges))) == 3001


def test_who_owns_an_asset_is_said_beside_it() -> None:
    found = graph("raw>x", raw={"team": "sales", "external": True}, x={"unresolved": True})
    assert list(tree_lines(found)) == ["raw  (sales, external)", "└── x (declared by no team)"]


def test_other_formats_name_every_node_and_edge() -> None:
    found = graph("a>b", a={"team": "sales"}, b={"team": "ml"})
    assert "  n0 --> n1" in list(mermaid_lines(found))
    assert '  "a" -> "b";' in list(dot_lines(found))
