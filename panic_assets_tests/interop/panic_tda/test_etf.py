"""Terms of Erlang: round trips of every kind of value, known bytes, and hostile ones."""

from __future__ import annotations

import contextlib
import math
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.interop.panic_tda.etf import DEEPEST, LARGEST, BadTerm, decode
from panic_assets_tests.interop.panic_tda.terms import Atom, encode, stored

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=300),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=8), st.dictionaries(st.text("abcdefgh_", min_size=1, max_size=9), inner, max_size=5)
    ),
    max_leaves=40,
)


def spelled(value: Any) -> Any:
    """The same with atoms as keys."""
    if isinstance(value, dict):
        return {Atom(key): spelled(inner) for key, inner in value.items()}
    return [spelled(inner) for inner in value] if isinstance(value, list) else value


@given(values, st.booleans())
def test_round_trip(value: Any, compress: bool) -> None:
    assert decode(stored(spelled(value), compress)) == value


@given(st.binary(max_size=200))
def test_garbage_is_a_bad_term_or_a_term(data: bytes) -> None:
    for whole in (data, b"\x83" + data, b"\x83P" + data):
        with contextlib.suppress(BadTerm):
            decode(whole)


@given(values, st.data())
def test_every_cut_is_noticed(value: Any, data: st.DataObject) -> None:
    whole = stored(spelled(value))
    with pytest.raises(BadTerm):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


# Bytes as Erlang's own documents and shell give them.
KNOWN = {
    b"\x83a\x07": 7,
    b"\x83b\xff\xff\xff\xfe": -2,
    b"\x83n\x01\x01\xff": -255,
    b"\x83o\x00\x00\x00\x01\x00\x09": 9,
    b"\x83F\x3f\xf8\x00\x00\x00\x00\x00\x00": 1.5,
    b"\x83c" + b"1.50000000000000000000e+00".ljust(31, b"\0"): 1.5,
    b"\x83j": [],
    b"\x83k\x00\x03abc": [97, 98, 99],
    b"\x83l\x00\x00\x00\x01a\x01j": [1],
    b"\x83h\x02a\x01a\x02": [1, 2],
    b"\x83i\x00\x00\x00\x01a\x01": [1],
    b"\x83m\x00\x00\x00\x02hi": b"hi",
    b"\x83d\x00\x03inf": math.inf,
    b"\x83w\x08infinity": math.inf,
    b"\x83w\x07neg_inf": -math.inf,
    b"\x83v\x00\x04-inf": -math.inf,
    b"\x83s\x03nil": None,
    b"\x83d\x00\x04true": True,
    b"\x83w\x05false": False,
    b"\x83s\x01\xe9": "é",
    b"\x83w\x02\xc3\xa9": "é",
    b"\x83t\x00\x00\x00\x01d\x00\x04dgmsj": {"dgms": []},
    b"\x83t\x00\x00\x00\x01m\x00\x00\x00\x01ka\x01": {b"k": 1},
    b"\x83t\x00\x00\x00\x01w\x03infa\x01": {"inf": 1},
}


@pytest.mark.parametrize("data", KNOWN)
def test_known_bytes(data: bytes) -> None:
    found = decode(data)
    assert found == KNOWN[data]
    assert type(found) is type(KNOWN[data])


def test_no_number() -> None:
    assert math.isnan(decode(b"\x83w\x03nan"))


def packed(plain: bytes, size: int) -> bytes:
    return b"\x83P" + struct.pack(">I", size) + zlib.compress(plain)


HOSTILE = {
    "empty": (b"", "starts with nothing"),
    "other version": (b"\x82a\x01", "starts with 8261"),
    "unknown tag": (b"\x83\xff", "tag 255"),
    "a function": (b"\x83p\x00\x00\x00\x10", "tag 112"),
    "more after it": (b"\x83a\x01a\x02", "2 bytes follow"),
    "four billion elements": (b"\x83l\xff\xff\xff\xffa\x01", "4294967295 elements"),
    "four billion pairs": (b"\x83t\xff\xff\xff\xff", "4294967295 elements"),
    "four billion bytes": (b"\x83m\xff\xff\xff\xffa", "more were wanted"),
    "an integer without end": (b"\x83o\xff\xff\xff\xff\x00", "integer of 4294967295 bytes"),
    "deep": (b"\x83" + b"h\x01" * 100_000 + b"j", f"deeper than {DEEPEST}"),
    "improper list": (b"\x83l\x00\x00\x00\x01a\x01a\x02", "proper end"),
    "list as key": (b"\x83t\x00\x00\x00\x01ja\x01", "as a key"),
    "atom that is not UTF-8": (b"\x83w\x01\xff", "not UTF-8"),
    "printed nonsense": (b"\x83c" + b"x" * 31, "printed float"),
    "claims to be huge": (packed(b"j", LARGEST + 1), "at most"),
    "larger than it says": (packed(b"m" + struct.pack(">I", 10**7) + bytes(10**7), 9), "but does not"),
    "smaller than it says": (packed(b"j", 2), "but does not"),
    "broken compression": (b"\x83P\x00\x00\x00\x01xx", "compressed part"),
    "compressed twice": (packed(packed(b"j", 1)[1:], len(packed(b"j", 1)) - 1), "tag 80"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(BadTerm, match=reason):
        decode(data)


def test_what_is_too_long_is_not_read() -> None:
    with pytest.raises(BadTerm, match="at most"):
        decode(b"\x83m" + bytes(LARGEST))


def test_encoder_and_erlang_agree_on_an_empty_map() -> None:
    assert b"\x83" + encode({}) == b"\x83t\x00\x00\x00\x00"
