"""The entropy stage: whatever goes in comes back, in about the bits the tables promise; wrong bytes are told."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec.entropy import Coder
from panic_assets.codec.errors import UnfitValue, WrongBytes
from panic_assets.codec.probability import LARGEST_SYMBOL, TABLE_TOTAL, symbols_for
from panic_assets.codec.tables import Table, counted, fitted, geometric, of_model, one_symbol
from panic_assets_tests.codec.networks import BASE, DETAIL, probabilities

ANY = st.integers(-(2**31), 2**31 - 1)
ENDS = st.sampled_from([-(2**31), 2**31 - 1, -1, 0, 1])
NEAR = st.integers(-40, 40)
TABLES = st.one_of(
    st.integers(0, 127).map(geometric),
    st.tuples(st.lists(st.integers(0, 50), min_size=1, max_size=20), NEAR).map(
        lambda drawn: counted(np.array(drawn[0]), drawn[1], 1, 12)
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(TABLES, min_size=1, max_size=5), st.data())
def test_any_symbols_of_any_classes_come_back(tables: list[Table], data: st.DataObject) -> None:
    pairs = st.tuples(st.integers(0, len(tables) - 1), NEAR | ANY | ENDS)
    drawn = data.draw(st.lists(pairs, max_size=80))
    classes, symbols = (np.array([pair[k] for pair in drawn], np.int64) for k in (0, 1))
    coder = Coder(tables)
    again = coder.decode(coder.encode(symbols, classes), len(drawn), classes)
    assert again.dtype == np.int32
    assert again.tolist() == symbols.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(NEAR | ANY, max_size=60) | st.lists(st.sampled_from([0, 0, 0, 1, -9000]), max_size=400))
def test_symbols_come_back_by_the_table_that_fits_them(drawn: list[int]) -> None:
    symbols = np.array(drawn, np.int64)
    coder = Coder([fitted(symbols)])
    assert coder.decode(coder.encode(symbols), symbols.size).tolist() == drawn


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(st.tuples(st.integers(0, 2), NEAR | ANY), max_size=20)), max_size=6))
def test_parts_are_read_in_the_order_they_were_given(drawn: list[tuple[bool, list[tuple[int, int]]]]) -> None:
    coder = Coder([geometric(10), geometric(40), geometric(90)])
    parts = [
        (np.array([c for c, _ in pairs], np.uint8) if has_classes else None, np.array([s for _, s in pairs], np.int64))
        for has_classes, pairs in drawn
    ]
    reader = coder.reader(coder.encode_parts(parts))
    for classes, symbols in parts:
        assert reader.read(symbols.size if classes is None else classes).tolist() == symbols.tolist()
    reader.finish()


def test_shapes_are_kept_by_the_reader() -> None:
    coder = Coder([geometric(30), geometric(60)])
    rng = np.random.default_rng(0)
    classes, symbols = rng.integers(0, 2, (7, 5)), rng.integers(-9, 9, (7, 5))
    assert np.array_equal(coder.reader(coder.encode(symbols, classes)).read(classes), symbols)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_integers_of_any_type_are_taken(dtype: str) -> None:
    coder = Coder([geometric(50)])
    symbols = np.arange(120).astype(dtype)
    before = symbols.copy()
    assert coder.decode(coder.encode(symbols), 120).tolist() == symbols.tolist()
    assert np.array_equal(symbols, before)


def test_large_parts_of_many_classes_come_back() -> None:
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 64, 150_000).astype(np.uint8)
    symbols = np.rint(rng.laplace(0, 1, classes.size) * 1.1**classes).astype(np.int32)
    symbols[::4001] = rng.integers(-(2**31), 2**31, symbols[::4001].size)
    coder = Coder([fitted(symbols[classes == number]) for number in range(64)])
    assert np.array_equal(coder.decode(coder.encode(symbols, classes), symbols.size, classes), symbols)


def test_bits_are_those_of_the_tables() -> None:
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 3, 40_000)
    symbols = np.rint(rng.laplace(0, 1, classes.size) * 4.0**classes).astype(np.int32)
    tables = [fitted(symbols[classes == number]) for number in range(3)]
    promised = sum(
        table.bits(*np.unique(symbols[classes == number], return_counts=True)) for number, table in enumerate(tables)
    )
    coded = 8 * len(Coder(tables).encode(symbols, classes))
    assert promised <= coded <= promised * 1.0005 + 32


def test_what_is_certain_costs_nothing() -> None:
    coder = Coder([one_symbol(-5)])
    assert coder.encode(np.full(100_000, -5)) == b""
    assert coder.decode(b"", 100_000).tolist() == [-5] * 100_000
    assert Coder([geometric(0)]).encode(np.zeros(0, np.int32)) == b""
    assert Coder([geometric(0)]).decode(b"", 0).size == 0


def test_extreme_skew_is_exact() -> None:
    frequencies = np.ones(1000, np.int64)
    frequencies[500] = TABLE_TOTAL - 999
    coder = Coder([Table(-500, frequencies)])
    symbols = np.zeros(20_000, np.int32)
    assert len(coder.encode(symbols)) < 10
    symbols[::3000] = np.array([-500, 499, 498, -499, 1, -1, 7])
    assert np.array_equal(coder.decode(coder.encode(symbols), symbols.size), symbols)


@pytest.mark.parametrize("seed", range(3))
def test_the_coder_uses_exactly_the_frequencies(seed: int) -> None:
    """A fresh state of the coder below 2**24 is a place among the frequencies, so each edge of a symbol can be seen."""
    from constriction import stream

    from panic_assets.codec.entropy import _categorical

    rng = np.random.default_rng(seed)
    weights = rng.random(300) ** (1 + 20 * seed)
    frequencies = np.floor(weights / weights.sum() * (TABLE_TOTAL - 300)).astype(np.int64) + 1
    frequencies[0] += TABLE_TOTAL - frequencies.sum()
    model, ends = _categorical(frequencies), np.cumsum(frequencies)
    for places in (ends - 1, ends - frequencies):
        # An empty state can't be given; place 0 is symbol 0's by every rule.
        found = [stream.stack.AnsCoder(np.array([p], np.uint32)).decode(model) for p in places.tolist() if p]
        assert found == list(range(len(frequencies)))[-len(found) :]


def test_a_learned_models_symbols_cost_what_its_frequencies_promise() -> None:
    model, passes = probabilities(), []
    latents = np.random.default_rng(8).standard_t(3, (BASE + DETAIL, 24, 24)) * 10
    latents[0, ::5, ::5], latents[1, ::7, ::7] = 1e5, -1e5  # both ends of the tables
    base = model.base(24, 24, 1, symbols_for(latents[:BASE], passes))
    model.detail(base, 1, symbols_for(latents[BASE:], passes))
    coder = Coder(of_model(model.frequencies))
    data = coder.encode_parts(passes)
    shares = [model.frequencies[classes, symbols + LARGEST_SYMBOL] / TABLE_TOTAL for classes, symbols in passes]
    promised = -sum(np.log2(share).sum() for share in shares)
    assert promised <= 8 * len(data) <= promised * 1.0001 + 64
    reader = coder.reader(data)
    assert all(np.array_equal(reader.read(classes), symbols) for classes, symbols in passes)
    reader.finish()
    assert {-LARGEST_SYMBOL, LARGEST_SYMBOL} <= {int(s) for _, symbols in passes for s in symbols.ravel()}


def _coded() -> tuple[Coder, np.ndarray, np.ndarray, bytes]:
    rng = np.random.default_rng(4)
    classes = rng.integers(0, 4, 600)
    symbols = np.rint(rng.laplace(0, 1, classes.size) * 3.0**classes).astype(np.int32)
    coder = Coder([fitted(symbols[classes == number]) for number in range(4)])
    return coder, symbols, classes, coder.encode(symbols, classes)


def test_cut_bytes_are_told() -> None:
    coder, _, classes, data = _coded()
    for length in range(len(data)):
        with pytest.raises(WrongBytes):
            coder.decode(data[:length], classes.size, classes)


def test_changed_bits_are_told() -> None:
    coder, _, classes, data = _coded()
    for place in range(0, 8 * len(data), 5):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(WrongBytes):
            coder.decode(bytes(changed), classes.size, classes)


def test_other_tables_classes_and_counts_are_told() -> None:
    coder, _, classes, data = _coded()
    others = Coder([geometric(number) for number in (20, 45, 60, 85)])
    changed = np.append(classes[:-1], (classes[-1] + 1) % 4)
    ways = ((others, classes), (coder, changed), (coder, classes[:-1]), (coder, np.append(classes, 0)))
    for way, by in ways:
        with pytest.raises(WrongBytes):
            way.decode(data, by.size, by)


@settings(max_examples=200, deadline=None)
@given(st.lists(TABLES, min_size=1, max_size=3), st.binary(max_size=80), st.integers(0, 300))
def test_any_bytes_are_symbols_or_told(tables: list[Table], data: bytes, count: int) -> None:
    classes = np.arange(count) % len(tables)
    with suppress(WrongBytes):
        assert Coder(tables).decode(data, count, classes).shape == (count,)


def test_more_symbols_than_bytes_can_hold_are_told_before_memory_is_taken() -> None:
    with pytest.raises(WrongBytes, match="can't be in"):
        Coder([geometric(40)]).decode(b"abc", 1 << 50)


def test_what_can_not_be_coded_is_told() -> None:
    coder = Coder([counted(np.array([1, 1]), 3, 0, 12), geometric(5)])
    with pytest.raises(UnfitValue, match=r"symbol 5 in class 0, .* from 3 to 4 .* no escape"):
        coder.encode(np.array([3, 5]), np.array([0, 0]))
    with pytest.raises(UnfitValue, match="32 bits"):
        coder.encode(np.array([2**31]), np.array([1]))
    with pytest.raises(UnfitValue, match="float64"):
        coder.encode(np.array([1.0]))
    with pytest.raises(UnfitValue, match="2 classes for 1"):
        coder.encode(np.array([3]), np.array([0, 0]))
    with pytest.raises(UnfitValue, match="classes 0 to 2 with 2 tables"):
        coder.encode(np.array([3, 3]), np.array([0, 2]))
    for number in (0, 65):
        with pytest.raises(UnfitValue, match=f"{number} tables"):
            Coder([geometric(1)] * number)


_ELSEWHERE = """
import numpy as np
from panic_assets.codec.entropy import Coder
from panic_assets.codec.tables import read_tables
data = bytes.fromhex({data!r})
tables, start = read_tables(data, 4)
classes = np.array({classes})
print(Coder(tables).decode(data[start:], classes.size, classes).tolist())
"""


def test_another_process_decodes_from_the_bytes_alone() -> None:
    _, symbols, classes, _ = _coded()
    tables = [fitted(symbols[classes == number]) for number in range(4)]
    data = b"".join(table.written for table in tables) + Coder(tables).encode(symbols, classes)
    script = _ELSEWHERE.format(data=data.hex(), classes=classes.tolist())
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(symbols.tolist())
