"""Why a run ended, by the rule of its source and by ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from panic_assets.interop.panic_tda.endings import Ending
from panic_assets.interop.panic_tda.pictures import Seen, format_of, look_at, workers
from panic_assets.interop.panic_tda.records import SourceInvocation, SourceRun
from panic_assets.lake import images
from panic_assets.lake.images import encode
from panic_assets_tests.interop.panic_tda.content import LOOKALIKES


def seen(outputs: list[Any], format: str = "webp-lossless") -> list[Seen]:
    """Texts as they are; colours as pictures of one colour."""
    records = []
    for place, output in enumerate(outputs):
        text = output if isinstance(output, str) else None
        image = None if text is not None else encode(np.full((8, 8, 3), output, np.uint8), format)
        kind = "text" if image is None else "image"
        records.append(SourceInvocation(f"i{place}", "run", place, "model", kind, text=text, image=image))
    with workers() as threads:
        return list(look_at(records, threads, True))


def ending(outputs: list[Any], seed: int | None = 7, length: int = 9, era: Any = "python", **how: Any) -> Ending:
    made = Ending(SourceRun("run", "experiment", ["A", "B"], "a cat", length, seed), era)
    for row in seen(outputs, **how):
        made.watch(row.record.text, row.picture)  # type: ignore[union-attr]
    return made


ONE, OTHER = LOOKALIKES
DARK = (9, 9, 9)


def test_pictures_that_are_merely_alike_stop_a_run_of_the_source() -> None:
    made = ending([DARK, "a", ONE, "b", OTHER])
    assert made.source_stop(0) == ("duplicate", 2)
    assert made.stop_reason() == "duplicate"
    assert made.cycle is None


def test_a_repeat_to_the_pixel_at_the_same_place_is_a_cycle() -> None:
    made = ending([DARK, "a", ONE, "b", ONE])
    assert (made.cycle.transient, made.cycle.length) == (2, 2)  # type: ignore[union-attr]
    assert (made.stop_reason(), made.source_stop(0)) == ("cycle", ("duplicate", 2))


def test_the_same_output_at_another_place_of_the_ring_is_none() -> None:
    made = ending([DARK, "a", "b", "a"])
    assert made.cycle is not None
    assert ending([DARK, "a", "a", "b"]).cycle is None


def test_a_cycle_before_the_end_is_told_but_did_not_end_the_run() -> None:
    made = ending([DARK, "a", DARK, "a", DARK, "a"], length=6)
    assert made.stop_reason() == "length"
    assert (made.cycle.transient, made.cycle.length) == (0, 2)  # type: ignore[union-attr]


def test_lossy_pictures_show_no_cycle() -> None:
    made = ending([DARK, "a", DARK], format="avif-80")
    assert made.cycle is None
    assert made.stop_reason() == "duplicate"


@pytest.mark.parametrize(("seed", "era"), [(-1, "python"), (None, "elixir")])
def test_without_a_seed_there_is_neither(seed: int | None, era: str) -> None:
    made = ending([DARK, "a", DARK], seed, era=era)
    assert made.cycle is None
    assert (made.stop_reason(), made.source_stop(0)) == ("unknown", ("unknown", None))


def test_a_full_run_ended_by_its_length_unless_rows_of_it_were_rejected() -> None:
    made = ending([DARK, "a"], length=2)
    assert (made.stop_reason(), made.source_stop(0)) == ("length", ("length", None))
    assert made.source_stop(1) == ("unknown", None)


def test_an_encoding_is_told_by_its_first_bytes() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (8, 8, 3), np.uint8)
    for format in ("webp-lossless", "png"):
        assert format_of(encode(picture, format)) == format
    for format in ("webp", "avif", "jpeg"):
        assert format_of(encode(picture, f"{format}-50")) == format
    assert format_of(b"no picture") == "unknown"


def test_pictures_are_looked_at_in_their_order() -> None:
    found = seen([(n, 0, 0) for n in range(40)])
    wanted = [images.pixel_hash(np.full((8, 8, 3), (n, 0, 0), np.uint8)) for n in range(40)]
    assert [row.picture.image_hash for row in found if row.picture] == wanted
