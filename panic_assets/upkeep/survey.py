"""The survey of a partition's files: manifest, parts, what else lies in the folder.

Here belongs what can be told of a folder alone, without its rows' meaning. What rows must be belongs to ``contents``
and ``truths``. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from panic_assets.lake import Lake
from panic_assets.lake.durable import TEMPORARY
from panic_assets.lake.errors import CorruptPart, LakeError
from panic_assets.lake.locks import holder_of
from panic_assets.lake.manifest import MANIFEST, Manifest, Part, load_manifest
from panic_assets.lake.parts import check_content, check_size
from panic_assets.lake.quarantine import checksum_of
from panic_assets.lake.removal import DELETED, deleted_parts
from panic_assets.lake.schemas import VECTOR, TableSpec, table_spec
from panic_assets.lake.writer import LOCK
from panic_assets.upkeep.findings import Finding, Severity, about

AGAIN = "panic doctor --fix"
UPGRADE = "upgrade panic_assets"


@dataclass
class Surveyed:
    """A partition: its manifest with the parts that can be read alone, and what was found.

    ``manifest`` is None where there is none, or none that can be trusted. ``writer`` is the process that holds the
    lock. ``all_parts`` are those the manifest names, damaged ones included.
    """

    table: str
    key: str | None
    folder: Path
    manifest: Manifest | None = None
    all_parts: tuple[Part, ...] = ()
    writer: int | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def spec(self) -> TableSpec:
        """The declaration of its table."""
        return table_spec(self.table)

    def note(self, rule: str, severity: Severity, message: str, remedy: str, bad: tuple[str, ...] = ()) -> None:
        """Add a finding; ``bad`` are names of files in the folder."""
        path = self.folder / bad[0] if len(bad) == 1 else self.folder
        examples = tuple({"file": name} for name in bad[:5])
        self.findings.append(
            about(
                (self.table, self.key),
                Finding(rule, severity, message, remedy, path=path, count=max(1, len(bad)), examples=examples, bad=bad),
            )
        )


def survey(
    lake: Lake, table: str, key: str | None, quick: bool = False, on_bytes: Callable[[int], None] | None = None
) -> Surveyed:
    """Look at one partition; ``on_bytes`` is told of each part's size when it was read."""
    found = Surveyed(table, key, lake.folder(table, key))
    found.writer = holder_of(found.folder / LOCK)
    names = sorted(path.name for path in found.folder.iterdir()) if found.folder.is_dir() else []
    try:
        manifest = load_manifest(found.folder)
    except CorruptPart as error:
        found.note("manifest_is_whole", "broken", _short(error), f"{AGAIN} makes it again of its parts", (MANIFEST,))
        return found
    except LakeError as error:  # of a newer version
        found.note("manifest_is_of_this_version", "broken", str(error), UPGRADE, (MANIFEST,))
        return found
    if manifest is None:
        _without_manifest(found, names)
        return found
    flaw = _flaw(manifest, table, key)
    if flaw:
        found.note("manifest_is_whole", "broken", flaw, f"{AGAIN} makes it again of its parts", (MANIFEST,))
        return found
    sound = []
    for part in manifest.parts:
        if _look_at(found, part, quick):
            sound.append(part)
        if on_bytes:
            on_bytes(part.bytes)
    found.manifest, found.all_parts = replace(manifest, parts=tuple(sound)), manifest.parts
    listed = {part.file for part in manifest.parts} | {entry.file for entry in manifest.retired}
    _strays(found, names, listed)
    return found


def part_of(spec: TableSpec, key: str | None, path: Path) -> Part:
    """A part as its own bytes describe it, every page of it read.

    Raises:
        CorruptPart: it is not a sound part of this partition.
    """
    expected = f"a part of table {spec.name}"
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
            flaw = schema_flaw(spec, schema)
            if flaw or not rows:
                raise CorruptPart(path, expected, flaw or "no rows")
            for number in range(parquet.num_row_groups):
                parquet.read_row_group(number)
            labels = {name: list(_values(parquet, name)) for name in _labels(spec, {})}
    except (pa.ArrowException, OSError) as error:
        raise CorruptPart(path, expected, f"a file that can't be read: {error}") from error
    mixed = [name for name, values in labels.items() if len(values) != 1 or values[0] is None]
    if mixed or (spec.partition is not None and labels[spec.partition] != [key]):
        raise CorruptPart(path, expected, f"values of {', '.join(mixed) or spec.partition} that don't belong there")
    version = int((schema.metadata or {}).get(b"schema_version", b"0"))
    own = {name: str(values[0]) for name, values in labels.items() if name != spec.partition}
    return Part(path.name, rows, path.stat().st_size, checksum_of(path), version, own, _dimension(spec, schema))


