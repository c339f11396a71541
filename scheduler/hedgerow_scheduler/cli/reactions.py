"""`hedgerow reaction`: who is told what happens, whether it arrived, and telling it again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow_scheduler.cli.client import connect
from hedgerow_scheduler.cli.command import OK, Parser, add_author, add_json, author_of, execute, whole_number
from hedgerow_scheduler.cli.evaluations import show_told
from hedgerow_scheduler.cli.output import Output, ago, clean, paused_text, problem_text, short_ids
from hedgerow_scheduler.cli.titles import add_title, path_of_title, title_of

LOOKS = {"delivered": "green", "waiting": "yellow", "given_up": "bold red", "dropped": "dim"}
WITH_SEVERITY = frozenset({"asset_late", "asset_on_time", "check_failed"})


def parser() -> Parser:
    """The command line of `hedgerow reaction`."""
    parser = Parser(
        prog="hedgerow reaction", description="Functions that are told what happens, and whether it arrived."
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    listing = parts.add_parser("list", help="every reaction", description="Every reaction with what it was told.")
    listing.add_argument("--team", metavar="TEAM", help="only this team's")
    add_json(listing)
    listing.set_defaults(run=list_reactions)
    told = "one reaction with what it was told last, and what became of that"
    showing = parts.add_parser("show", help=told, description=f"{told.capitalize()}.")
    add_title(showing, "reaction")
    showing.add_argument("--count", type=whole_number(1, 250), default=10, help="deliveries (default: 10)")
    add_json(showing)
    showing.set_defaults(run=show)
    told = "have what was given up told again"
    retrying = parts.add_parser("retry", help=told, description=f"{told.capitalize()}, with all its tries.")
    add_title(retrying, "reaction")
    which = retrying.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "deliveries",
        metavar="DELIVERY",
        nargs="*",
        default=[],
        help="a delivery's id, or the beginning of it, as `show` has it",
    )
    which.add_argument("--failed", action="store_true", help="everything that was given up and is kept")
    retrying.add_argument("--reason", default="asked for", help="why, for everyone to read")
    add_author(retrying)
    add_json(retrying)
    retrying.set_defaults(run=retry)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_reactions(options: argparse.Namespace, output: Output) -> int:
    """`reaction list`."""
    found = connect().get("/reactions", team=options.team)
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line("No reaction is declared. Declare one: @hr.on_event('run_failed').")
        return OK
    rows = (
        (
            f"{one['team']}/{one['reaction']['name']}",
            _state(one),
            ", ".join(one["reaction"]["kinds"]),
            _of(one),
            _tally(one["tally"]),
        )
        for one in found
    )
    output.table(("reaction", "", "told of", "assets", "deliveries"), rows)
    return OK


def show(options: argparse.Namespace, output: Output) -> int:
    """`reaction show`."""
    client = connect()
    found = client.get(path_of_title(client, "reaction", options.name), count=options.count)
    if output.as_json:
        output.json(found)
        return OK
    one, declared = found["reaction"], found["reaction"]["reaction"]
    output.line(
        Text("reaction ").append(clean(f"{one['team']}/{declared['name']}"), "bold").append(" ").append(_state(one))
    )
    if declared.get("description"):
        output.line(clean(declared["description"]))
    output.line(f"  told of {', '.join(declared['kinds'])} of {_of(one)}")
    if one["problem"]:
        output.line(problem_text(msgspec.convert(one["problem"], Problem)))
    if one["pause"]:
        output.line(f"  {paused_text(one['pause'])}", "yellow")
    if suppressed := one["tally"]["suppressed"]:
        output.line(f"  {suppressed:,} more happened and were only counted, because too much waited already", "yellow")
    if not found["deliveries"]:
        output.line("It was told nothing yet.")
        return OK
    ids = short_ids(each["id"] for each in found["deliveries"])
    rows = ((ids[each["id"]], *_row(each)) for each in found["deliveries"])
    output.table(("delivery", "happened", "what", "about", "state", "tries"), rows)
    for delivery in [each for each in found["deliveries"] if each["error"] or each["log"]][:1]:
        title = f"{delivery['event']['kind']}, {delivery['state'].replace('_', ' ')}"
        show_told(output, title, delivery)
    return OK


def retry(options: argparse.Namespace, output: Output) -> int:
    """`reaction retry`."""
    client = connect()
    title = title_of(client, "reaction", options.name)
    body = {"deliveries": options.deliveries, "author": author_of(options), "reason": options.reason}
    accepted = client.post(f"{path_of_title(client, 'reaction', title)}/retries", body)
    if output.as_json:
        output.json(accepted)
        return OK
    number = len(accepted["deliveries"])
    output.line(f"{number} {'delivery' if number == 1 else 'deliveries'} will be told again.")
    output.line(f"Look: `hedgerow reaction show {title}`.", "dim")
    return OK


def _state(one: dict[str, Any]) -> Text:
    if not one["on"]:
        return Text("off", "dim")
    if one["problem"]:
        return Text("in trouble", "bold red")
    return Text("paused", "bold yellow") if one["pause"] else Text("on", "green")


def _of(one: dict[str, Any]) -> str:
    selection = one["reaction"].get("selection", "")
    number = "" if one["assets"] is None else f" ({one['assets']:,} assets)"
    return f"{clean(selection)}{number}" if selection else "the team's own assets"


def _tally(tally: dict[str, Any]) -> str:
    parts = [f"{count:,} {state.replace('_', ' ')}" for state, count in sorted(tally["by_state"].items())]
    return ", ".join([*parts, *([f"{tally['suppressed']:,} only counted"] if tally["suppressed"] else [])])


def _row(delivery: dict[str, Any]) -> tuple[object, ...]:
    event, state = delivery["event"], delivery["state"]
    assets = event.get("assets", [])
    about = ", ".join(assets[:2]) + (f" and {len(assets) - 2} more" if len(assets) > 2 else "")
    about = about or event.get("details", {}).get("sensor", "") or event.get("message", "")[:60]
    partition = event.get("partition", "")
    severity = f" ({event.get('severity', 'error')})" if event["kind"] in WITH_SEVERITY else ""
    return (
        ago(event.get("at") or delivery["created_at"], clock.now()), f"{event['kind']}{severity}", f"{about}{f' {partition}' if partition else ''}",
        Text(state.replace("_", " "), LOOKS.get(state, "")), delivery["attempts"] + (state == "delivered"),
    )  # fmt: skip
