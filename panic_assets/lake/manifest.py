"""The manifest: the file that says which parts a partition consists of. Replacing it is the commit.

Here belong its form, reading and writing. Which parts it lists is the writer's business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panic_assets.lake.durable import replace_file
from panic_assets.lake.errors import CorruptPart, LakeError

FORMAT_VERSION = 1
MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class Part:
    """One immutable Parquet file.

    ``checksum`` is blake2b-128 of the file in hexadecimal. All rows share ``labels``. ``dimension`` is the size of
    its vectors, None without vectors. ``compacted`` parts are in the table's order, together with their like.
    """

    file: str
    rows: int
    bytes: int
    checksum: str
    schema_version: int
    labels: dict[str, str] = field(default_factory=dict)
    dimension: int | None = None
    compacted: bool = False


@dataclass(frozen=True)
class Retired:
    """A part that is no longer current but may still be read; ``at`` is when it was dropped, in Unix seconds."""

    file: str
    at: float


@dataclass(frozen=True)
class Manifest:
    """State of one partition; ``generation`` grows by one with each commit, 0 is "never committed".

    ``experiment`` is the partition's key: that of an experiment, or in tables of studies that of a study.
    """

    table: str
    experiment: str | None
    generation: int
    schema_version: int
    parts: tuple[Part, ...] = ()
    retired: tuple[Retired, ...] = ()
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in all parts."""
        return sum(part.rows for part in self.parts)


def load_manifest(folder: Path) -> Manifest | None:
    """The partition's manifest; None when nothing was ever committed there.

    Raises:
        CorruptPart: the file is not a manifest.
        LakeError: it was written by a newer version of this package.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        values = json.loads(content)
        version = values.pop("format_version")
        if version > FORMAT_VERSION:
            raise LakeError(
                f"{path} has format {version}, this version reads up to {FORMAT_VERSION}; upgrade panic_assets"
            )
        parts = tuple(Part(**part) for part in values.pop("parts"))
        retired = tuple(Retired(**part) for part in values.pop("retired"))
        return Manifest(parts=parts, retired=retired, **values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptPart(path, "a manifest in JSON", f"{len(content)} bytes that are not one ({error})") from error


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the partition's manifest, durably and atomically.

    Raises:
        LakeWriteError: the disk is full or refuses; the old manifest stands.
    """
    values = {
        "format_version": FORMAT_VERSION,
        **vars(manifest),
        "parts": [vars(part) for part in manifest.parts],
        "retired": [vars(part) for part in manifest.retired],
    }
    replace_file(folder / MANIFEST, json.dumps(values).encode())