def schema_flaw(spec: TableSpec, schema: pa.Schema) -> str | None:
    """What is wrong with the columns of a file, None if they are those of the table or of an older version of it."""
    metadata = schema.metadata or {}
    if metadata.get(b"table") != spec.name.encode():
        return f"rows of table {metadata.get(b'table', b'?').decode(errors='replace')!r}"
    version = metadata.get(b"schema_version", b"")
    if not version.isdigit():
        return f"schema version {version!r}"
    for column in spec.columns:
        place = schema.get_field_index(column.name)
        if place < 0 and not column.nullable:
            return f"no column {column.name}"
        if place < 0:
            continue
        kind = schema.field(place).type
        as_vector = pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()
        if not (as_vector if column.type is VECTOR else kind == column.type):
            return f"column {column.name} of type {kind}, not {column.type}"
    for name in schema.names:
        if name not in spec.names:
            return f"a column {name!r} that the table does not have"
    return None


def _without_manifest(found: Surveyed, names: list[str]) -> None:
    listed: set[str] = set()
    if DELETED in names:
        try:
            listed = {entry.file for entry in deleted_parts(found.folder)}
        except CorruptPart as error:
            remedy = f"{AGAIN} puts it aside with the parts beside it"
            found.note("deletion_is_on_record", "broken", _short(error), remedy, (DELETED,))
            return
    elif any(name.endswith(".parquet") for name in names) and found.writer is None:
        message = "the folder holds parts and no manifest that names them, so that no reader sees them"
        found.note("manifest_is_there", "broken", message, f"{AGAIN} makes it of the parts", (MANIFEST,))
        names = [name for name in names if not name.endswith(".parquet")]
    _strays(found, names, listed)


def _strays(found: Surveyed, names: list[str], listed: set[str]) -> None:
    """Files that nobody names. A living writer's are its own business."""
    if found.writer is not None:
        return
    others = [name for name in names if name not in {MANIFEST, LOCK, DELETED, *listed}]
    left = tuple(name for name in others if TEMPORARY in name)
    unlisted = tuple(name for name in others if name.endswith(".parquet") and name not in left)
    unknown = tuple(name for name in others if name not in left and name not in unlisted)
    aside = f"{AGAIN} puts them aside; the next writer would remove them"
    if left:
        found.note("no_file_is_left_over", "hint", "temporary files of a writer that died", aside, left)
    if unlisted:
        found.note(
            "every_part_is_listed", "hint", "parts that the manifest does not name: never committed", aside, unlisted
        )
    if unknown:
        found.note(
            "every_file_is_known", "hint", "files that are none of the lake's", f"{AGAIN} puts them aside", unknown
        )


def _look_at(found: Surveyed, part: Part, quick: bool) -> bool:
    """Whether a part can be read by its declaration; notes what is wrong with it or with what is said of it."""
    spec, bad = found.spec, (part.file,)
    aside = f"{AGAIN} puts it aside and plans anew what it held"
    try:
        path = (check_size if quick else check_content)(found.folder, part)
    except CorruptPart as error:
        is_there = (found.folder / part.file).exists()
        rule = "parts_are_as_committed" if is_there else "every_part_is_there"
        found.note(rule, "broken", _short(error), aside, bad)
        return False
    except OSError as error:
        found.note("parts_can_be_read", "broken", f"can't be read: {error}", aside, bad)
        return False
    try:
        with pq.ParquetFile(path) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
            version = (schema.metadata or {}).get(b"schema_version", b"")
            if version.isdigit() and int(version) > spec.schema_version:
                message = f"schema version {int(version)}; this version of panic_assets knows {spec.schema_version}"
                found.note("parts_are_of_this_version", "broken", message, UPGRADE, bad)
                return False
            flaw = schema_flaw(spec, schema)
            if flaw:
                found.note("parts_have_the_columns_of_their_table", "broken", flaw, aside, bad)
                return False
            told = (part.rows, part.dimension, part.schema_version)
            own = (rows, _dimension(spec, schema), int(version))
            if told != own:
                message = f"the manifest says (rows, dimension, schema version) {told}, the part holds {own}"
                found.note("manifest_describes_its_parts", "broken", message, f"{AGAIN} corrects the manifest", bad)
            return _labels_hold(found, part, parquet, aside)
    except (pa.ArrowException, OSError, ValueError) as error:
        found.note("parts_can_be_read", "broken", f"its checksum is right, but it can't be read: {error}", aside, bad)
        return False


