"""Bundles: every row comes back, by any reader, and nothing of other experiments goes along."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from panic_assets.lake import TABLES, Lake
from panic_assets.reports.export import bundle as module
from panic_assets.reports.export.bundle import BUNDLED, export_bundle
from panic_assets.reports.export.common import ExportError
from panic_assets_tests.lake.make import rows
from panic_assets_tests.reports.export.parts import NAME


def expected(lake: Lake, table: str) -> pa.Table:
    """What the lake holds of the experiment, told apart without the bundle's help."""
    whole = lake.read(table)
    if "experiment" in TABLES[table].names:
        return whole.filter(pc.field("experiment") == NAME)
    own = lake.read("cluster_assignments").filter(pc.field("experiment") == NAME)
    return whole.filter(pc.field("clustering_id").isin(own.column("clustering_id").unique()))


@pytest.fixture(scope="module")
def crowded(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake with rows of another experiment in every table, and of this one in those that were empty."""
    import shutil

    root = tmp_path_factory.mktemp("crowded") / "lake"
    shutil.copytree(lake.root, root)
    made = Lake(root)
    for table, spec in TABLES.items():
        wanted = (
            ["other"]
            if made.read(table, where={spec.partition: NAME} if spec.partition else None).num_rows
            else [NAME, "other"]
        )
        for experiment in wanted:
            with made.writer(table, experiment if spec.partitioned else None) as writer:
                writer.append(
                    rows(table, range(5), experiment, **({"run_numbers": [1, 2]} if table == "events" else {}))
                )
                writer.commit()
    return made


@pytest.mark.parametrize("packed", [False, True])
def test_every_table_comes_back(crowded: Lake, tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 300)  # several pieces
    told: list[tuple[int, int]] = []
    target = tmp_path / ("b.tar" if packed else "b")
    done = export_bundle(crowded, NAME, target, progress=lambda *counts: told.append(counts))
    assert told == [(number, len(BUNDLED)) for number in range(len(BUNDLED) + 1)]
    folder = target
    if packed:
        with tarfile.open(target) as tar:
            tar.extractall(tmp_path / "out", filter="data")
        folder = tmp_path / "out" / "b"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert set(done.rows) == set(BUNDLED) == {name for name, spec in TABLES.items() if not spec.of_study}
    for table in BUNDLED:
        wanted = expected(crowded, table)
        assert wanted.num_rows > 0, table
        found = pq.read_table(folder / "tables" / f"{table}.parquet")
        # Over all experiments vectors are of several sizes, and so lists.
        assert found.cast(wanted.schema).equals(wanted), table
        assert done.rows[table] == wanted.num_rows
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert set(sums) == set(files) - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest
    manifest = json.loads(files["manifest.json"].read_text())
    for entry in manifest["tables"].values():
        assert files[entry["file"]].stat().st_size == entry["bytes"]
    meanings = files["TABLES.md"].read_text()
    assert all(column.meaning in meanings for table in BUNDLED for column in TABLES[table].columns)


def test_plain_readers_agree_and_infinite_deaths_stay_infinite(lake: Lake, tmp_path: Path) -> None:
    folder = export_bundle(lake, NAME, tmp_path / "b").path / "tables"
    wanted = lake.read("persistence_diagrams", NAME)
    deaths = wanted.column("deaths").to_pylist()
    infinite = sum(np.isinf(row).sum() for row in deaths)
    assert infinite > 0
    with duckdb.connect() as connection:
        for table in BUNDLED:
            (count,) = connection.execute(f"SELECT count(*) FROM '{folder / table}.parquet'").fetchone()  # type: ignore[misc]
            assert count == expected(lake, table).num_rows == pl.read_parquet(folder / f"{table}.parquet").height
        query = f"SELECT sum(len(list_filter(deaths, lambda x: isinf(x)))) FROM '{folder}/persistence_diagrams.parquet'"
        assert connection.execute(query).fetchall() == [(infinite,)]
        vectors = connection.execute(
            f"SELECT vector FROM '{folder}/embeddings.parquet' WHERE embedding_model = 'DummyText'"
        ).fetchall()
        own = lake.read("embeddings", NAME, ["vector"], {"embedding_model": "DummyText"})
        assert [list(row[0]) for row in vectors] == own.column(0).to_pylist()
    frame = pl.read_parquet(folder / "persistence_diagrams.parquet")
    assert frame["deaths"].explode().is_infinite().sum() == infinite
    assert (
        pl.read_parquet(folder / "images.parquet")["image"].to_list() == lake.read("images", NAME)["image"].to_pylist()
    )


def test_without_pictures_their_index_stays(lake: Lake, tmp_path: Path) -> None:
    done = export_bundle(lake, NAME, tmp_path / "b", with_images=False)
    assert not (done.path / "tables" / "images.parquet").exists()
    found = pq.read_table(done.path / "tables" / "image_index.parquet")
    assert found.equals(lake.read("images", NAME).drop_columns("image"))
    assert "left out" in (done.path / "README.md").read_text()


def test_what_cannot_be_is_told_and_nothing_is_left(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="there are: small"):
        export_bundle(lake, "other", tmp_path / "b")
    with pytest.raises(ExportError, match=r"a folder or a \.tar"):
        export_bundle(lake, NAME, tmp_path / "b.zip")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="could not be written"):
        export_bundle(lake, NAME, tmp_path / "file" / "b")
    with pytest.raises(ExportError, match="is there already"):
        export_bundle(lake, NAME, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
