"""The CLI's connection to the HTTP API: answers as data, problems as errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from hedgerow.errors import HedgerowError, PlatformError, Problem, RequestError
from hedgerow.settings.platform import find_root, read_platform

TRIES = 3
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
HOW_TO_REACH = "Start the platform with `hedgerow dev PATH`, or set HEDGEROW_API to the API's URL."


class Client:
    """Requests to one API. Raises RequestError with the API's problems, PlatformError HR-P350 when it can't be reached."""

    def __init__(self, url: str, http: httpx.Client | None = None) -> None:
        self.url = url
        self._http = http or httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)

    def get(self, path: str, **parameters: Any) -> Any:
        """The answer of GET /api/v1{path}; parameters that are None are left out, lists are repeated."""
        return self._request("GET", path, again=True, params=_given(parameters))

    def post(self, path: str, body: object, key: str | None = None) -> Any:
        """The answer of POST /api/v1{path}. With an idempotency `key` it is sent again when the connection breaks."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        return self._request("POST", path, again=key is not None, content=msgspec.json.encode(body), headers=headers)

    def put(self, path: str, body: object) -> Any:
        """The answer of PUT /api/v1{path}, which may be sent again when the connection breaks."""
        headers = {"content-type": "application/json"}
        return self._request("PUT", path, again=True, content=msgspec.json.encode(body), headers=headers)

    def delete(self, path: str, **parameters: Any) -> Any:
        """The answer of DELETE /api/v1{path}, which may be sent again when the connection breaks."""
        return self._request("DELETE", path, again=True, params=_given(parameters))

    def pages(self, path: str, limit: int | None, **parameters: Any) -> Iterator[Any]:
        """The items of every page, `limit` of them at most."""
        cursor = None
        while limit is None or limit > 0:
            size = min(limit or 1000, 1000)
            page = self.get(path, limit=size, cursor=cursor, **parameters)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return
            if limit is not None:
                limit -= len(page["items"])

    def _request(self, method: str, path: str, again: bool, **more: Any) -> Any:
        tries = TRIES if again else 1
        for left in reversed(range(tries)):
            try:
                return self._read(self._http.request(method, f"/api/v1{path}", **more))
            except httpx.HTTPError as error:
                if left == 0 or (isinstance(error, httpx.ConnectError) and left < tries - 1):
                    message = (
                        f"The API at {self.url} can't be reached: {str(error).rstrip('.') or type(error).__name__}."
                    )
                    raise PlatformError.of("HR-P350", message, HOW_TO_REACH) from error
        raise AssertionError("unreachable: the last try returns or raises")

    def _read(self, answer: httpx.Response) -> Any:
        try:
            body = msgspec.json.decode(answer.content)
            if answer.is_success:
                return body
            problems = msgspec.convert(body["problems"], tuple[Problem, ...])
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            raise PlatformError.of(
                "HR-P355",
                f"{self.url} answered {answer.status_code}, but not as Hedgerow's API does.",
                "Check HEDGEROW_API: it must be the URL of a Hedgerow API of this version.",
            ) from error
        kind: type[HedgerowError] = PlatformError if answer.status_code >= 500 else RequestError
        raise kind(problems)


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None and value != []}


def segment(text: str) -> str:
    """`text` as one segment of a path. Raises RequestError HR-Q321 for what a path has another meaning for."""
    if text in ("", ".", ".."):
        raise RequestError.of(
            "HR-Q321", f"'{text}' names nothing.", "Give a name or id; the `list` commands show them."
        )
    return quote(text, safe="")


def connect(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Client:
    """A client of the platform that the environment or the directory `start` (default: the current one) names."""
    settings = read_platform(find_root(start or Path.cwd()), os.environ if environ is None else environ)
    try:
        return Client(settings.api)
    except PlatformError as error:
        raise PlatformError.of(
            "HR-P350", f"No platform is known here: {error.problems[0].message}", HOW_TO_REACH
        ) from error


def path_of(name: str) -> str:
    """A name of several parts as parts of a path. Raises RequestError HR-Q321 like `segment`."""
    return "/".join(segment(part) for part in name.split("/"))


Connect = Callable[[], Client]
