"""Payload and container of real files in every form, and of files that are cut or garbled."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from panic_assets.codec import api
from panic_assets.codec.containers import payload_bytes
from panic_assets_tests.codec.scenes import scene


def _file(form: str, picture: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


FILES = {
    "AVIF": _file("AVIF", scene(64, 64)),
    "WebP": _file("WEBP", scene(64, 64)),
    "WebP without loss": _file("WEBP", scene(64, 64), lossless=True),
    "PNG": _file("PNG", scene(64, 64)),
    "JPEG": _file("JPEG", scene(64, 64)),
    "ours without loss": api.compress(scene(64, 64), lossless=True),
}
#: What the wrapping takes, at least and at most, by what is known of the form.
WRAPPED = {
    "AVIF": (200, 400),
    "WebP": (20, 20),  # RIFF, size, WEBP, then the kind and size of the only chunk
    "WebP without loss": (20, 21),  # a byte may make its size even
    "PNG": (57, 57),  # signature 8, IHDR 25, IDAT's 12, IEND 12
    "JPEG": (600, 640),  # most of it the tables
    "ours without loss": (11, 11),  # magic 3, kinds 2, sides 1 each, checksum 4
}


@pytest.mark.parametrize("form", FILES)
def test_the_wrapping_of_each_form_is_what_its_specification_says(form: str) -> None:
    least, most = WRAPPED[form]
    assert least <= len(FILES[form]) - payload_bytes(FILES[form]) <= most


@pytest.mark.parametrize("form", ["AVIF", "JPEG"])
def test_the_wrapping_does_not_grow_with_the_picture(form: str) -> None:
    small, large = FILES[form], _file(form, scene(256, 256))
    assert payload_bytes(large) > 4 * payload_bytes(small)
    assert abs((len(large) - payload_bytes(large)) - (len(small) - payload_bytes(small))) <= 8


def test_other_bytes_are_all_payload() -> None:
    assert payload_bytes(b"") == 0
    assert payload_bytes(b"anything at all") == 15


@pytest.mark.parametrize("form", [form for form in FILES if not form.startswith("ours")])
def test_files_cut_or_garbled_are_counted_within_their_length(form: str) -> None:
    rng, whole = np.random.default_rng(0), FILES[form]
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        assert 0 <= payload_bytes(whole[:length]) <= length
    for _ in range(200):
        garbled = bytearray(whole)
        for place in rng.integers(12, min(len(whole), 400), 3):
            garbled[place] = int(rng.integers(256))
        assert 0 <= payload_bytes(bytes(garbled)) <= len(whole)
