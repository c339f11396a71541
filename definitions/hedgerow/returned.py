"""Making uniform what a team's function returned: one output for each asset that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hedgerow.arguments import as_columns, suggestion
from hedgerow.context import Context
from hedgerow.errors import ExecutionError, Problem
from hedgerow.manifest.model import Asset, Column
from hedgerow.metadata import MetadataError, normalise
from hedgerow.result import Result, Skip


@dataclass(frozen=True)
class Output:
    """One computed asset. `stored` False: nothing is to be kept. `metadata` is plain JSON data within the cap.

    `data_version` None: the function gave none. `columns` are those seen at run time, empty when the function named none.
    """

    asset: str
    value: Any
    stored: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    data_version: str | None = None
    columns: tuple[Column, ...] = ()


def read_return(
    returned: Any,
    assets: Mapping[str, Asset],
    asked: tuple[str, ...],
    context: Context,
    *,
    several: bool,
    needs_value: frozenset[str],
) -> tuple[Output, ...]:
    """The outputs of the assets `asked` for, in order of declaration; others that were computed as well are dropped.

    `ExecutionError`: HR-X205 a return of the wrong shape, HR-X206 None or a value where the annotation says otherwise,
    HR-X207 an asset asked for is missing.
    """
    found = _by_asset(returned, tuple(assets), asked) if several else {asked[0]: returned}
    outputs = []
    for key in assets:
        if key not in asked:
            continue
        if key not in found:
            raise _refused(
                "HR-X207",
                f"The function returned nothing for {key!r}.",
                f"Return a value for each of: {', '.join(asked)}.",
            )
        outputs.append(_output(key, found[key], assets[key], context, key in needs_value))
    return tuple(outputs)


def _by_asset(returned: Any, declared: tuple[str, ...], asked: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(returned, Mapping):
        found = dict(returned)
    elif isinstance(returned, Result) and returned.asset is not None:
        found = {returned.asset: returned}
    elif (
        isinstance(returned, list | tuple)
        and returned
        and all(isinstance(one, Result) and one.asset is not None for one in returned)
    ):
        found = {one.asset: one for one in returned}
        if len(found) < len(returned):
            raise _refused("HR-X205", "The function returned two results for one asset.", "Return one for each asset.")
    elif isinstance(returned, tuple) and len(returned) in (len(asked), len(declared)):
        found = dict(zip(asked if len(returned) == len(asked) else declared, returned, strict=True))
    elif len(declared) == 1 and not isinstance(returned, tuple | list):
        found = {declared[0]: returned}
    else:
        size = f" of {len(returned)}" if isinstance(returned, tuple | list) else ""
        raise _refused(
            "HR-X205",
            f"The function returned a {type(returned).__name__}{size} for the assets {', '.join(asked)}.",
            "Return a mapping from key to value, a tuple with one value for each, or hr.Result(value, asset=...) for each.",
        )
    for key in found:
        if key not in declared:
            raise _refused(
                "HR-X205",
                f"The function returned a value for {key!r}, which it does not declare.",
                suggestion(str(key), declared) + f"It declares: {', '.join(declared)}.",
            )
    return found


def _output(key: str, returned: Any, asset: Asset, context: Context, needs_value: bool) -> Output:
    result = returned if isinstance(returned, Result) else Result(returned)
    if isinstance(result.value, Skip):
        raise _refused(
            "HR-X205", f"Only a whole step can be skipped, not {key!r} alone.", "Return hr.skip(...) by itself."
        )
    if result.asset not in (None, key):
        raise _refused("HR-X205", f"The result of {key!r} says asset={result.asset!r}.", "Leave out asset=.")
    if result.value is None and needs_value:
        raise _refused(
            "HR-X206",
            f"Asset {key!r} returned None, but its annotation says {asset.value_type}.",
            'Return the value; hr.skip("why") to materialize nothing; or annotate it `-> None`.',
        )
    if result.value is not None and not asset.stored:
        raise _refused(
            "HR-X206",
            f"Asset {key!r} is annotated `-> None` but returned a {type(result.value).__name__}.",
            "Correct the annotation if the value is to be stored; otherwise return nothing.",
        )
    try:
        metadata = normalise({**context.recorded_metadata(key), **normalise(result.metadata)})
        columns = as_columns(result.columns)
    except MetadataError as error:
        raise _refused("HR-X213", f"Asset {key!r}: {error}.", "Give a small mapping of JSON values.") from error
    except ValueError as error:
        raise _refused("HR-X205", f"Asset {key!r}: the columns can't be read.", f"{error}.") from error
    version = None if result.data_version is None else str(result.data_version)
    return Output(key, result.value, result.value is not None, metadata, version, columns)


def _refused(code: str, message: str, remedy: str) -> ExecutionError:
    return ExecutionError(Problem(code, message, remedy))
