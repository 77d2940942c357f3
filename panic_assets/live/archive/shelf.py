"""Bytes in their places: a folder of this machine, or whatever else fsspec can reach.

Here belongs writing so that a file is whole or absent, and reading back. Keys tell the content: ``ab/abcd....webp`` is
the file whose SHA-256 is abcd....
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from panic_assets.live.archive.errors import ArchiveError, NoSuchMedium

_KEY = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}\.[a-z0-9]{2,5}")


def key_of(data: bytes, ending: str) -> str:
    """The key of a content."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{digest[:2]}/{digest}.{ending}"


class Shelf:
    """A place for files by key. Blocks; safe to use from several threads and processes.

    Raises:
        ArchiveError: there is no way to such an address.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]
        from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

        try:
            self._files, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ArchiveError("permanent", f"the archive can't be at {_bare(url)!r}: {error}") from error
        self._root = str(root).rstrip("/")
        self.folder = Path(root) if isinstance(self._files, LocalFileSystem) else None
        self._where = _bare(url)

    def put(self, key: str, data: bytes) -> None:
        """Store and read back. What is there already and whole stays; what is there and damaged is replaced.

        Raises:
            ArchiveError: transient: it was not stored, or not as it was given.
        """
        with suppress(ArchiveError):
            self.get(key)
            return
        with self._told(key):
            if self.folder is not None:
                _write_whole(self.folder / key, data)
            else:
                self._pipe(self._path(key), data)
        try:
            self.get(key)
        except ArchiveError as error:
            raise ArchiveError("transient", f"what was stored can't be read back: {error}") from error

    def get(self, key: str) -> bytes:
        """The whole content, checked.

        Raises:
            NoSuchMedium: there is none of that key.
            ArchiveError: transient: it can't be read; permanent: it is damaged.
        """
        path = self._path(key)
        with self._told(key):
            data: bytes = self._files.cat_file(path)
        if hashlib.sha256(data).hexdigest() != Path(key).stem:
            raise ArchiveError("permanent", f"{key} in {self._where} is damaged: {len(data)} bytes of another hash")
        return data

    def range(self, key: str, start: int, end: int | None) -> bytes:
        """The bytes from ``start`` to before ``end``, unchecked; fewer where the content ends before.

        Raises:
            NoSuchMedium: there is none of that key.
            ArchiveError: it can't be read.
            ValueError: a negative number.
        """
        if start < 0 or (end is not None and end < 0):
            raise ValueError(f"a range is counted from the beginning, not {start} to {end}")
        path = self._path(key)
        with self._told(key):
            found: bytes = self._files.cat_file(path, start, end) if end is None or end > start else b""
            return found

    def size(self, key: str) -> int:
        """How many bytes there are.

        Raises:
            NoSuchMedium: there is none of that key.
            ArchiveError: it can't be read.
        """
        path = self._path(key)
        with self._told(key):
            return int(self._files.size(path))

    def file(self, key: str) -> Path | None:
        """The file of a key, if it is in a folder of this machine."""
        path = self.folder / key if self.folder is not None and _KEY.fullmatch(key) else None
        return path if path is not None and path.is_file() else None

    def _pipe(self, path: str, data: bytes) -> None:
        try:
            self._files.pipe_file(path, data)
        except FileNotFoundError:  # a storage with folders; others would be asked for nothing
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, data)

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise NoSuchMedium(key)
        return f"{self._root}/{key}"

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NoSuchMedium(key) from None
        except Exception as error:  # each kind of storage has its own errors
            what = f"{type(error).__name__}: {error}"
            raise ArchiveError("transient", f"{key} in {self._where}: {what}") from error


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem[:16]}.{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _bare(url: str) -> str:
    """An address without a name and password."""
    return re.sub(r"//[^/@]*@", "//", url)
