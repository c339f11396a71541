"""Writes the reference pages that are made from the code: `make docs`. A test says when they are stale."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from prometheus_client import CollectorRegistry

import hedgerow
from hedgerow.errors import CODES
from hedgerow.settings.location import LocationFile
from hedgerow.settings.platform import Automation, Dispatch, PlatformFile, PlatformTable, TeamPolicy, Timings
from hedgerow.settings.toml import describe
from hedgerow_scheduler.api.metrics import Metrics as ApiMetrics
from hedgerow_scheduler.api.reference import http_page
from hedgerow_scheduler.cli.reference import cli_page
from hedgerow_scheduler.lifecycle import backfills, states
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.testing.simulation import Simulation
from hedgerow_scheduler.testing.told import Launch
from hedgerow_workers.metrics import Metrics as WorkerMetrics

HERE = Path(__file__).parent
NOTE = "<!-- Made from the code by `make docs`; do not edit. -->\n"
AREAS = {
    "C": ("Settings", "Mistakes in `hedgerow.toml`, `platform.toml` or the environment."),
    "D": ("Definitions", "Mistakes in a team's code. `hedgerow check PATH` reports all of them together."),
    "P": ("Platform", "A server, the database, the broker or a process is not as it must be."),
    "Q": ("Requests", "What was asked for can't be done."),
    "S": ("Storage", "A value can't be written to, or read from, storage."),
    "X": ("Execution", "A step can't be executed as it was ordered."),
}


def pages() -> dict[str, str]:
    """The text of every generated page, by file name."""
    return {
        "errors.md": errors_page(),
        "settings.md": settings_page(),
        "states.md": states_page(),
        "cli.md": f"{NOTE}\n{cli_page()}",
        "http.md": f"{NOTE}\n{http_page()}",
        "metrics.md": metrics_page(),
        "python.md": python_page(),
    }


def errors_page() -> str:
    """Every error code and what it means, by area."""
    lines = [
        NOTE,
        "# Error codes",
        "",
        "Every message of Hedgerow starts with a code, says what is wrong and which thing is meant, and ends with what to do next.",
        "A code keeps its meaning for ever; it is safe to search for and to match in scripts.",
        "",
    ]
    for letter, codes in groupby(sorted(CODES), key=lambda code: code[3]):
        title, purpose = AREAS[letter]
        lines += [f"## {title} (HR-{letter})", "", purpose, "", "| code | meaning |", "| --- | --- |"]
        lines += [f"| `{code}` | {_cell(CODES[code])} |" for code in codes]
        lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    """Every entry of the two settings files."""
    lines = [
        NOTE,
        "# Settings",
        "",
        "Unknown entries and values of the wrong type are errors; all mistakes of a file are reported together, each with its line.",
        "Names are `[a-z][a-z0-9_-]*`, at most 63 characters. Rates are written `20/s`, `600/min` or `1000/h`.",
        "",
        "## hedgerow.toml",
        "",
        "One per code location, owned by the team.",
        "",
        *_tables(LocationFile),
        "## platform.toml",
        "",
        "One per deployment, owned by the platform's operators. Servers that are `embedded` are started by `hedgerow dev`,",
        "which writes their addresses to `.hedgerow/runtime.json` beside the file.",
        "",
        *_tables(PlatformFile),
        "## Environment",
        "",
        "A variable goes before the entry of platform.toml. `TEAM` is the name of a team in the file, in capitals, with `-` as `_`.",
        "",
        "| variable | entry |",
        "| --- | --- |",
        *(f"| `HEDGEROW_{name.upper()}` | `[platform] {name}` |" for name in PlatformTable.__struct_fields__),
        *(f"| `HEDGEROW_{name.upper()}` | `[timings] {name}` |" for name in Timings.__struct_fields__),
        *(f"| `HEDGEROW_{name.upper()}` | `[dispatch] {name}` |" for name in Dispatch.__struct_fields__),
        *(f"| `HEDGEROW_AUTOMATION_{name.upper()}` | `[automation] {name}` |" for name in Automation.__struct_fields__),
        *(f"| `HEDGEROW_TEAMS_TEAM_{name.upper()}` | `[teams.TEAM] {name}` |" for name in TeamPolicy.__struct_fields__),
        "",
    ]
    return "\n".join(lines)


def states_page() -> str:
    """Every state, and every arrow between the states of a step."""
    lines = [
        NOTE,
        "# States",
        "",
        "A step moves along these arrows and no others. What has ended without success starts again only when someone retries the run.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> waiting",
        "    [*] --> ready",
        *(f"    {before} --> {after}" for before, after in states.STEP_ARROWS),
        *(f"    {state} --> [*]" for state in states.StepState if state in states.ENDED),
        "```",
        "",
    ]
    meanings = _comments(Path(states.__file__).read_text("utf-8"))
    meanings |= _comments(Path(backfills.__file__).read_text("utf-8"))
    for title, kind in {
        "Step": states.StepState,
        "Attempt": states.AttemptState,
        "Run": states.RunState,
        "Materialization": states.MaterializationState,
        "Backfill": backfills.BackfillState,
        "Partition of a backfill": backfills.PartitionState,
    }.items():
        lines += [f"## {title}", "", str(kind.__doc__), "", "| state | meaning |", "| --- | --- |"]
        lines += [f"| `{state}` | {_cell(meanings[kind.__name__, state.name])} |" for state in kind]
        lines.append("")
    arrows: dict[str, Mapping[Any, str]] = {
        "a step": states.STEP_ARROWS,
        "a backfill": backfills.BACKFILL_ARROWS,
        "a partition of a backfill": backfills.PARTITION_ARROWS,
    }
    for what, table in arrows.items():
        lines += [
            f"## Arrows between the states of {what}",
            "",
            "| from | to | moved by | when |",
            "| --- | --- | --- | --- |",
        ]
        for (before, after), text in table.items():
            mover, _, when = text.partition(": ")
            lines.append(f"| `{before}` | `{after}` | {mover} | {_cell(when)} |")
        lines.append("")
    return "\n".join(lines)


def _comments(source: str) -> dict[tuple[str, str], str]:
    """The comment beside each member of each class."""
    found, inside = {}, ""
    for line in source.splitlines():
        if match := re.match(r"class (\w+)", line):
            inside = match[1]
        elif match := re.match(r"    (\w+) = .*?  # (.*)", line):
            found[inside, match[1]] = match[2]
    return found


def metrics_page() -> str:
    """Every metric, by the process that serves it."""
    lines = [
        NOTE,
        "# Metrics",
        "",
        "In Prometheus' text format. Runs, attempts, partitions and error texts are never labels; label sets exist at 0 as soon as their team or",
        "queue is known. Gauges about steps and limits come from the leading scheduler: a standby shows none, or its last ones from when it led.",
        "A histogram `x` is exported as `x_bucket`, `x_sum` and `x_count`.",
        "",
    ]
    for title, where, registry in registries():
        lines += [f"## {title}", "", where, "", "| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {_cell(text)} |"
            for name, kind, labels, text in sorted(_metrics(registry))
        ]
        lines.append("")
    return "\n".join(lines)


def registries() -> list[tuple[str, str, CollectorRegistry]]:
    """The registry of each kind of process, and where it is served."""
    worker = WorkerMetrics(slots=1)
    # All that the metrics read of a worker that runs.
    idle: Any = SimpleNamespace(
        draining=False,
        outbox_events=0,
        outbox_bytes=0,
        broker_losses=0,
        metrics=worker,
    )
    worker.observe(idle)
    return [
        (
            "Scheduler",
            "`hedgerow scheduler --metrics-port PORT`, at `/metrics`. `hedgerow dev` gives it a port by itself and shows it in the scheduler's status line.",
            SchedulerMetrics().registry,
        ),
        ("Worker", "`hedgerow worker PATH --metrics-port PORT`, at `/metrics`.", worker.registry),
        ("API", "At `/metrics` of the API's own port.", ApiMetrics().registry),
    ]


def _metrics(registry: CollectorRegistry) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Name as exported, type, labels and meaning of each metric."""
    found = []
    for collector in list(registry._collector_to_names):
        for family in collector.collect():
            labels = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.append((name, family.type, tuple(labels), family.documentation))
    return found


