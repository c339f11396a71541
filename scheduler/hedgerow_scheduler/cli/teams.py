"""`hedgerow team`: teams, their code locations and workers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow_scheduler.cli.client import connect, segment
from hedgerow_scheduler.cli.command import OK, Parser, add_json, execute
from hedgerow_scheduler.cli.output import Output, ago, clean, show_problem
from hedgerow_scheduler.cli.workers import SHORT_HASH, show_workers


def parser() -> Parser:
    """The command line of `hedgerow team`."""
    parser = Parser(prog="hedgerow team", description="Teams, the state of their code, and their workers.")
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    listing = parts.add_parser("list", help="every team", description="Every team.")
    add_json(listing)
    listing.set_defaults(run=list_teams)
    showing = parts.add_parser(
        "show",
        help="one team",
        description="A team: its code locations, what is wrong with them, its queues and workers.",
    )
    showing.add_argument("name", metavar="NAME", help="the team's name")
    add_json(showing)
    showing.set_defaults(run=show)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_teams(_: argparse.Namespace, output: Output) -> int:
    """`team list`."""
    found = connect().get("/teams")
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line(
            "No team is registered. `hedgerow dev PATH` registers those it finds; else name them in platform.toml."
        )
        return OK
    rows = (
        (
            team["name"],
            team["assets"],
            Text(f"{team['broken']} of {team['locations']} broken", "bold red")
            if team["broken"]
            else "ok"
            if team["locations"]
            else "never published",
            team["workers"],
            f"{team['busy']}/{team['slots']}",
        )
        for team in found
    )
    output.table(("team", "assets", "code", "workers", "busy slots"), rows, right=(1, 3, 4))
    return OK


def show(options: argparse.Namespace, output: Output) -> int:
    """`team show`."""
    client = connect()
    team = client.get(f"/teams/{segment(options.name)}")
    queues = client.get("/queues", team=options.name)
    if output.as_json:
        output.json({**team, "queues": queues})
        return OK
    output.line(Text("team ").append(clean(team["name"]), "bold"))
    if not team["locations"]:
        output.line("It has never published a manifest. Start its worker: `hedgerow worker PATH`.", "yellow")
    for place in team["locations"]:
        _show_location(output, place)
    if queues:
        rows = (
            (
                queue["queue"],
                Text("paused", "bold yellow") if queue["paused"] else "",
                "" if queue["concurrency"] is None else queue["concurrency"],
                "" if queue["rate_per_s"] is None else f"{queue['rate_per_s']:g}/s",
                ", ".join(f"{count} {state}" for state, count in queue["steps"].items()) or "idle",
                queue["workers"],
                f"{queue['busy']}/{queue['slots']}",
            )
            for queue in queues
        )
        output.table(("queue", "", "concurrency", "rate", "steps", "workers", "busy slots"), rows, right=(2, 3, 5, 6))
    if team["workers"]:
        show_workers(output, team["workers"])
    else:
        output.line("No live workers. Start one: `hedgerow worker PATH`.", "yellow")
    return OK


def _show_location(output: Output, place: dict[str, Any]) -> None:
    location = place["location"]
    text = Text("location ").append(clean(location["location"]), "bold")
    if location["manifest_hash"]:
        text.append(
            f": manifest {location['manifest_hash'][:SHORT_HASH]}, published {ago(location['published_at'], clock.now())}, {len(place['assets'])} assets"
        )
    else:
        text.append(": no manifest yet")
    output.line(text)
    environment = place["environment"] or {}
    if environment:
        commit = f", commit {clean(environment['commit'])[:13]}" if environment.get("commit") else ""
        packages = len(environment.get("packages", {}))
        output.line(f"  Python {clean(environment.get('python', '?'))}, {packages} packages{commit}", "dim")
    for job in place["jobs"]:
        output.line(f"  job {clean(job['name'])}: {clean(job['selection'])}")
    if not location["problems"]:
        return
    kept = "; the manifest above stays in force" if location["manifest_hash"] else ""
    output.line(f"  Its newest code can't be used (since {ago(location['failed_at'], clock.now())}){kept}:", "bold red")
    for problem in msgspec.convert(location["problems"], tuple[Problem, ...]):
        show_problem(output, problem)
