"""Where a backup is written: a folder that grows by what is new, or a tar file that is written aside.

Here belongs the copying of bytes, checked while they are copied, and the last step that makes a backup count. What is
copied is decided in ``backup``.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from panic_assets.lake.durable import TEMPORARY, replace_file, sync_folder, temporary
from panic_assets.lake.errors import LakeWriteError
from panic_assets.lake.locks import locked
from panic_assets.lake.manifest import Part
from panic_assets.lake.parts import check_content
from panic_assets.upkeep.backup_format import (
    DOCUMENT,
    Backup,
    BackupError,
    Stored,
    checksum_of,
    read_document,
    stored_name,
    write_document,
)
from panic_assets.upkeep.copying import copy_checked, digest, open_part
from panic_assets.upkeep.temporary import dead_files_beside

_LOCK = ".lock"
ARCHIVES = (".tar", ".tar.zst")


class Store(Protocol):
    """What `backup` writes to; a context manager that leaves the target as it was unless `finish` was called.

    ``files`` are those that are there for the next `finish`; ``copied`` and ``copied_bytes`` count what was written.
    ``takes_back``: whether what is not listed in the end is removed.
    """

    previous: Backup | None
    files: dict[str, Stored]
    copied: int
    copied_bytes: int
    takes_back: bool

    def __enter__(self) -> Store:
        """Take the target."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the target back."""

    def add_part(self, name: str, folder: Path, part: Part) -> None:
        """Copy a part of the lake, unless it is there; raises CorruptPart if it is missing or damaged."""

    def add(self, place: str, content: bytes) -> str:
        """Store another file, unless it is there; gives its name in the backup."""

    def finish(self, backup: Backup) -> None:
        """Make the backup count."""


def store_for(target: Path, link: bool = False) -> Store:
    """The store of a target: a tar file where its name says so, else a folder.

    Raises:
        BackupError: the name is that of another kind of file.
    """
    if target.name.lower().endswith(ARCHIVES):
        if link:
            raise BackupError(f"{target}: a tar file can't hold links; leave --link out, or name a folder")
        return TarStore(target)
    if target.suffix.lower() in (".gz", ".tgz", ".zip", ".xz", ".zst", ".bz2") or target.is_file():
        raise BackupError(f"{target}: a backup is a folder, a .tar or a .tar.zst; name it so")
    return FolderStore(target, link)


