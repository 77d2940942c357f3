"""Arrays in a zip, as ``numpy.savez_compressed`` writes them, read safely: no pickles, and no more than LARGEST bytes.

Here belongs the container alone; what the arrays mean is in ``decoding``.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from panic_assets.errors import PanicError

LARGEST = 256 * 2**20
MOST = 50_000
_HEADERS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class BadArchive(PanicError):
    """Bytes that are no such zip, or one that is too large."""


def read(data: bytes, wanted: Callable[[str], bool]) -> tuple[dict[str, np.ndarray], list[str]]:
    """(arrays whose names are wanted, all names).

    Raises:
        BadArchive: it is broken, pickled, or larger than LARGEST bytes or MOST members.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _bounded(members)
            names = [member.filename.removesuffix(".npy") for member in members]
            chosen = zip(names, members, strict=True)
            return {name: _array(name, archive.read(member)) for name, member in chosen if wanted(name)}, names
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise BadArchive(f"is no archive of arrays: {error}") from None


def _bounded(members: Sequence[zipfile.ZipInfo]) -> None:
    if len(members) > MOST:
        raise BadArchive(f"has {len(members)} members; at most {MOST} are read")
    size = sum(member.file_size for member in members)
    if size > LARGEST:
        raise BadArchive(f"expands to {size} bytes; at most {LARGEST} are read")


def _array(name: str, data: bytes) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise BadArchive(f"{name}: version {version} of the format is not known")
    shape, by_column, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise BadArchive(f"{name}: holds pickled objects, which could run anything")
    size = math.prod(shape) * dtype.itemsize
    # A header may claim any shape; nothing is allocated before it is known to be there.
    if min(shape, default=0) < 0 or size != len(data) - stream.tell():
        raise BadArchive(f"{name}: claims shape {shape} of {dtype}, but holds {len(data) - stream.tell()} bytes")
    return np.frombuffer(data, dtype, math.prod(shape), stream.tell()).reshape(shape, order="F" if by_column else "C")
