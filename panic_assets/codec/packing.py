"""A :class:`Bitstream` as one string of bytes, and back: what leaves a world and enters another.

Here belongs the form of these bytes; docs/codec-sdk.md has it in words. They hold all but the networks and rotations
that a pipe names itself. Files of pictures, which name their model too, are the business of ``bitstream`` and ``api``.

>>> import numpy as np
>>> from panic_assets.codec.components import QuantParams, Symbols
>>> from panic_assets.codec.systems.ans import ANSDecode, ANSEncode
>>> world = World(arena_bytes=1 << 16)
>>> eid = world.new_entity()
>>> drawn = np.arange(-50, 50, dtype=np.int32)
>>> world.add_component(eid, Symbols(data=world.arena.put(drawn), params=QuantParams(steps=(0.5,))))
>>> data = packed(world, world.pipe(eid).to(ANSEncode()).out(Bitstream))
>>> elsewhere = World(arena_bytes=1 << 16)
>>> eid = elsewhere.new_entity()
>>> elsewhere.add_component(eid, unpacked(elsewhere, data))
>>> symbols = elsewhere.pipe(eid).to(ANSDecode()).out(Symbols)
>>> bool((elsewhere.arena.view(symbols.data) == drawn).all()), symbols.params.steps
(True, (0.5,))
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import get_args

import numpy as np
from pydantic import ValidationError

from panic_assets.codec import banded, lifting
from panic_assets.codec.bits import BitReader, BitWriter
from panic_assets.codec.bitstream.fields import CHECKSUM_BYTES, checksum
from panic_assets.codec.components import Bitstream, CoefficientType, QuantParams, Wavelet
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue, WrongBytes, WrongVersion
from panic_assets.codec.tables import read_tables

MAGIC = b"\x9bPB"
VERSION = 1

DEFAULT_LIMIT = 1 << 28
"""Symbols that are read unless told otherwise."""

_MOST_AXES, _MOST_CHANNELS = 8, 256
_PARTS = 64  # dead zones and offsets are mostly whole parts of a step
_NONE, _EXACT, _FREE = range(3)  # no parameters; steps of few binary digits; any others
_WIDEST_STEP = 100  # steps lie between 2**-100 and 2**100: a float32 of them is finite
_WAVELETS: tuple[Wavelet, ...] = get_args(Wavelet)
_TYPES: tuple[CoefficientType, ...] = get_args(CoefficientType)


def packed(world: World, bitstream: Bitstream) -> bytes:
    """All of a bitstream whose bytes lie in the arena of ``world``.

    Raises: :class:`UnfitValue` where bands are not those of a wavelet, or steps are under 2**-100 or above 2**100.
    """
    shape, levels = bitstream.shape or (bitstream.n_symbols,), bitstream.levels
    if bitstream.bands and bitstream.bands != lifting.bands(*_planes(shape), levels):
        raise UnfitValue(f"{len(bitstream.bands)} bands that are not those of {levels} levels on {shape}")
    head = BitWriter()
    _write_sides(head, shape)
    _write_sides(head, bitstream.picture)
    head.number(_WAVELETS.index(bitstream.wavelet)).number(_TYPES.index(bitstream.coefficients))
    head.number(levels + 1 if bitstream.bands else 0)
    of_bands = bitstream.of_bands or (0,) * max(len(bitstream.bands), 1)
    banded.write_numbers(head, [""] * len(of_bands), of_bands)
    free = _write_params(head, bitstream)
    data = world.arena.view(bitstream.data).tobytes()
    found = MAGIC + bytes([VERSION]) + head.bytes() + free + bitstream.tables + data
    return found + checksum(found)


def unpacked(world: World, data: bytes, *, limit: int = DEFAULT_LIMIT) -> Bitstream:
    """The bitstream of some bytes, whose own now lie in the arena of ``world``; give it to an entity.

    Raises:
        WrongBytes: other bytes than :func:`packed` makes, or not all of them, or more than ``limit`` symbols.
        WrongVersion: of a version that is not known here.
        ArenaFull: there is no room.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise WrongBytes(f"no bitstream: it begins with {data[: len(MAGIC)]!r}, and one would with {MAGIC!r}")
    if len(data) <= len(MAGIC) + 1 + CHECKSUM_BYTES:
        raise WrongBytes(f"{len(data)} bytes are not the whole of a bitstream; get it again")
    if data[len(MAGIC)] != VERSION:
        raise WrongVersion(f"a bitstream of version {data[len(MAGIC)]}; {VERSION} is known here")
    body, found = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if checksum(body) != found:
        raise WrongBytes("the bytes of the bitstream were changed or cut: their checksum is another; get it again")
    try:
        return _read(world, body, limit)
    except ValidationError as problem:
        raise WrongBytes(f"a bitstream that no encoder writes: {problem.errors()[0]['msg']}") from None


