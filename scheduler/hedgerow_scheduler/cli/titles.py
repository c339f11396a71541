"""What teams declare by name: a schedule, sensor or reaction, given as TEAM/NAME or by its name alone if only one team has it."""

from __future__ import annotations

import argparse
from typing import Literal, TypeAlias

from hedgerow.errors import RequestError
from hedgerow_scheduler.cli.client import Client, segment

Kind: TypeAlias = Literal["schedule", "sensor", "reaction"]
UNKNOWN: dict[Kind, str] = {"schedule": "HR-Q340", "sensor": "HR-Q342", "reaction": "HR-Q348"}


def add_title(parser: argparse.ArgumentParser, kind: Kind) -> None:
    """The argument that says which."""
    shown = f"as `{kind} list` shows it; the name alone, if it is unique"
    parser.add_argument("name", metavar="TEAM/NAME", help=shown)


def title_of(client: Client, kind: Kind, name: str) -> str:
    """`team/name` of what `name` stands for. Raises RequestError when no team, or more than one, declares it."""
    if "/" in name:
        return name
    titles = [f"{one['team']}/{name}" for one in client.get(f"/{kind}s") if one[kind]["name"] == name]
    if len(titles) == 1:
        return titles[0]
    remedy = f"Give one of: {', '.join(titles)}." if titles else f"See `hedgerow {kind} list`."
    message = f"{'Several teams declare' if titles else 'No team declares'} a {kind} '{name[:80]}'."
    raise RequestError.of(UNKNOWN[kind], message, remedy)


def path_of_title(client: Client, kind: Kind, name: str) -> str:
    """The path in the API of what `name` stands for. Raises RequestError like `title_of`, and like `segment`."""
    team, _, own = title_of(client, kind, name).partition("/")
    return f"/{kind}s/{segment(team)}/{segment(own)}"
