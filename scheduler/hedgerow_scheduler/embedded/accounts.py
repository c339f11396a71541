"""Which account runs PostgreSQL, and a place that this account can reach: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hedgerow import clock
from hedgerow.errors import PlatformError

CANDIDATES = ("postgres", "nobody", "daemon")
ELSEWHERE = Path("/var/tmp")  # survives a restart of the machine, unlike /tmp; every account can enter it

OWNER_NOTE = "BELONGS_TO"


@dataclass(frozen=True)
class Account:
    """An existing account other than root."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account for PostgreSQL; None when this process isn't root and can run it itself. Raises PlatformError HR-P202."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise PlatformError.of(
        "HR-P202",
        f"PostgreSQL refuses to run as root, and this machine has none of the accounts {', '.join(CANDIDATES)}.",
        "Run this as another user, add the account 'postgres', or give the URL of your own server in HEDGEROW_DATABASE.",
    )


def reaches(account: Account | None, *command: str | Path) -> bool:
    """Whether `account` can run `command` from the root directory, tried rather than deduced (modes, ACLs, mounts)."""
    try:
        outcome = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[account.gid] if account else None,
        )
    except PermissionError:
        return False
    return outcome.returncode == 0


def data_directory(home: Path, account: Account | None) -> Path:
    """The directory `home`/postgres, made if need be, owned by `account` and reachable for it.

    Where `home` lies in a directory that the account can't enter (a clone in root's `mktemp -d`), the data lies in a new
    directory of /var/tmp, and `home`/postgres is a symbolic link to it.
    """
    place = home / "postgres"
    if place.is_symlink() and not place.exists():
        place.unlink()  # the place was cleaned away; the database starts anew
    if not place.exists():
        if account is None or reaches(account, "/bin/sh", "-c", 'cd "$0"', home):
            place.mkdir(mode=0o700)
        else:
            sweep_elsewhere()
            refuge = ELSEWHERE / f"hedgerow-{clock.nonce()}"
            refuge.mkdir()
            refuge.chmod(0o711)  # whatever the umask says
            (refuge / "postgres").mkdir(mode=0o700)
            (refuge / OWNER_NOTE).write_text(f"{home}\n")
            place.symlink_to(refuge / "postgres")
    data = place.resolve()
    if account is not None and not (data / "PG_VERSION").exists():
        os.chown(data, account.uid, account.gid)
    return data


def owner(data: Path, account: Account | None) -> Account | None:
    """Who runs PostgreSQL on `data`: its owner, where root starts what another person's start has made; else `account`."""
    status = data.stat()
    if account is None or status.st_uid in (0, account.uid):
        return account
    return Account(str(status.st_uid), status.st_uid, status.st_gid)


def sweep_elsewhere() -> None:
    """Removes what belonged to directories for temporary files that are gone: each try in a `mktemp -d` would leave 50 MB.

    Others are left alone: a directory that isn't there may be on a disk that is not mounted just now.
    """
    passing = {Path(tempfile.gettempdir()).resolve(), Path("/tmp").resolve()}
    for refuge in ELSEWHERE.glob("hedgerow-*"):
        note = refuge / OWNER_NOTE
        if refuge.is_symlink() or not note.is_file() or refuge.stat().st_uid != os.geteuid():
            continue
        home = Path(note.read_text().rstrip("\n"))
        in_use = (refuge / "postgres" / "postmaster.pid").exists()
        if not home.exists() and not in_use and any(place in home.parents for place in passing):
            shutil.rmtree(refuge, ignore_errors=True)


def forget_elsewhere(place: Path) -> None:
    """Removes what data_directory() has put elsewhere for the symbolic link `place`; nothing that it did not make."""
    refuge = place.resolve().parent
    if refuge.parent == ELSEWHERE.resolve() and (refuge / OWNER_NOTE).is_file():
        shutil.rmtree(refuge)


def reachable_installation(installation: Path, data: Path, account: Account | None) -> Path:
    """`installation`, or a copy of it beside `data` if `account` can't run the programs where they are."""
    if _runs(installation, account):
        return installation
    copy = data.parent / "programs"
    if not copy.exists():
        fresh = data.parent / f"programs.{clock.nonce()}"
        fresh.mkdir()
        fresh.chmod(0o755)
        package = installation.parent
        # The programs find their libraries relative to themselves, at one of these places beside them in the wheel.
        for part in (installation, package / ".dylibs", package.with_name(f"{package.name}.libs")):
            if part.exists():
                target = fresh / part.relative_to(package.parent)
                shutil.copytree(part, target, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        for directory in (fresh / package.name, *fresh.rglob("*")):
            if directory.is_dir():
                directory.chmod(0o755)
        fresh.rename(copy)
    copied = copy / installation.relative_to(installation.parent.parent)
    if not _runs(copied, account):
        raise PlatformError.of(
            "HR-P202",
            f"The account {account.name if account else 'of this process'!r} can't run the programs in {copied / 'bin'}.",
            f"Allow programs to run in {copy.parent} (is it mounted noexec?), or give a server's URL in HEDGEROW_DATABASE.",
        )
    return copied


def _runs(installation: Path, account: Account | None) -> bool:
    """Whether `account` can run the programs, their libraries included (initdb links to one)."""
    return all(reaches(account, installation / "bin" / program, "--version") for program in ("postgres", "initdb"))
