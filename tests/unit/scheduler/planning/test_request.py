"""How many steps of a run may run at once: what the request says, or else the job."""

from __future__ import annotations

import pytest
from support.scheduling import NOW, asset, catalog_of, manifest

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Job
from hedgerow_scheduler.planning.request import RunRequest, run_cap
from hedgerow_scheduler.planning.steps import plan_steps

CATALOG = catalog_of(
    manifest("sales", asset("orders"), jobs=(Job("nightly", "orders", max_concurrent=4), Job("free", "orders"))),
    manifest("ml", asset("model"), jobs=(Job("nightly", "model", max_concurrent=2),)),
)


@pytest.mark.parametrize(
    ("selection", "own", "cap"),
    [
        (("job:nightly",), None, 2),  # of the first team by name
        (("job:sales/nightly",), None, 4),
        (("job:sales/nightly ,",), None, 4),
        (("job:sales/nightly",), 9, 9),
        (("job:sales/nightly", "model"), None, None),
        (("job:sales/nightly+",), None, None),
        (("job:free",), None, None),
        (("orders",), 3, 3),
        (("nightly",), None, None),
        ((), None, None),
    ],
)
def test_a_run_of_exactly_a_job_takes_its_cap_unless_it_has_its_own(
    selection: tuple[str, ...], own: int | None, cap: int | None
) -> None:
    assert run_cap(RunRequest(selection, max_concurrent=own), CATALOG.jobs) == cap


@pytest.mark.parametrize("cap", [-1, 0, 1_000_001, 2**31])
def test_a_run_with_a_cap_out_of_bounds_is_refused(cap: int) -> None:
    with pytest.raises(RequestError) as caught:
        plan_steps(CATALOG, RunRequest(("orders",), max_concurrent=cap), NOW)
    assert caught.value.code == "HR-Q008"
    assert "from 1 to 1,000,000" in caught.value.problems[0].remedy
