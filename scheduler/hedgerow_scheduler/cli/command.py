"""What every command has in common: its parser, its exit codes, how it says that something is wrong."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from hedgerow.console import is_unreachable
from hedgerow.errors import HedgerowError, RequestError
from hedgerow_scheduler.cli.output import Output

OK, FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
Run = Callable[[argparse.Namespace, Output], int]


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are errors with a code. Abbreviated options are none."""

    def __init__(self, *arguments: object, **more: object) -> None:
        more.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **more)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Raises RequestError HR-Q320."""
        raise RequestError.of("HR-Q320", f"{self.prog}: {message}.", f"See `{self.prog} --help`.")


def whole_number(least: int, greatest: int | None = None) -> Callable[[str], int]:
    """The type of an option that takes a whole number within bounds, both included.

    >>> whole_number(1)("20")
    20
    """

    def parse(text: str) -> int:
        number = int(text) if text.isdecimal() else -1
        if number < least or (greatest is not None and number > greatest):
            bounds = f"from {least} to {greatest}" if greatest is not None else f"of at least {least}"
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number {bounds}")
        return number

    return parse


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option that every command has which prints something."""
    parser.add_argument("--json", action="store_true", help="print data instead of text")


def add_author(parser: argparse.ArgumentParser) -> None:
    """The option that says who asks."""
    parser.add_argument("--author", default=None, help="who asks, recorded with it (default: the user's name)")


def author_of(options: argparse.Namespace) -> str:
    """Who asks."""
    if options.author is not None:
        return str(options.author)
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""  # a container's user may have no name


def execute(parser: Parser, argv: Sequence[str]) -> int:
    """Parses `argv` and runs what it asks for (`run` of the namespace); an error is printed and becomes the exit code."""
    output = Output(as_json="--json" in argv)
    try:
        _refuse_undecodable(argv)
        options = parser.parse_args(argv)
        if getattr(options, "run", None) is None:
            parser.print_help(sys.stderr)
            return BAD_INPUT
        run: Run = options.run
        return run(options, output)
    except HedgerowError as error:
        output.problems(error.problems)
        return exit_code(error)


def _refuse_undecodable(argv: Sequence[str]) -> None:
    """RequestError HR-Q320 for words that are no text: Python has lone surrogates for their bytes, which nothing can be sent with."""
    for word in argv:
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise RequestError.of("HR-Q320", f"{ascii(word)[:200]} is not UTF-8.", "Write it in UTF-8.")


def exit_code(error: HedgerowError) -> int:
    """3 when something of the platform can't be reached, 2 for everything else that was asked wrongly.

    >>> from hedgerow.errors import PlatformError
    >>> exit_code(PlatformError.of("HR-P350", "", "")), exit_code(RequestError.of("HR-Q001", "", ""))
    (3, 2)
    """
    return UNREACHABLE if is_unreachable(error) else BAD_INPUT
