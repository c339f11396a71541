"""How an evaluation is told to people: every operand with what it was found to be, in the order in which it is written."""

from __future__ import annotations

from support.automated import Made, Stage

from hedgerow.conditions import constructors as hr
from hedgerow_scheduler.api.conditions import evaluation
from hedgerow_scheduler.cli.condition_tree import Line
from hedgerow_scheduler.cli.conditions import line_text
from hedgerow_scheduler.metadata.automation import EvaluationEntry


def told(stage: Stage, key: str, condition: str | None = None) -> list[str]:
    found = stage.evaluated[key]
    program = stage.engine.declared.automated[key].program
    findings = [list(one) for one in ((each.place, each.of, each.asked, each.true) for each in found.findings)]
    entry = EvaluationEntry("latest", found.at, condition or program.digest, findings, [], 0, found.problem, None)
    return [
        f"{'  ' * one.depth}{one.of + ': ' if one.of else ''}{one.label} {one.true}/{one.asked}"
        for one in evaluation(program, entry).operands
    ]


def test_every_operand_is_told_with_the_assets_that_it_was_asked_of() -> None:
    condition = hr.any_dep(hr.missing()).labeled("something is missing") & ~hr.in_progress()
    stage = Stage({"a": Made(), "b": Made(), "down": Made(("a", "b"), condition)}, "2026-01-05T12:00")
    stage.play("make a")
    assert told(stage, "down") == [
        "all of 0/1",
        "  something is missing 1/1",
        "    any upstream 1/1",
        "      a: missing 0/1",
        "      b: missing 1/1",
        "  not 0/1",
        "    in progress 1/1",
    ]


def test_what_another_condition_found_is_not_told_in_words_of_this_one() -> None:
    stage = Stage({"only": Made((), hr.missing())}, "2026-01-05T12:00")
    assert told(stage, "only") == ["missing 1/1"]
    assert told(stage, "only", "another") == []


def test_a_terminal_shows_it_as_a_tree() -> None:
    assert str(line_text(Line(1, "up", "missing", asked=3, true=2, folded=False))) == "      up: missing  2 of 3"
    assert str(line_text(Line(0, "", "all of", asked=1, true=1, folded=True))) == "    all of  yes  …"
