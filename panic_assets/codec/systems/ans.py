"""Entropy coding as systems: symbols to bytes, and back from these alone.

Here belongs the way between components and :mod:`panic_assets.codec.banded`. A bitstream as one string of bytes, to be
kept or sent, is made by :mod:`panic_assets.codec.packing`.

>>> import numpy as np
>>> from panic_assets.codec.components import QuantParams
>>> from panic_assets.codec.core.world import World
>>> world = World(arena_bytes=1 << 20)
>>> eid = world.new_entity()
>>> drawn = np.random.default_rng(0).binomial(4, 0.1, 4000).astype(np.int32)
>>> world.add_component(eid, Symbols(data=world.arena.put(drawn), params=QuantParams(steps=(1.0,))))
>>> coded = world.pipe(eid).to(ANSEncode()).out(Bitstream)
>>> coded.n_symbols, coded.data.nbytes < 700, len(coded.tables) < 16
(4000, True, True)
>>> other = World(arena_bytes=1 << 20)
>>> eid = other.new_entity()
>>> data = other.arena.put(world.arena.view(coded.data))
>>> other.add_component(eid, coded.model_copy(update={"data": data}))
>>> again = other.pipe(eid).to(ANSDecode()).out(Symbols)
>>> bool((other.arena.view(again.data) == drawn).all())
True
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from panic_assets.codec import banded, quantising
from panic_assets.codec.components import Bitstream, QuantParams, Symbols
from panic_assets.codec.core.system import System
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import WrongBytes
from panic_assets.codec.systems.on_pictures import SHAPE
from panic_assets.codec.tables import read_tables, write_tables


class ANSEncode(System):
    """:class:`Symbols` to a :class:`Bitstream` that holds all that a decoder needs.

    Symbols of bands go band by band, with tables of frequencies for bands that are alike; others in their order, with
    one table. The tables are whole numbers, fitted to the symbols and written with them.
    """

    accepts = (Symbols,)
    produced = (Bitstream,)

    def __init__(self) -> None:
        super().__init__("encode")

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Code each entity's symbols."""
        for eid in eids:
            symbols = world.get_component(eid, Symbols)
            values = world.arena.view(symbols.data)
            ordered = quantising.in_order(values, symbols.bands) if symbols.bands else values.ravel()
            coded = banded.encode(ordered, _sizes(symbols, values.size))
            bitstream = Bitstream(
                data=world.arena.put(np.frombuffer(coded.data, np.uint8)),
                n_symbols=values.size,
                tables=write_tables(coded.tables),
                of_bands=coded.of_bands,
                shape=values.shape,
                params=symbols.params,
                coefficients=symbols.coefficients,
                bands=symbols.bands,
                wavelet=symbols.wavelet,
                picture=world.metadata[eid].get(SHAPE, ()),
            )
            world.add_component(eid, bitstream)


class ANSDecode(System):
    """A :class:`Bitstream` to the :class:`Symbols` it was made from, as int32."""

    accepts = (Bitstream,)
    produced = (Symbols,)

    def __init__(self) -> None:
        super().__init__("decode")

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Decode each entity's bytes.

        Raises: :class:`WrongBytes` for bytes or tables that were changed, in nearly all cases (a checksum says it
        surely, see :mod:`panic_assets.codec.packing`); :class:`ArenaFull` before anything is made for symbols that have
        no room.
        """
        for eid in eids:
            bitstream = world.get_component(eid, Bitstream)
            shape = bitstream.shape or (bitstream.n_symbols,)
            room = world.arena.alloc(shape, np.int32)
            of_bands = bitstream.of_bands or (0,) * max(len(bitstream.bands), 1)
            tables, end = read_tables(bitstream.tables, max(of_bands) + 1)
            if end != len(bitstream.tables):
                raise WrongBytes(f"tables of {len(bitstream.tables)} bytes that end after {end}")
            data = world.arena.view(bitstream.data).tobytes()
            found = banded.decode(banded.Coded(tables, of_bands, data), _sizes(bitstream, bitstream.n_symbols))
            if bitstream.bands:
                channels, height, width = shape
                found = quantising.in_place(found, bitstream.bands, (channels, height, width))
            world.arena.view(room)[...] = found.reshape(shape)
            symbols = Symbols(
                data=room,
                params=bitstream.params or QuantParams(steps=(1.0,)),
                coefficients=bitstream.coefficients,
                bands=bitstream.bands,
                wavelet=bitstream.wavelet,
            )
            world.add_component(eid, symbols)
            if bitstream.picture:
                world.metadata[eid][SHAPE] = bitstream.picture


def _sizes(held: Symbols | Bitstream, count: int) -> list[int]:
    return [band.height * band.width for band in held.bands] or [count]
