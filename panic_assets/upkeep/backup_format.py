"""The form of a backup: ``backup.json`` and the names of the files that it lists.

Here belongs reading and writing that document, and mistrust of what it says. Files are copied by ``backup_stores`` and
read by ``backup_sources``.

A backup is a folder or a tar file. ``lake/TABLE/experiment=KEY/PART`` and ``lake/TABLE/study=KEY/PART`` are parts as
they lie in the lake;
``files/CHECKSUM-NAME`` are all others. What counts is what ``backup.json`` lists, which is written last.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from panic_assets.errors import PanicError
from panic_assets.lake.manifest import Manifest, Part
from panic_assets.lake.schemas import TABLES
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY

FORMAT = 1
DOCUMENT = "backup.json"
#: What a partition is of, in words.
A = {EXPERIMENT_KEY: "an experiment", STUDY_KEY: "a study"}
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.parquet")
_STORED = re.compile(r"files/[0-9a-f]{32}-[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PLACE = re.compile(
    r"((experiments|studies)/[^/\\\0]+\.(yaml|yml|json)|models\.yaml|remote_code\.yaml|dagster/[A-Za-z0-9_./-]+\.db"
    r"|training/events\.db|training/[a-z0-9][a-z0-9_-]*/(optuna\.db|trials/[A-Za-z0-9_-]+\.(json|safetensors)))"
)


class BackupError(PanicError):
    """A backup that can't be made, read or restored: which file, what is wrong, what would be right."""


@dataclass(frozen=True)
class Stored:
    """A file of the backup: its size, and blake2b-128 of its content in hexadecimal."""

    bytes: int
    checksum: str


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    ``partitions`` are manifests without retired parts. ``documents`` maps paths below the data directory (and
    ``dagster/...``) to stored names. ``is_whole``: all experiments of the lake at one moment, clusters included.
    """

    created_at: str
    tool: str
    is_whole: bool
    partitions: tuple[Manifest, ...]
    documents: dict[str, str]
    files: dict[str, Stored]
    notes: tuple[str, ...] = field(default=())

    @property
    def experiments(self) -> list[str]:
        """Experiments that it holds tables of, sorted."""
        return self._keys(EXPERIMENT_KEY)

    @property
    def studies(self) -> list[str]:
        """Studies that it holds tables of, sorted."""
        return self._keys(STUDY_KEY)

    def _keys(self, partition: str) -> list[str]:
        of_kind = (manifest for manifest in self.partitions if TABLES[manifest.table].partition == partition)
        return sorted({str(manifest.experiment) for manifest in of_kind})

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(stored.bytes for stored in self.files.values())


def checksum_of(content: bytes) -> str:
    """blake2b-128 in hexadecimal, as the lake has it of its parts."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def part_name(manifest: Manifest, part: Part) -> str:
    """Where a part lies in a backup."""
    folder = f"lake/{manifest.table}"
    return (
        f"{folder}/{part.file}"
        if manifest.experiment is None
        else f"{folder}/{TABLES[manifest.table].partition}={manifest.experiment}/{part.file}"
    )


def place_of(manifest: Manifest) -> tuple[str, str]:
    """What a partition is of (experiment, study), and the name of that."""
    return str(TABLES[manifest.table].partition), str(manifest.experiment)


def stored_name(place: str, content_checksum: str) -> str:
    """Where another file lies in a backup: its content is in its name, so that one is never replaced."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePosixPath(place).name).lstrip(".-")
    return f"files/{content_checksum}-{plain or 'file'}"


def write_document(backup: Backup) -> bytes:
    """The content of ``backup.json``, with a checksum of itself."""
    values: dict[str, Any] = {
        "format_version": FORMAT,
        "created_at": backup.created_at,
        "tool": backup.tool,
        "is_whole": backup.is_whole,
        "notes": list(backup.notes),
        "documents": backup.documents,
        "partitions": [
            {
                **{name: value for name, value in vars(manifest).items() if name != "retired"},
                "parts": [vars(part) for part in manifest.parts],
            }
            for manifest in backup.partitions
        ],
        "files": {name: vars(stored) for name, stored in sorted(backup.files.items())},
    }
    return json.dumps(values | {"checksum": _own(values)}, indent=1, ensure_ascii=False).encode()


def read_document(content: bytes, where: str) -> Backup:
    """The backup that a ``backup.json`` describes; every name in it is one that this package would have given.

    Raises:
        BackupError: it is damaged, not such a document, or of a newer version.
    """
    try:
        values = json.loads(content)
        version = values["format_version"]
        if not isinstance(version, int) or version > FORMAT:
            raise BackupError(f"{where} has format {version}, this version reads up to {FORMAT}; upgrade panic_assets")
        if values.pop("checksum") != _own(values):
            raise BackupError(f"{where} was altered: its checksum is not that of its content; take another backup")
        backup = Backup(
            str(values["created_at"]),
            str(values["tool"]),
            bool(values["is_whole"]),
            tuple(_manifest(entry, where) for entry in values["partitions"]),
            {str(place): str(name) for place, name in values["documents"].items()},
            {str(name): Stored(int(entry["bytes"]), str(entry["checksum"])) for name, entry in values["files"].items()},
            tuple(map(str, values["notes"])),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackupError(f"{where} is not the document of a backup ({error!r}); take another backup") from error
    _check(backup, where)
    return backup


def _own(values: dict[str, Any]) -> str:
    return checksum_of(json.dumps(values, sort_keys=True).encode())


def _manifest(entry: dict[str, Any], where: str) -> Manifest:
    table, key = entry["table"], entry["experiment"]
    if table not in TABLES:
        raise BackupError(f"{where}: this version has no table {table!r}; upgrade panic_assets")
    newest = max([entry["schema_version"], *(part["schema_version"] for part in entry["parts"])])
    if newest > TABLES[table].schema_version:
        raise BackupError(
            f"{where}: table {table} has schema version {newest}, this version reads up to "
            f"{TABLES[table].schema_version}; upgrade panic_assets"
        )
    if (key is not None) != TABLES[table].partitioned or (key is not None and not _KEY.fullmatch(key)):
        raise BackupError(f"{where}: {key!r} can't be a partition of table {table}; this is no backup of panic_assets")
    parts = tuple(Part(**part) for part in entry["parts"])
    return Manifest(**{**entry, "parts": parts, "retired": ()})


def _check(backup: Backup, where: str) -> None:
    parts = [(part_name(manifest, part), part) for manifest in backup.partitions for part in manifest.parts]
    wrong = [part.file for _, part in parts if not _PART.fullmatch(part.file)]
    wrong += [place for place in backup.documents if not _PLACE.fullmatch(place) or ".." in place]
    named = {name for name, _ in parts}
    wrong += [name for name in backup.files if name not in named and not _STORED.fullmatch(name)]
    if wrong:
        raise BackupError(f"{where} names {wrong[0]!r}, which is no name of a file in a backup; don't trust it")
    missing = [name for name, part in parts if backup.files.get(name) != Stored(part.bytes, part.checksum)]
    missing += [name for name in backup.documents.values() if name not in backup.files]
    if missing:
        raise BackupError(f"{where} doesn't list {missing[0]} as its tables want it; take another backup")
