from __future__ import annotations

import pickle
import sys
import wave

import pytest

from panic_assets.devices.base import CallTimedOut, RemoteError
from panic_assets.devices.failures import PackedError, is_poisoned, pack, unpack
from panic_assets.models.errors import ModelLoadError, RegistryError, UnknownModel


class Demanding(Exception):
    """Pickle makes it again from its text alone, which its constructor refuses."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    "error",
    [
        ModelLoadError("Flux", "the folder x", "model.safetensors is missing", "Fetch it."),
        RegistryError("overrides of Flux", ["batch: -1", "dtype: int3"]),
        UnknownModel("there is no model 'Flix'; did you mean Flux?"),
        RemoteError("OutOfMemoryError", "CUDA out of memory"),
        CallTimedOut("too long"),
        MemoryError("no room"),
        ValueError("a", 1),
    ],
)
def test_errors_come_back_as_themselves(error: Exception) -> None:
    back = unpack(pack(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    notes = back.__dict__.pop("__notes__")
    assert back.__dict__ == error.__dict__
    assert "In the process of the device" in notes[0]


def test_what_cannot_travel_is_described() -> None:
    class Local(Exception):
        pass

    for error in (Demanding("one", "two"), Local("here"), SystemExit("away"), KeyboardInterrupt("stop")):
        back = unpack(pack(error))
        assert isinstance(back, RemoteError)
        assert (back.kind, back.message) == (type(error).__name__, str(error))


def test_an_error_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(wave.Error("no chunk"))
    assert isinstance(unpack(packed), wave.Error)
    monkeypatch.delitem(sys.modules, "wave")
    assert isinstance(unpack(packed), RemoteError)
    assert "wave" not in sys.modules


def test_what_is_no_error_is_not_taken_for_one() -> None:
    assert isinstance(unpack(PackedError("ValueError", "x", pickle.dumps(3), "")), RemoteError)
    assert isinstance(unpack(PackedError("ValueError", "x", b"nonsense", "")), RemoteError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported", True),
        ("CUDA error: an illegal memory access was encountered", True),
        ("HIP error: unspecified launch failure", True),
        ("CUDA error: misaligned address", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", False),
        ("CUDA error: out of memory", False),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", False),
        ("a sonnet about a misaligned address", False),
    ],
)
def test_poison(text: str, expected: bool) -> None:
    assert is_poisoned(RuntimeError(text)) is expected
    outer = ValueError("the model failed")
    outer.__cause__ = RuntimeError(text)
    assert is_poisoned(outer) is expected
