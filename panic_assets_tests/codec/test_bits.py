"""Numbers as bits: as short as the code says, and read back; what is cut off is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.codec.bits import BitReader, BitWriter
from panic_assets.codec.errors import UnfitValue, WrongBytes

LARGEST = 2**40 - 2


@given(st.lists(st.integers(0, LARGEST)), st.lists(st.integers(-(2**38), 2**38)), st.binary(max_size=3))
def test_numbers_come_back(numbers: list[int], signed: list[int], before: bytes) -> None:
    writer = BitWriter()
    for number in numbers:
        writer.number(number)
    for number in signed:
        writer.signed(number)
    written = writer.bytes()
    reader = BitReader(before + written, len(before))
    assert [reader.number() for _ in numbers] == numbers
    assert [reader.signed() for _ in signed] == signed
    assert reader.end == len(before + written)


@pytest.mark.parametrize(("number", "digits"), [(0, "1"), (1, "010"), (2, "011"), (3, "00100"), (6, "00111")])
def test_the_code_is_gamma(number: int, digits: str) -> None:
    assert BitWriter().number(number).bytes() == int(digits.ljust(8, "0"), 2).to_bytes(1, "big")


def test_signs_alternate() -> None:
    pairs = [(0, 0), (-1, 1), (1, 2), (-2, 3), (2, 4)]
    assert all(BitWriter().signed(value).bytes() == BitWriter().number(number).bytes() for value, number in pairs)


@pytest.mark.parametrize("number", [-1, LARGEST + 1])
def test_numbers_that_have_no_code_are_told(number: int) -> None:
    with pytest.raises(UnfitValue, match=str(number)):
        BitWriter().number(number)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x04", bytes(5) + b"\x80" * 6, bytes(100)])
def test_what_is_no_number_is_told(data: bytes) -> None:
    with pytest.raises(WrongBytes, match=f"of {len(data)}"):
        BitReader(data).number()
