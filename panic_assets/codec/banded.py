"""Symbols of many bands to coded bytes and back: bands that are alike share a table.

Here belongs what the latents of a VAE and the systems of a world have in common: which band takes which table, and how
numbers that each band has are written. What a band is belongs to lifting, what a table is to tables.

>>> import numpy as np
>>> symbols = np.array([0] * 40 + [1, 0, -1, 0] * 10 + [30, -50, 70, -10])
>>> coded = encode(symbols, sizes=[40, 40, 4])
>>> coded.of_bands, len(coded.tables)
((0, 1, 2), 3)
>>> bool((decode(coded, sizes=[40, 40, 4]) == symbols).all())
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.codec.bits import BitReader, BitWriter
from panic_assets.codec.entropy import Coder
from panic_assets.codec.errors import WrongBytes
from panic_assets.codec.probability import CLASSES
from panic_assets.codec.tables import Table, fitted

_CLASSES_PER_OCTAVE = 3  # of mean magnitude: bands alike share a table
_LEAST_MEAN = 2.0**-10


@dataclass(frozen=True)
class Coded:
    """Symbols as bytes, with all but their number that reading them needs.

    Args:
        tables: one for each class.
        of_bands: the number of the table of each band.
        data: the coded bytes.
    """

    tables: Sequence[Table]
    of_bands: tuple[int, ...]
    data: bytes


def encode(symbols: np.ndarray, sizes: Sequence[int]) -> Coded:
    """Integers (n,), band after band, of which each band has so many as ``sizes`` says."""
    bands = np.split(symbols, np.cumsum(sizes)[:-1])
    of_bands = _tables_of(bands)
    alike = (
        [band for band, own in zip(bands, of_bands, strict=True) if own == number]
        for number in range(max(of_bands) + 1)
    )
    tables = [fitted(np.concatenate(some)) for some in alike]
    return Coded(tables, of_bands, Coder(tables).encode(symbols, _classes(of_bands, sizes)))


def decode(coded: Coded, sizes: Sequence[int]) -> np.ndarray:
    """The symbols, int32 (n,).

    Raises: :class:`~panic_assets.codec.errors.WrongBytes` where the bytes can't hold so many symbols (before anything
        is made for them), where a band has no table, and where the coder does not end as it began.
    """
    if not 0 <= min(coded.of_bands) <= max(coded.of_bands) < len(coded.tables):
        raise WrongBytes(f"bands with tables {min(coded.of_bands)} to {max(coded.of_bands)}, of {len(coded.tables)}")
    # Half of what the likeliest symbols cost: no encoder's bytes come near. Nothing is made yet for what they claim.
    least = sum(coded.tables[number].least_bits * size for number, size in zip(coded.of_bands, sizes, strict=True))
    if least / 2 > 8 * len(coded.data) + 64:
        raise WrongBytes(f"{sum(sizes)} symbols can't be in {len(coded.data)} bytes")
    classes = _classes(coded.of_bands, sizes)
    return Coder(coded.tables).decode(coded.data, classes.size, classes)


def write_numbers(writer: BitWriter, kinds: Sequence[str], numbers: Sequence[int]) -> BitWriter:
    """Signed numbers of bands, each by its difference to the last one of its kind; of a new kind, to the last one."""
    last = 0
    known: dict[str, int] = {}
    for kind, number in zip(kinds, numbers, strict=True):
        writer.signed(number - known.get(kind, last))
        known[kind] = last = number
    return writer


def read_numbers(reader: BitReader, kinds: Sequence[str]) -> list[int]:
    """What :func:`write_numbers` wrote. Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
    numbers: list[int] = []
    known: dict[str, int] = {}
    for kind in kinds:
        number = known.get(kind, numbers[-1] if numbers else 0) + reader.signed()
        known[kind] = number
        numbers.append(number)
    return numbers


def _tables_of(bands: Sequence[np.ndarray]) -> tuple[int, ...]:
    """For each band the number of its table: bands of about the same mean magnitude have one."""
    means = np.array([max(np.abs(band).mean() if band.size else 0.0, _LEAST_MEAN) for band in bands])
    octaves = np.rint(np.log2(means) * _CLASSES_PER_OCTAVE).astype(int)
    most = -np.sort(-np.unique(octaves))[:CLASSES]  # of more, which no picture has yet had, the smallest share one
    return tuple(int(number) for number in np.searchsorted(most[::-1], octaves).clip(0, len(most) - 1))


def _classes(of_bands: Sequence[int], sizes: Sequence[int]) -> np.ndarray:
    """The table of each symbol, uint8 (n,)."""
    return np.repeat(np.array(of_bands, np.uint8), sizes)
