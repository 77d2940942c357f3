"""Files by the shipped model: their qualities on pictures that nothing was trained on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from panic_assets.codec import api
from panic_assets.codec.bitstream.head import Head, seal
from panic_assets.codec.bitstream.methods import LEARNED
from panic_assets.codec.errors import WrongBytes
from panic_assets.codec.latent import DEFAULT_MODEL, IDENTITY_BYTES, open_model
from panic_assets.codec.training import images
from panic_assets_tests.codec.mutations import peak_memory
from panic_assets_tests.codec.scenes import psnr

_FALL_OF_PSNR, _FALL_OF_BYTES = 2.5, 16
"""Of one picture from a quality to the next: decibels, bytes. The levels are ordered on average, not for each."""


def test_bytes_and_quality_rise_on_average_and_hardly_fall_on_any_picture() -> None:
    pictures = list(images.generated("validation", "TinyScenes", 64, 8, 11))
    sizes, likeness = [], []
    for quality in api.QUALITIES:
        files = api.compress_batch(pictures, quality=quality)
        made = api.decompress_batch(files)
        sizes.append(np.array([len(data) for data in files]))
        likeness.append(np.array([psnr(a, b) for a, b in zip(pictures, made, strict=True)]))
    for steps, fall in ((sizes, _FALL_OF_BYTES), (likeness, _FALL_OF_PSNR)):
        for lower, higher in pairwise(steps):
            assert lower.mean() < higher.mean()
            assert (lower < higher + fall).all()


def test_a_short_file_can_not_claim_a_large_busy_picture() -> None:
    before = peak_memory()
    data = seal(Head(LEARNED, 8192, 8192, 3, 8), open_model(DEFAULT_MODEL).identity[:IDENTITY_BYTES] + b"\1\2\3\4" * 9)
    with pytest.raises(WrongBytes, match="can't be in what is left"):
        api.decompress(data, limit=1 << 26)
    assert peak_memory() - before < 600 << 20
