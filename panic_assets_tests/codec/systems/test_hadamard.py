"""The Hadamard transform: orthonormal, its own inverse, the same bits everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec.components import Channels, Latent
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.systems.hadamard import Hadamard4, hadamard4


def _matrix() -> np.ndarray:
    return hadamard4(np.eye(4, dtype=np.float64).reshape(4, 4, 1))[..., 0]


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_defect_the_transform_is_orthonormal() -> None:
    np.testing.assert_array_equal(_matrix() @ _matrix().T, np.eye(4))


def test_rows_are_by_rising_number_of_changes_of_sign() -> None:
    assert [(np.diff(np.sign(row)) != 0).sum() for row in _matrix()] == [0, 1, 2, 3]


@pytest.mark.parametrize("shape", [(4, 1, 1), (4, 7, 5), (4, 64, 96)])
def test_back_and_forth_is_exact_to_a_millionth(shape: tuple[int, ...]) -> None:
    planes = _noise(*shape)
    assert np.abs(hadamard4(hadamard4(planes)) - planes).max() < 1e-6
    assert hadamard4(planes).dtype == np.float32


def test_defect_errors_of_coded_channels_do_not_grow_on_the_way_back() -> None:
    planes, error = _noise(4, 40, 40).astype(np.float64), 0.1 * np.random.default_rng(1).standard_normal((4, 40, 40))
    back = hadamard4(hadamard4(planes) + error) - planes
    assert np.square(back).sum() == pytest.approx(np.square(error).sum())


def test_half_precision_is_kept_but_summed_in_single() -> None:
    planes = np.full((4, 1, 1), 20000, np.float16)
    assert hadamard4(planes)[0, 0, 0] == 40000  # the sum of 80000 would be infinite in half precision
    assert hadamard4(planes).dtype == np.float16


@pytest.mark.parametrize("planes", [np.zeros((3, 2, 2)), np.zeros((4, 2)), np.zeros((4, 2, 2), np.int32)])
def test_other_planes_are_refused(planes: np.ndarray) -> None:
    with pytest.raises(UnfitValue, match="Hadamard4 takes floats"):
        hadamard4(planes)


def test_the_system_goes_both_ways_over_a_batch() -> None:
    world, eids = World(arena_bytes=1 << 20), []
    for size in (3, 8):
        eids.append(world.new_entity())
        world.add_component(eids[-1], Latent(z=world.arena.put(_noise(4, size, 5))))
    pipe = world.pipe(eids).to(Hadamard4(mode="forward"))
    for eid, channels in zip(eids, pipe.out(Channels), strict=True):
        np.testing.assert_array_equal(world.arena.view(channels.t), hadamard4(_noise(4, channels.t.shape[1], 5)))
        world.remove_component(eid, Latent)
    for latent in pipe.to(Hadamard4(mode="inverse")).out(Latent):
        np.testing.assert_allclose(world.arena.view(latent.z), _noise(4, latent.z.shape[1], 5), atol=1e-6)
