"""Where a backup is read from: a folder, a tar file or a compressed one, none of them trusted.

Here belongs opening files by the names that ``backup.json`` lists, refusing all others, and checking their content.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from panic_assets.upkeep.backup_format import DOCUMENT, Backup, BackupError, Stored, read_document
from panic_assets.upkeep.copying import digest

_DOCUMENT_BYTES = 2**30


class Source(Protocol):
    """A backup that can be read; ``place`` names it in messages."""

    place: Path
    backup: Backup

    def open(self, name: str) -> IO[bytes]:
        """A file that the backup lists, for reading; raises BackupError if it is missing."""


@dataclass(frozen=True)
class Verified:
    """What a look at every byte found: ``damaged`` files, each with what is wrong."""

    backup: Backup
    damaged: dict[str, str]


def verify(source: Source, on_progress: Callable[[int, int], None] | None = None) -> Verified:
    """Read all files of a backup and compare sizes and checksums."""
    damaged = {}
    for number, (name, wanted) in enumerate(sorted(source.backup.files.items()), 1):
        problem = _problem(source, name, wanted)
        if problem:
            damaged[name] = problem
        if on_progress:
            on_progress(number, len(source.backup.files))
    return Verified(source.backup, damaged)


def _problem(source: Source, name: str, wanted: Stored) -> str | None:
    try:
        with source.open(name) as file:
            found = digest(file)
    except (BackupError, OSError, tarfile.TarError) as error:
        return str(error)
    return None if found == wanted.checksum else f"expected checksum {wanted.checksum}, found {found}"


@contextmanager
def open_source(place: Path) -> Iterator[Source]:
    """The backup at a place.

    A compressed one is unpacked into the folder for temporary files meanwhile (``$TMPDIR``).

    Raises:
        BackupError: there is none, it is damaged, of a newer version, or holds what no backup holds.
    """
    place = place.absolute()
    if place.is_dir():
        yield FolderSource(place)
    elif not place.exists():
        raise BackupError(
            f"there is no backup at {place}; name a folder, a .tar or a .tar.zst that `panic backup` wrote"
        )
    elif place.suffix == ".zst":
        with tempfile.TemporaryDirectory(prefix="panic-restore-") as folder:
            unpacked = Path(folder) / "backup.tar"
            _unpack(place, unpacked)
            with _opened(place, unpacked) as source:
                yield source
    else:
        with _opened(place, place) as source:
            yield source


class FolderSource:
    """A folder with a ``backup.json``."""

    def __init__(self, folder: Path) -> None:
        self.place = folder
        document = folder / DOCUMENT
        if not document.is_file():
            raise BackupError(f"{folder} holds no {DOCUMENT}: it is no backup, or its first one was not finished")
        self.backup = read_document(document.read_bytes(), str(document))

    def open(self, name: str) -> IO[bytes]:
        """A file of the folder; links lead out of it and are none."""
        path = self.place / name
        if path.is_symlink() or not path.is_file():
            raise BackupError(f"{path} is missing")
        return open(path, "rb")


class TarSource:
    """A tar file whose members are the document and what it lists."""

    def __init__(self, place: Path, tar: tarfile.TarFile) -> None:
        self.place, self._tar = place, tar
        self._members: dict[str, tarfile.TarInfo] = {}
        for member in tar:
            if not member.isreg() or member.name in self._members:
                what = "comes twice" if member.isreg() else "is a link, a folder or a device"
                raise BackupError(f"{place}: {member.name!r} {what}, which no backup holds; don't trust this file")
            self._members[member.name] = member
        if DOCUMENT not in self._members:
            raise BackupError(f"{place} holds no {DOCUMENT}: it is no backup, or was cut off")
        if self._members[DOCUMENT].size > _DOCUMENT_BYTES:
            raise BackupError(f"{place}: its {DOCUMENT} is larger than any; don't trust this file")
        self.backup = read_document(self.open(DOCUMENT).read(), f"{place}: {DOCUMENT}")
        for name in self._members:
            if name != DOCUMENT and name not in self.backup.files:
                raise BackupError(f"{place}: {name!r} is not listed in its {DOCUMENT}; don't trust this file")

    def open(self, name: str) -> IO[bytes]:
        """A member."""
        member = self._members.get(name)
        file = self._tar.extractfile(member) if member else None
        if file is None:
            raise BackupError(f"{self.place}: {name} is missing")
        return file


@contextmanager
def _opened(place: Path, path: Path) -> Iterator[TarSource]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield TarSource(place, tar)
    except tarfile.TarError as error:
        raise BackupError(f"{place} is no tar file that can be read ({error}); take another backup") from error


def _unpack(place: Path, target: Path) -> None:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.OSFile(str(place)), "zstd") as packed, open(target, "wb") as out:
            shutil.copyfileobj(packed, out, 2**20)
    except OSError as error:
        raise BackupError(
            f"{place} could not be unpacked into {target.parent}: {error}; take another backup, or set TMPDIR to a "
            "folder with more space"
        ) from error
