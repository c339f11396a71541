"""`hedgerow asset`: list, show, checks, search, graph."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from hedgerow import clock
from hedgerow_scheduler.admission.causes import duration
from hedgerow_scheduler.cli.asset_checks import show_checks
from hedgerow_scheduler.cli.client import connect, segment
from hedgerow_scheduler.cli.command import OK, Parser, add_json, execute, whole_number
from hedgerow_scheduler.cli.freshness import freshness_facts, list_late, stands_text
from hedgerow_scheduler.cli.graph import dot_lines, mermaid_lines, tree_lines
from hedgerow_scheduler.cli.output import Output, ago, clean, counted, paused_text, short, state_text, value_text
from hedgerow_scheduler.cli.partition_status import ALL, show_partitions
from hedgerow_scheduler.cli.steps import check_text

FORMATS = {"tree": tree_lines, "mermaid": mermaid_lines, "dot": dot_lines}
STALE_SHOWN = 3
SELECTION = "a key, a glob, group:NAME, team:NAME, +KEY, KEY+, …; all assets without"


def parser() -> Parser:
    """The command line of `hedgerow asset`."""
    parser = Parser(prog="hedgerow asset", description="Assets: what teams declare and what was materialized of it.")
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    listing = parts.add_parser("list", help="assets of a selection", description="The assets of a selection, by key.")
    listing.add_argument("selection", metavar="SELECTION", nargs="*", help=SELECTION)
    which = listing.add_mutually_exclusive_group()
    which.add_argument(
        "--stale", action="store_true", help="only those of which something is missing or stale, and why"
    )
    which.add_argument(
        "--late", action="store_true", help="only partitions that are late by their freshness policy, or will be soon"
    )
    add_json(listing)
    listing.set_defaults(run=list_assets, words=None)
    searching = parts.add_parser(
        "search",
        help="assets by words",
        description="Assets whose key, description, group, owners, kinds, tags or columns hold every word.",
    )
    searching.add_argument("words", metavar="WORD", nargs="+", help="in any order, in capitals or not")
    add_json(searching)
    searching.set_defaults(run=list_assets, selection=[], stale=False, late=False)
    showing = parts.add_parser("show", help="one asset", description="All about one asset.")
    showing.add_argument("key", metavar="KEY", help="the asset's key")
    showing.add_argument(
        "--history", type=whole_number(0), default=5, metavar="N", help="how many materializations (default: 5)"
    )
    showing.add_argument("--partition", metavar="KEY", help="this partition only")
    showing.add_argument(
        "--partitions",
        metavar="FIRST..LAST",
        nargs="?",
        const=ALL,
        help="the partitions by state, as ranges: of this range, or all of them",
    )
    add_json(showing)
    showing.set_defaults(run=show)
    checking = parts.add_parser(
        "checks", help="what its checks found", description="The last verdicts of an asset's checks, newest first."
    )
    checking.add_argument("key", metavar="KEY", help="the asset's key")
    checking.add_argument("--check", metavar="NAME", help="this check only; all of them without")
    checking.add_argument("--partition", metavar="KEY", help="this partition only")
    checking.add_argument("--failed", action="store_true", help="only verdicts that are bad")
    checking.add_argument(
        "--history", type=whole_number(0), default=5, metavar="N", help="how many verdicts of each check (default: 5)"
    )
    add_json(checking)
    checking.set_defaults(run=show_checks)
    drawing = parts.add_parser(
        "graph", help="what is made from what", description="What is made from what, as an indented tree."
    )
    drawing.add_argument("selection", metavar="SELECTION", nargs="*", help=SELECTION)
    drawing.add_argument("--format", choices=sorted(FORMATS), default="tree", help="what to draw it as (default: tree)")
    add_json(drawing)
    drawing.set_defaults(run=graph)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_assets(options: argparse.Namespace, output: Output) -> int:
    """`asset list` and `asset search`."""
    if options.late:
        return list_late(options.selection, output)
    words = " ".join(options.words) if options.words else None
    asked = {"select": options.selection, "search": words, "stale": "true" if options.stale else None}
    found = list(connect().pages("/assets", None, **asked))
    if output.as_json:
        output.json({"items": found})
        return OK
    if options.stale:
        _list_stale(found, output)
        return OK
    if not found:
        output.line(
            "No asset holds every word."
            if words
            else "No team has published any asset. Start a worker: `hedgerow worker PATH`."
        )
        return OK
    now = clock.now()
    with_policy = any(asset["freshness"] for asset in found)
    rows = (
        (
            asset["key"],
            asset["team"],
            asset["group"],
            ", ".join(asset["kinds"]),
            _state(asset),
            ago(asset["newest_at"], now),
            *([stands_text(asset["freshness"])] if with_policy else []),
            asset["description"].partition("\n")[0][:60],
        )
        for asset in found
    )
    fresh = ["freshness"] if with_policy else []
    output.table(("asset", "team", "group", "kinds", "has data", "newest", *fresh, "description"), rows)
    return OK


def _list_stale(found: Sequence[dict[str, Any]], output: Output) -> None:
    if not found:
        output.line("Nothing is stale.")
        return
    rows = ((one["key"], one["team"], staleness_text(one["staleness"]), one["staleness"]["why"]) for one in found)
    output.table(("asset", "team", "status", "why"), rows)


def staleness_text(counts: dict[str, Any]) -> str:
    """How many partitions are missing, stale and fresh.

    >>> staleness_text({"missing": 0, "stale": 1, "fresh": 0}), staleness_text({"missing": 2, "stale": 0, "fresh": 3})
    ('stale', '2 missing, 3 fresh')
    """
    kinds = ("missing", "stale", "fresh")
    if sum(counts[kind] for kind in kinds) == 1:
        return next(kind for kind in kinds if counts[kind])
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in kinds if counts[kind])


def _state(asset: dict[str, Any]) -> str | Text:
    if asset["external"]:
        return Text("external", "dim")
    if not asset["current"]:
        return Text("none", "yellow")
    return counted(asset["current"], "partition") if asset["partitioned"] else "yes"


def show(options: argparse.Namespace, output: Output) -> int:
    """`asset show`."""
    if options.partitions is not None:
        return show_partitions(options, output)
    client = connect()
    path = "/".join(segment(part) for part in options.key.split("/"))
    asset = client.get(f"/assets/{path}", partition=options.partition)
    made = list(client.pages("/materializations", options.history, asset=asset["key"], partition=options.partition))
    if output.as_json:
        output.json({**asset, "materializations": made})
        return OK
    what, computation = asset["definition"], asset["computation"]
    output.line(Text(asset["key"], "bold").append("  external" if computation is None else "", "dim"))
    if what.get("description"):
        output.out.print(clean(what["description"], lines=True))
    output.line()
    for name, value in _facts(asset, what, computation):
        output.line(Text(f"{name:<12}", "dim").append(clean(value)))
    for name, value in what.get("metadata", {}).items():
        output.line(Text(f"{clean(name):<12}", "dim").append(value_text(value)))
    for column in what.get("columns", []):
        told = "  ".join(part for part in (column.get("type", ""), column.get("description", "")) if part)
        output.line(Text("column      ", "dim").append(f"{clean(column['name'])}  ").append(clean(told), "dim"))
    for check in asset["checks"]:
        kinds = [word for name, word in (("blocking", "blocking"), ("own_step", "own step")) if check.get(name)]
        blocking = f" ({', '.join(kinds)})" if kinds else ""
        output.line(
            Text("check       ", "dim")
            .append(f"{clean(check['name'])}{blocking}  ")
            .append(clean(check.get("description", "")), "dim")
        )
    if made:
        output.line()
        _show_history(output, made)
    if asset["check_results"]:
        for verdict in asset["check_results"]:
            output.line(check_text(verdict))
    elif not made and computation is not None:
        which = f" --partition {clean(options.partition)}" if options.partition else ""
        output.line(f"\nNever materialized. Do it: `hedgerow materialize {asset['key']}{which}`.", "yellow")
    return OK


def _facts(asset: dict[str, Any], what: dict[str, Any], computation: dict[str, Any] | None) -> list[tuple[str, str]]:
    source = what.get("source")
    facts = [
        ("team", asset["team"] + (f" (location {asset['location']})" if asset["location"] != asset["team"] else "")),
        ("group", what.get("group", "default")),
        ("owners", ", ".join(what.get("owners", []))),
        ("kinds", ", ".join(what.get("kinds", []))),
        ("tags", ", ".join(f"{name}={value}" for name, value in what.get("tags", {}).items())),
        ("partitions", partitions_text(what.get("partitions"))),
        ("has data", _coverage(asset) if computation is not None else ""),
        ("status", _status(asset["staleness"]) if asset["staleness"] else ""),
        *freshness_facts(asset["freshness"]),
        (
            "launched by" if computation is not None else "observed by",
            ", ".join([*(["its condition"] if what.get("automation") else []), *asset["launched_by"]]),
        ),
        ("paused", paused_text(asset["pause"]) if asset["pause"] and what.get("automation") else ""),
        ("made from", ", ".join(asset["upstream"])),
        ("used by", ", ".join(asset["downstream"])),
        ("type", what.get("value_type", "")),
        ("code", f"{source['file']}:{source['line']}" if source else ""),
    ]
    if computation is not None:
        retry, timeout = computation.get("retry", {}), computation.get("timeout_ms")
        facts += [
            ("queue", computation.get("queue", "default")),
            ("retries", str(retry["attempts"]) if retry.get("attempts") else ""),
            ("timeout", duration(timeout / 1000) if timeout else ""),
            ("version", computation.get("code_version", "")[:12]),
        ]
    return [(name, value) for name, value in facts if value]


def _status(staleness: dict[str, Any]) -> str:
    """The status of all partitions, and why the first ones are stale."""
    of = "" if staleness["of_all"] else " (of the latest partitions)"
    lines = [staleness_text(staleness) + of]
    for one in [each for each in staleness["partitions"] if each["causes"]][:STALE_SHOWN]:
        name = f"{one['partition']}: " if one["partition"] else ""
        lines += [f"{name}{cause['message']}" for cause in one["causes"]]
    return "; ".join(lines)


def _coverage(asset: dict[str, Any]) -> str:
    if asset["partitions"] is None:
        return "yes" if asset["current"] else "no"
    return f"{asset['current']:,} of {asset['partitions']:,} partitions"


def partitions_text(partitions: dict[str, Any] | None) -> str:
    """A partitions definition in words.

    >>> partitions_text({"type": "time", "cadence": "day", "start": "2024-01-01"})
    'by day from 2024-01-01'
    >>> partitions_text({"type": "static", "keys": ["no", "se"], "dim": "country"})
    'country: no, se'
    """
    if not partitions:
        return ""
    if partitions["type"] == "product":
        return " × ".join(partitions_text(dim) for dim in partitions["dims"])
    if partitions["type"] == "dynamic":
        return f"{partitions.get('dim', 'key')}: the keys of '{partitions['name']}'"
    if partitions["type"] == "static":
        keys = partitions["keys"]
        return f"{partitions.get('dim', 'key')}: {', '.join(keys[:5])}" + (
            f" and {len(keys) - 5} more" if len(keys) > 5 else ""
        )
    end = f" to {partitions['end']} (exclusive)" if partitions.get("end") else ""
    zone = f", {partitions['tz']}" if partitions.get("tz", "UTC") != "UTC" else ""
    cadence = f"'{partitions['cadence']}'" if " " in partitions["cadence"] else partitions["cadence"]
    return f"by {cadence} from {partitions['start']}{end}{zone}"


def _show_history(output: Output, made: Sequence[dict[str, Any]]) -> None:
    now = clock.now()
    rows = (
        (
            one["partition"],
            state_text(one["state"]),
            ago(one["created_at"], now),
            f"{short(one['run_id'])}/{one['step_number']}",
            one["reference"]["format"] if one["reference"] else "",
            "; ".join(f"{clean(name)}={value_text(value)[:40]}" for name, value in list(one["metadata"].items())[:4]),
        )
        for one in made
    )
    output.table(("partition", "state", "made", "step", "format", "metadata"), rows)
    if made[0]["reference"]:
        output.line(f"{clean(made[0]['reference']['uri'])}", "dim")


def graph(options: argparse.Namespace, output: Output) -> int:
    """`asset graph`."""
    found = connect().get("/graph", select=options.selection)
    if output.as_json:
        output.json(found)
        return OK
    for line in FORMATS[options.format](found):
        output.line(clean(line))
    return OK
