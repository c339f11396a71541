"""What users wrote must not command the terminal."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.errors import Problem
from hedgerow_scheduler.cli.output import Output, clean, output_name


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_cleaned_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    for lines in (False, True):
        left = clean(text, lines=lines)
        allowed = "\n\t" if lines else ""
        assert not [char for char in left if char not in allowed and (ord(char) < 32 or 127 <= ord(char) < 160)]


def test_colours_titles_links_and_reversed_text_are_taken_out() -> None:
    assert clean("\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\") == "click"
    assert clean("\x1b]0;title\x07ok") == "ok"
    assert clean("\x1b[2J\x1b[1;31mred") == "red"
    assert clean("a\u202eb") == "a\\x202eb"


def test_a_problem_is_printed_with_code_place_and_remedy_and_markup_stays_text() -> None:
    err = io.StringIO()
    Output(err=err, out=io.StringIO()).problems([Problem("HR-D001", "[bold]no[/bold] \x1b[31m", "Mend it.", "a.py", 3)])
    assert err.getvalue() == "HR-D001  [bold]no[/bold] \n         at a.py:3\n         Mend it.\n"


def test_without_a_terminal_tables_are_plain_and_never_cut() -> None:
    out = io.StringIO()
    Output(out=out).table(("name", "value"), [("x" * 300, "[red]1")])
    assert "x" * 300 in out.getvalue()
    assert "[red]1" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_data_goes_to_standard_output_alone() -> None:
    out, err = io.StringIO(), io.StringIO()
    Output(as_json=True, out=out, err=err).problems([Problem("HR-Q001", "no", "do")])
    assert (
        out.getvalue()
        == '{\n  "problems": [\n    {\n      "code": "HR-Q001",\n      "message": "no",\n      "remedy": "do"\n    }\n  ]\n}\n'
    )
    assert err.getvalue() == ""


def test_a_step_is_named_by_its_first_asset() -> None:
    assert output_name([], "") == ""
    assert output_name(["a/b"], "") == "a/b"
