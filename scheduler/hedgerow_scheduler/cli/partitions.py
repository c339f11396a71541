"""`hedgerow partition`: the sets of dynamic partitions and their keys."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.cli.awaiting import outcome
from hedgerow_scheduler.cli.client import Client, connect, segment
from hedgerow_scheduler.cli.command import FAILED, OK, Parser, add_author, add_json, author_of, execute, whole_number
from hedgerow_scheduler.cli.output import Output, ago, clean

PATIENCE_S = 30
LATE = Problem(
    "HR-P354", "The keys were not changed in time.", "They will be once a scheduler leads: see `hedgerow doctor`."
)
PAGE = 10_000


def parser() -> Parser:
    """The command line of `hedgerow partition`."""
    parser = Parser(
        prog="hedgerow partition",
        description="The sets of dynamic partitions: see their keys, add some, remove some.",
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    told = "the sets, or the keys of one"
    listing = parts.add_parser("list", help=told, description=f"{told.capitalize()}.")
    _name(listing, "?")
    listing.add_argument("--removed", action="store_true", help="the keys that were removed instead")
    listing.add_argument("--count", type=whole_number(1), default=1_000, help="keys at most (default: 1000)")
    add_json(listing)
    listing.set_defaults(run=list_partitions)
    for word, told in (
        ("add", "Adds keys to a set; those that it has stay as they are."),
        ("remove", "Removes keys from a set. Their steps that wait are cancelled; what was made of them stays."),
    ):
        changing = parts.add_parser(word, help=f"{word} keys", description=told)
        _name(changing)
        changing.add_argument(
            "keys", metavar="KEY", nargs="+", help="the keys; - reads them from the input, one a line"
        )
        changing.add_argument("--reason", default="asked for", help="why, for everyone to read")
        add_author(changing)
        add_json(changing)
        changing.set_defaults(run=change, word=word)
    return parser


def _name(parser: Parser, nargs: str | None = None) -> None:
    parser.add_argument("name", metavar="TEAM/NAME", nargs=nargs, help="a set; the name alone, if it is unique")


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_partitions(options: argparse.Namespace, output: Output) -> int:
    """`partition list`."""
    client = connect()
    if options.name is None:
        return _list_sets(client, output)
    path = _path(client, options.name)
    keys: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(keys) < options.count:
        page = client.get(path, removed=options.removed, limit=min(PAGE, options.count - len(keys)), cursor=cursor)
        keys += page["keys"]
        cursor = page["next"]
        if cursor is None:
            break
    if output.as_json:
        output.json({"keys": keys, "more": cursor is not None})
        return OK
    now = clock.now()
    if not keys:
        output.line("No key was removed." if options.removed else "It has no keys yet: `hedgerow partition add`.")
        return OK
    word = "removed" if options.removed else "added"
    output.table(
        ("key", word, "by"), ((clean(one["key"]), ago(one["changed_at"], now), clean(one["author"])) for one in keys)
    )
    if cursor is not None:
        output.line(f"And more: --count {options.count * 10}.", "dim")
    return OK


def _list_sets(client: Client, output: Output) -> int:
    found = client.get("/partition-sets")
    if output.as_json:
        output.json(found)
        return OK
    if not found:
        output.line("No team declares dynamic partitions.")
        return OK
    now = clock.now()
    rows = (
        (f"{one['team']}/{one['name']}", f"{one['keys']:,}", f"{one['removed']:,}", ago(one["changed_at"], now))
        for one in found
    )
    output.table(("set", "keys", "removed", "changed"), rows)
    return OK


def change(options: argparse.Namespace, output: Output) -> int:
    """`partition add` and `partition remove`."""
    client = connect()
    path = _path(client, options.name)
    keys = list(_keys(options.keys))
    body = {options.word: keys, "author": author_of(options), "reason": options.reason}
    request = client.post(f"{path}/changes", body)["request"]
    became = outcome(client, f"{path}/changes/{request}", PATIENCE_S, LATE)
    if output.as_json:
        output.json(became)
    elif "refused" in became:
        output.line(f"Refused: {clean(str(became['refused']))}", "red")
    else:
        changed = became["added"] if options.word == "add" else became["removed"]
        word = "Added" if options.word == "add" else "Removed"
        rest = len(set(keys)) - changed
        had = f"{'was' if rest == 1 else 'were'} {'there already' if options.word == 'add' else 'not there'}"
        steps = f" {became['cancelled']:,} waiting steps were cancelled." if became["cancelled"] else ""
        keys_text = f"{changed:,} key{'' if changed == 1 else 's'}"
        output.line(f"{word} {keys_text}.{f' {rest:,} {had}.' if rest else ''}{steps}")
    return FAILED if "refused" in became else OK


def _keys(given: Sequence[str]) -> Iterator[str]:
    for key in given:
        if key == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        else:
            yield key


def _path(client: Client, name: str) -> str:
    """The path of a set that is given as `team/name`, or by its name if only one team has it."""
    team, slash, own = name.partition("/")
    if not slash:
        known = client.get("/partition-sets")
        teams = [one["team"] for one in known if one["name"] == name]
        if len(teams) != 1:
            titles = [f"{one['team']}/{one['name']}" for one in known]
            says = f"Several teams have a set '{name}'" if teams else f"There is no set of partitions '{name}'"
            remedy = did_you_mean(name, titles) or "Declare one: partitions=hr.dynamic(...) on an asset."
            raise RequestError.of("HR-Q109", f"{says}.", remedy)
        team, own = teams[0], name
    return f"/partition-sets/{segment(team)}/{segment(own)}"