def _labels_hold(found: Surveyed, part: Part, parquet: pq.ParquetFile, aside: str) -> bool:
    for name, label in _labels(found.spec, part.labels).items():
        is_key = name == found.spec.partition
        expected = found.key if is_key else label
        values = set(_values(parquet, name))
        if values == {expected}:
            continue
        shown = ", ".join(sorted(map(repr, values))[:3])
        if not is_key and len(values) == 1 and None not in values:
            message = f"the manifest says {name} {expected!r}, all rows say {shown}"
            found.note(
                "manifest_describes_its_parts", "broken", message, f"{AGAIN} corrects the manifest", (part.file,)
            )
            continue
        found.note("labels_are_true", "broken", f"{name} must be {expected!r}; rows say {shown}", aside, (part.file,))
        return False
    return True


def _labels(spec: TableSpec, labels: dict[str, str]) -> dict[str, str | None]:
    """Columns that must hold one value in a part, with the value that the manifest says."""
    partition: dict[str, str | None] = {spec.partition: None} if spec.partition is not None else {}
    return partition | {name: labels.get(name) for name in (*spec.labels, *labels)}


def _values(parquet: pq.ParquetFile, name: str) -> Iterator[object]:
    """Distinct values of a column, from statistics where these say that there is one."""
    seen: set[object] = set()
    place = parquet.schema_arrow.names.index(name)
    flat = [parquet.metadata.schema.column(n).path for n in range(parquet.metadata.num_columns)].index(name)
    assert place >= 0
    for number in range(parquet.num_row_groups):
        statistics = parquet.metadata.row_group(number).column(flat).statistics
        if statistics is not None and statistics.has_min_max and statistics.min == statistics.max:
            values: list[object] = [statistics.min, *([None] if statistics.null_count else [])]
        else:
            values = pc.unique(parquet.read_row_group(number, columns=[name]).column(0)).to_pylist()
        yield from (value for value in values if value not in seen)
        seen.update(values)


def _dimension(spec: TableSpec, schema: pa.Schema) -> int | None:
    return int(schema.field(spec.vector).type.list_size) if spec.vector else None


def _flaw(manifest: Manifest, table: str, key: str | None) -> str | None:
    """What is wrong with a manifest that is one."""
    if (manifest.table, manifest.experiment) != (table, key):
        return f"the manifest is that of table {manifest.table!r}, key {manifest.experiment!r}"
    if not isinstance(manifest.generation, int) or not isinstance(manifest.properties, dict):
        return "the manifest has a generation or properties of a wrong type"
    kinds = {"file": str, "rows": int, "bytes": int, "checksum": str, "schema_version": int, "labels": dict}
    for part in manifest.parts:
        wrong = [name for name, kind in kinds.items() if not isinstance(getattr(part, name), kind)]
        if wrong or "/" in part.file or not part.file:
            return f"the manifest's entry {part.file!r} has a wrong {', '.join(wrong) or 'name'}"
    if len({part.file for part in manifest.parts}) != len(manifest.parts):
        return "the manifest names a part twice"
    if any(not isinstance(entry.file, str) or not isinstance(entry.at, int | float) for entry in manifest.retired):
        return "the manifest has a dropped part of a wrong type"
    return None


def _short(error: CorruptPart) -> str:
    """What an error says is wrong, without its remedy: ours is another."""
    return str(error).split(". Put the file back")[0].removeprefix(f"{error.path}: ")
