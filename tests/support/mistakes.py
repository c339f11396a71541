"""Mistakes that a team makes in its code or its hedgerow.toml, each with what it must be told."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from support.locations import write_location

MINE = """
    import hedgerow as hr

    @hr.asset(key="{team}/mine")
    def mine() -> int:
        return 1
"""

TOML = '[team]\nname = "{team}"\n\n[code]\nmodules = ["{team}_assets", "second"]\n'


class Mistake(NamedTuple):
    """What stands in the modules and in hedgerow.toml ({team} is the team's name); code, words of the message and of the remedy.

    `where` is the end of the file's name and the line, empty when there is no one place.
    """

    code: str
    told: str
    remedy: str
    where: str = ""
    first: str = MINE
    second: str = ""
    toml: bytes = TOML.encode()


MISTAKES: dict[str, Mistake] = {
    "a cycle": Mistake(
        "HR-D006",
        "→",
        "Remove one",
        "_assets.py:3",
        MINE.replace("def mine()", "def mine(other)") + '\n    @hr.asset(deps=["{team}/mine"])\n    def other() -> int: ...\n',
    ),
    "two assets of one key": Mistake(
        "HR-D003",
        "_assets.py:3",
        "another key",
        "_assets.py:7",
        MINE + '\n    @hr.asset(key="{team}/mine")\n    def again() -> int: ...\n',
    ),
    "two assets of one key in two modules": Mistake(
        "HR-D003", "_assets.py:3", "another key", "second.py:3", second=MINE
    ),
    "a bad name": Mistake(
        "HR-D002", "'Mine Own'", "lower-case", "_assets.py:3", MINE.replace("{team}/mine", "Mine Own")
    ),
    "the value of what stores none": Mistake(
        "HR-D007",
        "stores nothing",
        "deps=",
        "_assets.py:7",
        MINE.replace("int", "None") + '\n    @hr.asset(deps=["{team}/mine"])\n    def after(mine) -> int: ...\n',
    ),
    "an unknown queue": Mistake(
        "HR-D019",
        "'haevy'",
        "Did you mean 'heavy'?",
        "_assets.py:3",
        MINE.replace('mine")', 'mine", queue="haevy")'),
        toml=(TOML + "\n[queues.heavy]\nconcurrency = 1\n").encode(),
    ),
    "a limit by what there is not": Mistake(
        "HR-D023",
        "no partitions",
        "partitions=",
        "_assets.py:3",
        MINE.replace('mine")', 'mine", limits=[hr.limit(per="partition.country")])'),
    ),
    "metadata over the cap": Mistake(
        "HR-D010", "65,536", "small", "_assets.py:3", MINE.replace('mine")', 'mine", metadata={{"a": "b" * 70_000}})')
    ),
    "a config that JSON can't hold": Mistake(
        "HR-D011",
        "Limits",
        "plain types",
        "_assets.py:8",
        """
    import dataclasses
    import hedgerow as hr

    @dataclasses.dataclass
    class Limits:
        until: complex = 1j

    @hr.asset
    def mine(cfg: Limits) -> int: ...
""",
    ),
    "a module that is not UTF-8": Mistake(
        "HR-D001", "second", "Correct the code", "second.py", second='name = "\udcff"\n'
    ),
    "bad TOML": Mistake(
        "HR-C001", "not valid TOML", "quotes", "hedgerow.toml:2", toml=b"[team]\nname = {team}\n"
    ),
    "a hedgerow.toml that is not UTF-8": Mistake(
        "HR-C001", "can't be read", "UTF-8", "", toml=b'[team]\nname = "\xff{team}"\n'
    ),
    "a bad name in hedgerow.toml": Mistake(
        "HR-C005", "'My Team'", "The team's name", "hedgerow.toml:2", toml=b'[team]\nname = "My Team"\n[code]\nmodules = ["x"]\n'
    ),
    "a number of the wrong kind": Mistake(
        "HR-C002",
        "worker.slots",
        "Example: 2",
        "hedgerow.toml:8",
        toml=(TOML + '\n[worker]\nslots = "many"\n').encode(),
    ),
}  # fmt: skip


def write_mistake(root: Path, team: str, mistake: Mistake | None = None) -> Path:
    """Writes the location of `team` with this mistake, or without any. Returns `root`."""
    wrong = mistake or Mistake("", "", "")
    write_location(root, team, wrong.first.replace("{team}", team).replace("{{", "{").replace("}}", "}"))
    second = wrong.second.replace("{team}", team)
    lines = [line.removeprefix("    ") for line in second.lstrip("\n").splitlines()]
    (root / "second.py").write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    (root / "hedgerow.toml").write_bytes(wrong.toml.replace(b"{team}", team.encode()))
    return root
