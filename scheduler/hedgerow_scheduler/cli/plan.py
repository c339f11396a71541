"""`hedgerow plan`: what a deploy of a working tree would change, before it is deployed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hedgerow import clock
from hedgerow.manifest.difference import Difference
from hedgerow.manifest.model import Manifest
from hedgerow_scheduler.cli.check_upstream import manifest_in_force
from hedgerow_scheduler.cli.client import Client, connect
from hedgerow_scheduler.cli.command import BAD_INPUT, FAILED, OK, Parser, add_json, execute
from hedgerow_scheduler.cli.output import Output, clean
from hedgerow_scheduler.cli.preview import manifests_at, show_launches, zone_of
from hedgerow_scheduler.testing.foresight import DeployPlan, Foreseen, plan_deploy

SHOWN = 20


def parser() -> Parser:
    """The command line of `hedgerow plan`."""
    parser = Parser(
        prog="hedgerow plan",
        description="Compare the code at PATH with what is deployed: which assets are added, changed or removed, which could not be made "
        "any more or become stale, also those of other teams, what would be launched otherwise in the hours to come, and whether the deploy would be refused. "
        "Nothing is deployed. Exit code 2 when it would be refused.",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        default=".",
        help="a code location, or the directory above several (default: here)",
    )
    parser.add_argument("--hours", type=float, default=24.0, help="how far to look ahead for launches (default: 24)")
    parser.add_argument("--tz", default="UTC", help="the zone in which times are shown (default: UTC)")
    parser.add_argument(
        "--exit-code", action="store_true", help=f"exit with {FAILED} when the deploy would change anything"
    )
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def run(options: argparse.Namespace, output: Output) -> int:
    """Compares every location at the path, each with what is deployed and those before it."""
    zone = zone_of(options.tz)
    candidates = manifests_at(Path(options.path).resolve())
    deployed = {(each.team, each.location): each for each in deployed_manifests(connect())}
    plans = []
    for each in candidates:
        plans.append(plan_deploy(list(deployed.values()), each, clock.now(), options.hours))
        if not plans[-1].problems:
            deployed[each.team, each.location] = each
    if output.as_json:
        output.json({"plans": plans})
    else:
        for plan in plans:
            _show(plan, output, lambda launches: show_launches(output, launches, zone), options.hours)
    if any(plan.problems for plan in plans):
        return BAD_INPUT
    return FAILED if options.exit_code and any(plan.changes_something for plan in plans) else OK


def deployed_manifests(client: Client) -> Iterable[Manifest]:
    """All manifests in force."""
    for each in client.get("/manifests"):
        yield manifest_in_force(client, each["team"], each["location"])


def _show(plan: DeployPlan, output: Output, table: Any, hours: float) -> None:
    what = f"Team {plan.team}, location {plan.location}"
    if not plan.changes_something:
        output.line(f"{what}: nothing changes.", "green")
        return
    output.line(f"{what}{': it is new' if plan.is_new else ''}", "bold")
    for mark, key, why, style in _differences(plan.difference):
        output.line(f"  {mark} {clean(key)}{f'  ({why})' if why else ''}", style)
    if plan.problems:
        output.line("  The deploy would be refused:", "bold red")
        output.problems(plan.problems)
        return
    if plan.broken:
        output.line("  Could not be made any more, until their code or this one is corrected:", "bold red")
        for each in plan.broken[:SHOWN]:
            output.line(
                f"    {clean(each.computation)} of team {clean(each.team)}: {clean(each.problem.message)}", "red"
            )
        if len(plan.broken) > SHOWN:
            output.line(f"    and {len(plan.broken) - SHOWN:,} more")
    if plan.stale:
        output.line("  Stale after it, until they are made again (hedgerow materialize --stale):")
        for stale in plan.stale[:SHOWN]:
            output.line(f"    {clean(stale.asset)} of team {clean(stale.team)}: {clean(stale.because)}")
        if len(plan.stale) > SHOWN:
            output.line(f"    and {len(plan.stale) - SHOWN:,} more")
    _launches(plan.only_now, f"No longer launched in the next {hours:g} hours:", output, table)
    _launches(plan.only_then, f"Launched in the next {hours:g} hours, and not so far:", output, table)


def _launches(launches: Sequence[Foreseen], title: str, output: Output, table: Any) -> None:
    if launches:
        output.line(f"  {title}")
        table(launches)


def _differences(difference: Difference) -> Iterable[tuple[str, str, str, str]]:
    for key in difference.added:
        yield "+", key, "", "green"
    for key in difference.removed:
        yield "-", key, "", "red"
    for change in difference.changed:
        yield "~", change.key, ", ".join((*(["code"] if change.code else []), *change.fields)), "yellow"
    named: Mapping[str, tuple[str, ...]] = {
        "schedule": difference.schedules, "sensor": difference.sensors, "reaction": difference.reactions,
        "condition": difference.conditions, "package": difference.packages,
    }  # fmt: skip
    for kind, names in named.items():
        for name in names:
            yield "~", f"{kind} {name}", "", "yellow"
