"""Copying files whose content is known beforehand: checked while they are copied, whole or absent.

Here belongs nothing that knows what a backup is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from panic_assets.lake.durable import temporary
from panic_assets.lake.errors import CorruptPart
from panic_assets.lake.manifest import Part
from panic_assets.lake.parts import check_content
from panic_assets.upkeep.backup_format import Stored

_BLOCK = 2**20


@contextmanager
def open_part(folder: Path, part: Part) -> Iterator[IO[bytes]]:
    """A part of the lake after a look at all of it; it stays readable though it be removed meanwhile.

    Raises:
        CorruptPart: it is missing or damaged.
    """
    try:
        with open(folder / part.file, "rb") as file:
            if digest(file) != part.checksum:
                check_content(folder, part)
            file.seek(0)
            yield file
    except FileNotFoundError:
        raise CorruptPart(folder / part.file, f"{part.bytes} bytes", "no file") from None


def copy_checked(source: Path, path: Path, wanted: Stored) -> None:
    """Copy a file, durably, under a name that is there when it is whole; the folder is to be synced by the caller.

    Raises:
        CorruptPart: ``source`` is missing or is not what is wanted; nothing is left.
        OSError: ``path`` can't be written; nothing is left.
    """
    if not source.exists():
        raise CorruptPart(source, f"{wanted.bytes} bytes with checksum {wanted.checksum}", "no file")
    with open(source, "rb") as file:
        write_checked(file, path, wanted, source)


def write_checked(file: IO[bytes], path: Path, wanted: Stored, source: Path) -> None:
    """The same from an open file; ``source`` is named in errors."""
    aside, size, found = temporary(path), 0, hashlib.blake2b(digest_size=16)
    try:
        with open(aside, "wb") as out:
            while block := file.read(_BLOCK):
                size += len(block)
                if size > wanted.bytes:
                    break
                found.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if (size, found.hexdigest()) != (wanted.bytes, wanted.checksum):
            raise CorruptPart(
                source, f"{wanted.bytes} bytes with checksum {wanted.checksum}", f"{size} with {found.hexdigest()}"
            )
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def digest(file: IO[bytes]) -> str:
    """blake2b-128 of the rest of a file."""
    found = hashlib.blake2b(digest_size=16)
    while block := file.read(_BLOCK):
        found.update(block)
    return found.hexdigest()


def space_left(folder: Path) -> int:
    """Bytes that are free where ``folder`` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
