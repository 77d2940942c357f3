"""The payload of latents: there and back from its bytes, quality, transforms, and bytes that are wrong."""

from __future__ import annotations

import doctest
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from panic_assets.codec import models, pipeline
from panic_assets.codec.configuration import VaeSettings
from panic_assets.codec.errors import UnfitValue, WrongBytes
from panic_assets.codec.exporting import export_vae
from panic_assets.codec.models import Vae, load_vae
from panic_assets.codec.pipeline import (
    LEVELS,
    MOST_CHANNELS,
    Transform,
    VaePipeline,
    decode_latents,
    encode_latents,
)
from panic_assets.codec.systems.klt import KLT
from panic_assets_tests.codec.vaes import exported, picture, tiny


def _latents(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth in each channel, with channels that go together."""
    rng = np.random.default_rng(seed)
    down, along = np.mgrid[:height, :width] / 8
    planes = [np.sin(down * (k % 3) + along + k) + rng.standard_normal((height, width)) / 4 for k in range(channels)]
    mixed = np.stack(planes) + 0.8 * planes[0]
    return mixed.astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 9), (3, 7, 5), (8, 8, 8), (4, 33, 20), (16, 64, 48)])
def test_any_shape_comes_back_within_half_a_step(shape: tuple[int, int, int]) -> None:
    latents = _latents(*shape)
    payload = encode_latents(latents, LEVELS - 1)
    found = decode_latents(payload, *shape[1:])
    assert found.shape == shape
    assert found.dtype == np.float32
    assert np.sqrt(np.square(found - latents).mean()) < 0.05
    assert len(payload) < latents.nbytes / 2 + 20


@pytest.mark.parametrize("shape", [(4, 16, 16), (8, 8, 8), (4, 40, 64)])
def test_error_falls_and_bytes_rise_with_quality(shape: tuple[int, int, int]) -> None:
    latents = _latents(*shape)
    payloads = [encode_latents(latents, level) for level in range(LEVELS)]
    sizes = [len(payload) for payload in payloads]
    errors = [float(np.square(decode_latents(payload, *shape[1:]) - latents).mean()) for payload in payloads]
    assert sizes == sorted(set(sizes))
    assert errors == sorted(set(errors), reverse=True)


@pytest.mark.parametrize("transform", ["none", "hadamard", "klt"])
def test_each_transform_is_undone_from_the_bytes(transform: Transform) -> None:
    latents = _latents(4, 16, 24)
    klt = KLT.learned([_latents(4, 32, 32, seed=1)])
    payload = encode_latents(latents, 14, transform, klt)
    np.testing.assert_allclose(decode_latents(payload, 16, 24, klt), latents, atol=0.2)


def test_a_learned_transform_saves_bytes_where_channels_go_together() -> None:
    latents = _latents(4, 32, 48)
    klt = KLT.learned([_latents(4, 64, 64, seed=1)])
    assert len(encode_latents(latents, 8, "klt", klt)) < len(encode_latents(latents, 8)) * 0.95


def test_more_bands_than_tables_and_values_far_apart() -> None:
    latents = _latents(40, 24, 24) * np.float32(2) ** np.arange(-26, 14, dtype=np.float32)[:, None, None]
    found = decode_latents(encode_latents(latents, LEVELS - 1), 24, 24)
    assert np.square(found - latents).mean() < 0.01


def test_latents_of_zeros_cost_next_to_nothing() -> None:
    payload = encode_latents(np.zeros((4, 64, 64), np.float32), 8)
    assert len(payload) < 40
    assert not decode_latents(payload, 64, 64).any()


def test_what_is_no_latent_is_refused() -> None:
    good = np.zeros((4, 8, 8), np.float32)
    for latents in (good[0], good.astype(int), good[:0], np.zeros((MOST_CHANNELS + 1, 1, 1), np.float32)):
        with pytest.raises(UnfitValue, match="give floats"):
            encode_latents(latents, 8)
    for level in (-1, 16):
        with pytest.raises(UnfitValue, match=f"level {level}; give 0 to 15"):
            encode_latents(good, level)
    with pytest.raises(UnfitValue, match="no numbers"):
        encode_latents(good + np.float32("inf"), 8)
    with pytest.raises(UnfitValue, match="the model has none"):
        encode_latents(good, 8, "klt")
    with pytest.raises(UnfitValue, match="Hadamard4 takes floats"):
        encode_latents(_latents(3, 8, 8), 8, "hadamard")


def test_mutated_payloads_give_an_error_or_latents_of_the_shape() -> None:
    # Without the file's checksum: that is what stands before this decoder.
    chance = random.Random(0)
    payload = encode_latents(_latents(4, 24, 16), 6)
    refused = 0
    for _ in range(400):
        mutated = bytearray(payload)
        for _ in range(chance.randint(1, 3)):
            mutated[chance.randrange(len(mutated)) if chance.random() < 0.5 else chance.randrange(30)] ^= (
                chance.randint(1, 255)
            )
        data = bytes(mutated[: chance.randrange(len(mutated))] if chance.random() < 0.2 else mutated)
        try:
            found = decode_latents(data, 24, 16)
        except WrongBytes:
            refused += 1
        else:
            assert found.shape[1:] == (24, 16)
    assert refused > 380


def test_hostile_heads_ask_for_no_memory() -> None:
    import tracemalloc

    latents = encode_latents(_latents(4, 8, 8), 8)
    tracemalloc.start()
    for data in (b"", b"\0" * 100, b"\xff" * 100, latents[:10], latents + b"more"):
        with pytest.raises(WrongBytes):
            decode_latents(data, 4096, 4096)
    with pytest.raises(WrongBytes):
        decode_latents(latents, 2048, 2048)
    assert tracemalloc.get_traced_memory()[1] < 1 << 30
    tracemalloc.stop()


def test_pictures_by_a_vae_there_and_back() -> None:
    whole = VaePipeline(load_vae(exported("bundled").folder))
    vae = whole.vae
    latents = vae.encode(picture(50, 70)[None])[0]
    payload = whole.encode(latents, 10)
    assert np.abs(whole.decode(payload, 50, 70) - latents).max() < 1
    best = vae.decode(latents[None], 50, 70)[0].astype(int)
    assert np.abs(whole.draw(payload, 50, 70) - best).mean() < 8
    with pytest.raises(WrongBytes, match=r"4 channels.* for 8 channels"):
        whole.decode(encode_latents(latents[:4], 10), 50, 70)


def test_a_model_with_a_klt_uses_it(tmp_path: Path) -> None:
    told = export_vae(tiny(6), tmp_path / "six", pictures=[picture(32, 32, seed) for seed in range(3)])
    vae = load_vae(told.folder)
    assert vae.settings.table.klt == told.folder / "klt.npz"
    plain = VaePipeline(vae, "none")
    latents = vae.encode(picture(40, 24)[None])[0]
    turned = VaePipeline(vae).encode(latents, 9)
    assert turned != plain.encode(latents, 9)
    assert np.square(plain.decode(turned, 40, 24) - latents).mean() < 0.1 * latents.var() + 0.01
    without = Vae(VaeSettings("six", vae.settings.table.model_copy(update={"klt": None})))
    with pytest.raises(WrongBytes, match="the model has none"):
        VaePipeline(without).decode(turned, 40, 24)
    assert without.identity != vae.identity


@pytest.mark.parametrize("module", [pipeline, models])
def test_docstrings_show_what_happens(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
