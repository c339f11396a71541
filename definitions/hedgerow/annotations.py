"""Reading a function's signature with its annotations evaluated, one by one, so that a broken one does not hide the others."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class Absent:
    """Stands for an annotation that is not there."""


@dataclass(frozen=True)
class Unresolved:
    """An annotation that can't be evaluated: its text and why."""

    text: str
    why: str


@dataclass(frozen=True)
class Parameter:
    """One parameter. `annotation` is an evaluated type, `Absent` or an `Unresolved`."""

    name: str
    annotation: Any
    has_default: bool
    positional_only: bool
    variadic: bool


@dataclass(frozen=True)
class Signature:
    """A function's parameters and what it returns."""

    parameters: tuple[Parameter, ...]
    returns: Any


def read_signature(function: Callable[..., Any], scope: Mapping[str, Any]) -> Signature:
    """The signature of `function`; `scope` holds names that its annotations may use besides the module's."""
    if sys.version_info >= (3, 14):
        import annotationlib

        plain = inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    else:
        plain = inspect.signature(function)
    known = {**getattr(inspect.unwrap(function), "__globals__", {}), **scope}
    kinds = inspect.Parameter
    return Signature(
        tuple(
            Parameter(
                name,
                _evaluate(one.annotation, known),
                one.default is not kinds.empty,
                one.kind is kinds.POSITIONAL_ONLY,
                one.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD),
            )
            for name, one in plain.parameters.items()
        ),
        _evaluate(plain.return_annotation, known),
    )


def _evaluate(annotation: Any, names: dict[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return Absent
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        text = annotation
        try:
            # The text stands in the team's own code, which has just been imported in this very process.
            annotation = eval(text, names)
        except Exception as error:
            return Unresolved(text, f"{type(error).__name__}: {error}")
        if isinstance(annotation, str):
            return _evaluate(annotation, names)
    return _plain(annotation)


def _plain(annotation: Any) -> Any:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def without_none(annotation: Any) -> Any:
    """`X` for `X | None`, everything else unchanged.

    >>> without_none(int | None), without_none(int | str | None)
    (<class 'int'>, int | str | None)
    """
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(annotation) if one is not type(None)]
        if len(rest) == 1:
            return _plain(rest[0])
    return annotation


def display_name(annotation: Any) -> str:
    """An annotation as text for people: `pandas.core.frame.DataFrame`, `dict[str, int]`; empty when there is none."""
    if annotation is Absent:
        return ""
    if isinstance(annotation, Unresolved):
        return annotation.text
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        module = annotation.__module__
        return annotation.__qualname__ if module == "builtins" else f"{module}.{annotation.__qualname__}"
    return str(annotation)
