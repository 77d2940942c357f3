"""Tables of frequencies: whole numbers that sum up, written briefly, read back alike, refused when they are none."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec.errors import UnfitValue, WrongBytes
from panic_assets.codec.probability import CLASSES, LARGEST_SYMBOL, TABLE_TOTAL
from panic_assets.codec.tables import (
    GEOMETRIC_TABLES,
    WIDEST,
    Table,
    counted,
    fitted,
    geometric,
    of_model,
    one_symbol,
    read_table,
    read_tables,
    write_tables,
)
from panic_assets_tests.codec.networks import probabilities

COUNTS = st.lists(st.integers(0, 2000) | st.just(0) | st.just(10**9), min_size=1, max_size=60)


def _alike(a: Table, b: Table) -> bool:
    return (a.lowest, a.escape, a.written, a.frequencies.tolist()) == (
        b.lowest, b.escape, b.written, b.frequencies.tolist(),
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(COUNTS, st.integers(-(2**20), 2**20), st.integers(0, 10**6), st.integers(12, 16), st.binary(max_size=2))
def test_counted_tables_come_back(counts: list[int], lowest: int, beyond: int, precision: int, before: bytes) -> None:
    table = counted(np.array(counts), lowest, beyond, precision)
    assert (table.escape > 0) == (beyond > 0)
    assert table.frequencies.size == len(counts)
    again, end = read_table(before + table.written + b"\xff", len(before))
    assert _alike(again, table)
    assert end == len(before) + len(table.written)


def test_counted_tables_are_near_the_counts() -> None:
    counts = np.array([5, 0, 700, 20_000, 40_000, 20_000, 650, 3])
    table = counted(counts, -4, 100, 16)
    shares, wanted = table.frequencies / TABLE_TOTAL, counts / (counts.sum() + 100)
    assert np.abs(shares - wanted).max() < 2**-14
    assert table.escape / TABLE_TOTAL == pytest.approx(100 / (counts.sum() + 100), abs=2**-14)


def _by_hand(number: int) -> tuple[list[int], int]:
    """Frequencies and escape of a geometric table from its description, in exact fractions where it says so."""
    mean = Fraction((8 + number % 8) * 2 ** (number // 8), 512)
    weights = [Fraction(1)]
    while 2 * weights[-1] * mean * 1024 > 1 + 2 * mean and 2 * len(weights) < WIDEST:
        weights.append(weights[-1] * mean / (mean + 1))
    everything = 1 + 2 * mean
    side = [float(weight / everything * TABLE_TOTAL) for weight in weights]
    return [*side[:0:-1], *side], float(2 * weights[-1] * mean / everything * TABLE_TOTAL)


@pytest.mark.parametrize("number", range(0, 90, 9))
def test_geometric_tables_are_geometric(number: int) -> None:
    table = geometric(number)
    wanted, escape = _by_hand(number)
    middle = -table.lowest
    assert table.frequencies.size == len(wanted) == 2 * middle + 1
    away = np.arange(len(wanted)) != middle
    assert np.abs(table.frequencies - wanted)[away].max() <= 2
    assert abs(table.escape - escape) <= 2
    assert table.frequencies[middle] == pytest.approx(wanted[middle], rel=1e-3)


def test_every_geometric_table_is_sound_and_wider_than_the_one_before() -> None:
    tables = [geometric(number) for number in range(GEOMETRIC_TABLES)]
    assert all(_alike(read_table(table.written)[0], table) for table in tables)
    peaks = [int(table.frequencies.max()) for table in tables]
    assert peaks == sorted(peaks, reverse=True)
    assert max(table.frequencies.size for table in tables) <= WIDEST
    assert all(np.array_equal(table.frequencies, table.frequencies[::-1]) for table in tables)


SYMBOLS = st.one_of(
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40),
    st.lists(st.integers(-2, 2), max_size=200),
    st.lists(st.integers(-3000, 3000), max_size=100),
    st.integers(-(2**31), 2**31 - 1).flatmap(lambda value: st.lists(st.just(value), min_size=1, max_size=9)),
)


@settings(max_examples=200, deadline=None)
@given(SYMBOLS)
def test_fitted_tables_come_back_and_code_what_they_were_fitted_to(symbols: list[int]) -> None:
    table = fitted(np.array(symbols, np.int64))
    assert _alike(read_table(table.written)[0], table)
    values, counts = np.unique(np.array(symbols, np.int64), return_counts=True)
    assert np.isfinite(table.bits(values, counts))


@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0, 40.0, 150.0])
@pytest.mark.parametrize("count", [60, 5000, 200_000])
def test_fitted_tables_are_near_the_ideal(scale: float, count: int) -> None:
    symbols = np.rint(np.random.default_rng(count).laplace(0, scale, count)).astype(np.int32)
    values, counts = np.unique(symbols, return_counts=True)
    spread = np.exp(-1 / scale)
    # What the true distribution costs; a table can be better, as it knows what really came.
    true = (1 - spread) / 2 * spread ** (np.abs(values) - 0.5)
    true = np.where(values == 0, 1 - np.sqrt(spread), true)
    ideal = -(counts @ np.log2(true))
    table = fitted(symbols)
    assert table.bits(values, counts) + 8 * len(table.written) <= 1.03 * ideal + 40


def test_what_is_no_laplace_variable_is_counted() -> None:
    symbols = np.repeat(np.array([-7, 4, 5, 30], np.int32), [9000, 400, 100, 500])
    table = fitted(symbols)
    values, counts = np.unique(symbols, return_counts=True)
    ideal = counts @ np.log2(counts.sum() / counts)
    assert len(table.written) < 30
    assert table.bits(values, counts) == pytest.approx(ideal, rel=0.01)


def test_outliers_do_not_make_a_table_long() -> None:
    symbols = np.append(np.tile(np.array([-1, 0, 0, 1], np.int32), 5000), np.int32(10**9))
    table = fitted(symbols)
    assert table.escape
    assert table.frequencies.size < 10
    assert len(table.written) < 20


def test_bits_of_escapes_are_those_of_the_code() -> None:
    table = geometric(8)  # -2 to 2 or so
    beyond, cost = table.highest + 1, np.log2(TABLE_TOTAL / table.escape)
    near = table.bits(np.array([beyond]), np.array([1]))
    assert near == pytest.approx(cost + 1)
    assert table.bits(np.array([table.lowest - 1]), np.array([2])) == pytest.approx(2 * (cost + 3))
    assert one_symbol(4).bits(np.array([4, 5]), np.array([1, 1])) == float("inf")


def test_the_model_and_its_tables_are_one() -> None:
    frequencies = probabilities().frequencies
    tables = of_model(frequencies)
    assert len(tables) == CLASSES
    assert all(np.array_equal(table.frequencies, row) for table, row in zip(tables, frequencies, strict=True))
    assert {(table.lowest, table.highest, table.escape) for table in tables} == {(-LARGEST_SYMBOL, LARGEST_SYMBOL, 0)}


def test_several_tables_are_read_one_after_another() -> None:
    tables = [geometric(3), one_symbol(-70_000), counted(np.array([3, 0, 0, 9]), -2, 1, 12), geometric(100)]
    written = write_tables(tables)
    again, end = read_tables(b"xy" + written, 4, 2)
    assert all(_alike(a, b) for a, b in zip(again, tables, strict=True))
    assert end == 2 + len(written)
    assert again[1].is_certain
    assert again[1].least_bits == 0
    assert not again[0].is_certain
    with pytest.raises(WrongBytes, match="end before a table"):
        read_tables(written, 5)


@settings(max_examples=400, deadline=None)
@given(st.integers(129, 255), st.binary(max_size=60))
def test_any_bytes_are_a_sound_table_or_told(kind: int, rest: bytes) -> None:
    try:
        table, end = read_table(bytes([kind]) + rest)
    except WrongBytes:
        return
    assert end <= len(rest) + 1
    assert int(table.frequencies.sum()) + table.escape == TABLE_TOTAL
    assert table.frequencies.min() >= 1


@settings(max_examples=100, deadline=None)
@given(COUNTS, st.data())
def test_cut_tables_are_told(counts: list[int], data: st.DataObject) -> None:
    written = counted(np.array(counts), -3, 5, 14).written
    with pytest.raises(WrongBytes):
        read_table(written[: data.draw(st.integers(0, len(written) - 1))])


@pytest.mark.parametrize(
    ("lowest", "frequencies", "escape"),
    [(0, [TABLE_TOTAL - 1], 0), (0, [TABLE_TOTAL, 0], 0), (0, [], TABLE_TOTAL), (0, [TABLE_TOTAL + 1], -1)],
)
def test_frequencies_that_break_the_rules_are_told(lowest: int, frequencies: list[int], escape: int) -> None:
    with pytest.raises(UnfitValue, match="in all"):
        Table(lowest, np.array(frequencies, np.int64), escape)


def test_what_can_not_be_a_table_is_told() -> None:
    for number in (-1, GEOMETRIC_TABLES):
        with pytest.raises(UnfitValue, match="0 to 127"):
            geometric(number)
    for counts, precision in ((np.ones(WIDEST + 1), 12), (np.ones(0), 12), (np.ones(3), 11), (np.ones(3), 17)):
        with pytest.raises(UnfitValue, match="precision"):
            counted(counts, 0, 0, precision)
