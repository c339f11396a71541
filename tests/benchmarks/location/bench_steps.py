"""Steps that do nothing: 2,000 that are independent of each other, 100,000 more for a long backlog, and a chain of 50."""

from __future__ import annotations

import hedgerow as hr

STEPS = 2000
LINKS = 50


@hr.asset(key="noop", partitions=hr.static(*(f"{number:04}" for number in range(STEPS))))
def noop() -> None:
    """Nothing at all."""


@hr.asset(
    key="many",
    partitions=hr.static(*(f"{number:03}" for number in range(1000)), dim="thousands")
    * hr.static(*(f"{number:02}" for number in range(100)), dim="hundreds"),
)
def many() -> None:
    """Nothing at all, very often."""


@hr.asset(key="held", partitions=hr.static(*(f"{number:04}" for number in range(STEPS))), queue="held")
def held() -> None:
    """Nothing at all, on a queue whose limits are changed meanwhile."""


def link(number: int) -> object:
    """One link of the chain: it comes after the link before it."""

    @hr.asset(key=f"chain/link-{number:02}", deps=[f"chain/link-{number - 1:02}"] if number else [])
    def nothing() -> None:
        """Nothing at all, after the link before."""

    return nothing


globals().update({f"link_{number:02}": link(number) for number in range(LINKS)})