def _read(world: World, body: bytes, limit: int) -> Bitstream:
    head = BitReader(body, len(MAGIC) + 1)
    shape, picture = _read_sides(head), _read_sides(head)
    wavelet, kind, levels = head.number(), head.number(), head.number() - 1
    is_banded = levels >= 0
    if not shape or wavelet >= len(_WAVELETS) or kind >= len(_TYPES) or levels > lifting.MOST_LEVELS:
        raise WrongBytes(f"a bitstream of shape {shape}, wavelet {wavelet}, type {kind}, {levels} levels")
    if math.prod(shape) > limit or (is_banded and (len(shape) != 3 or shape[0] > _MOST_CHANNELS)):
        raise WrongBytes(f"a bitstream of shape {shape}: {limit} symbols are the most, {_MOST_CHANNELS} with bands")
    bands = lifting.bands(*_planes(shape), levels) if is_banded else ()
    of_bands = banded.read_numbers(head, [""] * max(len(bands), 1))
    params, end = _read_params(head, body, [band.kind for band in bands])
    if not 0 <= min(of_bands) <= max(of_bands):
        raise WrongBytes(f"bands with tables {min(of_bands)} to {max(of_bands)}")
    tables_end = read_tables(body, max(of_bands) + 1, end)[1]
    return Bitstream(
        data=world.arena.put(np.frombuffer(body[tables_end:], np.uint8)),
        n_symbols=math.prod(shape),
        tables=body[end:tables_end],
        of_bands=tuple(of_bands),
        shape=shape,
        params=params,
        coefficients=_TYPES[kind],
        bands=bands,
        wavelet=_WAVELETS[wavelet],
        picture=picture,
    )


def _write_params(head: BitWriter, bitstream: Bitstream) -> bytes:
    """Into the head, but for numbers that have no short form: these are given back."""
    params = bitstream.params
    if params is None:
        head.number(_NONE)
        return b""
    numbers = [_number(step) for step in params.steps]
    zones = [_PARTS * value for value in (params.dead_zone, params.offset)]
    is_exact = None not in numbers and all(zone == round(zone) for zone in zones)
    head.number(_EXACT if is_exact else _FREE).number(params.quality or 0).number(len(params.steps))
    if not is_exact:
        return struct.pack(f"<{2 + len(numbers)}d", params.dead_zone, params.offset, *params.steps)
    head.number(round(zones[0])).number(round(zones[1]))
    banded.write_numbers(head, _kinds(bitstream, len(numbers)), [number for number in numbers if number is not None])
    return b""


def _read_params(head: BitReader, body: bytes, kinds: Sequence[str]) -> tuple[QuantParams | None, int]:
    """The parameters, and where the bytes go on."""
    form = head.number()
    if form == _NONE:
        return None, head.end
    quality, count = head.number() or None, head.number()
    if count > 8 * len(body):
        raise WrongBytes(f"{count} steps in {len(body)} bytes")
    if form == _EXACT:
        dead_zone, offset = head.number() / _PARTS, head.number() / _PARTS
        steps = [_step(number) for number in banded.read_numbers(head, kinds if len(kinds) == count else [""] * count)]
        return QuantParams(steps=tuple(steps), dead_zone=dead_zone, offset=offset, quality=quality), head.end
    size = 8 * (2 + count)
    if form != _FREE or head.end + size > len(body):
        raise WrongBytes(f"parameters of form {form} with {count} steps, in {len(body) - head.end} bytes")
    dead_zone, offset, *steps = struct.unpack_from(f"<{2 + count}d", body, head.end)
    for step in steps:
        _check_step(step, WrongBytes)
    return QuantParams(steps=tuple(steps), dead_zone=dead_zone, offset=offset, quality=quality), head.end + size


def _number(step: float) -> int | None:
    """Of a step of four binary digits; 8 more for twice as large a one."""
    _check_step(step, UnfitValue)
    digits, exponent = math.frexp(step)
    part = 16 * digits
    return 8 * exponent + int(part) - 8 if part == int(part) else None


def _step(number: int) -> float:
    exponent, part = divmod(number, 8)
    if abs(exponent) > _WIDEST_STEP:
        raise WrongBytes(f"step number {number}: {8 * _WIDEST_STEP} is the most")
    return math.ldexp((8 + part) / 16, exponent)


def _check_step(step: float, problem: type[UnfitValue] | type[WrongBytes]) -> None:
    if not 2.0**-_WIDEST_STEP <= step <= 2.0**_WIDEST_STEP:
        raise problem(f"a step of {step:g}: 2**-{_WIDEST_STEP} to 2**{_WIDEST_STEP} can be written")


def _kinds(bitstream: Bitstream, count: int) -> list[str]:
    """What numbers of steps are known by: the kinds of the bands that have them."""
    kinds: list[str] = [band.kind for band in bitstream.bands]
    return kinds if len(kinds) == count else [""] * count


def _write_sides(head: BitWriter, sides: Sequence[int]) -> None:
    if len(sides) > _MOST_AXES:
        raise UnfitValue(f"symbols of {len(sides)} axes; {_MOST_AXES} can be written")
    head.number(len(sides))
    for side in sides:
        head.number(side)


def _read_sides(head: BitReader) -> tuple[int, ...]:
    count = head.number()
    if count > _MOST_AXES:
        raise WrongBytes(f"a bitstream of {count} axes; {_MOST_AXES} are the most")
    return tuple(head.number() for _ in range(count))


def _planes(shape: Sequence[int]) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width
