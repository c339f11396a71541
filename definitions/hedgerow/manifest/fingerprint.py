"""The code version of a function: a hash of its source that ignores layout, comments, docstrings and decorators."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any

DIGITS = 16


def code_version(function: Callable[..., Any]) -> str:
    """Sixteen hexadecimal digits that change when the function's own source changes in meaning.

    What it calls is not followed. Where no source is to be had (a console, a lambda in the middle of a line), the compiled code
    is hashed instead.

    >>> code_version(inspect.getsource) == code_version(inspect.getsource)
    True
    """
    plain = inspect.unwrap(function)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
        text = _normal(tree.body[0])
    except (OSError, TypeError, SyntaxError, IndexError):
        code = getattr(plain, "__code__", None)
        text = (
            _compiled(code) if isinstance(code, CodeType) else getattr(plain, "__qualname__", type(plain).__qualname__)
        )
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _normal(node: Any) -> str:
    """A tree as text. Empty fields are left out, so that a new Python with a new optional field gives the same text."""
    if isinstance(node, list):
        return "[" + ",".join(_normal(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name in ("decorator_list", "kind", "type_comment") or value is None:
            continue
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            value = _without_docstring(value)
        if value != []:
            parts.append(f"{name}={_normal(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _compiled(code: CodeType) -> str:
    constants = [_compiled(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return repr((code.co_code.hex(), constants, code.co_names, code.co_varnames))
