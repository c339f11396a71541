"""What a team reads when its code is wrong: every mistake at once, with code, place and remedy."""

from __future__ import annotations

from typing import Any

import pytest

CASES = {
    "a bad key": ("HR-D002", '@hr.asset(key="Bad Key")\ndef a(): ...', 2, "'Bad Key'", "lower-case"),
    "a function whose name is no key": ("HR-D002", "@hr.asset\ndef Orders(): ...", 2, "'Orders'", "lower-case"),
    "a bad group": ("HR-D002", '@hr.asset(group="No Way")\ndef a(): ...', 2, "'No Way'", "lower-case"),
    "two assets of one key": (
        "HR-D003",
        '@hr.asset\ndef a(): ...\n@hr.asset(key="a")\ndef b(): ...',
        4,
        "main.py:2",
        "another key",
    ),
    "an external asset of a taken key": (
        "HR-D003",
        'x = hr.external("a")\n@hr.asset\ndef a(): ...',
        3,
        "'a'",
        "another",
    ),
    "more pools than a step may have": (
        "HR-D025",
        '@hr.asset(pools=[f"p{n}" for n in range(33)])\ndef a(): ...',
        2,
        "33 pools",
        "one pool stand",
    ),
    "more slots than a pool has": (
        "HR-D004",
        'p = hr.pool("w", slots=1)\n@hr.asset(pools=[hr.use(p, slots=2)])\ndef a(): ...',
        3,
        "2 slots",
        "never start",
    ),
    "a misspelt upstream": (
        "HR-D005",
        "@hr.asset\ndef orders(): ...\n@hr.asset\ndef b(oders): ...",
        4,
        "'oders'",
        "Did you mean 'orders'?",
    ),
    "an upstream in a folder that deps does not name": (
        "HR-D005",
        '@hr.asset(key="raw/orders")\ndef x(): ...\n@hr.asset\ndef b(orders): ...',
        4,
        "'orders'",
        'deps=["raw/orders"]'.replace('"', "'"),
    ),
    "a context without annotation": ("HR-D005", "@hr.asset\ndef a(ctx): ...", 2, "'ctx'", "ctx: hr.Context"),
    "a setting as a parameter": ("HR-D005", "@hr.asset\ndef a(limit: int = 3): ...", 2, "'limit'", "config"),
    "a dep for a parameter that is not there": (
        "HR-D005",
        '@hr.asset(deps=[hr.dep("raw/x", parameter="y")])\ndef a(x): ...',
        2,
        "'y'",
        "parameter",
    ),
    "a parameter that may stand for two upstreams": (
        "HR-D005",
        '@hr.asset(deps=["a/x", "b/x"])\ndef a(x): ...',
        2,
        "'a/x' and 'b/x'",
        "hr.dep",
    ),
    "a cycle": ("HR-D006", "@hr.asset\ndef a(b): ...\n@hr.asset\ndef b(a): ...", 2, "→", "Remove one"),
    "an asset of itself": ("HR-D006", "@hr.asset\ndef a(a): ...", 2, "depends on itself", "Remove one"),
    "a cycle inside a multi-asset": (
        "HR-D006",
        '@hr.multi_asset(hr.spec("a", deps=["b"]), hr.spec("b", deps=["a"]))\ndef ab(): ...',
        2,
        "→",
        "Remove one",
    ),
    "the value of an asset without one": (
        "HR-D007",
        "@hr.asset\ndef a() -> None: ...\n@hr.asset\ndef b(a): ...",
        4,
        "stores nothing",
        "deps=",
    ),
    "the value of an external asset": (
        "HR-D007",
        'a = hr.external("a")\n@hr.asset\ndef b(a): ...',
        3,
        "is external",
        "deps=",
    ),
    "a check that takes the value of an asset without one": (
        "HR-D007",
        '@hr.asset\ndef a() -> None: ...\n@hr.check("a")\ndef c(a): ...',
        4,
        "stores none",
        "resource",
    ),
    "a check of an unknown asset": (
        "HR-D008",
        '@hr.asset\ndef orders(): ...\n@hr.check("order")\ndef c(v): ...',
        4,
        "'order'",
        "Did you mean 'orders'?",
    ),
    "a check of an external asset": (
        "HR-D008",
        'a = hr.external("a")\n@hr.check("a")\ndef c(): ...',
        3,
        "external",
        "compute",
    ),
    "two checks of one name": (
        "HR-D009",
        '@hr.asset\ndef a(): ...\n@hr.check("a")\ndef c(v): ...\n@hr.check("a", name="c")\ndef d(v): ...',
        6,
        "two checks 'c'",
        "Rename",
    ),
    "metadata over the cap": ("HR-D010", '@hr.asset(metadata={"x": "y" * 70_000})\ndef a(): ...', 2, "65,536", "small"),
    "metadata that is no JSON": ("HR-D010", '@hr.asset(metadata={"x": object()})\ndef a(): ...', 2, "object", "small"),
    "a config that is no JSON": (
        "HR-D011",
        "class T: ...\nclass C(hr.Config):\n    t: T\n@hr.asset\ndef a(c: C): ...",
        5,
        "C can't be described",
        "plain types",
    ),
    "two configs": (
        "HR-D011",
        "class C(hr.Config): ...\nclass D(hr.Config): ...\n@hr.asset\ndef a(c: C, d: D): ...",
        4,
        "two configs",
        "one into the other",
    ),
    "an unknown argument": ("HR-D012", "@hr.asset(quue='x')\ndef a(): ...", 2, "'quue'", "Did you mean 'queue'?"),
    "a key that was not named": ("HR-D012", "@hr.asset('a')\ndef a(): ...", 2, "no function", "key='a'"),
    "a decorator on no function": ("HR-D012", "a = hr.asset(queue='x')(3)", 2, "no function", "on a function"),
    "a check without asset": ("HR-D012", "@hr.check\ndef a(): ...", 2, "needs an asset", "@hr.check("),
    "blocking that is no bool": (
        "HR-D012",
        "@hr.asset\ndef a(): ...\n@hr.check('a', blocking='yes')\ndef c(v): ...",
        4,
        "'yes'",
        "True or False",
    ),
    "an unknown severity": (
        "HR-D012",
        "@hr.asset\ndef a(): ...\n@hr.check('a', severity='warning')\ndef c(v): ...",
        4,
        "'warning'",
        "Did you mean 'warn'?",
    ),
    "a blocking warning": (
        "HR-D012",
        "@hr.asset\ndef a(): ...\n@hr.check('a', severity='warn', blocking=True)\ndef c(v): ...",
        4,
        "severity",
        "leave out one",
    ),
    "a bare number as duration": ("HR-D012", "@hr.asset(timeout='30')\ndef a(): ...", 2, "timeout='30'", '"30s"'),
    "a text as retry": ("HR-D012", "@hr.asset(retry='3')\ndef a(): ...", 2, "retry='3'", "hr.Retry"),
    "a negative retry": ("HR-D012", "@hr.asset(retry=hr.Retry(-1))\ndef a(): ...", 2, "-1", "from 0 on"),
    "one text for owners": ("HR-D012", "@hr.asset(owners='me')\ndef a(): ...", 2, "owners='me'", "several texts"),
    "wrong partitions": ("HR-D012", "@hr.asset(partitions='daily')\ndef a(): ...", 2, "'daily'", "hr.daily"),
    "wrong dependencies": ("HR-D012", "@hr.asset(deps=[3])\ndef a(): ...", 2, "deps=3", "asset keys"),
    "a pool without limit": ("HR-D012", "p = hr.pool('x')", 2, "slots=None", "slots=8"),
    "a rate without unit": ("HR-D012", "p = hr.pool('x', rate='5')", 2, "rate='5'", "rate such as"),
    "a burst by which nothing could start": (
        "HR-D012",
        "p = hr.pool('x', rate='5/s', burst=0.5)",
        2,
        "burst=0.5",
        "from 1 on",
    ),
    "a burst without a rate": ("HR-D012", "p = hr.pool('x', slots=1, burst=5)", 2, "burst=5", "beside a rate"),
    "a burst without end": ("HR-D012", "p = hr.pool('x', rate='1/s', burst=float('inf'))", 2, "burst=inf", "from 1 on"),
    "a rate without end": ("HR-D012", "p = hr.pool('x', rate='9999999999/s')", 2, "9999999999", "1,000,000"),
    "variable parameters": ("HR-D013", "@hr.asset\ndef a(*rest): ...", 2, "'rest'", "deps="),
    "positional-only parameters": ("HR-D013", "@hr.asset\ndef a(b, /): ...", 2, "'b'", "name of its own"),
    "a resource without instance": (
        "HR-D014",
        "class Api(hr.Resource): ...\n@hr.asset\ndef a(api: Api): ...",
        3,
        "Api",
        "api = Api(...)",
    ),
    "two instances of a resource": (
        "HR-D015",
        "class Api(hr.Resource): ...\none = Api()\ntwo = Api()",
        4,
        "main.py:3",
        "subclass",
    ),
    "a resource that two types fit": (
        "HR-D015",
        "class Api(hr.Resource): ...\nclass A(Api): ...\nclass B(Api): ...\na, b = A(), B()\n@hr.asset\ndef x(api: Api): ...",
        6,
        "A, B",
        "one of these",
    ),
    "an annotation that is nowhere": (
        "HR-D016",
        "@hr.asset\ndef a(b: 'Nowhere'): ...",
        2,
        "NameError",
        "TYPE_CHECKING",
    ),
    "an unknown io": ("HR-D017", "@hr.asset(io='warehouse')\ndef a(): ...", 2, "'warehouse'", "hr.IO"),
    "two ios of one name": (
        "HR-D017",
        "class W(hr.IO):\n    name = 'w'\na = W()\nb = W()",
        5,
        "two ios",
        "name of its own",
    ),
    "a pool declared twice": (
        "HR-D018",
        "a = hr.pool('w', slots=1)\nb = hr.pool('w', slots=2)",
        3,
        "2 slots here, 1 slot at",
        "Keep one",
    ),
    "a job declared twice": ("HR-D018", "a = hr.job('n', 'x')\nb = hr.job('n', 'y')", 3, "twice", "name of its own"),
    "a limit without room for a step": (
        "HR-D012",
        "@hr.asset(limits=[hr.limit(per='tags.x', concurrency=0)])\ndef a(): ...",
        2,
        "concurrency=0",
        "from 1 on",
    ),
    "a limit that is none": (
        "HR-D012",
        "@hr.asset(limits=['config.x'])\ndef a(): ...",
        2,
        "limits='config.x'",
        "hr.limit",
    ),
    "a limit with a bad name": (
        "HR-D002",
        "@hr.asset(limits=[hr.limit(per='tags.x', name='My Limit')])\ndef a(): ...",
        2,
        "'My Limit'",
        "lower-case",
    ),
    "a limit named twice": (
        "HR-D024",
        "@hr.asset(limits=[hr.limit(per='tags.x'), hr.limit(per='tags.x')])\ndef a(): ...",
        2,
        "twice",
        "Keep one",
    ),
    "a limit per partition of what has none": (
        "HR-D023",
        "@hr.asset(limits=[hr.limit(per='partition')])\ndef a(): ...",
        2,
        "no partitions",
        "partitions=",
    ),
    "a limit per config of what takes none": (
        "HR-D023",
        "@hr.asset(limits=[hr.limit(per='config.x')])\ndef a(): ...",
        2,
        "takes no config",
        "hr.Config",
    ),
    "a job without room for a step": (
        "HR-D012",
        "a = hr.job('n', 'x', max_concurrent=0)",
        2,
        "=0",
        "from 1 to 1,000,000",
    ),
    "an unknown queue": ("HR-D019", "@hr.asset(queue='hevy')\ndef a(): ...", 2, "'hevy'", "[queues.hevy]"),
    "a generator": ("HR-D020", "@hr.asset\ndef a():\n    yield 1", 2, "generator", "multi_asset"),
    "an upstream named twice": ("HR-D021", "@hr.asset(deps=['x', hr.dep('x')])\ndef a(): ...", 2, "twice", "once"),
    "two parameters for one upstream": (
        "HR-D021",
        "@hr.asset\ndef x(): ...\n@hr.asset(deps=[hr.dep('x', parameter='y')])\ndef a(x, y): ...",
        4,
        "two parameters",
        "Keep one",
    ),
    "specs that depend differently": (
        "HR-D021",
        "@hr.multi_asset(hr.spec('a', deps=['x']), hr.spec('b', deps=[hr.dep('x', optional=True)]))\ndef ab(): ...",
        2,
        "different ways",
        "same hr.dep",
    ),
    "a mapping that does not fit": (
        "HR-D107",
        "@hr.asset(partitions=hr.daily('2024-01-01'))\ndef a(): ...\n"
        "@hr.asset(partitions=hr.static('x'))\ndef b(a): ...",
        4,
        "partitions of 'a'",
        "mapping",
    ),
    "a start that is none": (
        "HR-D104",
        "@hr.asset(partitions=hr.daily('2024-13-01'))\ndef a(): ...",
        2,
        "start",
        "2024",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_reported_with_its_code_place_and_remedy(mistakes, case: str) -> None:
    code, text, line, said, remedy = CASES[case]
    found = [problem for problem in mistakes(text) if problem.code == code]
    assert len(found) == 1, found
    assert said in found[0].message
    assert remedy in found[0].remedy
    assert found[0].file is not None
    assert found[0].file.endswith("/main.py")
    assert not found[0].file.startswith("/")
    assert found[0].line == line


def test_all_mistakes_of_all_modules_are_reported_together_in_order_of_place(mistakes) -> None:
    problems = mistakes(
        "@hr.asset(queue='nope')\ndef a(): ...\n@hr.asset(timeout='nope')\ndef b(): ...",
        other="@hr.asset(key='a')\ndef c(): ...",
    )
    assert [(problem.code, problem.line) for problem in problems] == [("HR-D019", 2), ("HR-D012", 4), ("HR-D003", 2)]


def test_a_module_that_raises_is_shown_at_the_deepest_line_of_the_teams_own_code(mistakes) -> None:
    (problem,) = mistakes("import json\ndef read():\n    json.loads('{')\nread()")
    assert problem.code == "HR-D001"
    assert problem.line == 4
    assert "JSONDecodeError" in problem.message
    assert problem.traceback is not None
    assert "json.loads" in problem.traceback
    assert "hedgerow/discovery" not in problem.traceback
    assert "importlib" not in problem.traceback


def test_a_syntax_error_is_shown_at_its_line(mistakes) -> None:
    (problem,) = mistakes("x = 1\ndef broken(:\n    pass")
    assert (problem.code, problem.line) == ("HR-D001", 3)


def test_a_missing_library_is_named_with_the_environment_to_install_it_in(mistakes) -> None:
    (problem,) = mistakes("import no_such_library_at_all")
    assert problem.code == "HR-D001"
    assert problem.line == 2
    assert "Install what provides 'no_such_library_at_all'" in problem.remedy


def test_a_module_that_ends_the_process_is_an_import_error(mistakes) -> None:
    (problem,) = mistakes("import sys\nsys.exit(3)")
    assert (problem.code, problem.line) == ("HR-D001", 3)


def test_a_broken_module_hides_neither_other_broken_modules_nor_plain_mistakes(mistakes) -> None:
    problems = mistakes("1 / 0", other="raise RuntimeError('boom')", third="@hr.asset(timeout='x')\ndef a(b, ctx): ...")
    assert [problem.code for problem in problems] == ["HR-D001", "HR-D001", "HR-D012"]


def test_modules_that_import_a_broken_one_do_not_repeat_its_error(mistakes) -> None:
    problems = mistakes("from X import broken", broken="raise RuntimeError('boom')")
    assert [(problem.code, problem.file.endswith("broken.py")) for problem in problems] == [("HR-D001", True)]


def test_a_module_that_is_not_there_points_to_hedgerow_toml(location) -> None:
    from hedgerow.discovery import load_location
    from hedgerow.errors import DefinitionError

    root = location("")
    file = root / "hedgerow.toml"
    file.write_text(file.read_text().replace(".main", ".mian"))
    with pytest.raises(DefinitionError) as caught:
        load_location(root)
    assert caught.value.problems[0].file == "hedgerow.toml"
    assert "[code] modules" in caught.value.problems[0].remedy


def test_a_condition_of_any_depth_is_refused_with_its_asset_and_not_by_what_encodes_it(mistakes: Any) -> None:
    code = "c = hr.missing()\nfor _ in range(10_000):\n    c = ~c\n@hr.asset(automation=c)\ndef deep() -> int: ..."
    (problem,) = mistakes(code)
    assert (problem.code, "nested over 50 deep" in problem.message) == ("HR-D109", True)


def test_a_duration_that_can_not_be_counted_is_refused(mistakes: Any) -> None:
    (problem,) = mistakes('@hr.asset(timeout="3650000000d")\ndef long() -> int: ...')
    assert (problem.code, "longer than can be counted" in problem.message + problem.remedy) == ("HR-D012", True)
