"""Pictures as files: the same pixels, their provenance, and going on where an export was interrupted."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from panic_assets.lake import Lake
from panic_assets.lake.images import decode, encode, pixel_hash
from panic_assets.loop.pictures import PictureShelf
from panic_assets.reports.export.common import ExportError, load_runs
from panic_assets.reports.export.containers import with_metadata
from panic_assets.reports.export.images import export_image, export_images
from panic_assets.reports.export.provenance import Provenance, exif_of, xmp_of
from panic_assets_tests.reports.export.parts import NAME

FORMATS = ("webp-lossless", "png", "webp-80", "jpeg-90", "avif-80")
DC = "{http://purl.org/dc/elements/1.1/}"
LI = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"


def known(**values: object) -> Provenance:
    given = {
        "experiment": "small",
        "network": "A -> B",
        "run_number": 3,
        "sequence_number": 4,
        "prompt": "ein Hügel <&> 丘",
        "input_text": None,
        "model": "A",
        "model_revision": "abc",
        "model_licence": "MIT",
        "model_identity": "f0",
        "seed": 7,
        "run_seed": -1,
        "made_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "image_hash": "00",
    }
    return Provenance(**(given | values))  # type: ignore[arg-type]


def told(content: bytes) -> tuple[dict[int, object], dict[str, object], ElementTree.Element]:
    """EXIF tags, the facts in UserComment, and the XMP as a tree, as Pillow finds them."""
    with Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        comment = inner[ExifTags.Base.UserComment]
        assert comment.startswith(b"ASCII\0\0\0")
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    packet = packet if isinstance(packet, bytes) else packet.encode()
    return {**exif, **inner}, json.loads(comment[8:]), ElementTree.fromstring(packet.decode().strip())


def items(tree: ElementTree.Element, name: str) -> list[str | None]:
    (found,) = tree.iter(DC + name)
    return [item.text for item in found.iter(LI)]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (1, 1)])
def test_metadata_changes_no_pixel_and_is_read_back(format: str, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    stored = encode(pixels, format)
    facts = known()
    made = with_metadata(stored, exif_of(facts), xmp_of(facts))
    assert np.array_equal(decode(made), decode(stored))
    exif, comment, xmp = told(made)
    assert str(exif[ExifTags.Base.ImageDescription]).encode("latin-1").decode() == facts.prompt
    assert exif[ExifTags.Base.Artist] == "A"
    assert str(exif[ExifTags.Base.Software]).startswith("panic_assets")
    assert exif[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
    assert comment == facts.facts()
    assert items(xmp, "title") == ["small, run 3, step 5"]
    assert items(xmp, "description") == [facts.prompt]
    assert items(xmp, "creator") == ["A@abc"]
    assert items(xmp, "subject") == ["small", "A", "B", "seed -1"]
    assert "model_licence: MIT" in str(next(xmp.iter(DC + "source")).text)
    assert b"trainedAlgorithmicMedia" in made


@pytest.mark.parametrize("format", ["webp-lossless", "png", "jpeg-90"])
def test_metadata_replaces_what_was_there(format: str) -> None:
    stored = encode(np.zeros((8, 8, 3), np.uint8), format)
    first = with_metadata(stored, exif_of(known(prompt="old")), xmp_of(known(prompt="old")))
    second = with_metadata(first, exif_of(known()), xmp_of(known()))
    assert second == with_metadata(stored, exif_of(known()), xmp_of(known()))


@settings(max_examples=40, deadline=None)
@given(prompt=st.text(max_size=60), said=st.none() | st.text(max_size=60))
def test_any_text_can_be_told(prompt: str, said: str | None) -> None:
    facts = known(prompt=prompt, input_text=said)
    _, comment, xmp = told(with_metadata(encode(np.zeros((4, 4, 3), np.uint8)), exif_of(facts), xmp_of(facts)))
    assert comment["prompt"] == prompt
    assert comment["input_text"] == said
    plain = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", prompt)
    assert (items(xmp, "description")[0] or "") == re.sub("\r\n?", "\n", plain)  # as XML reads line ends


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0", b"GIF89a", b"\0\0\0\x10ftypavif\0\0\0\0"])
def test_what_is_no_picture_is_told(content: bytes) -> None:
    with pytest.raises(ExportError):
        with_metadata(content, b"x", b"y")


def test_every_picture_becomes_a_file_with_its_facts(lake: Lake, tmp_path: Path) -> None:
    told_counts: list[tuple[int, int]] = []
    done = export_images(lake, NAME, tmp_path, progress=lambda *counts: told_counts.append(counts))
    runs = load_runs(lake, NAME).runs
    expected = {
        (run.number, place): output
        for run in runs
        for place, output in enumerate(run.outputs)
        if isinstance(output, bytes)
    }
    assert (done.written, done.there) == (len(expected), 0)
    assert told_counts[0] == (0, len(expected))
    assert told_counts[-1] == (len(expected), len(expected))
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.name != "index.jsonl")
    assert len(files) == len(expected)
    seen = set()
    for path in files:
        content = path.read_bytes()
        exif, facts, xmp = told(content)
        key = facts["run_number"], facts["sequence_number"]
        seen.add(key)
        run = runs[key[0]]  # type: ignore[index]
        assert path.parent.name == f"run_{key[0]:05d}"
        assert path.name == f"{key[1]:05d}.webp"
        assert path.parent.parent.parent.name == "dummyt2i-dummyi2t"
        assert pixel_hash(decode(content)) == expected[key]  # type: ignore[index]
        assert facts["input_text"] == (run.outputs[key[1] - 1] if key[1] else run.prompt)  # type: ignore[index,operator]
        assert facts["model"] == "DummyT2I"
        assert facts["model_licence"] == "MIT"
        assert facts["network"] == "DummyT2I -> DummyI2T"
        assert items(xmp, "description") == [run.prompt]
        assert str(exif[ExifTags.Base.ImageDescription]).encode("latin-1").decode() == run.prompt
    assert seen == set(expected)
    index = [json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines()]
    assert {row["file"] for row in index} == {str(path.relative_to(tmp_path)) for path in files}


def test_an_interrupted_export_goes_on(lake: Lake, tmp_path: Path) -> None:
    whole = export_images(lake, NAME, tmp_path)
    again = export_images(lake, NAME, tmp_path)
    assert (again.written, again.there) == (0, whole.written)
    files = sorted(tmp_path.rglob("*.webp"))
    files[0].unlink()
    index = tmp_path / "index.jsonl"
    lines = index.read_text().splitlines(keepends=True)
    lost = json.loads(lines[-1])["file"]
    index.write_text("".join(lines[:-1]) + lines[-1][:20] + "\n")  # cut short, as by a kill
    expected = {str(files[0].relative_to(tmp_path)), lost}
    mended = export_images(lake, NAME, tmp_path)
    assert mended.written == len(expected)
    assert sorted(tmp_path.rglob("*.webp")) == files
    assert not list(tmp_path.rglob(".*"))


def test_one_picture(lake: Lake, tmp_path: Path) -> None:
    run = load_runs(lake, NAME).runs[0]
    pixels = PictureShelf(lake, NAME).load([run.outputs[2]])[run.outputs[2]]  # type: ignore[list-item,index]
    for suffix in (".webp", ".png", ".avif", ".jpg"):
        path = export_image(lake, NAME, 0, 2, tmp_path / f"x{suffix}")
        content = path.read_bytes()
        _, facts, xmp = told(content)
        assert facts["sequence_number"] == 2
        assert items(xmp, "description") == ["a boat"]
        if suffix in (".webp", ".png"):
            assert np.array_equal(decode(content), pixels)
        else:
            assert np.abs(decode(content).astype(int) - pixels).mean() < 10


@pytest.mark.parametrize(
    ("run", "place", "file", "match"),
    [
        (0, 1, "x.png", "output 1 is a text; the nearest picture is 0"),
        (0, 99, "x.png", "has sequence numbers 0 to"),
        (99, 0, "x.png", "has no run 99; its runs are 0 to 7"),
        (0, 0, "x.gif", "are written as .webp, .png"),
        (4, 0, "x.png", "the run made no picture"),
    ],
)
def test_what_is_not_there_is_told(lake: Lake, tmp_path: Path, run: int, place: int, file: str, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        export_image(lake, NAME, run, place, tmp_path / file)


def test_a_folder_that_cannot_be_is_told(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="choose another folder"):
        export_images(lake, NAME, tmp_path / "file")
