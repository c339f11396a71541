"""Connections to the metadata database."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url

WAKE_CHANNEL = "hedgerow_wake"
# The leader writes a few rows by their keys, out of JSON of which the planner knows nothing, and keeps its plans for a whole
# term. Made while a table was small, such a plan would read all of the table to join a dozen rows, however large it has become.
# Guessing at many rows, it would also compile a plan anew at each execution, which takes ten times as long as the few there are.
_PLANS_OF_RECORDING = {
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}


def sqlalchemy_url(url: str) -> str:
    """`url` with the driver that Hedgerow uses: `postgresql://…` becomes `postgresql+psycopg://…`."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def libpq_url(url: str) -> str:
    """`url` as libpq and psycopg take it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def open_engine(url: str, *, pool_size: int = 5, leader: bool = False, name: str = "hedgerow") -> Engine:
    """A pool of connections. A `leader`'s sessions give up by themselves when their process is frozen in a transaction, so that
    a frozen leader holds no lock for long.
    """
    options = f"-c application_name={name}"
    if leader:
        options += " -c idle_in_transaction_session_timeout=3000 -c lock_timeout=5000 -c statement_timeout=60000"
        options += "".join(f" -c {setting}={value}" for setting, value in _PLANS_OF_RECORDING.items())
    return create_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=5,
        pool_use_lifo=True,  # one session knows the prepared statements and has the pages at hand
        pool_pre_ping=not leader,
        connect_args={"options": options, "connect_timeout": 5},
    )
