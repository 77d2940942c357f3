from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from panic_assets.lake import TABLES, CorruptPart, Lake, LakeError, build_catalog, connect, parts, schemas
from panic_assets_tests.lake.make import row, rows


@pytest.fixture
def lake(tmp_path):
    """Two partitions, the first of two parts."""
    lake = Lake(tmp_path / "lake")
    for experiment in ("first", "second"):
        with lake.writer("invocations", experiment) as writer:
            for start in (0, 100):
                writer.append(rows("invocations", range(start, start + 50), experiment))
                writer.commit()
    return lake


def _part(lake: Lake, number: int = 0):
    part = lake.manifest("invocations", "first").parts[number]
    return lake.folder("invocations", "first") / part.file, part


def _shorten(content: bytes) -> bytes:
    return content[:-10]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def test_a_missing_part_is_named(lake):
    path, part = _part(lake)
    path.unlink()
    with pytest.raises(CorruptPart) as caught:
        lake.read("invocations", "first")
    message = str(caught.value)
    assert str(path) in message
    assert f"expected {part.bytes} bytes with checksum {part.checksum}; found no file" in message
    assert "from a backup, or `panic delete first` and run the experiment again" in message
    assert lake.read("invocations", "second").num_rows == 100, "other partitions are not touched by it"
    assert [problem.path for problem in lake.verify("invocations", "first")] == [path]


def test_a_cut_part_is_found_by_its_size(lake):
    path, part = _part(lake, 1)
    path.write_bytes(_shorten(path.read_bytes()))
    with pytest.raises(CorruptPart, match=f"found {part.bytes - 10} bytes"):
        lake.read("invocations", "first", columns=["text"])


def test_an_altered_part_is_found_by_its_checksum(lake):
    path, part = _part(lake)
    path.write_bytes(_flip(path.read_bytes()))
    (problem,) = lake.verify("invocations", "first")
    assert problem.path == path
    assert (
        f"expected {part.bytes} bytes with checksum {part.checksum}; found {part.bytes} bytes with" in problem.message
    )
    assert lake.verify("invocations", "second") == []


def test_any_flipped_byte_of_a_small_part_is_found_by_whoever_reads_it(lake):
    path, part = _part(lake)
    content = path.read_bytes()
    for at in range(0, part.bytes, 97):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(CorruptPart, match="with checksum"):
            lake.read("invocations", "first")


def test_a_flipped_byte_in_the_pages_of_a_large_part_is_found(tmp_path):
    lake = Lake(tmp_path / "lake")
    blob = bytes(range(256)) * 16 * 1024
    with lake.writer("images", "first") as writer:
        writer.append([row("images", 0, "first") | {"image": blob}])
        writer.commit()
    (part,) = lake.manifest("images", "first").parts
    assert part.bytes > parts.SMALL_BYTES
    path = lake.folder("images", "first") / part.file
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(CorruptPart, match="with checksum"):
        lake.read("images", "first")


def test_an_unreadable_part_is_no_arrow_error(lake):
    path, part = _part(lake)
    path.write_bytes(b"x" * part.bytes)
    with pytest.raises(CorruptPart, match="with checksum"):
        lake.read("invocations", "first")
    with pytest.raises(CorruptPart), lake.writer("invocations", "first") as writer:
        writer.compact()
    assert lake.generation("invocations", "first") == 2


def test_a_damaged_partition_can_be_made_anew(lake):
    path, _ = _part(lake)
    path.unlink()
    with lake.writer("invocations", "first") as writer:
        writer.replace(rows("invocations", range(3)), {})
        writer.commit()
    assert lake.read("invocations", "first").num_rows == 3


def test_a_damaged_manifest_is_named(lake):
    path = lake.folder("invocations", "first") / "_manifest.json"
    path.write_text("{")
    with pytest.raises(CorruptPart, match=r"_manifest.json: expected a manifest in JSON"):
        lake.read("invocations", "first")
    (problem,) = lake.verify("invocations", "first")
    assert problem.path == path
    path.write_text('{"format_version": 99}')
    with pytest.raises(LakeError, match="format 99, this version reads up to 1; upgrade"):
        lake.read("invocations", "first")


def test_parts_from_before_a_column_could_be_null_read_beside_those_after(lake, monkeypatch):
    """Parts of another table are written as an older version would have: their column can't be null."""
    spec = TABLES["outcomes"]
    strict = tuple(replace(column, nullable=False) if column.name == "retries" else column for column in spec.columns)
    with monkeypatch.context() as before:
        before.setitem(
            schemas.TABLES, "outcomes", replace(spec, columns=strict, schema_version=spec.schema_version - 1)
        )
        with lake.writer("outcomes", "old") as writer:
            writer.append([row("outcomes", 1, experiment="old")])
            writer.commit()
    with lake.writer("outcomes", "old") as writer:
        writer.append([row("outcomes", 2, experiment="old", retries=None)])
        writer.commit()
    assert lake.read("outcomes", "old")["retries"].to_pylist() == [1, None]
    with connect(lake.root) as connection:
        assert connection.execute("SELECT retries FROM outcomes ORDER BY run_number").fetchall() == [(1,), (None,)]
    with lake.writer("outcomes", "old") as writer:
        writer.compact()
    assert lake.read("outcomes", "old")["retries"].to_pylist() == [1, None]


def test_parts_of_an_older_schema_get_the_new_columns(lake, monkeypatch):
    """A table that gains a nullable column still reads, filters, compacts and shows what was written before."""
    spec = TABLES["invocations"]
    column = schemas.Column("mood", pa.string(), "", "A later idea.", nullable=True)
    monkeypatch.setitem(
        schemas.TABLES,
        "invocations",
        replace(spec, columns=(*spec.columns, column), schema_version=spec.schema_version + 1),
    )
    with lake.writer("invocations", "first") as writer:
        writer.append([row("invocations", 300, mood="bright")])
        writer.commit()
    assert set(lake.read("invocations", "first")["mood"].to_pylist()) == {None, "bright"}
    assert lake.read("invocations", where={"mood": "bright"})["run_number"].to_pylist() == [300]
    assert lake.read("invocations", where={"mood": None}, columns=["text"]).num_rows == 200
    with connect(lake.root) as connection:
        counted = connection.execute("SELECT count(*), count(mood) FROM invocations").fetchall()
    assert counted == [(201, 1)]
    assert build_catalog(lake.root).exists()
    with lake.writer("invocations", "first") as writer:
        writer.compact()
    versions = {part.schema_version for part in lake.manifest("invocations", "first").parts}
    assert versions == {spec.schema_version + 1}
    assert lake.read("invocations", "first").num_rows == 101
