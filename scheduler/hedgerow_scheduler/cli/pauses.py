"""`hedgerow pause` and `hedgerow resume`: the one switch for everything that is launched by itself."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hedgerow.errors import RequestError
from hedgerow_scheduler.cli.client import connect, path_of
from hedgerow_scheduler.cli.command import OK, Parser, add_author, add_json, author_of, execute
from hedgerow_scheduler.cli.output import Output, clean

KINDS = ("platform", "team", "asset", "schedule", "sensor")


def pause_parser() -> Parser:
    """The command line of `hedgerow pause`."""
    parser = Parser(
        prog="hedgerow pause",
        description="Holds back whatever of the platform, a team, an asset, a schedule or a sensor is launched by itself. What runs is left "
        "alone, and people may launch what they like.",
    )
    _what(parser)
    add_circumstances(parser)
    parser.set_defaults(run=lambda options, output: pause(options, output, options.kind, _named(options)))
    return parser


def resume_parser() -> Parser:
    """The command line of `hedgerow resume`."""
    parser = Parser(prog="hedgerow resume", description="Lets go on what `hedgerow pause` holds back.")
    _what(parser)
    add_resuming(parser)
    parser.set_defaults(run=lambda options, output: resume(options, output, options.kind, _named(options)))
    return parser


def _what(parser: Parser) -> None:
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="of a team, an asset, or a schedule or sensor as TEAM/NAME"
    )


def add_circumstances(parser: Parser) -> None:
    """Who pauses, why, and for how long."""
    parser.add_argument("--reason", required=True, help="why, for everyone to read")
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
    until = f" until {answer['until'][:16].replace('T', ' ')} UTC" if answer["until"] else " until it is resumed"
    output.line(f"Paused {clean(f'{kind} {name}'.strip())}{until}: {clean(answer['reason'])}", "yellow")
    return OK


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
