"""The codec as a format of the lake: what is read back, and which of the lake's errors tell of what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.codec import api, store
from panic_assets.codec.latent import DEFAULT_MODEL
from panic_assets.lake import CorruptImage, UnreadableImage, images
from panic_assets_tests.codec.scenes import scene

PICTURE = scene(64, 64)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 17), (64, 64)])
def test_without_loss_every_pixel_comes_back(shape: tuple[int, int]) -> None:
    picture = np.ascontiguousarray(PICTURE[: shape[0], : shape[1]])
    assert np.array_equal(images.decode(images.encode(picture, "latent-lossless")), picture)


def test_with_loss_what_is_stored_is_what_the_codec_makes() -> None:
    sizes = []
    for quality in (2, 8, 14):
        content = images.encode(PICTURE, f"latent-{quality}")
        assert content == api.compress(PICTURE, quality=quality)
        read = images.decode(content)
        assert np.array_equal(read, api.decompress(content))
        assert (read.shape, read.dtype, read.flags.c_contiguous) == (PICTURE.shape, np.uint8, True)
        sizes.append(len(content))
    assert sizes == sorted(sizes)
    assert sizes[-1] < len(images.encode(PICTURE))


def test_grey_and_transparent_files_are_read_as_pictures_of_the_lake() -> None:
    grey = np.ascontiguousarray(PICTURE[:, :, 0])
    assert np.array_equal(images.decode(api.compress(grey, lossless=True)), np.dstack([grey] * 3))
    alpha = np.dstack([PICTURE, grey])
    assert np.array_equal(images.decode(api.compress(alpha, lossless=True)), PICTURE)


@pytest.mark.parametrize("image_format", ["latent-8", "latent-lossless"])
def test_damage_is_told_with_what_to_do(image_format: str) -> None:
    content = images.encode(PICTURE, image_format)
    damaged = [content[:-1], content[: len(content) // 2], content + b"\0", content[:4]]
    places = range(5, len(content), 7)
    damaged += [content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :] for place in places]
    for one in damaged:
        with pytest.raises(CorruptImage, match=r"not a whole latent picture .*; re-materialise the run"):
            images.decode(one)


def test_what_another_model_wrote_is_not_called_damaged(tiny: Path) -> None:
    content = api.compress(PICTURE, model=tiny, quality=1)
    assert api.info(content).method == "learned"
    with pytest.raises(UnreadableImage, match=r"can't be read here: .* was written by the model"):
        images.decode(content)


def test_a_newer_version_is_not_called_damaged() -> None:
    content = bytearray(images.encode(PICTURE, "latent-8"))
    content[3] += 16
    with pytest.raises(UnreadableImage, match="read it with a newer one"):
        images.decode(bytes(content))


def test_other_programs_get_what_they_can_read() -> None:
    content = images.encode(PICTURE, "latent-8")
    kind, other = images.portable("latent-8", content)
    assert (kind, other[8:12]) == ("webp-lossless", b"WEBP")
    assert np.array_equal(images.decode(other), images.decode(content))
    long = np.zeros((1, 20_000, 3), np.uint8)
    kind, other = images.portable("latent-lossless", images.encode(long, "latent-lossless"))
    assert (kind, other[:4]) == ("png", b"\x89PNG")
    assert np.array_equal(images.decode(other), long)
    jpeg = images.encode(PICTURE, "jpeg-50")
    assert images.portable("jpeg-50", jpeg) == ("jpeg-50", jpeg)


def test_an_identity_follows_from_the_quality_and_the_model(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qualities = [None, *api.QUALITIES]
    assert len({store.identity(quality) for quality in qualities}) == len(qualities)
    assert images.identity("webp-60") == "webp-60"
    assert images.identity("latent-8") == f"latent-8@{store.identity(8)}"
    before = store.identity(8), store.identity(None)
    monkeypatch.setattr(store, "DEFAULT_MODEL", tiny)
    assert store.identity(8) != before[0]
    assert store.identity(None) == before[1]
    assert DEFAULT_MODEL == "latent-codec"
