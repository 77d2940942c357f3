"""Pictures: what the next model is fed, and finding stored ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.lake import images
from panic_assets.loop.pictures import MissingPicture, PictureShelf, settle
from panic_assets_tests.loop.parts import experiment, fresh, outputs

NOISE = np.random.default_rng(1).integers(0, 256, (24, 16, 3), np.uint8)


@pytest.mark.parametrize("image_format", ["webp-lossless", "png"])
def test_a_lossless_archive_changes_nothing_and_encodes_later(image_format: str) -> None:
    settled = settle(NOISE, image_format)
    assert settled.pixels is NOISE
    assert settled.image_hash == images.pixel_hash(NOISE)
    assert settled.encoded is None


@pytest.mark.parametrize("image_format", ["webp-90", "jpeg-80", "avif-60"])
def test_a_lossy_archive_stores_the_bytes_that_give_the_pixels_fed_on(image_format: str) -> None:
    settled = settle(NOISE, image_format)
    assert settled.encoded is not None
    assert np.array_equal(images.decode(settled.encoded), settled.pixels)
    assert settled.image_hash == images.pixel_hash(settled.pixels) != images.pixel_hash(NOISE)


def test_one_changed_value_of_one_pixel_is_another_picture() -> None:
    other = NOISE.copy()
    other[23, 15, 2] ^= 1
    assert settle(other, "png").image_hash != settle(NOISE, "png").image_hash


def test_the_shelf_gives_the_pixels_that_were_asked_for(tmp_path: Path) -> None:
    lake = fresh(tmp_path, experiment(max_length=9))
    hashes = [item for outs in outputs(lake).values() for item in outs if isinstance(item, bytes)]
    shelf = PictureShelf(lake, "small")
    assert set(shelf) == set(hashes)
    assert hashes[0] in shelf
    assert b"elsewhere" not in shelf
    assert shelf.in_order(reversed(hashes)) == hashes
    found = shelf.load(hashes[2:5])
    assert {key: images.pixel_hash(pixels) for key, pixels in found.items()} == {key: key for key in hashes[2:5]}
    assert shelf.load([]) == {}


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    lake = fresh(tmp_path, experiment(max_length=2))
    with pytest.raises(MissingPicture, match=f"experiment small: the lake holds no picture {b'x'.hex()}"):
        PictureShelf(lake, "small").load([b"x"])
