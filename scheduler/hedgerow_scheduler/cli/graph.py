"""A graph of assets as text: an indented tree, or what Mermaid and Graphviz read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def tree_lines(graph: Mapping[str, Any]) -> Iterator[str]:
    """Every root with what is made from it below, deeper by one level each; what was shown before is not unfolded again.

    >>> edges = [{"upstream": "a", "downstream": "b"}, {"upstream": "a", "downstream": "c"}, {"upstream": "b", "downstream": "c"}]
    >>> print(*tree_lines({"nodes": [{"key": key} for key in "abc"], "edges": edges}), sep="\\n")
    a
    ├── b
    │   └── c
    └── c (above)
    """
    below: dict[str, list[str]] = defaultdict(list)
    has_upstream = set()
    for edge in graph["edges"]:
        below[edge["upstream"]].append(edge["downstream"])
        has_upstream.add(edge["downstream"])
    notes = {node["key"]: _note(node) for node in graph["nodes"]}
    shown: set[str] = set()
    roots = [node["key"] for node in graph["nodes"] if node["key"] not in has_upstream]
    # An explicit stack: chains may be longer than Python's recursion allows.
    stack = [(key, "", "") for key in reversed(roots)]
    while stack:
        key, before, indent = stack.pop()
        yield f"{before}{key}{notes.get(key, '')}{' (above)' if key in shown else ''}"
        if key in shown:
            continue
        shown.add(key)
        children = below[key]
        for index in range(len(children) - 1, -1, -1):
            last = index == len(children) - 1
            stack.append(
                (children[index], indent + ("└── " if last else "├── "), indent + ("    " if last else "│   "))
            )


def _note(node: Mapping[str, Any]) -> str:
    if node.get("unresolved"):
        return " (declared by no team)"
    words = [word for word in (node.get("team", ""), "external" if node.get("external") else "") if word]
    return f"  ({', '.join(words)})" if words else ""


def mermaid_lines(graph: Mapping[str, Any]) -> Iterator[str]:
    """The graph as a Mermaid flow chart, one box for each team."""
    names = _names(graph["nodes"])
    yield "flowchart LR"
    teams: dict[str, list[str]] = defaultdict(list)
    for node in graph["nodes"]:
        teams[node["team"]].append(node["key"])
    for team, keys in sorted(teams.items()):
        yield f"  subgraph {team or 'unresolved'}"
        yield from (f'    {names[key]}["{_quoted(key)}"]' for key in keys)
        yield "  end"
    for edge in graph["edges"]:
        yield f"  {names[edge['upstream']]} --> {names[edge['downstream']]}"


def dot_lines(graph: Mapping[str, Any]) -> Iterator[str]:
    """The graph for Graphviz."""
    yield "digraph assets {"
    yield "  rankdir=LR; node [shape=box];"
    for node in graph["nodes"]:
        style = ", style=dashed" if node["external"] or node["unresolved"] else ""
        yield f'  "{_quoted(node["key"])}" [tooltip="{_quoted(node["team"])}"{style}];'
    for edge in graph["edges"]:
        yield f'  "{_quoted(edge["upstream"])}" -> "{_quoted(edge["downstream"])}";'
    yield "}"


def _names(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {node["key"]: f"n{index}" for index, node in enumerate(nodes)}


def _quoted(text: str) -> str:
    return text.replace('"', "'")
