"""`hedgerow explain`: why a step or an asset is not running."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.text import Text

from hedgerow_scheduler.cli.client import connect
from hedgerow_scheduler.cli.command import OK, Parser, add_json, execute
from hedgerow_scheduler.cli.output import Output, clean, output_name, state_text


def parser() -> Parser:
    """The command line of `hedgerow explain`."""
    parser = Parser(prog="hedgerow explain", description="Say why a step, a run or an asset is not running.")
    parser.add_argument(
        "target",
        metavar="RUN/STEP|RUN|ASSET",
        help="a step, a run (its first step that has not ended) or an asset's key",
    )
    parser.add_argument("--partition", metavar="KEY", help="of an asset: only this partition")
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def run(options: argparse.Namespace, output: Output) -> int:
    """Prints every cause."""
    is_run = options.target[:1].isdigit()  # ids begin with a digit (until the year 6425), names never do
    asked = {"step": options.target} if is_run else {"asset": options.target, "partition": options.partition}
    answer = connect().get("/explain", **asked)
    if output.as_json:
        output.json(answer)
        return OK
    text = Text(clean(answer["subject"]), "bold").append(" ").append_text(state_text(answer["state"]))
    if answer["assets"] and is_run:
        text.append(f"  {clean(output_name(answer['assets'], answer['partition']))}", "dim")
    output.line(text)
    for cause in answer["causes"]:
        output.line(f"  {clean(cause['text'])}")
        if cause["remedy"]:
            output.line(f"    {clean(cause['remedy'])}", "dim")
    return OK
