from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from panic_assets.lake import TABLES, Lake
from panic_assets_tests.lake.make import MODELS, in_order, rows


def _written(lake: Lake, table: str, made: list, commits: int) -> list[tuple[str, bytes]]:
    """Write the rows in so many commits, compact, and give labels and bytes of every part."""
    key = "first" if TABLES[table].partitioned else None
    with lake.writer(table, key) as writer:
        for start in range(commits):
            writer.append(made[start::commits])
            writer.commit()
        writer.compact()
    folder = lake.folder(table, key)
    assert not [path for path in folder.iterdir() if "tmp" in path.name]
    manifest = lake.manifest(table, key)
    assert all(part.compacted for part in manifest.parts)
    return [(str(part.labels), (folder / part.file).read_bytes()) for part in manifest.parts]


@pytest.mark.parametrize("table", [name for name, spec in TABLES.items() if spec.key != ("experiment",)])
def test_equal_rows_make_equal_files(tmp_path, table):
    made = rows(table, range(100))
    shuffled = random.Random(7).sample(made, len(made))
    once = _written(Lake(tmp_path / "a"), table, made, 1)
    assert once == _written(Lake(tmp_path / "b"), table, shuffled, 7)
    assert Lake(tmp_path / "b").read(table).to_pylist() == in_order(table, made)
    assert len(once) == (len(MODELS) if TABLES[table].labels else 1)


def test_a_compacted_file_is_in_order_with_small_row_groups_for_pictures(tmp_path):
    lake = Lake(tmp_path)
    made = rows("images", range(100), run_number=0)
    _written(lake, "images", made[::-1], 5)
    (part,) = lake.manifest("images", "first").parts
    file = pq.ParquetFile(lake.folder("images", "first") / part.file)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [32, 32, 32, 4]
    assert file.read(["sequence_number"])["sequence_number"].to_pylist() == list(range(100))
    column = file.metadata.row_group(0).column(TABLES["images"].names.index("image"))
    assert (column.compression, "RLE_DICTIONARY" in column.encodings) == ("UNCOMPRESSED", False)


def test_pictures_are_compacted_in_bounded_memory(tmp_path):
    """48 MB of pictures from interleaved commits never take more memory than a few row groups of 3 MB."""
    lake = Lake(tmp_path)
    size, count, commits = 100_000, 480, 6
    noise = random.Random(3)
    made = rows("images", range(count))
    for number, image in enumerate(made):
        image |= {"image": noise.randbytes(size), "run_number": number % 20, "sequence_number": number // 20}
    with lake.writer("images", "first") as writer:
        for start in range(commits):
            writer.append(made[start * count // commits : (start + 1) * count // commits])
            writer.commit()
        peak = _watch_peak(writer.compact)
    assert peak < 6 * TABLES["images"].row_group_rows * size
    assert lake.read("images").to_pylist() == in_order("images", made)


def _watch_peak(work) -> int:
    """Largest number of bytes that Arrow held for ``work``."""
    old = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(old)
    pa.set_memory_pool(counting)
    try:
        work()
        return counting.max_memory()
    finally:
        pa.set_memory_pool(old)


def test_large_tables_of_pictures_become_several_parts(tmp_path, monkeypatch):
    from dataclasses import replace

    from panic_assets.lake import schemas

    spec = replace(TABLES["images"], part_bytes=10_000, row_group_rows=8)
    monkeypatch.setitem(schemas.TABLES, "images", spec)
    made = rows("images", range(200))
    once = _written(Lake(tmp_path / "a"), "images", made, 1)
    assert once == _written(Lake(tmp_path / "b"), "images", made, 3)
    lake = Lake(tmp_path / "a")
    parts = lake.manifest("images", "first").parts
    assert len(parts) > 1
    assert all(part.bytes < 50_000 for part in parts)
    assert lake.read("images").to_pylist() == in_order("images", made)
    with lake.writer("images", "first") as writer:
        writer.replace([], {"run_number": 150})
        writer.commit()
        assert not any(part.compacted for part in lake.manifest("images", "first").parts), "their bounds moved"
