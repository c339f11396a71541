"""How often, and after how long, a failed step is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from hedgerow.arguments import Arguments
from hedgerow.durations import milliseconds
from hedgerow.manifest import model


@dataclass(frozen=True)
class Retry:
    """At most `attempts` retries of a step that the team's code failed, the first after `delay`.

    With backoff `"exponential"` the delay doubles each time, with `"linear"` it grows by `delay`, with `"constant"` it stays;
    never more than `max_delay`. `jitter` spreads retries at random, so that many steps don't come back at once. What the
    platform loses (a killed worker) is retried from a budget of its own and costs none of these.

    >>> Retry(3, delay="30s")
    Retry(attempts=3, delay='30s', backoff='exponential', max_delay='10m', jitter=True)
    """

    attempts: int
    delay: str | timedelta = "1s"
    backoff: Literal["constant", "linear", "exponential"] = "exponential"
    max_delay: str | timedelta = "10m"
    jitter: bool = True


def lower_retry(value: object, arguments: Arguments) -> model.Retry:
    """The retry policy as a manifest carries it; a plain number counts as `Retry(number)`."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = Retry(value)
    if not isinstance(value, Retry):
        arguments.wrong("retry", value, 'Give hr.Retry(3, delay="30s"), or a number of retries.')
        return model.Retry()
    delay = arguments.duration("retry delay", value.delay, timedelta(seconds=1))
    longest = arguments.duration("retry max_delay", value.max_delay, timedelta(minutes=10))
    return model.Retry(
        attempts=arguments.whole("retry attempts", value.attempts, 0, least=0),
        delay_ms=milliseconds(delay or timedelta(seconds=1)),
        backoff=arguments.choice("retry backoff", value.backoff, ("constant", "linear", "exponential"), "exponential"),
        max_delay_ms=milliseconds(longest or timedelta(minutes=10)),
        jitter=arguments.flag("retry jitter", value.jitter, True),
    )
