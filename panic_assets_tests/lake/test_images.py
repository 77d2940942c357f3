from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from panic_assets.lake import CorruptImage, LakeError
from panic_assets.lake.images import decode, encode, is_lossless, kept_all, pixel_hash, uniform_or_black

FORMATS = ["webp-lossless", "png", "webp-80", "avif-70", "jpeg-95", "latent-lossless", "latent-12"]
pictures = arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))


@pytest.fixture
def picture():
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    return np.stack([np.tile(ramp, (48, 1)), np.tile(ramp[::-1], (48, 1)), np.full((48, 64), 90, np.uint8)], axis=2)


@settings(max_examples=40, deadline=None)
@given(pictures, st.sampled_from(["webp-lossless", "png", "latent-lossless"]))
def test_lossless_formats_keep_every_pixel(picture, format):
    back = decode(encode(picture, format))
    assert np.array_equal(back, picture)
    assert pixel_hash(back) == pixel_hash(picture)


@pytest.mark.parametrize("format", FORMATS)
def test_formats_give_back_a_like_picture(picture, format):
    content = encode(picture, format)
    assert content == encode(picture.copy(), format), "equal pictures, equal bytes"
    back = decode(content)
    assert (back.shape, back.dtype, back.flags.c_contiguous) == (picture.shape, np.uint8, True)
    assert np.abs(back.astype(int) - picture).mean() < 4
    # Noise, since simple pictures may be kept exactly by a format that need not.
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    assert is_lossless(format) == np.array_equal(decode(encode(noise, format)), noise)


@pytest.mark.parametrize("label", ["webp-lossless", "png", "latent-lossless"])
def test_what_kept_all_is_known_by_its_label(label):
    assert kept_all(label)


@pytest.mark.parametrize("label", ["webp", "jpeg", "avif", "latent", "unknown", "webp-80", "latent-12", "vae-3"])
def test_labels_of_pictures_from_elsewhere_promise_nothing(label):
    assert not kept_all(label)


def test_quality_is_a_choice(picture):
    assert len(encode(picture, "jpeg-20")) < len(encode(picture, "jpeg-95"))


def test_hashes_tell_shape_and_pixels_apart(picture):
    turned = np.ascontiguousarray(picture.transpose(1, 0, 2))
    flat = picture.reshape(24, 128, 3)
    other = picture.copy()
    other[5, 5, 1] ^= 1
    hashes = {pixel_hash(p) for p in (picture, turned, flat, other)}
    assert len(hashes) == 4
    assert {len(h) for h in hashes} == {16}
    assert pixel_hash(turned.transpose(1, 0, 2)) == pixel_hash(picture), "the layout in memory does not count"


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: c[: len(c) // 2], lambda c: b"nothing" * 20])
@pytest.mark.parametrize("format", FORMATS)
def test_bad_bytes_are_a_described_error(picture, format, damage):
    with pytest.raises(CorruptImage, match=r"are not a whole (WebP, PNG, AVIF, JPEG or )?latent picture"):
        decode(damage(encode(picture, format)))


@pytest.mark.parametrize("format", ["gif", "webp", "jpeg-101", "png-3", "webp--1", "latent", "latent-0", "latent-17"])
def test_unknown_formats_are_named(picture, format):
    with pytest.raises(LakeError, match="there is no image format"):
        encode(picture, format)
    with pytest.raises(LakeError, match="there is no image format"):
        is_lossless(format)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(ValueError, match=r"a picture is uint8 of shape \(height, width, 3\)"):
        encode(wrong)
    with pytest.raises(ValueError, match="a picture is uint8"):
        pixel_hash(wrong)


def test_black_and_uniform_pictures_are_told(picture):
    black = np.zeros((64, 64, 3), np.uint8)
    assert uniform_or_black(black) == "black_image"
    assert uniform_or_black(black + 3) == "black_image"
    assert uniform_or_black(np.full((64, 64, 3), (10, 200, 30), np.uint8)) == "uniform_image"
    assert uniform_or_black(picture) is None
    black[33, 41, 2] = 9
    assert uniform_or_black(black) is None, "one pixel between the samples is seen"
