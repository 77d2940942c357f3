"""Layouts of mosaics: whatever the counts, tiles lie in the frame, apart from one another, and fill it."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from panic_assets.reports.export.common import ExportError
from panic_assets.reports.export.layout import FOOTER, MARGIN, SIZES, SMALLEST_TILE, Box, Counts, Layout, lay_out

COUNTS = st.builds(Counts, st.integers(1, 12), st.integers(1, 9), st.integers(1, 20))


def boxes(layout: Layout, counts: Counts) -> list[Box]:
    return [
        layout.tile(prompt, network, run)
        for prompt in range(counts.prompts)
        for network in range(counts.networks)
        for run in range(counts.runs)
    ]


def apart(first: Box, second: Box) -> bool:
    return (
        first.left + first.width <= second.left
        or second.left + second.width <= first.left
        or first.top + first.height <= second.top
        or second.top + second.height <= first.top
    )


def inside(inner: Box, outer: Box) -> bool:
    return (
        inner.left >= outer.left
        and inner.top >= outer.top
        and inner.left + inner.width <= outer.left + outer.width
        and inner.top + inner.height <= outer.top + outer.height
    )


@settings(max_examples=60, deadline=None)
@given(
    counts=COUNTS,
    size=st.sampled_from(list(SIZES.values())),
    lines=st.integers(1, 3),
    aspect=st.sampled_from([1.0, 1.5, 0.6]),
)
def test_tiles_lie_in_the_frame_and_apart(counts: Counts, size: object, lines: int, aspect: float) -> None:
    try:
        layout = lay_out(size, counts, aspect, 1, lines)  # type: ignore[arg-type]
    except ExportError:
        assume(False)
    scale, frame = layout.size.scale, layout.size
    room = Box(MARGIN * scale, MARGIN * scale, frame.width - 2 * MARGIN * scale, 0)
    room = Box(room.left, room.top, room.width, frame.height - (2 * MARGIN + FOOTER) * scale)
    tiles = boxes(layout, counts)
    assert all(inside(tile, room) for tile in tiles)
    for prompt in range(counts.prompts):
        block = layout.prompt(prompt)
        assert inside(block, room)
        for network in range(counts.networks):
            part = layout.network(prompt, network)
            assert inside(part, block)
            assert part.top >= block.top + layout.prompt_label
            for run in range(counts.runs):
                tile = layout.tile(prompt, network, run)
                assert inside(tile, part)
                assert tile.top >= part.top + layout.network_label
    assert all(apart(*pair) for pair in combinations(tiles[:150], 2))


@settings(max_examples=100, deadline=None)
@given(counts=COUNTS, size=st.sampled_from(list(SIZES.values())))
def test_square_tiles_leave_at_most_a_twentieth_of_one_side_empty(counts: Counts, size: object) -> None:
    try:
        layout = lay_out(size, counts)  # type: ignore[arg-type]
    except ExportError:
        assume(False)
    frame, scale = layout.size, layout.size.scale
    # The last column and row of blocks are never empty, so the mosaic reaches as far as its grid.
    right = max(layout.prompt(number).left + layout.prompt_box[0] for number in range(counts.prompts))
    bottom = max(layout.prompt(number).top + layout.prompt_box[1] for number in range(counts.prompts))
    empty_width = frame.width - 2 * MARGIN * scale - (right - layout.left)
    empty_height = frame.height - (2 * MARGIN + FOOTER) * scale - (bottom - layout.top)
    assert min(empty_width / frame.width, empty_height / frame.height) <= 0.05
    assert layout.tile_width == layout.tile_height


def test_five_prompts_nine_networks_eight_runs() -> None:
    layout = lay_out(SIZES["4k"], Counts(5, 9, 8))
    assert layout.tile_width >= 2 * SMALLEST_TILE
    assert layout.prompts[0] * layout.prompts[1] >= 5
    assert layout.networks[0] * layout.networks[1] >= 9
    assert layout.runs[0] * layout.runs[1] >= 8
    larger = lay_out(SIZES["8k"], Counts(5, 9, 8))
    assert larger.tile_width == pytest.approx(2 * layout.tile_width, abs=2)


def test_one_run_takes_the_frame() -> None:
    layout = lay_out(SIZES["hd"], Counts(1, 1, 1))
    assert layout.tile_width > 900


def test_too_many_are_told_what_would_help() -> None:
    with pytest.raises(ExportError, match=r"take --size 4k or 8k, or show fewer runs .* --runs N"):
        lay_out(SIZES["hd"], Counts(30, 9, 20))
    with pytest.raises(ExportError) as caught:
        lay_out(SIZES["8k"], Counts(300, 9, 200))
    assert "--size" not in str(caught.value)
    assert "540000 runs" in str(caught.value)
