"""``panic export bundle``: all tables of one experiment as plain Parquet files, for any program and for the archive.

Here belongs which rows go along and what lies beside them: checksums, the meaning of each column, how to read it. Rows
are as in the lake, types included: an infinite death is an infinity, vectors are lists of floats. Pictures that no
other program could read are written anew without loss.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from panic_assets.image_formats import room_of
from panic_assets.lake import TABLES, Lake, TableSpec
from panic_assets.lake.document import section
from panic_assets.lake.images import portable
from panic_assets.reports.export.common import ExportError, Progress, load_runs, silent
from panic_assets.reports.export.provenance import software

FORMAT = 1
#: Tables that tell of experiments: those of studies are left out.
BUNDLED = tuple(name for name, spec in TABLES.items() if not spec.of_study)
_BYTES_AT_ONCE = 64 * 2**20  # of pictures
_README = """\
# Experiment {experiment}

Written by {software}. Every table is one Parquet file in `tables/`; what its columns mean is in `TABLES.md`, sizes
and checksums are in `manifest.json` and `SHA256SUMS` (`sha256sum -c SHA256SUMS`), the experiment as it was asked for is
in `experiment.json`.

Join on `experiment`, `run_number` and `sequence_number`. With DuckDB, in this folder:

    duckdb -c "SELECT r.network, o.stop_reason, count(*) FROM 'tables/runs.parquet' r
               JOIN 'tables/outcomes.parquet' o USING (experiment, run_number) GROUP BY ALL"

With polars: `polars.read_parquet("tables/invocations.parquet")`.

* Clusterings are made over all experiments of a lake. `cluster_assignments` has the rows of this experiment alone,
  `clusterings` and `clusters` are those that they name; the medoid of a cluster may be an output of another experiment.
* {pictures}
"""
_WITH = (
    "`images` holds the pictures in encoded form (column `format`), each once; invocations name them by `image_hash`."
)
_WITHOUT = "The pictures themselves were left out; `image_index` says which there are."


@dataclass(frozen=True)
class Bundled:
    """What was written: its place, rows by table, and the size of all files in bytes."""

    path: Path
    rows: dict[str, int]
    bytes: int


def export_bundle(
    lake: Lake, experiment: str, target: Path, with_images: bool = True, progress: Progress = silent
) -> Bundled:
    """Write the bundle as a folder, or as a tar file where ``target`` ends in ``.tar``; it is whole or absent.

    Each table but the pictures is in memory as a whole while it is written.

    Raises:
        ExportError: no such experiment, ``target`` is there already, or can't be written.
        CorruptPart: a table can't be read.
    """
    if target.exists():
        raise ExportError(f"{target} is there already; remove it, or choose another place")
    if target.suffix.lower() in (".gz", ".tgz", ".zip", ".zst", ".xz", ".parquet"):
        raise ExportError(f"{target}: a bundle is a folder or a .tar, not compressed again as Parquet is; name it so")
    load_runs(lake, experiment)  # tells unknown experiments
    aside = target.with_name(f".{target.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        folder = aside.with_name(aside.name + ".files") if target.suffix == ".tar" else aside
        (folder / "tables").mkdir(parents=True)
        bundled = _fill(lake, experiment, folder, with_images, progress)
        if target.suffix == ".tar":
            _pack(folder, aside, target.stem)
        os.replace(aside, target)
    except OSError as error:
        raise ExportError(f"{target} could not be written: {error.strerror or error}; mend that, then again") from error
    finally:
        for left in (aside, aside.with_name(aside.name + ".files")):
            shutil.rmtree(left, ignore_errors=True)
            with suppress(OSError):
                left.unlink()
    return Bundled(target, bundled[0], bundled[1])


def tables_of(
    lake: Lake, experiment: str, with_images: bool = True
) -> Iterator[tuple[str, TableSpec, Iterator[pa.Table]]]:
    """(name in the bundle, declaration, rows in pieces) of every table that tells of experiments.

    The pieces of a table have the same schema.

    ``image_index`` stands for ``images`` where pictures are left out: the same without the bytes.
    """
    assigned = lake.read("cluster_assignments", columns=["clustering_id"], where={"experiment": experiment})
    clusterings = set(assigned.column(0).to_pylist())
    for name in BUNDLED:
        spec = TABLES[name]
        if name == "images":
            if with_images:
                yield name, spec, _pictures(lake, experiment)
            else:
                columns = [column for column in spec.names if column != "image"]
                yield "image_index", spec, iter([lake.read(name, experiment, columns)])
        elif spec.partitioned:
            yield name, spec, iter([lake.read(name, experiment)])
        elif "experiment" in spec.names:
            yield name, spec, iter([lake.read(name, where={"experiment": experiment})])
        else:
            yield name, spec, iter([lake.read(name, where={"clustering_id": clusterings})])


def _pictures(lake: Lake, experiment: str) -> Iterator[pa.Table]:
    """The pictures in the table's order, of so many runs at once as make about 64 MiB."""
    sizes = lake.read("images", experiment, ["run_number", "byte_size"])
    if not sizes.num_rows:
        yield lake.read("images", experiment)
        return
    runs: list[int] = []
    size = 0
    summed = sizes.group_by("run_number", use_threads=False).aggregate([("byte_size", "sum")]).to_pylist()
    for row in sorted(summed, key=lambda row: row["run_number"]):
        if runs and size + row["byte_size_sum"] > _BYTES_AT_ONCE:
            yield _portable(lake.read("images", experiment, where={"run_number": set(runs)}))
            runs, size = [], 0
        runs.append(row["run_number"])
        size += row["byte_size_sum"]
    yield _portable(lake.read("images", experiment, where={"run_number": set(runs)}))