def python_page() -> str:
    """Every public name of `hedgerow`, with its docstring."""
    lines = [
        NOTE,
        "# Python",
        "",
        "`import hedgerow as hr`. Functions first, then classes. The texts are the docstrings; their examples run as tests.",
        "",
    ]
    named = [(name, getattr(hedgerow, name)) for name in hedgerow.__all__]
    for name, thing in sorted(named, key=lambda pair: (inspect.isclass(pair[1]), pair[0])):
        if inspect.ismodule(thing):
            for function in thing.__all__:
                lines += _documented(f"hr.{name}.{function}", getattr(thing, function))
        else:
            lines += _documented(f"hr.{name}", thing)
    lines += ["## What hr.simulate returns", "", _with_fences(_own_words(Simulation)), ""]
    for name, member in vars(Simulation).items():
        if callable(member) and not name.startswith("_") and name not in ("made", "facts"):  # asked by its own parts
            lines += [f"- `{_signature(name, member).replace('self, ', '').replace('self', '')}`: {_one_line(member)}"]
    told = "Each of `launches` has `at`, `by`, `assets` and `state` (`running`, `succeeded`, `failed` or `cancelled`)."
    return "\n".join([*lines, "", told, "", _with_fences(_own_words(Launch)), ""])


def _own_words(thing: type) -> str:
    return (inspect.getdoc(thing) or "").removeprefix("See the module. ")


