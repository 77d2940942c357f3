"""Words on figures: short, different, and drawable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panic_assets.reports.figures.labels import broken, plain, short_networks, wrapped
from panic_assets.reports.figures.pick import spread

RING = "TinyScenes -> TinyCaption -> TinyScenesFast -> TinyCaptionSampled"
MODELS = st.lists(st.text("abcDE", min_size=1, max_size=30), min_size=1, max_size=9)


def test_short_names_stay_and_long_ones_lose_what_all_share() -> None:
    assert short_networks(["A -> B"]) == {"A -> B": "A -> B"}
    assert short_networks([RING], 60)[RING] == "Scenes -> Caption -> ScenesFast -> CaptionSampled"
    assert len(short_networks([RING])[RING]) <= 44
    names = short_networks([RING, "TinyScenes -> TinyCaption"])
    assert names["TinyScenes -> TinyCaption"] == "TinyScenes -> TinyCaption"


def test_a_long_ring_loses_its_middle() -> None:
    ring = " -> ".join(f"Model{number}" for number in range(12))
    assert short_networks([ring])[ring].count("->") == 3
    assert "(9 more)" in short_networks([ring])[ring]


@given(st.lists(MODELS.map(" -> ".join), min_size=1, max_size=8))
def test_different_networks_have_different_names_of_bounded_length(names: list[str]) -> None:
    short = short_networks(names)
    assert set(short) == set(names)
    assert len(set(short.values())) == len(short)
    assert max(map(len, short.values())) <= 2 * 44 + 4


@given(st.text(max_size=300))
def test_captions_are_one_line_of_what_the_font_has(text: str) -> None:
    made = plain(text, 40)
    assert len(made) <= 40
    assert "\n" not in made
    assert all(len(line) <= 12 for line in wrapped(text, 12, 3).split("\n"))
    assert wrapped(text, 12, 3).count("\n") <= 2


def test_names_break_before_arrows() -> None:
    assert broken("Scenes -> Caption -> Scenes", 18) == "Scenes -> Caption\n-> Scenes"
    assert broken("A -> B") == "A -> B"


def test_points_far_apart_are_chosen_once_each() -> None:
    import numpy as np

    points = np.array([[0.0, 0], [0, 0], [10, 0], [0, 10], [0.1, 0]])
    assert set(spread(points, 3)) >= {2, 3}
    assert len(spread(np.zeros((5, 2)), 3)) == 1
    assert spread(np.empty((0, 2)), 3) == []
