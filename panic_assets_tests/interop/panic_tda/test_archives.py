"""Arrays in a zip: what numpy writes is read back, and nothing else costs memory or runs."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.interop.panic_tda import archives
from panic_assets.interop.panic_tda.archives import LARGEST, BadArchive


def saved(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def always(_: str) -> bool:
    return True


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i8", "|u1", "<U7"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 2), (3,), (3, 2)])
def test_round_trip(dtype: str, shape: tuple[int, ...]) -> None:
    array = (
        np.arange(int(np.prod(shape, dtype=int)) or 1)[: int(np.prod(shape, dtype=int))].astype(dtype).reshape(shape)
    )
    arrays, names = archives.read(saved(one=array, two=np.asfortranarray(array)), always)
    assert names == ["one", "two"]
    for found in arrays.values():
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_only_what_is_wanted_is_read() -> None:
    data = saved(good=np.ones(2), bad=np.array([{}], dtype=object))
    arrays, names = archives.read(data, lambda name: name == "good")
    assert list(arrays) == ["good"]
    assert names == ["good", "bad"]


class Exploding:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle ran')",)


def test_pickles_do_not_run() -> None:
    data = saved(bad=np.array([Exploding()], dtype=object))
    with pytest.raises(BadArchive, match="pickled"):
        archives.read(data, always)


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


HOSTILE = {
    "no zip": (b"PK, but not really", "is no archive"),
    "nothing": (b"", "is no archive"),
    "cut": (saved(a=np.arange(999))[:200], "is no archive"),
    "shape of a planet": (zipped(a=header("(99999999999, 9)") + bytes(8)), "claims shape"),
    "negative shape": (zipped(a=header("(-1, -2)") + bytes(8)), "claims shape"),
    "too few bytes": (zipped(a=header("(3,)") + bytes(8)), "claims shape"),
    "no array": (zipped(a=b"hello there, no array"), "is no archive"),
    "unknown version": (zipped(a=b"\x93NUMPY\x09\x00" + bytes(80)), "version"),
    "header of nonsense": (zipped(a=header("__import__('os')") + bytes(8)), "is no archive"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(BadArchive, match=reason):
        archives.read(data, always)


def test_a_bomb_is_not_inflated() -> None:
    data = zipped(a=bytes(LARGEST + 1))
    assert len(data) < LARGEST / 500
    tracemalloc.start()
    with pytest.raises(BadArchive, match="expands to"):
        archives.read(data, always)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_bomb_that_lies_about_its_size() -> None:
    data = bytearray(zipped(a=bytes(20 * 2**20)))
    # Both the member and the directory say 99 bytes.
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(signature) + offset
        data[place : place + 4] = struct.pack("<I", 99)
    with pytest.raises(BadArchive):
        archives.read(bytes(data), always)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_damage_never_escapes(noise: bytes, place: int) -> None:
    data = bytearray(saved(dgms_0=np.ones((5, 2), np.float32), entropy=np.ones(3, np.float32)))
    data[place : place + len(noise)] = noise
    with contextlib.suppress(BadArchive):
        archives.read(bytes(data), always)
