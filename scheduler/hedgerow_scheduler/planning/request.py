"""What someone asks to be run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from hedgerow.errors import RequestError
from hedgerow.manifest.bounds import MAX_AT_ONCE
from hedgerow.manifest.model import Job


class PartitionRange(msgspec.Struct, frozen=True):
    """The partitions from `first` to `last`, both included."""

    first: str
    last: str


class RunRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A selection of assets and, for the partitioned ones, which partitions: keys, a range, all of them, or the latest at an
    instant (`latest_at`): the last window that was complete then, and all keys of the other dimensions.

    `config` gives the configuration of computations by the key of one of their assets. `max_concurrent` is how many steps of
    the run may run at once; None leaves that to the job (see `run_cap`). `only_stale` leaves out what is fresh and stays so. `checks_only` makes
    nothing, but runs all checks of what is stored.
    """

    selection: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    partition_range: PartitionRange | None = None
    all_partitions: bool = False
    config: dict[str, Any] = {}
    max_concurrent: int | None = None
    latest_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    only_stale: bool = False
    checks_only: bool = False


def check_cap(request: RunRequest) -> None:
    """RequestError HR-Q008 when the request's `max_concurrent` is not from 1 to `MAX_AT_ONCE`."""
    cap = request.max_concurrent
    if cap is not None and not 1 <= cap <= MAX_AT_ONCE:
        raise RequestError.of(
            "HR-Q008",
            f"A run can't have {cap} steps at once.",
            f"Give max_concurrent from 1 to {MAX_AT_ONCE:,}, or leave it out for no cap.",
        )


def check_checks_only(request: RunRequest) -> None:
    """RequestError HR-Q031 when a request of checks only asks for something that goes with making."""
    other = "config" if request.config else "only what is stale" if request.only_stale else ""
    if request.checks_only and other:
        raise RequestError.of(
            "HR-Q031",
            f"A run of checks only was asked for together with {other}.",
            "Leave out one of the two: it makes nothing, and takes what is stored.",
        )


def run_cap(request: RunRequest, jobs: Mapping[str, Job]) -> int | None:
    """How many steps of the run may run at once: what the request says, else what its job does, else None for no cap.

    A request is of a job when its selection is exactly that job, `("job:nightly",)`; `jobs` are those of the catalog by name.

    >>> nightly = {"nightly": Job("nightly", "group:sales", max_concurrent=4)}
    >>> run_cap(RunRequest(("job:nightly",)), nightly), run_cap(RunRequest(("job:nightly", "extra")), nightly)
    (4, None)
    """
    if request.max_concurrent is not None:
        return request.max_concurrent
    words = " ".join(request.selection).replace(",", " ").split()
    job = jobs.get(words[0].removeprefix("job:")) if len(words) == 1 and words[0].startswith("job:") else None
    return job.max_concurrent if job is not None else None
