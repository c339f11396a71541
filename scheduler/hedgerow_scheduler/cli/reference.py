"""The reference page of the commands, made from their parsers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points

from hedgerow.console import COMMANDS, GROUP

EXIT_CODES = (
    (0, "It was done; the run succeeded."),
    (1, "A run or a check failed, or something that was looked at is not as it should be."),
    (
        2,
        "What was asked for is wrong: an option, a selection, a partition, a file. The message has a code and a remedy.",
    ),
    (3, "The platform, its API or its database can't be reached."),
    (4, "An extra of the package is not installed; the message names it."),
    (130, "Interrupted with Ctrl-C."),
)


class _Captured(Exception):
    """Carries a command's parser out of its main function."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def cli_page() -> str:
    """The page as Markdown, commands in the order of `hedgerow --help`."""
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    lines = [
        "# Commands",
        "",
        "`hedgerow COMMAND --help` says the same. Commands that print something take `--json`: the same as data, on standard output alone;",
        'errors are then `{"problems": [{"code", "message", "remedy"}]}`. Without a terminal the output has no colours and no progress bars.',
        "",
        "Commands find the platform by `HEDGEROW_API`, or by `platform.toml` or `.hedgerow/` in the current directory or above it.",
        "",
        "| exit code | meaning |",
        "| --- | --- |",
        *(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES),
        "",
    ]
    for name, command in COMMANDS.items():
        lines += [f"## hedgerow {name}", ""]
        if name in installed:
            lines += _command(_parser_of(installed[name].load()), 3)
        else:
            lines += [command.summary, ""]
    return "\n".join(lines)


def _parser_of(main: Callable[[list[str]], int]) -> argparse.ArgumentParser:
    """The parser that a command builds before it does anything else."""

    def capture(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Captured(parser)

    original = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = capture  # type: ignore[assignment, method-assign]
    try:
        main([])
    except _Captured as captured:
        return captured.parser
    finally:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]
    raise TypeError(f"{main} has no parser")


def _command(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    children = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    yield f"{(parser.description or '').strip()}"
    yield ""
    arguments = [action for action in parser._actions if action not in children and action.dest != "help"]
    if arguments:
        yield from ("| argument | meaning |", "| --- | --- |")
        for action in arguments:
            yield f"| {_name(action)} | {_cell(action.help or '')} |"
        yield ""
    if parser.epilog:
        yield from (parser.epilog, "")
    for child in children:
        for below in child.choices.values():
            yield from (f"{'#' * level} {below.prog}", "")
            yield from _command(below, level + 1)


def _name(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    if not action.option_strings:
        name = _cell(metavar or action.dest)
        return f"`{name}`" + {"*": " (any number)", "+": " (one or more)", "?": " (may be left out)"}.get(
            str(action.nargs), ""
        )
    if action.nargs == 0:
        return ", ".join(f"`{option}`" for option in action.option_strings)
    value = metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return ", ".join(f"`{option} {value}`" for option in action.option_strings).replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("%%", "%")