def _one_line(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())


def _documented(name: str, thing: Any) -> list[str]:
    """A heading, the signature, the docstring, and for a class its public members."""
    lines = [
        f"## {name}",
        "",
        "```text",
        _signature(name, thing),
        "```",
        "",
        _with_fences(inspect.getdoc(thing) or ""),
        "",
    ]
    if inspect.isclass(thing):
        members = [(one, vars(thing)[one]) for one in vars(thing) if not one.startswith("_")]
        described = [
            (one, inspect.getdoc(member)) for one, member in members if callable(member) or isinstance(member, property)
        ]
        lines += [f"- `{one}`: {(text or '').partition(chr(10))[0]}" for one, text in described]
        lines += [""] if described else []
    return lines


def _signature(name: str, thing: Any) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return name
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return f"{name}{signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)}"


def _with_fences(text: str) -> str:
    """A docstring with its examples as blocks of code."""
    parts = re.split(r"\n(?=>>> )", text)
    return "\n".join(
        [parts[0].rstrip(), *(f"\n```pycon\n{part.strip()}\n```" for part in ["\n".join(parts[1:])] if part)]
    )


def _tables(file: type[msgspec.Struct]) -> list[str]:
    lines: list[str] = []
    for name, annotation in get_type_hints(file, include_extras=True).items():
        many = get_origin(annotation) is dict
        table = get_args(annotation)[1] if many else annotation
        lines += [f"### [{name}.NAME]" if many else f"### [{name}]", "", str(table.__doc__), ""]
        lines += ["| entry | default | meaning | example |", "| --- | --- | --- | --- |"]
        hints = get_type_hints(table, include_extras=True)
        for field in msgspec.structs.fields(table):
            meaning, example = describe(hints[field.name])
            lines.append(f"| `{field.name}` | {_default(field)} | {_cell(meaning)} | `{_toml(example)}` |")
        lines.append("")
    return lines


def _default(field: Any) -> str:
    if field.required:
        return "required"
    return "none" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Writes every page beside this file."""
    for name, text in pages().items():
        (HERE / name).write_text(text, "utf-8")
        print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    sys.exit(main())
