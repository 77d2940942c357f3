"""Wavelet coefficients to bytes and back: tables for the classes that occur, then symbols.

Here belongs the form of these bytes. Which class a coefficient has is found by
:mod:`panic_assets.codec.bitstream.contexts`; tables and the coder have modules of their own.
"""

from __future__ import annotations

import numpy as np

from panic_assets.codec.bitstream.contexts import most_classes, walk
from panic_assets.codec.bitstream.fields import Fields, number
from panic_assets.codec.components import Band
from panic_assets.codec.entropy import Coder
from panic_assets.codec.errors import WrongBytes
from panic_assets.codec.grouping import Grouping
from panic_assets.codec.lifting import MOST_LEVELS
from panic_assets.codec.tables import fitted, read_tables, write_tables


def encode(coefficients: np.ndarray, levels: int) -> bytes:
    """The bytes of int32 (channels, h, w) in the layout of :func:`panic_assets.codec.lifting.bands`."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []

    def look(band: Band, corner: tuple[int, int], stride: int, classes: np.ndarray) -> np.ndarray:
        plane = coefficients[band.channel, band.top : band.top + band.height, band.left : band.left + band.width]
        values: np.ndarray = plane[corner[0] :: stride, corner[1] :: stride]
        parts.append((classes.ravel(), values.ravel()))
        return values

    channels, height, width = coefficients.shape
    walk(channels, height, width, levels, look)
    classes, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    count = int(classes.max()) + 1
    grouping = Grouping.by(classes.astype(np.uint8), count)
    ordered, places = grouping.sorted(values), dict(grouping.groups)
    # A class that does not occur gets the shortest table that can be written.
    tables = [fitted(ordered[places.get(name, slice(0))]) for name in range(count)]
    return number(levels) + number(len(tables)) + write_tables(tables) + Coder(tables).encode_parts(parts)


def decode(data: bytes, channels: int, height: int, width: int) -> tuple[np.ndarray, int]:
    """What :func:`encode` got. Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
    fields = Fields(data)
    levels = fields.number("number of levels")
    if levels > MOST_LEVELS:
        raise WrongBytes(f"{levels} levels of a wavelet transform: {MOST_LEVELS} is the most")
    count = fields.number("number of tables")
    if not 1 <= count <= most_classes(channels):
        raise WrongBytes(f"{count} tables for coefficients of {most_classes(channels)} classes; 1 is the least")
    rest = fields.rest()
    tables, end = read_tables(rest, count)
    reader = Coder(tables).reader(rest[end:])

    def read(band: Band, corner: tuple[int, int], stride: int, classes: np.ndarray) -> np.ndarray:
        if classes.max() >= count:
            raise WrongBytes(f"coefficients of class {classes.max()}, and tables for {count} classes alone")
        return reader.read(classes)

    found = walk(channels, height, width, levels, read)
    reader.finish()
    return found, levels