@contextmanager
def _describing(target: Path) -> Iterator[None]:
    """Tell errors of the disk as those of this backup."""
    try:
        yield
    except LakeWriteError as error:
        raise BackupError(f"{target}: {str(error).replace('Earlier commits are intact', _AS_BEFORE)}") from error
    except (OSError, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BackupError(f"{target} could not be written: {reason}. {_AS_BEFORE}; {_REMEDY}") from error


_AS_BEFORE = "What was there is as before"
_REMEDY = "free space there or choose another place, then run again"


class FolderStore:
    """A folder. Files keep their names for ever, so that another backup copies what is new alone."""

    takes_back = True

    def __init__(self, target: Path, link: bool = False) -> None:
        self._target, self._link = target, link
        self._held = ExitStack()
        self._made: list[Path] = []
        self.previous: Backup | None = None
        self.files: dict[str, Stored] = {}
        self.copied = self.copied_bytes = 0

    def __enter__(self) -> FolderStore:
        """Take the folder.

        Raises:
            BackupError: it holds something else, or a backup that can't be read.
            PartitionLocked: another process is writing to it.
        """
        document = self._target / DOCUMENT
        with _describing(self._target):
            if self._target.is_dir() and not document.exists():
                others = sorted(path.name for path in self._target.iterdir())
                if (
                    not set(others) <= {_LOCK, "lake", "files", f"{DOCUMENT}{TEMPORARY}"}
                    and not (self._target / _LOCK).exists()
                ):
                    raise BackupError(f"{self._target} holds {others[0]} and is no backup; name a new or empty folder")
            self._target.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(locked(self._target / _LOCK))
            if document.exists():
                self.previous = read_document(document.read_bytes(), str(document))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take away what was copied in vain; a killed process leaves it, and the next backup uses it."""
        for path in self._made:
            with suppress(OSError):
                path.unlink()
        if self._made or (error is not None and self.previous is None):
            self._remove_empty()
        self._held.close()
        if error is not None and self.previous is None:
            with suppress(OSError):
                (self._target / _LOCK).unlink()
                self._target.rmdir()

    def add_part(self, name: str, folder: Path, part: Part) -> None:
        """Copy or link a part, unless it is there."""
        path, wanted = self._target / name, Stored(part.bytes, part.checksum)
        self.files[name] = wanted
        if self._is_there(path, name, wanted):
            return
        with _describing(self._target):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.append(path)
            if self._link:
                check_content(folder, part)
                path.unlink(missing_ok=True)
                os.link(folder / part.file, path)
            else:
                copy_checked(folder / part.file, path, wanted)
        self.copied, self.copied_bytes = self.copied + 1, self.copied_bytes + part.bytes

    def add(self, place: str, content: bytes) -> str:
        """Store another file, unless it is there."""
        stored = Stored(len(content), checksum_of(content))
        name = stored_name(place, stored.checksum)
        self.files[name] = stored
        path = self._target / name
        if not self._is_there(path, name, stored):
            with _describing(self._target):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._made.append(path)
                replace_file(path, content)
            self.copied, self.copied_bytes = self.copied + 1, self.copied_bytes + len(content)
        return name

    def finish(self, backup: Backup) -> None:
        """Put the document in place, then remove what it does not list."""
        with _describing(self._target):
            for folder in {path.parent for path in self._made}:
                sync_folder(folder)
            replace_file(self._target / DOCUMENT, write_document(backup))
        self._made, self.previous = [], backup
        for kind in ("lake", "files"):
            for path in [path for path in (self._target / kind).rglob("*") if path.is_file()]:
                if path.relative_to(self._target).as_posix() not in backup.files:
                    path.unlink(missing_ok=True)
        self._remove_empty()

    def _is_there(self, path: Path, name: str, wanted: Stored) -> bool:
        try:
            if path.stat().st_size != wanted.bytes:
                return False
        except FileNotFoundError:
            return False
        if self.previous is not None and self.previous.files.get(name) == wanted:
            return True
        with open(path, "rb") as file:  # a killed process may have left it
            return digest(file) == wanted.checksum

    def _remove_empty(self) -> None:
        for kind in ("lake", "files"):
            for folder, _, _ in os.walk(self._target / kind, topdown=False):
                with suppress(OSError):
                    os.rmdir(folder)


class _Counted:
    """What tarfile wants of a file, over a stream that can't tell how far it is."""

    def __init__(self, sink: Any) -> None:
        self._sink, self._size = sink, 0

    def write(self, data: bytes) -> int:
        self._sink.write(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size


class TarStore:
    """A tar file, or one compressed by zstandard; written aside under a temporary name."""

    takes_back = False

    def __init__(self, target: Path) -> None:
        self._target = target
        self._aside = temporary(target.with_name(f".{target.name}"))
        self._held = ExitStack()
        self.previous: Backup | None = None
        self.files: dict[str, Stored] = {}
        self.copied = self.copied_bytes = 0

    def __enter__(self) -> TarStore:
        """Begin the file, and remove what dead processes left of earlier ones."""
        with _describing(self._target):
            if self._target.is_dir():
                raise BackupError(f"{self._target} is a folder; name a file")
            self._target.parent.mkdir(parents=True, exist_ok=True)
            for path in dead_files_beside(self._target):
                path.unlink(missing_ok=True)
            self._file: IO[bytes] = self._held.enter_context(open(self._aside, "wb"))
            self._tar = self._open()
        return self

    def _open(self) -> tarfile.TarFile:
        self._sink: Any = self._file
        if self._target.suffix == ".zst":
            import pyarrow as pa

            self._sink = pa.CompressedOutputStream(pa.PythonFile(self._file, mode="w"), "zstd")
        return tarfile.open(fileobj=_Counted(self._sink), mode="w", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what is not finished."""
        with suppress(OSError):
            self._held.close()
        with suppress(OSError):
            self._aside.unlink()

    def add_part(self, name: str, folder: Path, part: Part) -> None:
        """Append a part, unless it is there."""
        if name not in self.files:
            with open_part(folder, part) as file:
                self._append(name, file, Stored(part.bytes, part.checksum))

    def add(self, place: str, content: bytes) -> str:
        """Append another file, unless it is there."""
        stored = Stored(len(content), checksum_of(content))
        name = stored_name(place, stored.checksum)
        if name not in self.files:
            self._append(name, io.BytesIO(content), stored)
        return name

    def finish(self, backup: Backup) -> None:
        """Append the document, close the file and put it in place."""
        content = write_document(backup)
        self._append(DOCUMENT, io.BytesIO(content), Stored(len(content), ""))
        with _describing(self._target):
            self._tar.close()
            if self._target.suffix == ".zst":
                self._sink.close()
            if not self._file.closed:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._held.close()
            os.replace(self._aside, self._target)
            sync_folder(self._target.parent)

    def _append(self, name: str, file: IO[bytes], stored: Stored) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = stored.bytes, 0o644, int(time.time())
        with _describing(self._target):
            self._tar.addfile(info, file)
        self.files[name] = stored
        self.copied, self.copied_bytes = self.copied + 1, self.copied_bytes + stored.bytes
