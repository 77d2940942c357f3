"""Finding a batch size: real dummies on a real device, whose memory and clock are computed instead of measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.devices.base import Call, CallTimedOut, Device, DeviceLost, RemoteError, Reply
from panic_assets.devices.known import KnownFacts
from panic_assets.devices.local import LocalDevice
from panic_assets.devices.probing import probe_batch
from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelCallError, ModelLoadError
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry

REGISTRY = load_registry()
ENTRY = REGISTRY["DummyT2T"]
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
OUT_OF_MEMORY = RemoteError("OutOfMemoryError", "CUDA out of memory")


class Bounded:
    """A local device that has room for batches up to ``room``, and says that calls took what ``clock`` computes.

    ``clock`` gets the batch size and how many calls there were of it before.
    """

    name, hardware, capacity_gb, lanes = "bounded", "NVIDIA H200", None, 1

    def __init__(
        self,
        room: int = 1000,
        clock: Callable[[int, int], float] = lambda size, before: 1.0,
        error: Exception = OUT_OF_MEMORY,
    ) -> None:
        self._inner = LocalDevice(ModelPool("cpu"))
        self._room, self._clock, self._error = room, clock, error
        self.calls: list[Call] = []

    @property
    def sizes(self) -> list[int]:
        return [len(call.inputs) for call in self.calls]

    def call(self, call: Call) -> Reply:
        size = len(call.inputs)
        before = self.sizes.count(size)
        self.calls.append(call)
        if size > self._room:
            raise self._error
        reply = self._inner.call(call)
        is_first = len(self.calls) == 1
        return replace(
            reply,
            seconds=self._clock(size, before),
            loading_seconds=20.0 if is_first else 0.0,
            device=self.hardware,
            peak_gb=1.0 + size,
        )

    def close(self) -> None:
        self._inner.close()


def facts_at(folder: Path) -> KnownFacts:
    return KnownFacts(folder / "devices.json")


def unsized(entry: ModelEntry = ENTRY) -> ModelEntry:
    return entry.model_copy(update={"batch": None})


def test_the_double_is_a_device() -> None:
    assert isinstance(Bounded(), Device)


@pytest.mark.parametrize(("room", "found"), [(1, 1), (2, 2), (3, 2), (31, 16), (32, 32)])
def test_the_largest_that_fits_is_found_with_one_failure(tmp_path: Path, room: int, found: int) -> None:
    device, known = Bounded(room), facts_at(tmp_path)
    assert probe_batch(device, ENTRY, "x", known=known) == found
    assert [size for size in device.sizes if size > room] == [2 * found]
    assert known.batch_failed(ENTRY, device.hardware) == 2 * found
    assert known.batch_for(unsized(), device.hardware) == found


@given(room=st.integers(1, 40), fixed=st.floats(0, 10), each=st.floats(0.01, 10), limit=st.integers(1, 32))
def test_what_is_found_fits_and_every_doubling_up_to_it_was_worth_it(
    room: int, fixed: float, each: float, limit: int
) -> None:
    device = Bounded(room, lambda size, before: fixed + each * size)
    item = {size: (fixed + each * size) / size for size in (1, 2, 4, 8, 16, 32)}
    found = probe_batch(device, ENTRY, "x", known=None, limit=limit, gain=1.1)
    assert found <= min(room, limit)
    assert all(1.1 * item[size] <= item[size // 2] for size in item if 1 < size <= found)
    assert 2 * found > min(room, limit) or 1.1 * item[2 * found] > item[found]
    assert sum(size > room for size in device.sizes) <= 1
    assert max(device.sizes) <= limit


def test_nothing_is_tried_beyond_the_limit() -> None:
    device = Bounded()
    assert probe_batch(device, ENTRY, "x", known=None, limit=12) == 8
    assert device.sizes == [1, 1, 2, 4, 8]


def test_a_slow_first_call_of_a_size_is_given_a_second_chance() -> None:
    """Without it, one item would look slower than it is, and eight would not look worth it."""
    device = Bounded(8, lambda size, before: (1.0 if size < 16 else 99.0) + (50.0 if not before else 0.0))
    assert probe_batch(device, ENTRY, "x", known=None) == 8
    assert device.sizes == [1, 1, 2, 2, 4, 4, 8, 8, 16]


def test_what_no_longer_gains_is_called_twice_and_not_taken() -> None:
    device = Bounded(clock=lambda size, before: max(4.0, size))
    assert probe_batch(device, ENTRY, "x", known=None) == 4
    assert device.sizes == [1, 1, 2, 4, 8, 8]


def test_results_are_remembered(tmp_path: Path) -> None:
    device = Bounded(5, lambda size, before: 2.0 + size + (30.0 if not before and size == 1 else 0.0))
    known = facts_at(tmp_path)
    assert probe_batch(device, unsized(), "x", known=known) == 4
    known.save()
    again = facts_at(tmp_path)
    assert [again.seconds(ENTRY, device.hardware, size) for size in (1, 2, 4)] == [3.0, 4.0, 6.0]
    assert again.load_seconds(ENTRY, device.hardware) == 20.0
    assert again.memory_gb(ENTRY, device.hardware) == 5.0
    assert again.batch_for(unsized(), device.hardware) == 4
    assert again.batch_for(ENTRY, device.hardware) == 4, "32 is registered, and 8 is known to fail"


def test_memory_is_noted_only_of_a_model_that_is_alone(tmp_path: Path) -> None:
    device, known = Bounded(), facts_at(tmp_path)
    probe_batch(device, ENTRY, "x", known=None, limit=1)
    probe_batch(device, REGISTRY["DummyText"], "x", "text", known=known, limit=2)
    assert known.load_seconds(REGISTRY["DummyText"], device.hardware) is None, "it was the other that took 20 s to load"
    assert known.memory_gb(REGISTRY["DummyText"], device.hardware) is None


def test_a_size_that_is_known_to_fail_is_not_tried(tmp_path: Path) -> None:
    device, known = Bounded(5), facts_at(tmp_path)
    known.note_out_of_memory(ENTRY, device.hardware, 8)
    assert probe_batch(device, ENTRY, "x", known=known) == 4
    assert max(device.sizes) == 4


def test_calls_are_copies_of_the_example_with_seeds_of_their_own() -> None:
    device = Bounded()
    probe_batch(device, ENTRY, "x", known=None, limit=4, release=("other",))
    assert [call.inputs for call in device.calls] == [("x",) * size for size in (1, 1, 2, 4)]
    assert [call.seeds for call in device.calls] == [tuple(range(size)) for size in (1, 1, 2, 4)]
    assert device.calls[0].release == ("other",)
    assert not any(call.release for call in device.calls[2:])
    assert all(call.limit_seconds for call in device.calls)


def test_embedders_are_probed_with_a_medium() -> None:
    device = Bounded(4)
    assert probe_batch(device, REGISTRY["DummyVision"], np.zeros((8, 8, 3), np.uint8), "image", known=None) == 4
    assert {call.seeds for call in device.calls} == {()}


@pytest.mark.parametrize(
    "error", [DeviceLost("gone"), CallTimedOut("slow"), RuntimeError("invalid configuration argument")]
)
def test_a_larger_batch_that_fails_otherwise_does_not_fit_either(tmp_path: Path, error: Exception) -> None:
    device, known = Bounded(4, error=error), facts_at(tmp_path)
    assert probe_batch(device, ENTRY, "x", known=known) == 4
    assert device.sizes == [1, 1, 2, 4, 8]
    assert known.batch_for(unsized(), device.hardware) == 4
    assert known.batch_failed(ENTRY, device.hardware) is None, "it was not memory, and may not happen again"


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, DeviceLost("gone"), MemoryError()])
def test_a_single_item_that_fails_gives_one_and_is_not_remembered(tmp_path: Path, error: Exception) -> None:
    device, known = Bounded(0, error=error), facts_at(tmp_path)
    assert probe_batch(device, ENTRY, "x", known=known) == 1
    assert device.sizes == [1]
    assert known.batch_for(unsized(), device.hardware) is None


def test_an_example_that_the_model_can_not_take_is_the_callers_business() -> None:
    wrong: Any = 3
    with pytest.raises(ModelCallError):
        probe_batch(Bounded(), ENTRY, wrong, known=None)


@pytest.mark.parametrize("room", [0, 2])
def test_loading_that_fails_is_told_whenever_it_does(room: int) -> None:
    """Even where the library's own words were of memory: a smaller batch would not help."""
    error = ModelLoadError("X", "here", "out of memory", "Give it another device.")
    with pytest.raises(ModelLoadError, match="another device"):
        probe_batch(Bounded(room, error=error), ENTRY, "x", known=None)
