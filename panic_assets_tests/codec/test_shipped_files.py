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

_FALL = 0.5
"""Decibels."""


def _pictures() -> list[np.ndarray]:
    """Of the split by which nothing was tuned: qualities were, by pictures of the other two."""
    return [
        *images.generated("test", "TinyScenes", 64, 8, 31),
        *images.generated("test", "TinyScenesFast", 64, 3, 32),
        *images.drawn("test", 64, 2, 33),
    ]


def test_bytes_and_psnr_rise_on_every_picture_until_it_is_exact() -> None:
    pictures = _pictures()
    sizes, likeness = [], []
    for quality in api.QUALITIES:
        files = api.compress_batch(pictures, quality=quality)
        made = api.decompress_batch(files)
        sizes.append(np.array([len(data) for data in files]))
        likeness.append(np.array([psnr(a, b) for a, b in zip(pictures, made, strict=True)]))
    is_exact = [np.isinf(one) for one in likeness]
    for fall, steps in ((0.0, sizes), (_FALL, likeness)):
        for number, (done, (lower, higher)) in enumerate(zip(is_exact, pairwise(steps), strict=False)):
            is_kept = (lower < higher) | (done & (lower == higher))
            # The first qualities are levels of the transform, of which now and then one tells a picture no better.
            assert (is_kept | (lower < higher + (fall if number < 3 else 0))).all(), (number, lower, higher)
            assert is_kept.mean() > 0.9
    assert likeness[-1].min() > 49


def test_the_shipped_networks_draw_the_same_alone_and_in_a_batch() -> None:
    rng = np.random.default_rng(5)
    pictures = [*images.drawn("test", 64, 5, 35), *rng.integers(0, 256, (2, 39, 50, 3), np.uint8)]
    for quality in (1, 4, 9):
        files = [api.compress(picture, quality=quality) for picture in pictures]
        assert api.compress_batch(pictures, quality=quality) == files
        together = api.decompress_batch(files)
        assert all(np.array_equal(api.decompress(data), made) for data, made in zip(files, together, strict=True))


def test_a_short_file_can_not_claim_a_large_busy_picture() -> None:
    before = peak_memory()
    data = seal(Head(LEARNED, 8192, 8192, 3, 8), open_model(DEFAULT_MODEL).identity[:IDENTITY_BYTES] + b"\1\2\3\4" * 9)
    with pytest.raises(WrongBytes, match="can't be in what is left"):
        api.decompress(data, limit=1 << 26)
    assert peak_memory() - before < 600 << 20
