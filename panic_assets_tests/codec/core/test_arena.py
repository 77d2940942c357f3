"""The arena: where tensors lie, what is refused, and that nothing outlives a reset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.codec.core.arena import Arena
from panic_assets.codec.errors import ArenaFull, CodecError, OutOfBounds, StaleReference, UnfitValue


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float16", "int32", "float32", "float64", "complex128"])
def test_tensors_are_aligned_to_their_item_and_to_8_bytes_at_least(dtype: str) -> None:
    arena = Arena(1 << 12)
    arena.alloc(3, np.uint8)
    ref = arena.alloc((2, 5), dtype)
    alignment = max(8, np.dtype(dtype).itemsize)
    assert ref.offset % alignment == 0
    assert _address(arena.view(ref)) % alignment == 0
    assert arena.used == ref.offset + 10 * np.dtype(dtype).itemsize


def test_tensors_do_not_overlap_and_keep_their_values() -> None:
    arena, draw = Arena(1 << 16), np.random.default_rng(0)
    put = [draw.integers(0, 100, draw.integers(1, 6, 3)).astype(t) for t in ("u1", "f4", "i2", "f8", "?", "c8") * 5]
    refs = [arena.put(array) for array in put]
    for array, ref in zip(put, refs, strict=True):
        np.testing.assert_array_equal(arena.view(ref), array)
        assert arena.view(ref).dtype == array.dtype


def test_a_view_is_no_copy() -> None:
    arena = Arena(64)
    ref = arena.put(np.zeros(4, np.float32))
    arena.view(ref)[2] = 5
    assert arena.view(ref).tolist() == [0, 0, 5, 0]


def test_defect_a_full_arena_is_a_memory_error_that_names_what_is_left() -> None:
    arena = Arena(100)
    arena.alloc(60, np.uint8)
    with pytest.raises(
        MemoryError, match=r"48 bytes for \(6,\) float64 do not fit: 36 of 100 are left; .*arena_bytes"
    ) as e:
        arena.alloc(6, np.float64)
    assert isinstance(e.value, ArenaFull)
    assert isinstance(e.value, CodecError)
    assert arena.used == 60  # nothing was lost by asking
    assert arena.view(arena.alloc(36, np.uint8)).shape == (36,)
    assert arena.available == 0
    with pytest.raises(ArenaFull):
        arena.alloc(2**40, np.complex128)


def test_zero_size_tensors_take_no_room_even_in_a_full_arena() -> None:
    arena = Arena(3)
    arena.alloc(3, np.uint8)
    for shape in (0, (0, 5), (4, 0, 2)):
        view = arena.view(arena.alloc(shape, np.float64))
        assert view.size == 0
        assert view.shape == ((0,) if shape == 0 else shape)
    assert arena.used == 3


def test_a_tensor_without_axes_holds_one_value() -> None:
    arena = Arena(64)
    ref = arena.put(np.float64(2.5))
    assert arena.view(ref).shape == ()
    assert arena.view(ref) == 2.5


def test_references_are_stale_after_a_reset() -> None:
    arena = Arena(64)
    ref = arena.alloc(4, np.uint8)
    arena.reset()
    again = arena.alloc(4, np.uint8)
    assert (again.offset, again.shape) == (ref.offset, ref.shape)
    arena.view(again)
    for use in (arena.view, arena.check, lambda r: arena.sub(r, 0), lambda r: arena.batch([r])):
        with pytest.raises(StaleReference, match="generation 0"):
            use(ref)


def test_references_into_another_arena_are_refused() -> None:
    ref = Arena(64).alloc(4, np.uint8)
    with pytest.raises(StaleReference, match="another world"):
        Arena(64).view(ref)


@pytest.mark.parametrize(
    "parts",
    [0, -1, (1, 2), (slice(None), 3), (slice(1, 3), slice(-2, None)), (slice(0, 0),), (-3, slice(5, 5)), (2, -1, 0)],
)
def test_parts_are_those_of_numpy(parts: object) -> None:
    arena, array = Arena(1 << 10), np.arange(3 * 5 * 2, dtype=np.int16).reshape(3, 5, 2)
    view = arena.view(arena.sub(arena.put(array), parts))
    np.testing.assert_array_equal(view, array[parts])
    assert view.shape == array[parts].shape


def test_parts_of_parts_share_the_memory() -> None:
    arena = Arena(1 << 10)
    ref = arena.put(np.zeros((4, 4), np.uint8))
    inner = arena.sub(arena.sub(ref, (slice(1, 3), slice(1, 4))), (-1, slice(0, 2)))
    arena.view(inner)[:] = 7
    assert np.argwhere(arena.view(ref) == 7).tolist() == [[2, 1], [2, 2]]


@pytest.mark.parametrize(
    "parts", [3, -4, (0, 5), slice(0, 4), slice(-4, None), slice(2, 1), (0, slice(4, 6)), (0, 0, 0), slice(10, 12)]
)
def test_parts_over_the_edge_are_refused(parts: object) -> None:
    arena = Arena(64)
    ref = arena.alloc((3, 5), np.uint8)
    with pytest.raises(IndexError) as e:
        arena.sub(ref, parts)
    assert isinstance(e.value, OutOfBounds)


@pytest.mark.parametrize("step", [2, -1, 0])
def test_parts_with_a_step_are_refused(step: int) -> None:
    arena = Arena(64)
    with pytest.raises(UnfitValue, match=f"step {step}"):
        arena.sub(arena.alloc(6, np.uint8), slice(0, 6, step))


@pytest.mark.parametrize("dtype", [object, "U3", "datetime64[s]", [("a", "i4")]])
def test_types_that_are_no_numbers_are_refused(dtype: object) -> None:
    with pytest.raises(UnfitValue, match="can't lie in an arena"):
        Arena(64).alloc(1, dtype)


def test_sides_below_zero_are_refused() -> None:
    with pytest.raises(UnfitValue, match="negative"):
        Arena(64).alloc((2, -1), np.uint8)
    with pytest.raises(UnfitValue, match="at least 1"):
        Arena(0)


def test_a_batch_of_neighbours_is_a_view_and_others_a_copy() -> None:
    arena = Arena(1 << 12)
    refs = [arena.put(np.full((2, 3), number, np.float32)) for number in range(4)]
    batch = arena.batch(refs)
    assert batch.shape == (4, 2, 3)
    assert batch[:, 1, 2].tolist() == [0, 1, 2, 3]
    batch[2] = 9
    assert arena.view(refs[2]).tolist() == [[9] * 3] * 2
    assert arena.batch(refs[::2])[:, 0, 0].tolist() == [0, 9]
    assert np.shares_memory(arena.batch(refs[::2]), batch)
    backwards = arena.batch([refs[1], refs[0], refs[3]])
    assert backwards[:, 0, 0].tolist() == [1, 0, 3]
    assert not np.shares_memory(backwards, batch)
    assert arena.batch(refs[:1]).shape == (1, 2, 3)


def test_unlike_tensors_make_no_batch() -> None:
    arena = Arena(1 << 12)
    for refs in ([], [arena.alloc(2, "f4"), arena.alloc(3, "f4")], [arena.alloc(2, "f4"), arena.alloc(2, "i4")]):
        with pytest.raises(UnfitValue, match="no batch"):
            arena.batch(refs)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from Linux")
def test_defect_an_arena_costs_the_memory_that_is_used_of_it() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    arena = Arena(512 << 20)
    arena.view(arena.alloc(1 << 20, np.uint8))[:] = 1
    assert resident() - before < 64 << 20


def test_memory_is_used_again_after_a_reset() -> None:
    arena = Arena(1 << 12)
    places = set()
    for _ in range(100):
        places.add(_address(arena.view(arena.alloc(4000, np.uint8))))
        arena.reset()
        assert (arena.used, arena.available) == (0, arena.size)
    assert len(places) == 1
