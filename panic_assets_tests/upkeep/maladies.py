"""Maladies: each a corruption of one thing in a healthy lake, with the rule that must name it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from panic_assets.lake import TABLES, Lake, images
from panic_assets.lake.manifest import MANIFEST, load_manifest, save_manifest
from panic_assets.lake.quarantine import checksum_of
from panic_assets_tests.upkeep.ill import NAME, parts, rewritten

Afflict = Callable[[Lake], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Malady:
    """``rule`` must be broken, or hinted at where ``is_hint``. Those of one ``group`` are independent of each other."""

    what: str
    rule: str
    afflict: Afflict
    is_hint: bool = False


def folder(lake: Lake, table: str) -> Path:
    return lake.folder(table, NAME if TABLES[table].partitioned else None)


def flipped(table: str, place: float = 0.5) -> Afflict:
    def afflict(lake: Lake) -> None:
        path = parts(lake, table)[0]
        content = bytearray(path.read_bytes())
        content[int(len(content) * place)] ^= 0x10
        path.write_bytes(content)

    return afflict


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def cut_short(table: str) -> Afflict:
    return lambda lake: shortened(parts(lake, table)[0])


def gone(table: str) -> Afflict:
    return lambda lake: parts(lake, table)[0].unlink()


def manifest(table: str, how: Callable[[Row], object]) -> Afflict:
    """Change the manifest as JSON."""

    def afflict(lake: Lake) -> None:
        path = folder(lake, table) / MANIFEST
        values = json.loads(path.read_bytes())
        how(values)
        path.write_text(json.dumps(values))

    return afflict


def forged(table: str, how: Callable[[pa.Table], pa.Table], part: int = 0) -> Afflict:
    """Replace a part by what no writer would write, with a right checksum."""

    def afflict(lake: Lake) -> None:
        place = folder(lake, table)
        held = load_manifest(place)
        assert held is not None
        old = held.parts[part]
        rows = how(pq.read_table(place / old.file, partitioning=None))
        path = place / f"part-{held.generation + 1:08d}-00000000f0f0.parquet"
        pq.write_table(rows, path, write_page_checksum=True)
        new = dataclasses.replace(
            old, file=path.name, rows=rows.num_rows, bytes=path.stat().st_size, checksum=checksum_of(path)
        )
        entries = tuple(new if entry == old else entry for entry in held.parts)
        save_manifest(place, dataclasses.replace(held, generation=held.generation + 1, parts=entries))
        (place / old.file).unlink()

    return afflict


def column(name: str, how: Callable[[list[Any]], list[Any]], nullable: bool = False) -> Callable[[pa.Table], pa.Table]:
    """A table with other values in one column."""

    def change(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(name)
        field = rows.schema.field(place).with_nullable(nullable or rows.schema.field(place).nullable)
        values = pa.array(how(rows.column(place).to_pylist()), field.type)
        return rows.set_column(place, field, values)

    return change


def edit(table: str, chosen: Callable[[Row], bool], **values: Any) -> Afflict:
    """Give rows other values; functions are called with the row."""

    def how(rows: list[Row]) -> list[Row]:
        assert any(map(chosen, rows))
        return [
            row | {key: value(row) if callable(value) else value for key, value in values.items()}
            if chosen(row)
            else row
            for row in rows
        ]

    return lambda lake: rewritten(lake, table, how)


def drop(table: str, chosen: Callable[[Row], bool]) -> Afflict:
    def how(rows: list[Row]) -> list[Row]:
        kept = [row for row in rows if not chosen(row)]
        assert len(kept) < len(rows)
        return kept

    return lambda lake: rewritten(lake, table, how)


def copied(table: str, chosen: Callable[[Row], bool], **values: Any) -> Afflict:
    return lambda lake: rewritten(lake, table, lambda rows: rows + [row | values for row in rows if chosen(row)])


def at(run: int, place: int | None = None) -> Callable[[Row], bool]:
    return lambda row: row["run_number"] == run and (place is None or row["sequence_number"] == place)


def diagram(row: Row) -> bool:
    return row["run_number"] == 1 and row["embedding_model"] == "DummyText" and row["homology_dimension"] == 0


def _is_first_picture(row: Row) -> bool:
    return bool(row["run_number"] == 0 and row["sequence_number"] == 0)


def _other_pixels(row: Row) -> bytes:
    pixels = images.decode(row["image"])
    pixels[0, 0] ^= 255
    return images.encode(pixels)


def _sized(row: Row) -> Row:
    return row | {"byte_size": len(row["image"])}


def other_pixels(lake: Lake) -> None:
    edit("images", _is_first_picture, image=_other_pixels)(lake)
    rewritten(lake, "images", lambda rows: [_sized(row) for row in rows])


def orphan_picture(lake: Lake) -> None:
    pixels = np.full((8, 8, 3), 77, np.uint8)
    data = images.encode(pixels)
    new = {"image_hash": images.pixel_hash(pixels), "image": data, "byte_size": len(data)}
    rewritten(lake, "images", lambda rows: [*rows, rows[0] | new])


def left_over(name: str, table: str = "invocations") -> Afflict:
    def afflict(lake: Lake) -> None:
        (folder(lake, table) / name).write_bytes(b"half a part")

    return afflict


def unlisted(lake: Lake) -> None:
    path = parts(lake, "embeddings")[0]
    (path.parent / "part-00000099-0123456789ab.parquet").write_bytes(path.read_bytes())


def wider(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("vector")
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False), 3)
    values = pa.array([[1.0, 0.0, 0.0]] * rows.num_rows, kind)
    return rows.set_column(place, pa.field("vector", kind, nullable=False), values)


def as_text(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("sequence_number")
    return rows.set_column(place, pa.field("sequence_number", pa.string()), rows.column(place).cast(pa.string()))


def nan(values: list[Any]) -> list[Any]:
    return [[math.nan] * len(values[0]), *values[1:]]


MALADIES = (
    Malady("a bit flips in invocations", "parts_are_as_committed", flipped("invocations")),
    Malady("a bit flips in a footer", "parts_are_as_committed", flipped("outcomes", 0.99)),
    Malady("vectors are cut short", "parts_are_as_committed", cut_short("embeddings")),
    Malady("pictures are gone", "every_part_is_there", gone("images")),
    Malady("runs are gone", "every_part_is_there", gone("runs")),
    Malady("prompts are gone", "every_part_is_there", gone("prompts")),
    Malady("the description is gone", "every_part_is_there", gone("experiments")),
    Malady("features are gone", "every_part_is_there", gone("persistence_features")),
    Malady("distances are gone", "every_part_is_there", gone("diagram_distances")),
    Malady("an analysis is gone", "every_part_is_there", gone("run_statistics")),
    Malady("clusters are gone", "every_part_is_there", gone("clusters")),
    Malady(
        "a manifest is cut short",
        "manifest_is_whole",
        lambda lake: shortened(folder(lake, "persistence_diagrams") / MANIFEST),
    ),
    Malady("a manifest is gone", "manifest_is_there", lambda lake: (folder(lake, "invocations") / MANIFEST).unlink()),
    Malady("the manifest of another", "manifest_is_whole", manifest("runs", lambda m: m.update(experiment="x"))),
    Malady(
        "a wrong count of rows",
        "manifest_describes_its_parts",
        manifest("images", lambda m: m["parts"][0].update(rows=77)),
    ),
    Malady(
        "a wrong label",
        "manifest_describes_its_parts",
        manifest("embeddings", lambda m: m["parts"][0]["labels"].update(embedding_model="Other")),
    ),
    Malady("a type that is not declared", "parts_have_the_columns_of_their_table", forged("invocations", as_text)),
    Malady(
        "rows of another experiment",
        "labels_are_true",
        forged("outcomes", column("experiment", lambda v: ["x"] * len(v))),
    ),
    Malady("a temporary file", "no_file_is_left_over", left_over("part-1.parquet.tmp-77"), is_hint=True),
    Malady("a part that nobody lists", "every_part_is_listed", unlisted, is_hint=True),
    Malady("a file of nobody", "every_file_is_known", left_over("notes.txt"), is_hint=True),
    Malady("an output is gone", "sequences_are_contiguous", drop("invocations", at(1, 3))),
    Malady("the wrong model", "models_follow_the_ring", edit("invocations", at(1, 4), model="DummyI2T")),
    Malady("the wrong medium", "outputs_are_there", edit("invocations", at(1, 5), type="image")),
    Malady("another identity", "invocations_are_of_their_run", edit("invocations", at(3, 2), invocation_id=b"x" * 16)),
    Malady("another noise", "invocations_are_of_their_run", edit("invocations", at(3, 6), seed=5)),
    Malady("a run of nobody", "models_follow_the_ring", copied("invocations", at(1), run_number=99)),
    Malady("an output twice", "keys_are_unique", copied("invocations", at(1, 2))),
    Malady("an output and another", "keys_are_unique", copied("invocations", at(7, 8), text="else")),
    Malady("a null", "values_are_not_null", forged("invocations", column("type", lambda v: [None, *v[1:]], True))),
    Malady("no picture", "pictures_are_whole", edit("images", _is_first_picture, image=b"RIFF", byte_size=4)),
    Malady("another picture", "pictures_are_whole", other_pixels),
    Malady("a picture of the wrong size", "pictures_are_whole", edit("images", _is_first_picture, width=9)),
    Malady("a picture is gone", "every_image_is_stored", drop("images", _is_first_picture)),
    Malady("a picture that nobody names", "images_are_named", orphan_picture, is_hint=True),
    Malady("a vector that is none", "vectors_are_sound", forged("embeddings", column("vector", nan))),
    Malady("vectors of another dimension", "vectors_are_sound", forged("embeddings", wider)),
    Malady(
        "vectors of another space",
        "a_model_has_one_space",
        edit("embeddings", at(1, 3), space=lambda r: r["space"].replace("@", "@other")),
    ),
    Malady(
        "a vector of no output", "embeddings_have_their_invocation", copied("embeddings", at(2, 0), sequence_number=77)
    ),
    Malady("an outcome that is too long", "outcomes_agree_with_invocations", edit("outcomes", at(0), length=12)),
    Malady(
        "another cycle",
        "cycles_are_true",
        edit("outcomes", at(0), transient_length=lambda r: r["transient_length"] + 1),
    ),
    Malady(
        "a cycle that is not told",
        "outcomes_agree_with_invocations",
        edit("outcomes", at(2), transient_length=None, cycle_length=None),
    ),
    Malady("a cycle that is none", "cycles_are_true", edit("outcomes", at(7), transient_length=2, cycle_length=3)),
    Malady("flags that are none", "flags_are_counted", edit("outcomes", at(1), flagged=4)),
    Malady("a diagram is gone", "every_trajectory_has_its_diagrams", drop("persistence_diagrams", diagram)),
    Malady("a diagram twice", "keys_are_unique", copied("persistence_diagrams", diagram)),
    Malady(
        "a bar that never was",
        "bars_die_after_their_birth",
        edit("persistence_diagrams", diagram, births=[1.0], deaths=[0.5]),
    ),
    Malady("a distance is gone", "marks_are_true", drop("diagram_distances", lambda r: r["run_a"] == 1)),
    Malady(
        "a distance that is none",
        "distances_are_distances",
        edit("diagram_distances", lambda r: r["run_a"] == 1, wasserstein_1=-1.0),
    ),
    Malady("a cluster of none", "assignments_have_their_cluster", edit("cluster_assignments", at(1, 0), cluster=77)),
    Malady(
        "a clustering is gone",
        "assignments_have_their_cluster",
        lambda lake: rewritten(lake, "clusterings", lambda r: r[1:]),
    ),
    Malady("a point is gone", "cluster_sizes_add_up", drop("cluster_assignments", at(1, 0))),
    Malady(
        "a statistic of no run",
        "regimes_is_sound",
        edit("run_statistics", lambda r: r["analysis"] == "regimes" and r["run_number"] == 1, run_number=88),
    ),
    Malady("a run twice", "runs_are_distinct", copied("runs", at(3), run_number=55)),
)
