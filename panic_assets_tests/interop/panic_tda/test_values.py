"""Single values: every spelling that is documented, and a sentence for each that is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.interop.panic_tda import values
from panic_assets.interop.panic_tda.values import BadValue

SYDNEY = ZoneInfo("Australia/Sydney")


@given(st.uuids())
def test_every_spelling_is_one_identifier(uuid: UUID) -> None:
    ways = values.spellings(uuid.hex)
    assert ways[:2] == (uuid.hex, str(uuid))
    assert {values.identifier(way, "id") for way in ways} == {uuid.hex}


@pytest.mark.parametrize("value", [6.88e30, 12, None, "", "06b0", "g" * 32, b"short", "6.88123456781235e+30", "0" * 33])
def test_what_is_no_identifier(value: Any) -> None:
    with pytest.raises(BadValue, match="is not an identifier") as caught:
        values.identifier(value, "id")
    assert caught.value.kind == "bad_id"


TIMES = {
    "2025-08-01 09:30:00.125000": datetime(2025, 7, 31, 23, 30, 0, 125000, UTC),
    "2025-08-01 09:30:00": datetime(2025, 7, 31, 23, 30, tzinfo=UTC),
    "2025-01-01 11:00:00": datetime(2025, 1, 1, 0, 0, tzinfo=UTC),
    "2026-08-04T01:00:01.585456Z": datetime(2026, 8, 4, 1, 0, 1, 585456, UTC),
    "2026-08-04T01:00:01Z": datetime(2026, 8, 4, 1, 0, 1, 0, UTC),
    "2026-08-04 01:00:01.585456+10:00": datetime(2026, 8, 3, 15, 0, 1, 585456, UTC),
}


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    found = values.moment(text, "started_at", SYDNEY)
    assert found == TIMES[text]
    assert found is not None
    assert found.tzinfo is UTC


def test_times_by_default_of_the_column_are_utc() -> None:
    whole = values.moment("2025-08-01 09:30:00", "started_at", SYDNEY, default_now=True)
    assert whole == datetime(2025, 8, 1, 9, 30, tzinfo=UTC)
    stamped = values.moment("2025-08-01 09:30:00.125000", "started_at", SYDNEY, default_now=True)
    assert stamped == TIMES["2025-08-01 09:30:00.125000"]


@pytest.mark.parametrize(
    "value", ["yesterday", "", 1754040600, 1.5, b"2025", "2025-02-30 00:00:00", "0001-01-01 00:00:00"]
)
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(BadValue, match=r"started_at: .* is not a time") as caught:
        values.moment(value, "started_at", SYDNEY)
    assert caught.value.kind == "bad_time"


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_vectors_round_trip(numbers: list[float]) -> None:
    vector = np.array(numbers, np.float32)
    found = values.vector(vector.astype("<f4").tobytes(), "vector")
    assert found is not None
    assert found.dtype == np.float32
    assert found.shape == (len(numbers),)
    assert found.tobytes() == vector.tobytes()


@pytest.mark.parametrize(
    "value", [b"", b"\0\0\0", "[1.0]", 7, np.array([1, np.nan], "<f4").tobytes(), np.array([-np.inf], "<f4").tobytes()]
)
def test_what_is_no_vector(value: Any) -> None:
    with pytest.raises(BadValue) as caught:
        values.vector(value, "vector")
    assert caught.value.kind == "bad_vector"


def test_json_of_both_styles() -> None:
    for text in ('["B\\u00e4r", "b"]', '["Bär","b"]'):
        assert values.texts(text, "prompts") == ["Bär", "b"]
    assert values.rings('[["A", "B"],["C"]]', "networks") == [["A", "B"], ["C"]]
    assert values.numbers("[-1, 7]", "seeds") == [-1, 7]
    assert values.mapping('{"a":{"b":1}}', "parameters") == {"a": {"b": 1}}
    assert values.mapping(None, "parameters") == {}


@pytest.mark.parametrize("value", [None, 5, b"[]", "", "[", "{}", "[1]", "[[1]]", '"a"', "[" * 100_000])
def test_what_is_no_list_of_texts(value: Any) -> None:
    for read in (values.texts, values.rings):
        with pytest.raises(BadValue, match="prompts: ") as caught:
            read(value, "prompts")
        assert caught.value.kind == "bad_json"
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", ["[true]", "[1.5]", '["1"]', "3"])
def test_what_is_no_list_of_integers(value: str) -> None:
    with pytest.raises(BadValue, match="a JSON list of integers"):
        values.numbers(value, "seeds")


def test_types_of_both_eras() -> None:
    assert [values.modality(t, "type") for t in ("TEXT", "IMAGE", "text", "image")] == ["text", "image"] * 2
    with pytest.raises(BadValue, match="'Text' is not TEXT or IMAGE"):
        values.modality("Text", "type")
