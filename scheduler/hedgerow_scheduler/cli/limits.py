"""`hedgerow limits`: what limits are set to, and setting them otherwise while work flows."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow_scheduler.admission.causes import duration
from hedgerow_scheduler.cli.client import connect, path_of, segment
from hedgerow_scheduler.cli.command import OK, Parser, add_author, add_json, author_of, execute, whole_number
from hedgerow_scheduler.cli.output import Output, clean

KINDS = ("queue", "pool", "team", "run", "key")
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
FIELDS = ("concurrency", "rate", "burst", "weight", "minimum")
NUMBER = 'a number, or "none" for no limit'


def parser() -> Parser:
    """The command line of `hedgerow limits`."""
    parser = Parser(
        prog="hedgerow limits",
        description="Limits of queues, pools, teams, runs and keys: what is declared, what operators have set instead, and how much is taken.",
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    listing = parts.add_parser("list", help="every limit", description="Every limit that is declared or overridden.")
    listing.add_argument("--kind", choices=KINDS, help="only limits of this kind")
    listing.add_argument("--team", metavar="TEAM", help="only this team's")
    add_json(listing)
    listing.set_defaults(run=list_limits)

    setting = parts.add_parser(
        "set",
        help="set a limit otherwise than declared",
        description="Sets a limit otherwise than declared, at once and for what waits already. What runs is left alone.",
    )
    _name(setting)
    setting.add_argument(
        "--concurrency", "--slots", dest="concurrency", metavar="N", help=f"steps or slots at once: {NUMBER}"
    )
    setting.add_argument("--rate", metavar="R", help='starts per time such as 20/s, or "none"')
    setting.add_argument("--burst", metavar="N", help="starts at once after a pause (default: a second's worth)")
    setting.add_argument("--weight", metavar="W", help="of a team: its part of contended pools")
    setting.add_argument("--minimum", metavar="N", help="of a team: slots of each pool that it gets before others")
    setting.add_argument("--pause", action="store_true", help="let nothing start")
    setting.add_argument("--resume", action="store_true", help="the opposite")
    _circumstances(setting)
    setting.set_defaults(run=set_limit)

    clearing = parts.add_parser(
        "clear",
        help="go back to what is declared",
        description="Goes back to what is declared, in all fields or those given.",
    )
    _name(clearing)
    clearing.add_argument("field", nargs="*", metavar="FIELD", help="such as rate (default: all)")
    clearing.add_argument("--reason", required=True, help="why, for everyone to read")
    add_author(clearing)
    add_json(clearing)
    clearing.set_defaults(run=clear_limit)
    return parser


def _name(parser: Parser) -> None:
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="as `limits list` shows it, such as sales/default")


def _circumstances(parser: Parser) -> None:
    parser.add_argument("--reason", required=True, help="why, for everyone to read")
    parser.add_argument(
        "--for", dest="lasting", metavar="DURATION", help="until then only, such as 2h (default: until it is cleared)"
    )
    add_author(parser)
    add_json(parser)


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_limits(options: argparse.Namespace, output: Output) -> int:
    """`limits list`."""
    found = connect().get("/limits", kind=options.kind, team=options.team)
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line("No limit is declared. Queues come with a team's manifest; start its worker.")
        return OK
    show_limits(output, found)
    return OK


def show_limits(output: Output, found: Sequence[dict[str, Any]]) -> None:
    """A table of limits, and below it what operators have set."""
    rows = []
    for limit in found:
        now, waiting = limit["effective"], limit["ready"]
        rows.append(
            (
                limit["kind"],
                limit["name"],
                Text("paused", "bold yellow") if now["paused"] else "",
                f"{limit['in_use']}/{'∞' if now['concurrency'] is None else now['concurrency']}",
                _rate(now) + (f", {limit['tokens']:g} left" if limit["tokens"] is not None else ""),
                ""
                if limit["kind"] != "team"
                else f"weight {now['weight']:g}" + (f", min {now['minimum']}" if now["minimum"] else ""),
                waiting or "",
                Text(", ".join(limit["drift"]), "yellow"),
            )
        )
    output.table(("kind", "name", "", "in use", "rate", "share", "waiting", "drift"), rows, right=(3, 6))
    for limit in found:
        for override in limit["overrides"]:
            output.line(_override(limit, override))


def _rate(values: dict[str, Any]) -> str:
    return "" if values["rate"] is None else f"{values['rate']:g}/s"


def _override(limit: dict[str, Any], override: dict[str, Any]) -> Text:
    field = override["field"]
    was, is_now = (_shown(field, value) for value in (limit["declared"][field], override["value"]))
    until = ""
    if override["expires_at"]:
        left = (msgspec.convert(override["expires_at"], datetime, strict=False) - clock.now()).total_seconds()
        until = f", ends in {duration(max(0.0, left))}"
    text = Text(f"  {limit['kind']} {clean(limit['name'])}: ", "bold")
    text.append(f"{field} {was} -> {is_now}", "yellow")
    return text.append(f' (by {clean(override["author"])}: "{clean(override["reason"])}"{until})', "dim")


def _shown(field: str, value: float | bool | None) -> str:
    if field == "paused":
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}" + ("/s" if field == "rate" else "")


def set_limit(options: argparse.Namespace, output: Output) -> int:
    """`limits set`."""
    body: dict[str, Any] = {}
    for field in FIELDS:
        text = getattr(options, field)
        if text is not None:
            body[field] = text if field == "rate" and "/" in text else _number(field, text)
    if options.pause or options.resume:
        if options.pause and options.resume:
            raise RequestError.of("HR-Q321", "Both --pause and --resume are given.", "Give one of them.")
        body["paused"] = bool(options.pause)
    return _put(options, output, options.kind, options.name, body)


def _number(field: str, text: str) -> float | None:
    if text == "none":
        return None
    if not _PLAIN_NUMBER.fullmatch(text):
        raise RequestError.of("HR-Q321", f"--{field} is '{text[:80]}'.", f"Give {NUMBER}.")
    return float(text)


def _put(options: argparse.Namespace, output: Output, kind: str, name: str, body: dict[str, Any]) -> int:
    about = {"reason": options.reason, "author": author_of(options), "expires_in": options.lasting}
    answer = connect().put(f"/limits/{segment(kind)}/{path_of(name)}", {**body, **about})
    return _show_answer(answer, output)


def _show_answer(answer: dict[str, Any], output: Output) -> int:
    if output.as_json:
        output.json(answer)
        return OK
    show_limits(output, [answer["limit"]])
    for warning in answer["warnings"]:
        output.note(f"Note: {clean(warning)}", "yellow")
    return OK


def clear_limit(options: argparse.Namespace, output: Output) -> int:
    """`limits clear`."""
    fields = ["concurrency" if field == "slots" else field for field in options.field]
    path = f"/limits/{segment(options.kind)}/{path_of(options.name)}"
    return _show_answer(connect().delete(path, field=fields, author=author_of(options), reason=options.reason), output)


def queue_parser() -> Parser:
    """The command line of `hedgerow queue`."""
    parser = Parser(prog="hedgerow queue", description="Queues of teams: see them, pause one, let it go on.")
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    listing = parts.add_parser("list", help="every queue", description="Every queue with its limits and what waits.")
    listing.add_argument("--team", metavar="TEAM", help="only this team's")
    add_json(listing)
    listing.set_defaults(run=list_limits, kind="queue")
    for name, help_text in (("pause", "let nothing of a queue start"), ("resume", "let a paused queue go on")):
        part = parts.add_parser(name, help=help_text, description=f"{help_text.capitalize()}. What runs is left alone.")
        part.add_argument("name", metavar="TEAM/QUEUE", help="as `queue list` shows it")
        if name == "pause":
            _circumstances(part)
        else:
            part.add_argument("--reason", default="resumed", help="why, for everyone to read")
            add_author(part)
            add_json(part)
        part.set_defaults(run=pause_queue if name == "pause" else resume_queue)
    return parser


def queue_main(argv: Sequence[str]) -> int:
    """Runs `hedgerow queue`."""
    return execute(queue_parser(), argv)


def pause_queue(options: argparse.Namespace, output: Output) -> int:
    """`queue pause`."""
    return _put(options, output, "queue", options.name, {"paused": True})


def resume_queue(options: argparse.Namespace, output: Output) -> int:
    """`queue resume`."""
    options.kind, options.field = "queue", ["paused"]
    return clear_limit(options, output)


def audit_parser() -> Parser:
    """The command line of `hedgerow audit`."""
    parser = Parser(prog="hedgerow audit", description="Who changed what of the platform, and why; the newest first.")
    parser.add_argument("--subject", metavar="SUBJECT", help='only of this, such as "queue sales/default"')
    parser.add_argument("--limit", type=whole_number(1), default=20, help="how many at most (default: 20)")
    add_json(parser)
    parser.set_defaults(run=show_audit)
    return parser


def audit_main(argv: Sequence[str]) -> int:
    """Runs `hedgerow audit`."""
    return execute(audit_parser(), argv)


def show_audit(options: argparse.Namespace, output: Output) -> int:
    """`audit`."""
    found = list(connect().pages("/audit", options.limit, subject=options.subject))
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line("Nothing was changed yet.")
        return OK
    rows = (
        (
            entry["at"][:19].replace("T", " "),
            entry["author"],
            entry["action"],
            entry["subject"],
            _change(entry["before"]),
            _change(entry["after"]),
            entry["reason"],
        )
        for entry in found
    )
    output.table(("at", "author", "action", "subject", "before", "after", "reason"), rows)
    return OK


def _change(fields: dict[str, Any] | None) -> str:
    return ", ".join(f"{field} {'none' if value is None else value}" for field, value in (fields or {}).items())
