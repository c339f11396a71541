"""`hedgerow pause` and `hedgerow resume`: the one switch for everything that is launched by itself."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow_scheduler.cli.client import connect, path_of
from hedgerow_scheduler.cli.command import OK, Parser, add_author, add_json, author_of, execute
from hedgerow_scheduler.cli.output import Output, ago, clean

KINDS = ("platform", "team", "asset", "schedule", "sensor")
LIST = "list"  # stands where a kind would


def pause_parser() -> Parser:
    """The command line of `hedgerow pause`."""
    parser = Parser(
        prog="hedgerow pause",
        description="Holds back whatever of the platform, a team, an asset, a schedule or a sensor is launched by itself. What runs is left "
        "alone, and people may launch what they like. `hedgerow pause list` shows what is paused.",
    )
    _what(parser, LIST)
    add_circumstances(parser, required=False)
    parser.set_defaults(run=_pause_or_list)
    return parser


def _pause_or_list(options: argparse.Namespace, output: Output) -> int:
    if options.kind == LIST:
        return list_pauses(output)
    if options.reason is None:
        raise RequestError.of(
            "HR-Q320", "Why it is paused is not said.", 'Give it for everyone to read: --reason "...".'
        )
    return pause(options, output, options.kind, _named(options))


def resume_parser() -> Parser:
    """The command line of `hedgerow resume`."""
    parser = Parser(prog="hedgerow resume", description="Lets go on what `hedgerow pause` holds back.")
    _what(parser)
    add_resuming(parser)
    parser.set_defaults(run=lambda options, output: resume(options, output, options.kind, _named(options)))
    return parser


def _what(parser: Parser, *more: str) -> None:
    kinds = (*KINDS, *more)
    parser.add_argument("kind", choices=kinds, metavar="KIND", help=", ".join(kinds))
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="of a team, an asset, or a schedule or sensor as TEAM/NAME"
    )


def add_circumstances(parser: Parser, *, required: bool = True) -> None:
    """Who pauses, why, and for how long."""
    parser.add_argument("--reason", required=required, help="why, for everyone to read")
    parser.add_argument(
        "--for", dest="lasting", metavar="DURATION", help="until then only, such as 2h (default: until it is resumed)"
    )
    add_author(parser)
    add_json(parser)


def add_resuming(parser: Parser) -> None:
    """Who resumes, and why."""
    parser.add_argument("--reason", default="resumed", help="why, for everyone to read")
    add_author(parser)
    add_json(parser)


def pause_main(argv: Sequence[str]) -> int:
    """Runs `hedgerow pause`."""
    return execute(pause_parser(), argv)


def resume_main(argv: Sequence[str]) -> int:
    """Runs `hedgerow resume`."""
    return execute(resume_parser(), argv)


def pause(options: argparse.Namespace, output: Output, kind: str, name: str) -> int:
    """Pauses one thing; the name of the platform is empty."""
    body = {"reason": options.reason, "author": author_of(options), "expires_in": options.lasting}
    answer = connect().put(_path(kind, name), body)
    if output.as_json:
        output.json(answer)
        return OK
    until = until_text(answer["until"])
    output.line(f"Paused {clean(f'{kind} {name}'.strip())} until {until}: {clean(answer['reason'])}", "yellow")
    return OK


def list_pauses(output: Output) -> int:
    """`pause list`."""
    found = connect().get("/pauses")
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line("Nothing is paused.")
        return OK
    now = clock.now()
    rows = (
        (
            f"{one['kind']} {one['name']}".strip(),
            one["author"],
            ago(one["at"], now),
            until_text(one["until"]),
            one["reason"],
        )
        for one in found
    )
    output.table(("paused", "by", "since", "until", "reason"), rows)
    return OK


def until_text(until: str | None) -> str:
    """Until when something is paused.

    >>> until_text("2026-01-01T06:00:12Z"), until_text(None)
    ('2026-01-01 06:00 UTC', 'it is resumed')
    """
    return f"{until[:16].replace('T', ' ')} UTC" if until else "it is resumed"


def resume(options: argparse.Namespace, output: Output, kind: str, name: str) -> int:
    """Lets one thing go on."""
    answer = connect().delete(_path(kind, name), author=author_of(options), reason=options.reason)
    if output.as_json:
        output.json(answer)
        return OK
    what = clean(f"{kind} {name}".strip())
    output.line(f"Resumed {what}." if answer["resumed"] else f"Nothing to do: {what} was not paused by itself.")
    return OK


def _named(options: argparse.Namespace) -> str:
    if (options.kind == "platform") == (options.name is not None):
        message = "The platform has no name." if options.name else f"Which {options.kind} is not said."
        remedy = "Leave it out." if options.name else f"Give it: `hedgerow pause {options.kind} NAME`."
        raise RequestError.of("HR-Q321", message, remedy)
    return options.name or ""


def _path(kind: str, name: str) -> str:
    return f"/pauses/{kind}/{path_of(name)}" if name else f"/pauses/{kind}"
