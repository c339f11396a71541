"""Every error of the API as the same JSON, `{"problems": [{code, message, remedy}]}`, with the right status and no stack trace."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from hedgerow.errors import HedgerowError, PlatformError, Problem, RequestError
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.metrics import count_unmatched

log = logging.getLogger("hedgerow.api")

STATUS = {
    "HR-Q030": 409,
    "HR-Q302": 413,
    "HR-Q303": 404,
    "HR-Q304": 404,
    "HR-Q306": 404,
    "HR-Q307": 404,
    "HR-Q308": 404,
    "HR-Q309": 404,
    "HR-Q109": 404,
    "HR-Q342": 404,
    "HR-Q346": 404,
    "HR-Q348": 404,
    "HR-Q311": 409,
    "HR-Q312": 409,
    "HR-Q318": 405,
    "HR-Q319": 403,
    "HR-Q316": 503,
    "HR-Q325": 404,
    "HR-Q331": 404,
    "HR-Q340": 404,
    "HR-Q360": 404,
    "HR-Q370": 404,
    "HR-Q364": 409,
}
MAX_PROBLEMS = 100
MAX_TEXT = 2_000  # characters
_MISSING_PARAMETER = re.compile(r"Missing required (?:query|header) parameter '([^']+)'")
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]+)`")


class Problems(msgspec.Struct, frozen=True):
    """What is wrong with a request, or with the platform."""

    problems: tuple[Problem, ...]


def status_of(error: HedgerowError) -> int:
    """The HTTP status of an error: by its code, otherwise by its class."""
    if error.code in STATUS:
        return STATUS[error.code]
    return 503 if isinstance(error, PlatformError) else 400 if isinstance(error, RequestError) else 500


def answer(problems: tuple[Problem, ...], status: int) -> Response[Problems]:
    """The response that carries problems: the first ones, and of each as much as one reads, however large what is wrong was."""
    told = tuple(
        msgspec.structs.replace(each, message=_clipped(each.message), remedy=_clipped(each.remedy))
        for each in problems[:MAX_PROBLEMS]
    )
    return Response(Problems(told), status_code=status, media_type="application/json")


def _clipped(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 200]}…{text[-199:]}"


def on_hedgerow_error(_: Request[Any, Any, Any], error: HedgerowError) -> Response[Problems]:
    """What was raised on purpose."""
    return answer(error.problems, status_of(error))


def on_database_error(_: Request[Any, Any, Any], error: Exception) -> Response[Problems]:
    """The database can't be reached, or refuses; anything else that it says is our mistake."""
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout)):
        log.warning("the database does not answer: %s", str(error).splitlines()[0])
        problem = Problem("HR-P351", "The platform's database does not answer.", "Try again in a moment; see /readyz.")
        return answer((problem,), 503)
    return on_unexpected(_, error)


def on_data_error(request: Request[Any, Any, Any], error: DataError) -> Response[Problems]:
    """The database can't hold a value: a character NUL in a text, or a number out of its range."""
    log.warning("%s %s: %s", request.method, request.url.path, str(error.orig).splitlines()[0])
    problem = Problem(
        "HR-Q324",
        "The request holds a value that the database can't hold.",
        "Leave out characters NUL (\\u0000), and keep numbers below 2^63.",
    )
    return answer((problem,), 400)


def on_undecodable(_: Request[Any, Any, Any], __: UnicodeDecodeError) -> Response[Problems]:
    """A body that is no text."""
    return answer((Problem("HR-Q301", "The body is not UTF-8.", "Send JSON, encoded in UTF-8."),), 400)


