"""Experiments whose pictures the codec stores: the whole graph runs, and no reader notices."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from panic_assets import image_formats
from panic_assets.codec import api
from panic_assets.experiment import Experiment
from panic_assets.interop.panic_tda.pictures import format_of
from panic_assets.lake import Lake, UnreadableImage, images
from panic_assets.live.to_lake.media import medium_of
from panic_assets.live.values import Archived
from panic_assets.loop.pictures import PictureShelf
from panic_assets.loop.planning import ChangedExperiment, register, resolve_models
from panic_assets.loop.typical import earlier_runs
from panic_assets.models.registry import load_registry
from panic_assets.reports.export.bundle import export_bundle
from panic_assets.reports.export.common import load_runs
from panic_assets.reports.export.images import export_image, export_images
from panic_assets.reports.export.layout import SIZES
from panic_assets.reports.export.mosaic import Mosaic
from panic_assets.reports.export.strip import export_strips
from panic_assets.reports.export.video import frames
from panic_assets.reports.figures.strips import film_strip
from panic_assets.reports.page.render import write_report
from panic_assets.reports.page.thumbnails import sheet_of
from panic_assets.upkeep.backup import back_up
from panic_assets.upkeep.doctor import examine
from panic_assets.upkeep.plan import plan_mending
from panic_assets.upkeep.restore import restore
from panic_assets_tests.cli.parts import typed
from panic_assets_tests.laboratory import lake_of, materialise, write

NAME = "small"
LOOP = ("runs", "invocations", "images", "outcomes")
FORMATS = ("latent-8", "vae-8", "latent-lossless")
#: Tables of which no row depends on how pictures are stored, if nothing is lost.
ALIKE = ("prompts", "runs", "invocations", "outcomes", "embeddings")
PASSING = {"started_at", "completed_at", "created_at", "model_seconds", "seconds", "device"}


@dataclass(frozen=True)
class Made:
    """A data directory in which everything was materialised, and how its pictures are stored."""

    data: Path
    format: str
    result: dg.ExecuteInProcessResult

    @property
    def lake(self) -> Lake:
        return lake_of(self.data)

    @property
    def hashes(self) -> list[bytes]:
        return sorted(PictureShelf(self.lake, NAME))

    @property
    def pixels(self) -> dict[bytes, np.ndarray]:
        return {row["image_hash"]: api.decompress(row["image"]) for row in self.lake.read("images", NAME).to_pylist()}


def asked(folder: Path, image_format: str, **values: Any) -> None:
    """The file of an experiment of real pictures: those of dummies are so plain that nothing could be lost."""
    ring = [["TinyScenesFast", "TinyCaption"]]
    write(folder, NAME, **{"networks": ring, "image_format": image_format, "max_length": 8, "models": {}} | values)


def make(folder: Path, image_format: str) -> Made:
    asked(folder, image_format)
    # What follows the embeddings knows nothing of pictures: all of it is made for one format alone.
    selection = None if image_format == FORMATS[0] else [*LOOP, "embeddings", "catalog"]
    with dg.DagsterInstance.ephemeral() as instance:
        return Made(folder, image_format, materialise(folder, instance, NAME, selection))


@pytest.fixture(scope="module", params=FORMATS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    return make(tmp_path_factory.mktemp("data"), request.param)


@pytest.fixture
def chosen(made: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """The same, as the data directory of commands."""
    monkeypatch.setenv("PANIC_DATA", str(made.data))
    return made


# The graph ------------------------------------------------------------------------------------------------------------


def test_every_check_passes_and_pictures_are_in_the_format(made: Made) -> None:
    passed = [check.passed for check in made.result.get_asset_check_evaluations()]
    assert all(passed)
    assert len(passed) > 5
    rows = made.lake.read("images", NAME).to_pylist()
    assert len(rows) >= 8
    told = [api.info(row["image"]) for row in rows]
    assert all(one.lossless == (made.format == "latent-lossless") for one in told)
    assert all((one.method == "vae") == (made.format == "vae-8") for one in told)
    for row in rows:
        assert row["format"] == made.format
        assert row["byte_size"] == len(row["image"])
        assert image_formats.room_of(row["image"]) is image_formats.LATENT
        assert images.pixel_hash(images.decode(row["image"])) == row["image_hash"]
    (told,) = made.lake.read("experiments", NAME).to_pylist()
    assert told["image_format"] == made.format


@pytest.mark.parametrize("made", ["latent-lossless"], indirect=True, scope="module")
def test_without_loss_all_tables_are_those_of_another_format(made: Made, tmp_path: Path) -> None:
    other = make(tmp_path / "data", "webp-lossless")
    assert made.hashes == other.hashes
    for table in ALIKE:
        one, two = (
            [
                {name: value for name, value in row.items() if name not in PASSING}
                for row in lake.read(table, NAME).to_pylist()
            ]
            for lake in (made.lake, other.lake)
        )
        assert len(one) > 0, table
        assert one == two, table


def test_nothing_is_made_again(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.data, tmp_path / "data")
    before = {table: made.lake.read(table, NAME) for table in LOOP}
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialise(tmp_path / "data", instance, NAME, LOOP, checks=False).success
    for table, rows in before.items():
        assert lake_of(tmp_path / "data").read(table, NAME).equals(rows), table


def test_a_longer_one_goes_on_from_what_is_stored(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.data, tmp_path / "grown")
    held = []
    for folder in ("grown", "whole"):
        asked(tmp_path / folder, made.format, max_length=11)
        with dg.DagsterInstance.ephemeral() as instance:
            materialise(tmp_path / folder, instance, NAME, LOOP, checks=False)
        lake = lake_of(tmp_path / folder)
        held.append([lake.read("images", NAME), lake.read("invocations", NAME, ["run_number", "text", "image_hash"])])
    assert held[0] == held[1]


def test_another_model_of_the_codec_is_another_experiment(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Experiment.load(made.data / "experiments" / f"{NAME}.yaml")
    models = resolve_models(asked, load_registry())
    generation = made.lake.generation("runs", NAME)
    register(made.lake, asked, models)
    monkeypatch.setattr("panic_assets.codec.store.PLANS", ((0, 255),) * 16)
    if made.format == "latent-lossless":
        register(made.lake, asked, models)
    else:
        with pytest.raises(ChangedExperiment, match=r"made with another model of image_format (latent|vae)-8 than"):
            register(made.lake, asked, models)
    assert made.lake.generation("runs", NAME) == generation


# Readers --------------------------------------------------------------------------------------------------------------


def test_exported_pictures_are_of_a_kind_that_any_program_reads(made: Made, tmp_path: Path) -> None:
    done = export_images(made.lake, NAME, tmp_path)
    files = sorted(tmp_path.rglob("*.webp"))
    assert len(files) == done.written > 0
    stored = {pixels.tobytes() for pixels in made.pixels.values()}
    for file in files:
        with Image.open(file) as image:
            assert np.array(image.convert("RGB")).tobytes() in stored
            assert image.getexif()
    assert export_images(made.lake, NAME, tmp_path).written == 0
    (first, *_) = load_runs(made.lake, NAME).runs[0].outputs
    assert isinstance(first, bytes)
    for suffix in (".webp", ".png", ".jpg", ".avif"):
        path = export_image(made.lake, NAME, 0, 0, tmp_path / f"one{suffix}")
        with Image.open(path) as image:
            apart = np.abs(np.array(image.convert("RGB")).astype(int) - made.pixels[first])
        assert apart.max() == 0 if suffix in (".webp", ".png") else apart.mean() < 10


def test_a_bundle_holds_pictures_that_any_program_reads(made: Made, tmp_path: Path) -> None:
    export_bundle(made.lake, NAME, tmp_path / "bundle")
    rows = pq.read_table(tmp_path / "bundle" / "tables" / "images.parquet")
    assert rows.schema.names == made.lake.read("images", NAME).schema.names
    assert {row["image_hash"] for row in rows.to_pylist()} == set(made.hashes)
    for row in rows.to_pylist():
        assert (row["format"], row["byte_size"]) == ("webp-lossless", len(row["image"]))
        with Image.open(io.BytesIO(row["image"])) as image:
            assert np.array_equal(np.array(image), made.pixels[row["image_hash"]])


def test_strips_videos_and_the_notebook_show_them(made: Made, tmp_path: Path) -> None:
    (sheet,) = export_strips(made.lake, NAME, tmp_path / "strips.png")
    with Image.open(sheet) as image:
        assert np.ptp(np.array(image)) > 100
    runs = load_runs(made.lake, NAME).runs
    mosaic = Mosaic(NAME, runs, SIZES["hd"])
    shown = list(frames(mosaic, PictureShelf(made.lake, NAME)))
    assert len(shown) == mosaic.steps
    strip = film_strip(made.lake, NAME, 0, count=4)
    assert strip is not None
    assert np.ptp(strip[:, :64]) > 50


def test_the_report_holds_them_as_webp(made: Made, tmp_path: Path) -> None:
    sheet = sheet_of(made.lake, NAME, made.hashes, tile=48, quality=100)
    assert sheet is not None
    assert sheet.data_uri.startswith("data:image/webp;base64,")
    page = write_report(made.lake, NAME, tmp_path / "report.html").read_text()
    assert "data:image/webp;base64," in page


def test_commands_show_them(chosen: Made, tmp_path: Path) -> None:
    assert chosen.format in typed("show", NAME)
    assert "64 x 64" in typed("show", f"{NAME}/0/0")
    file = tmp_path / "x.png"
    typed("export", "image", NAME, "0", "0", str(file))
    with Image.open(file) as image:
        assert image.size == (64, 64)


def test_sql_finds_bytes_that_one_call_decodes(made: Made) -> None:
    with duckdb.connect(str(made.data / "catalog.duckdb"), read_only=True) as catalog:
        rows = catalog.execute("SELECT image_hash, image FROM images WHERE experiment = 'small'").fetchall()
    assert {image_hash: images.pixel_hash(images.decode(data)) for image_hash, data in rows} == {
        image_hash: image_hash for image_hash in made.hashes
    }


def test_plans_know_their_size(made: Made) -> None:
    rows = made.lake.read("images", NAME, ["byte_size"]).column(0).to_pylist()
    known = earlier_runs(made.lake, NAME).bytes_per_pixel[made.format]
    assert known == pytest.approx(sum(rows) / (len(rows) * 64 * 64))


def test_importers_and_live_runs_know_them(made: Made) -> None:
    row = made.lake.read("images", NAME).to_pylist()[0]
    assert format_of(row["image"]) == "latent"
    archived = Archived("ab/cd.plc", "image", "image/x-latent", "0" * 64, row["byte_size"], "1" * 64, 1, "image/png")
    medium = medium_of(archived, row["image"])
    assert medium.row["image_hash"] == row["image_hash"]
    assert (medium.row["width"], medium.row["height"]) == (64, 64)


# Upkeep ---------------------------------------------------------------------------------------------------------------


def test_a_backup_brings_them_back(made: Made, tmp_path: Path) -> None:
    back_up(made.data, tmp_path / "copy.tar")
    restore(tmp_path / "copy.tar", tmp_path / "back")
    assert lake_of(tmp_path / "back").read("images", NAME).equals(made.lake.read("images", NAME))


def test_the_doctor_finds_them_sound_and_damage_in_them(made: Made, tmp_path: Path) -> None:
    assert examine(made.data, NAME).is_sound
    data = shutil.copytree(made.data, tmp_path / "data")
    lake = lake_of(data)
    rows = lake.read("images", NAME)
    contents = rows.column("image").to_pylist()
    contents[0] = contents[0][:-1] + bytes([contents[0][-1] ^ 1])
    place = rows.column_names.index("image")
    with lake.writer("images", NAME) as writer:
        column = pa.array(contents, rows.schema.field(place).type)
        writer.replace(rows.set_column(place, rows.schema.field(place), column), {})
        writer.commit()
    found = [finding for finding in examine(data, NAME).of("broken") if finding.rule == "pictures_are_whole"]
    assert [finding.count for finding in found] == [1]


def test_the_doctor_puts_nothing_aside_that_only_can_not_be_read_here(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_NEEDED", ("constriction_that_is_nowhere",))
    with pytest.raises(UnreadableImage, match=r"panic-assets\[codec\]"):
        PictureShelf(made.lake, NAME).load(made.hashes[:1])
    found = examine(made.data, NAME)
    assert found.is_sound
    (finding,) = found.of("hint")
    assert (finding.rule, finding.count) == ("pictures_can_be_read_here", len(made.hashes))
    assert "pip install 'panic-assets[codec]'" in finding.examples[0]["flaw"]
    assert plan_mending(found).is_empty
