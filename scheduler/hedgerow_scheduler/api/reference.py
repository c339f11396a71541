"""The reference page of the HTTP API, made from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import create_engine

from hedgerow_scheduler.api.app import build_app, document
from hedgerow_scheduler.api.logs import Logs
from hedgerow_scheduler.api.services import Limits, Services

Schema = Mapping[str, Any]


def read_document() -> dict[str, Any]:
    """The OpenAPI document. No server is needed: nothing is connected before the first request."""
    engine = create_engine("postgresql+psycopg://")
    services = Services(engine, Logs("", "", str), Limits(), lambda _: True)
    described: dict[str, Any] = msgspec.json.decode(document(build_app(services)))
    return described


def http_page() -> str:
    """The page as Markdown: routes by tag, then every type that they take or give."""
    described = read_document()
    lines = [
        "# HTTP API",
        "",
        "The same as data is at `/api/v1/openapi.json`. Bodies are JSON of at most 1 MiB; unknown fields and parameters are refused by name.",
        'Every error is `{"problems": [{"code", "message", "remedy"}]}` with a status of 400 (wrong), 404 (not there), 405, 409 (not now),',
        "413 (too large), 500 (our mistake) or 503 (the platform can't do it now). Lists come in pages: pass `next` as `cursor` until it is null.",
        "`/metrics` has Prometheus' text format. A run may be named by the beginning of its id as long as no other run has the same.",
        "",
    ]
    groups: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method, operation in sorted(methods.items()):
            groups.setdefault(operation["tags"][0], []).extend(_route(path, method, operation))
    for tag, routes in groups.items():
        lines += [f"## {tag.capitalize()}", "", *routes]
    lines += ["## Types", ""]
    for name, schema in sorted(described["components"]["schemas"].items()):
        lines += _type(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _route(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path}"
    yield ""
    yield " ".join(operation["description"].split())
    yield ""
    body = operation.get("requestBody")
    if body:
        yield from (f"Body: {_type_of(body['content']['application/json']['schema'])}.", "")
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            for media, content in answer.get("content", {}).items():
                yield (
                    f"Answer: {_type_of(content.get('schema', {}))}."
                    if media == "application/json"
                    else f"Answer: `{media}`."
                )
                yield ""
    parameters = operation.get("parameters", [])
    if parameters:
        yield from ("| parameter | type | meaning |", "| --- | --- | --- |")
        for parameter in parameters:
            where = "" if parameter["in"] == "query" else f" ({parameter['in']})"
            told = parameter.get("description", "")
            yield f"| `{parameter['name']}`{where} | {_cell(_type_of(parameter['schema']))} | {_cell(told)} |"
        yield ""


def _type(name: str, schema: Schema) -> Iterator[str]:
    yield from (f"### {name}", "")
    if schema.get("description"):
        yield from (" ".join(schema["description"].split()), "")
    if "enum" in schema:
        yield from (", ".join(f"`{value}`" for value in schema["enum"]) + ".", "")
    fields = schema.get("properties", {})
    if fields:
        required = set(schema.get("required", []))
        yield from ("| field | type |", "| --- | --- |")
        for field, of in fields.items():
            yield f"| `{field}`{'' if field in required else ' (may be left out)'} | {_cell(_type_of(of))} |"
        yield ""


def _type_of(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for combined in ("oneOf", "anyOf"):
        if combined in schema:
            return " or ".join(dict.fromkeys(_type_of(one) for one in schema[combined]))
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        inner: Schema = schema.get("items") or next(iter(schema.get("prefixItems", [])), {})
        return f"list of {_type_of(inner)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type_of(schema['additionalProperties'])}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return str(schema.get("format") or kind)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
