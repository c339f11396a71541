"""Resources and configuration: what a team's function takes by annotation besides data."""

from __future__ import annotations

import msgspec


class Resource:
    """The base of a team's connections and clients.

    A function's parameter annotated with a subclass receives the instance of it that stands at module level in one of the
    team's modules. Exactly one instance per type is expected. A runner imports the code once and stays warm, so open
    connections at first use, not at import.

    >>> class OrdersApi(Resource):
    ...     def __init__(self, url: str) -> None:
    ...         self.url = url
    """


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The base of a run-time configuration: fields with types and defaults, checked before the function is called.

    A dataclass or any `msgspec.Struct` as annotation does as well.

    >>> class Training(Config):
    ...     rounds: int = 100
    """
