from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.lake import images
from panic_assets.live.media import data_uri, from_data_uri, picture, sniff, tone

SMALL = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)


@pytest.mark.parametrize(
    ("format", "kind"),
    [("png", "png"), ("webp-lossless", "webp"), ("webp-50", "webp"), ("avif-50", "avif"), ("jpeg-50", "jpeg")],
)
def test_pictures_tell_what_they_are(format: str, kind: str) -> None:
    assert sniff(images.encode(SMALL, format)) == f"image/{kind}"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"OggS\x00\x02", "audio/ogg"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"fLaC\x00", "audio/flac"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"FORM\x00\x00\x00\x00AIFF", "audio/aiff"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"GIF89a", "image/gif"),
        (b"<html>", None),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"", None),
    ],
)
def test_others_too(start: bytes, kind: str | None) -> None:
    assert sniff(start) == kind


@given(st.binary(max_size=200), st.sampled_from(["image/webp", "audio/x-wav", "image/svg+xml"]))
def test_data_uris_there_and_back(data: bytes, kind: str) -> None:
    assert from_data_uri(data_uri(data, kind)) == (data, kind)


def test_data_uris_of_others() -> None:
    assert from_data_uri("data:text/plain;charset=utf-8,a%20b") == (b"a b", "text/plain")
    assert from_data_uri("data:;base64,YQ==") == (b"a", None)
    for bad in ("", "https://x.test/a.png", "data:image/png", "data:image/png;base64,a b", "data:image/png;base64,YQ"):
        with pytest.raises(ValueError, match="data"):
            from_data_uri(bad)


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_any_hash_can_be_drawn_and_sounded(digest: bytes) -> None:
    assert images.decode(picture(digest)).shape == (96, 96, 3)
    assert sniff(tone(digest)) == "audio/wav"
