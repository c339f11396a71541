"""`hedgerow explain`: why a step or an asset is (not) running, and where its time went."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from hedgerow.errors import RequestError
from hedgerow_scheduler.admission.causes import duration
from hedgerow_scheduler.cli.client import connect, segment
from hedgerow_scheduler.cli.command import OK, Parser, add_json, execute
from hedgerow_scheduler.cli.conditions import show_condition
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
    parser.add_argument(
        "--whole", action="store_true", help="of an asset: all of its condition, not only what matters now"
    )
    parser.add_argument("--waits", action="store_true", help="of a run: where the time of all its steps went")
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def run(options: argparse.Namespace, output: Output) -> int:
    """Prints every cause, or where a run's time went."""
    is_run = options.target[:1].isdigit()  # ids begin with a digit (until the year 6425), names never do
    if options.waits:
        if not is_run or "/" in options.target:
            raise RequestError.of("HR-Q317", f"'{options.target}' is not a run.", "Give a run's id with --waits.")
        return _run_waits(options.target, output)
    asked = {"step": options.target} if is_run else {"asset": options.target, "partition": options.partition}
    api = connect()
    answer = api.get("/explain", **asked)
    condition = None if is_run else api.get(f"/conditions/{options.target}", partition=options.partition)
    if output.as_json:
        output.json(answer if condition is None else {**answer, "condition": condition})
        return OK
    text = Text(clean(answer["subject"]), "bold").append(" ").append_text(state_text(answer["state"]))
    if answer["assets"] and is_run:
        text.append(f"  {clean(output_name(answer['assets'], answer['partition']))}", "dim")
    output.line(text)
    for cause in answer["causes"]:
        output.line(f"  {clean(cause['text'])}")
        if cause["remedy"]:
            output.line(f"    {clean(cause['remedy'])}", "dim")
    if answer["position"] and answer["position"]["ready"] > 1:
        place = answer["position"]
        output.line(
            f"  Its place in queue {clean(place['queue'])}: about {place['ahead'] + 1:,} of {place['ready']:,}."
        )
    if answer["estimate"]:
        output.line(f"  {clean(answer['estimate'])}")
    if answer["waits"]:
        output.line(f"  {waits_text(answer['waited_s'], answer['waits'])}", "dim")
    if condition is not None:
        show_condition(condition, output, whole=options.whole)
    return OK


def waits_text(waited_s: float, waits: Sequence[dict[str, Any]]) -> str:
    """The whole wait in one line, with the causes that took more than half a percent of it.

    >>> waits_text(4.0, [{"cause": "pool_slots", "seconds": 3.0, "share": 0.75}, {"cause": "turn", "seconds": 1.0, "share": 0.25}])
    'waited 4.0 s: pool_slots 3.0 s (75 %), turn 1.0 s (25 %)'
    """
    parts = ", ".join(
        f"{one['cause']} {duration(one['seconds'])} ({one['share'] * 100:.0f} %)"
        for one in waits
        if one["share"] > 0.005
    )
    return clean(f"waited {duration(waited_s)}: {parts}")


def _run_waits(target: str, output: Output) -> int:
    """Where the time of a run's steps went."""
    answer = connect().get(f"/runs/{segment(target)}/waits")
    if output.as_json:
        output.json(answer)
        return OK
    steps = f"{answer['steps']:,} {'step' if answer['steps'] == 1 else 'steps'}"
    output.line(Text(answer["run_id"], "bold").append(" ").append_text(state_text(answer["state"])))
    output.line(f"{steps} waited {duration(answer['waited_s'])} and ran {duration(answer['ran_s'])} together.")
    rows = ((one["cause"], duration(one["seconds"]), f"{one['share'] * 100:.1f} %") for one in answer["waits"])
    output.table(("waited for", "time", "share"), rows, right=(1, 2))
    return OK
