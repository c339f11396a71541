"""What a run request's config is told before anything runs, by the JSON schema of the manifest."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from hedgerow.configuration import config_schema, convert_config
from hedgerow.errors import ExecutionError
from hedgerow.manifest.model import Computation
from hedgerow_scheduler.planning.config import config_problems


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Round(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


class Inner(msgspec.Struct):
    depth: int = 1


@dataclasses.dataclass
class Settings:
    limit: int
    share: float = 0.5
    name: str = "x"
    dry: bool = False
    colour: Colour = Colour.RED
    mode: Literal["fast", 3] = "fast"
    since: datetime.date | None = None
    price: decimal.Decimal = decimal.Decimal(1)
    days: list[int] = dataclasses.field(default_factory=list)
    pair: tuple[int, str] = (1, "a")
    rates: dict[str, float] = dataclasses.field(default_factory=dict)
    by_number: dict[int, str] = dataclasses.field(default_factory=dict)
    shape: Round | Square | None = None
    inner: Inner | None = None
    anything: Any = None
    many: Annotated[int, msgspec.Meta(ge=1)] = 1


COMPUTATION = Computation("a", ("a",), config_schema=config_schema(Settings))

FITTING: list[dict[str, Any]] = [
    {"limit": 1},
    {"limit": 1, "share": 2, "price": 1.5, "since": "2024-01-01", "colour": "blue", "mode": 3},
    {"limit": 1, "days": [1, 2], "pair": [1, "b"], "rates": {"x": 1}, "by_number": {"1": "a"}},
    {"limit": 1, "shape": {"type": "Round", "radius": 1}, "inner": {"depth": 2}, "anything": [{"a": None}]},
    {"limit": 1, "shape": None, "inner": None, "since": None},
]

WRONG: list[tuple[Any, str, str]] = [
    ({"limit": "many"}, "'a.limit' is 'many'", "a whole number"),
    ({"limit": True}, "'a.limit' is true", "a whole number"),
    ({"limit": 1.5}, "'a.limit' is 1.5", "a whole number"),
    ({}, "lacks the field 'limit'", "a whole number"),
    (None, "lacks the field 'limit'", "a whole number"),
    ({"limit": 1, "nam": 1}, "no field 'nam'", "Did you mean 'name'?"),
    ({"limit": 1, "name": None}, "'a.name' is null", "a text"),
    ({"limit": 1, "dry": 1}, "'a.dry' is 1", "true or false"),
    ({"limit": 1, "colour": "rde"}, "'a.colour' is 'rde'", "Did you mean 'red'?"),
    ({"limit": 1, "mode": "3"}, "'a.mode' is '3'", "3"),
    ({"limit": 1, "days": [1, "x"]}, "'a.days[1]' is 'x'", "a whole number"),
    ({"limit": 1, "pair": [1, 2]}, "'a.pair[1]' is 2", "a text"),
    ({"limit": 1, "rates": {"x": "y"}}, "'a.rates.x' is 'y'", "a number"),
    ({"limit": 1, "shape": {"type": "Oval"}}, "'a.shape' is an object", "Round or Square"),
    ({"limit": 1, "shape": 3}, "'a.shape' is 3", "Round or Square"),
    ({"limit": 1, "inner": {"depth": "x"}}, "'a.inner.depth' is 'x'", "a whole number"),
    ({"limit": 1, "many": 0}, "'a.many' is 0", "at least 1"),
    ([], "'a' is a list", "an object"),
]


@pytest.mark.parametrize("config", FITTING)
def test_what_the_runner_takes_is_taken(config: dict[str, Any]) -> None:
    assert config_problems(COMPUTATION, "a", config) == ()
    convert_config(("cfg", Settings, False), msgspec.json.encode(config), "a")


@pytest.mark.parametrize(("config", "told", "remedy"), WRONG)
def test_what_is_refused_is_what_the_runner_would_refuse(config: Any, told: str, remedy: str) -> None:
    (problem,) = config_problems(COMPUTATION, "a", config)
    assert problem.code == "HR-Q007"
    assert told in problem.message
    assert remedy in problem.remedy
    with pytest.raises(ExecutionError):
        convert_config(("cfg", Settings, False), msgspec.json.encode(config), "a")


def test_formats_are_left_to_the_runner() -> None:
    assert config_problems(COMPUTATION, "a", {"limit": 1, "since": "yesterday"}) == ()


def test_every_mistake_is_told_at_once() -> None:
    assert len(config_problems(COMPUTATION, "a", {"limit": "x", "dry": 1, "nam": 1})) == 3


def test_an_asset_without_config_takes_none() -> None:
    plain = Computation("a", ("a",))
    assert config_problems(plain, "a", {}) == ()
    (problem,) = config_problems(plain, "a", {"x": 1})
    assert "takes no config" in problem.message


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}, {"type": "x"}]}}},
        {"$ref": "#/nowhere"},
        {"type": "object", "properties": 3},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": "z"}}},
        {"type": ["object"]},
        {"anyOf": 3},
        {"enum": 3},
    ],
)
def test_a_schema_that_is_none_holds_no_one_up(schema: dict[str, Any]) -> None:
    config_problems(Computation("a", ("a",), config_schema=schema), "a", {"a": 1})
