"""Bytes in files: the local disk by the standard library, any other URL by fsspec."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from hedgerow.errors import HedgerowError, StorageError

# What to store: the bytes themselves, or a function that writes them to the local path it is given.
Content: TypeAlias = bytes | Callable[[str], None]

DIGEST_BYTES = 16
PARALLEL_READS = 8


class Scratch:
    """A folder for local copies that lives as long as one step; made only when it is first needed."""

    def __init__(self) -> None:
        self._folder: str | None = None

    def folder(self) -> str:
        """A new, empty folder inside the scratch folder."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="hedgerow-")
        return tempfile.mkdtemp(dir=self._folder)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def local_path(url: str) -> str | None:
    """The path behind a local URL (nothing is decoded, as in fsspec); None when the URL is not local.

    >>> local_path("/data/a%7Cb"), local_path("file:///data/a"), local_path("s3://bucket/a")
    ('/data/a%7Cb', '/data/a', None)
    """
    if url.startswith("file://"):
        return url[len("file://") :]
    return None if "://" in url else url


def digest(data: bytes) -> str:
    """The content hash that serves as data version: BLAKE2b of 128 bits, as 32 hexadecimal digits.

    >>> digest(b"hello")
    '46fb7408d4f285228f4af516ea25851b'
    """
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def store(url: str, content: Content) -> tuple[str, int]:
    """Make `content` durable at `url` and return its content hash and its size in bytes.

    On the local disk the file appears under its name whole or not at all, and has survived a loss of power once this
    returns. Elsewhere it is uploaded to its final name at once: object stores show an object whole or not at all, and no
    one reads a name that no event has reported. Raises `StorageError` HR-S007.
    """
    path = local_path(url)
    try:
        if path is not None:
            return _store_locally(path, content)
        return _upload(url, content)
    except HedgerowError:
        raise
    except Exception as error:
        raise StorageError.of(
            "HR-S007",
            f"{url} can't be written: {type(error).__name__}: {error}.",
            "Check the platform's storage setting, free space and permissions; the step can be tried again.",
        ) from error


def read(url: str) -> bytes:
    """The bytes at `url`. Raises `StorageError` HR-S006."""
    path = local_path(url)
    try:
        if path is not None:
            with open(path, "rb") as file:
                return file.read()
        fs, remote = _filesystem(url)
        data: bytes = fs.cat_file(remote)
        return data
    except HedgerowError:
        raise
    except Exception as error:
        raise _unreadable(url, error) from error


def read_all(urls: Sequence[str]) -> list[bytes]:
    """The bytes at each of `urls`, in their order; those that are not local are fetched eight at a time."""
    if len(urls) < 2 or all(local_path(url) is not None for url in urls):
        return [read(url) for url in urls]
    with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="hedgerow-read") as pool:
        return list(pool.map(read, urls))


def local_copy(url: str, scratch: Scratch) -> str:
    """A local path with the content of `url`: the file itself when it is local, else a copy in `scratch`."""
    path = local_path(url)
    if path is not None:
        if not os.path.exists(path):
            raise _unreadable(url, FileNotFoundError("no such file"))
        return path
    try:
        fs, remote = _filesystem(url)
        copy = os.path.join(scratch.folder(), url.rsplit("/", 1)[-1])
        fs.get_file(remote, copy)
        return copy
    except HedgerowError:
        raise
    except Exception as error:
        raise _unreadable(url, error) from error


def remove(url: str) -> None:
    """Remove the file at `url`, as far as that is possible: what stays behind is found by `hedgerow gc`."""
    path = local_path(url)
    try:
        if path is not None:
            os.unlink(path)
        else:
            fs, remote = _filesystem(url)
            fs.rm_file(remote)
    except Exception:
        pass  # only tidiness: nobody refers to the file


def copy_of(source: Path) -> Content:
    """Content that is a copy of a local file."""
    return lambda path: _copy(source, path)


def _copy(source: Path, path: str) -> None:
    shutil.copyfile(source, path)


def _store_locally(path: str, content: Content) -> tuple[str, int]:
    part = f"{path}.part"
    folder = os.path.dirname(path) or "."
    try:
        try:
            result = _fill(part, content)
        except FileNotFoundError:
            # Cheaper than asking before each write whether the folder exists.
            if os.path.isdir(folder):
                raise
            os.makedirs(folder, exist_ok=True)
            result = _fill(part, content)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    os.replace(part, path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the name, too, must survive a loss of power
    finally:
        os.close(descriptor)
    return result


def _fill(part: str, content: Content) -> tuple[str, int]:
    if isinstance(content, bytes):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return digest(content), len(content)
    if not os.path.isdir(os.path.dirname(part) or "."):
        raise FileNotFoundError(part)  # libraries word this each in their own way
    content(part)
    with open(part, "rb") as file:
        result = _digest_of_file(file), os.fstat(file.fileno()).st_size
        os.fsync(file.fileno())
    return result


def _upload(url: str, content: Content) -> tuple[str, int]:
    fs, remote = _filesystem(url)
    if isinstance(content, bytes):
        _put(fs, remote, lambda: fs.pipe_file(remote, content))
        return digest(content), len(content)
    with Scratch() as scratch:
        part = os.path.join(scratch.folder(), "part")
        content(part)
        with open(part, "rb") as file:
            result = _digest_of_file(file), os.fstat(file.fileno()).st_size
        _put(fs, remote, lambda: fs.put_file(part, remote))
    return result


def _put(fs: Any, remote: str, put: Callable[[], object]) -> None:
    try:
        put()
    except FileNotFoundError:
        # Object stores have no folders, and may not let us ask for them; where there are some, the first write misses its own.
        fs.makedirs(remote.rsplit("/", 1)[0], exist_ok=True)
        put()


def _digest_of_file(file: Any) -> str:
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def _filesystem(url: str) -> tuple[Any, str]:
    scheme = url.partition("://")[0]
    try:
        fsspec = importlib.import_module("fsspec")
        fs, remote = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise StorageError.of(
            "HR-S002",
            f"Storage at {scheme}:// needs a library that this environment lacks: {error}.",
            f"Install fsspec and its driver for {scheme} (such as s3fs, gcsfs or adlfs) in the team's environment.",
        ) from error
    return fs, str(remote)


def _unreadable(url: str, error: Exception) -> HedgerowError:
    return StorageError.of(
        "HR-S006",
        f"{url} can't be read: {type(error).__name__}: {error}.",
        "If the file was removed by hand, materialize the upstream asset again; if storage was out of reach, retry the step.",
    )