def _portable(rows: pa.Table) -> pa.Table:
    """The same pictures in formats that any program reads; most tables stay as they are."""
    kinds, contents = (rows.column(name).to_pylist() for name in ("format", "image"))
    if not any(map(room_of, contents)):
        return rows
    made = [portable(kind, content) for kind, content in zip(kinds, contents, strict=True)]
    columns: dict[str, list[Any]] = {
        "format": [kind for kind, _ in made],
        "byte_size": [len(content) for _, content in made],
        "image": [content for _, content in made],
    }
    for name, values in columns.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))
    return rows


def _fill(
    lake: Lake, experiment: str, folder: Path, with_images: bool, progress: Progress
) -> tuple[dict[str, int], int]:
    """Write all files into an empty folder; rows by table, and bytes of all."""
    listed: dict[str, Any] = {}
    meanings = ["# Tables of the bundle", ""]
    progress(0, len(BUNDLED))
    for done, (name, spec, pieces) in enumerate(tables_of(lake, experiment, with_images), 1):
        path = folder / "tables" / f"{name}.parquet"
        rows = _write(path, spec, pieces)
        listed[name] = {
            "file": f"tables/{path.name}",
            "rows": rows,
            "schema_version": spec.schema_version,
            **_checked(path),
        }
        meanings += section(spec)
        progress(done, len(BUNDLED))
    configs = lake.read("experiments", experiment, ["config"]).column(0).to_pylist()
    texts = {
        "TABLES.md": "\n".join(meanings).rstrip() + "\n",
        "README.md": _README.format(
            experiment=experiment, software=software(), pictures=_WITH if with_images else _WITHOUT
        ),
        "experiment.json": json.dumps(json.loads(configs[0]) if configs else None, indent=2, ensure_ascii=False) + "\n",
    }
    others = {}
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
        others[file] = _checked(folder / file)
    manifest = {
        "format": FORMAT,
        "experiment": experiment,
        "software": software(),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "with_images": with_images,
        "tables": listed,
        "files": others,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    every = {entry["file"]: entry for entry in listed.values()} | others
    every["manifest.json"] = _checked(folder / "manifest.json")
    sums = "".join(f"{entry['sha256']}  {file}\n" for file, entry in sorted(every.items()))
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return {name: entry["rows"] for name, entry in listed.items()}, sum(entry["bytes"] for entry in every.values())


def _write(path: Path, spec: TableSpec, pieces: Iterator[pa.Table]) -> int:
    """One table as one file with the lake's own settings; its rows."""
    first = next(pieces)
    options: dict[str, Any] = {"compression": spec.compression, "use_dictionary": spec.dictionary}
    if spec.compression_level is not None:
        options["compression_level"] = spec.compression_level
    rows = 0
    with pq.ParquetWriter(path, first.schema, write_page_checksum=True, **options) as writer:
        for piece in chain([first], pieces):
            writer.write_table(piece.cast(first.schema), row_group_size=spec.row_group_rows)
            rows += piece.num_rows
    return rows


def _checked(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _pack(folder: Path, path: Path, name: str) -> None:
    """A folder as tar under a name, in order; each file is removed as soon as it is in, so that none is there twice."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o644
        return entry

    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            tar.add(file, f"{name}/{file.relative_to(folder)}", filter=plain)
            file.unlink()