def on_recursion(_: Request[Any, Any, Any], __: RecursionError) -> Response[Problems]:
    """A body nested thousands of levels deep."""
    return answer((Problem("HR-Q301", "The body is nested too deeply.", "See /api/v1/openapi.json."),), 400)


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Problems]:
    """A mistake of ours: the log has the stack trace, the answer has not."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    problem = Problem("HR-P352", "The API failed at this request.", "See the API's log; if it persists, report it.")
    return answer((problem,), 500)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problems]:
    """What Litestar raises: bad bodies and parameters, unknown routes and methods."""
    status = error.status_code
    count_unmatched(request, status)
    if status == 404:
        problem = Problem("HR-Q303", f"There is no {request.url.path}.", "See /api/v1/openapi.json for what there is.")
    elif status == 405:
        allowed = (error.headers or {}).get("allow", "another method")
        problem = Problem("HR-Q318", f"{request.method} is not possible on {request.url.path}.", f"Use {allowed}.")
    elif status == 413:
        problem = Problem("HR-Q302", "The body of the request is too large.", "Send at most 1 MiB.")
    elif status == 503:
        problem = Problem("HR-Q316", error.detail, "Try again later, or close another stream.")
    elif status >= 500:
        return on_unexpected(request, error)
    elif isinstance(error, ValidationException) and isinstance(error.extra, list):
        return answer(tuple(_of_parameter(request, entry) for entry in error.extra), 400)
    elif missing := _MISSING_PARAMETER.match(error.detail):
        problem = Problem("HR-Q310", f"Parameter '{missing[1]}' is missing.", "See /api/v1/openapi.json.")
    else:
        problem = _of_body(error)
    return answer((problem,), status)


def _of_parameter(request: Request[Any, Any, Any], entry: Any) -> Problem:
    entry = entry if isinstance(entry, dict) else {"message": str(entry)}
    message, key = str(entry.get("message", "")), str(entry.get("key", ""))
    if entry.get("source") == "body" or not entry.get("source"):
        return _body_problem(message, key)
    key = _shown_name(request, key)
    return Problem("HR-Q310", f"Parameter '{key}' is wrong: {message}.", "See /api/v1/openapi.json for what it takes.")


def _shown_name(request: Request[Any, Any, Any], name: str) -> str:
    """What people call the parameter that the route's function calls `name`."""
    field = request.route_handler.parsed_fn_signature.parameters.get(name)
    return getattr(field.kwarg_definition, "name", None) or name if field is not None else name


def _of_body(error: HTTPException) -> Problem:
    cause = error.__cause__ if error.__cause__ is not None else error
    return _body_problem(str(cause) if isinstance(cause, msgspec.MsgspecError) else error.detail, "")


def _body_problem(message: str, key: str) -> Problem:
    unknown = _UNKNOWN_FIELD.search(message)
    if unknown:
        where = f" in '{key}'" if key and key != "data" else ""
        return Problem(
            "HR-Q301",
            f"The body has an unknown field '{unknown[1]}'{where}.",
            "Leave it out; see /api/v1/openapi.json.",
        )
    where = f" at '{key}'" if key and key != "data" else ""
    return Problem(
        "HR-Q301", f"The body is not as it must be{where}: {message}.".replace("`", "'"), "See /api/v1/openapi.json."
    )


def inspect(request: Request[Any, Any, Any]) -> None:
    """What is looked at before a route is called."""
    _refuse_other_sites(request)
    _refuse_unknown_parameters(request)


def _refuse_other_sites(request: Request[Any, Any, Any]) -> None:
    """Raises RequestError HR-Q319 for what a page of another site makes a browser send: whoever visits it did not ask for it."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise RequestError.of(
            "HR-Q319", f"Pages of {origin} may not use this API.", "Ask the API itself, without a browser in between."
        )


def _refuse_unknown_parameters(request: Request[Any, Any, Any]) -> None:
    """Raises RequestError HR-Q310 for query parameters that the route does not have: a misspelt filter must not widen an answer."""
    handler = request.route_handler
    if not isinstance(handler, HTTPRouteHandler) or not request.url.path.startswith("/api/"):
        return
    known = {
        getattr(field.kwarg_definition, "name", None) or name
        for name, field in handler.parsed_fn_signature.parameters.items()
        if name not in ("services", "feed", "data", "idempotency_key") and name not in request.path_params
    }
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestError(
            [
                Problem(
                    "HR-Q310",
                    f"There is no parameter '{name}' here.",
                    did_you_mean(name, sorted(known)) or "Leave it out.",
                )
                for name in unknown
            ]
        )


HANDLERS: dict[int | type[Exception], Any] = {
    HedgerowError: on_hedgerow_error,
    HTTPException: on_http_error,
    DataError: on_data_error,
    DBAPIError: on_database_error,
    PoolTimeout: on_database_error,
    RecursionError: on_recursion,
    UnicodeDecodeError: on_undecodable,
    Exception: on_unexpected,
}
