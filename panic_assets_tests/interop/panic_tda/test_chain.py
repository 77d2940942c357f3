"""Which rows of a run are sound, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from panic_assets.interop.panic_tda.chain import Chain, Sound
from panic_assets.interop.panic_tda.pictures import Picture, Seen
from panic_assets.interop.panic_tda.records import Rejected, SourceInvocation, SourceRun
from panic_assets.interop.panic_tda.report import Doubt

RUN = SourceRun("run", "experiment", ["Flux", "BLIP"], "a cat", 6, seed=7)
PICTURE = Picture(b"h" * 16, "webp-lossless", 2, 2, None, None)


def rows(count: int = 6) -> list[SourceInvocation]:
    """A sound run: pictures at even places, texts at odd ones."""
    made = []
    for place in range(count):
        text, image = (f"text {place}", None) if place % 2 else (None, b"picture")
        before = f"i{place - 1}" if place else None
        kind = "text" if place % 2 else "image"
        made.append(SourceInvocation(f"i{place}", "run", place, RUN.network[place % 2], kind, 7, before, text, image))
    return made


def judge(records: list[Any], run: SourceRun = RUN, media: dict[str, str] | None = None, known: str = "") -> list[Any]:
    seen = [Seen(r, PICTURE if isinstance(r, SourceInvocation) and r.image == b"picture" else None) for r in records]
    return list(Chain(run, {} if media is None else media, known.split().__contains__).judge(seen))


def verdicts(found: list[Any]) -> list[str]:
    """ok, or the kind of the rejection; doubts with a question mark."""
    return ["ok" if isinstance(f, Sound) else f.kind if isinstance(f, Rejected) else f"{f.kind}?" for f in found]


def changed(place: int, **values: Any) -> list[SourceInvocation]:
    made = rows()
    made[place] = replace(made[place], **values)
    return made


def test_a_sound_run_is_taken_as_it_is() -> None:
    media: dict[str, str] = {}
    found = judge(rows(), media=media)
    assert [sound.record for sound in found] == rows()
    assert [sound.input_id for sound in found] == [None, "i0", "i1", "i2", "i3", "i4"]
    assert media == {"Flux": "image", "BLIP": "text"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"model": "Moondream"}, "wrong_model"),
        ({"type": "text", "text": "x", "image": None}, "wrong_medium"),
        ({"seed": 8}, "wrong_seed"),
        ({"image": None}, "no_output"),
        ({"text": "x"}, "both_outputs"),
        ({"image": b"noise"}, "undecodable_image"),
        ({"image": b""}, "undecodable_image"),
        ({"input_id": "i0"}, "broken_chain"),
        ({"input_id": "of_another_run"}, "broken_chain"),
    ],
)
def test_the_first_broken_row_ends_the_run(values: dict[str, Any], kind: str) -> None:
    found = judge(changed(2, **values), known="of_another_run")
    assert verdicts(found) == ["ok", "ok", kind, *["after_a_break"] * 3]
    assert "i2" in found[3].reason
    assert [row.row["source_id"] for row in found[2:]] == ["i2", "i3", "i4", "i5"]


def test_a_medium_is_that_of_the_model_in_the_whole_experiment() -> None:
    assert verdicts(judge(rows(2), media={"Flux": "text"})) == ["wrong_medium", "after_a_break"]


def test_a_gap_ends_the_run() -> None:
    made = rows()
    del made[2]
    found = judge(made)
    assert verdicts(found) == ["ok", "ok", "gap", "after_a_break", "after_a_break"]
    assert found[2].reason == "sequence_number 3 follows 1; 2 is missing"
    assert verdicts(judge(rows()[1:3])) == ["gap", "after_a_break"]


def test_a_number_before_the_first_is_rejected_alone() -> None:
    assert verdicts(judge([replace(rows()[0], source_id="x", sequence_number=-1), *rows(2)])) == ["gap", "ok", "ok"]


def test_of_two_rows_of_one_number_the_next_row_tells_which_counts() -> None:
    made = rows(4)
    other = replace(made[1], source_id="other", text="another text")
    assert verdicts(judge([made[0], other, *made[1:]])) == ["ok", "repeated_sequence", "ok", "ok", "ok"]
    made[2] = replace(made[2], input_id="other")
    assert verdicts(judge([*made[:2], other, *made[2:]])) == ["ok", "repeated_sequence", "ok", "ok", "ok"]


def test_an_absent_output_gives_way_to_the_one_that_was_made_again() -> None:
    made = rows(4)
    lost = replace(made[1], source_id="a_lost", text=None)
    assert verdicts(judge([made[0], lost, *made[1:]])) == ["ok", "no_output", "ok", "ok", "ok"]


def test_inputs_that_exist_nowhere_are_doubts() -> None:
    found = judge(changed(2, input_id="nowhere"))
    assert verdicts(found) == ["ok", "ok", "dangling_input?", "ok", "ok", "ok", "ok"]
    assert isinstance(found[2], Doubt)
    assert "nowhere" in found[2].reason
    assert found[3].input_id is None
    assert verdicts(judge(changed(2, input_id=None)))[2] == "missing_input?"
    assert verdicts(judge(changed(0, input_id="nowhere")))[0] == "dangling_input?"


def test_a_row_that_could_not_be_read_breaks_the_run_at_its_place() -> None:
    made: list[Any] = rows()
    made[2] = Rejected("invocation", "i2", "bad_time", "started_at: 'yesterday'", {"sequence_number": 2})
    assert verdicts(judge(made)) == ["ok", "ok", "bad_time", *["after_a_break"] * 3]
    without = Rejected("invocation", "x", "bad_number", "sequence_number: 'three'", {"sequence_number": "three"})
    assert verdicts(judge([*rows(), without])) == [*["ok"] * 6, "bad_number"]


def test_a_run_without_a_seed_asks_for_none() -> None:
    run = replace(RUN, seed=None)
    assert verdicts(judge([replace(row, seed=None) for row in rows()], run)) == ["ok"] * 6
