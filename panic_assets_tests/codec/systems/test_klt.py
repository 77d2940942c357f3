"""The learned rotation: orthonormal, decorrelating, kept in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.codec.components import Channels, Latent
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import MissingModel, UnfitValue
from panic_assets.codec.systems.hadamard import hadamard4
from panic_assets.codec.systems.klt import KLT, coding_gain


def _latents(channels: int = 4, count: int = 3) -> list[np.ndarray]:
    """Correlated channels with a mean, of several sizes."""
    draw = np.random.default_rng(7)
    mixing = draw.standard_normal((channels, channels))
    return [
        (np.tensordot(mixing, draw.standard_normal((channels, 16 + i, 20)), 1) + 3).astype(np.float32)
        for i in range(count)
    ]


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_a_learned_rotation_is_orthonormal_and_decorrelates(channels: int) -> None:
    latents = _latents(channels)
    klt = KLT.learned(latents)
    np.testing.assert_allclose(klt.matrix @ klt.matrix.T, np.eye(channels), atol=1e-12)
    turned = np.concatenate([klt.transformed(latent).reshape(channels, -1) for latent in latents], 1)
    covariance = np.atleast_2d(np.cov(turned))
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-4 * covariance.max()
    assert (np.diff(np.diag(covariance)) <= 0).all()
    assert np.abs(turned.mean(1)).max() < 1e-5


def test_learning_is_the_same_each_time_and_signs_are_fixed() -> None:
    first, second = KLT.learned(_latents()), KLT.learned(_latents())
    assert first.matrix.tobytes() == second.matrix.tobytes()
    largest = np.abs(first.matrix).argmax(1)
    assert (first.matrix[range(4), largest] > 0).all()


def test_no_orthonormal_transform_gains_more() -> None:
    latents = _latents()
    gain = coding_gain([KLT.learned(latents).transformed(latent) for latent in latents])
    assert gain > coding_gain(latents)
    assert gain > coding_gain([hadamard4(latent) for latent in latents])


def test_the_gain_of_known_variances() -> None:
    waves = np.array([[1.0, -1.0], [2.0, -2.0]]).reshape(2, 1, 2)  # variances 1 and 4
    assert coding_gain([waves]) == pytest.approx(10 * np.log10(2.5 / 2))
    assert coding_gain([np.ones((2, 2, 2))]) == 0
    assert coding_gain([np.stack([waves[0], np.zeros((1, 2))])]) == float("inf")


def test_defect_the_system_can_be_made_and_goes_both_ways() -> None:
    world, latent = World(arena_bytes=1 << 20), _latents()[0]
    forth = KLT.learned([latent])
    back = forth.inverse()
    assert (forth.mode, back.mode, back.inverse().mode) == ("encode", "decode", "encode")
    eid = world.new_entity()
    world.add_component(eid, Latent(z=world.arena.put(latent)))
    channels = world.pipe(eid).to(forth).out(Channels)
    np.testing.assert_array_equal(world.arena.view(channels.t), forth.transformed(latent))
    world.remove_component(eid, Latent)
    recon = world.pipe(eid).to(back).out(Latent)
    np.testing.assert_allclose(world.arena.view(recon.z), latent, atol=1e-5)
    assert recon.z.dtype == np.float32


def test_a_file_gives_the_same_rotation(tmp_path: Path) -> None:
    klt, path = KLT.learned(_latents()), tmp_path / "klt.npz"
    klt.save(path)
    loaded = KLT.from_npz(path, mode="decode")
    np.testing.assert_array_equal(loaded.matrix, klt.matrix)
    np.testing.assert_array_equal(loaded.mean, klt.mean)
    assert loaded.mode == "decode"
    np.savez(path, matrix=np.eye(3))
    assert KLT.from_npz(path).mean.tolist() == [0, 0, 0]


def test_files_that_hold_no_rotation_are_named(tmp_path: Path) -> None:
    path = tmp_path / "klt.npz"
    with pytest.raises(FileNotFoundError, match=r"klt\.npz: no such file; write one with KLT\.save") as e:
        KLT.from_npz(path)
    assert isinstance(e.value, MissingModel)
    np.savez(path, other=np.eye(3))
    with pytest.raises(UnfitValue, match=r"klt\.npz: no \.npz with a matrix"):
        KLT.from_npz(path)
    np.savez(path, matrix=np.ones((3, 3)))
    with pytest.raises(UnfitValue, match=r"klt\.npz: rows of the matrix"):
        KLT.from_npz(path)
    KLT.learned(_latents()).save(path)
    whole = path.read_bytes()
    for content in (b"", b"not a zip", whole[: len(whole) // 2], b"\x93NUMPY\x01\x00v"):
        path.write_bytes(content)
        with pytest.raises(UnfitValue, match=r"klt\.npz"):
            KLT.from_npz(path)
    np.save(path.with_suffix(".npy"), np.eye(3))
    with pytest.raises(UnfitValue, match=r"klt\.npy"):
        KLT.from_npz(path.with_suffix(".npy"))


@pytest.mark.parametrize(
    "matrix", [np.ones((2, 2)), np.eye(3)[:2], 1.001 * np.eye(2), np.full((2, 2), np.nan), np.zeros((0, 0))]
)
def test_matrices_that_rotate_nothing_are_refused(matrix: np.ndarray) -> None:
    with pytest.raises(UnfitValue, match="matrix"):
        KLT(matrix)


def test_other_input_is_refused() -> None:
    with pytest.raises(UnfitValue, match="mean"):
        KLT(np.eye(2), np.zeros(3))
    with pytest.raises(UnfitValue, match=r"takes floats \(2, h, w\)"):
        KLT(np.eye(2)).transformed(np.zeros((3, 2, 2)))
    for latents in ([], [np.zeros((2, 2))], [np.zeros((2, 2, 2)), np.zeros((3, 2, 2))], [np.zeros((2, 0, 2))]):
        with pytest.raises(UnfitValue, match="latents"):
            KLT.learned(latents)
    with pytest.raises(UnfitValue, match="not finite"):
        KLT.learned([np.full((2, 2, 2), np.inf)])
