"""Where the tiles of a mosaic go: three nested grids, prompt by network by run.

Every prompt is a block with a label above it, in which every network is a block with a label above it, in which every
run is a tile. Of all shapes of the three grids that one is taken whose tiles are largest, weighed with the share of its
places that are filled. PANIC-TDA's mosaic chooses by the same product (size of a tile times filled share).

Here is arithmetic alone; nothing is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from panic_assets.reports.export.common import ExportError

MARGIN, FOOTER = 12, 34
PROMPT_GUTTER, NETWORK_GUTTER, TILE_GAP = 16, 8, 2
PROMPT_LINE, NETWORK_LINE = 26, 17  # heights of a line of a label
SMALLEST_TILE = 20


@dataclass(frozen=True)
class Size:
    """A frame in pixels. Lengths of this module are for a ``scale`` of 1."""

    name: str
    width: int
    height: int
    scale: int


SIZES = {size.name: size for size in (Size("hd", 1920, 1080, 1), Size("4k", 3840, 2160, 2), Size("8k", 7680, 4320, 4))}


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Counts:
    """How much there is to show: prompts, networks of each prompt, runs of each of these at most."""

    prompts: int
    networks: int
    runs: int


@dataclass(frozen=True)
class Layout:
    """A mosaic: (rows, columns) of its grids, sizes of its parts in pixels, the corner where it begins."""

    size: Size
    prompts: tuple[int, int]
    networks: tuple[int, int]
    runs: tuple[int, int]
    tile_width: int
    tile_height: int
    prompt_label: int
    network_label: int
    left: int
    top: int
    network_box: tuple[int, int]
    prompt_box: tuple[int, int]

    def prompt(self, prompt: int) -> Box:
        """The block of a prompt, its label included."""
        row, column = divmod(prompt, self.prompts[1])
        width, height = self.prompt_box
        gutter = PROMPT_GUTTER * self.size.scale
        return Box(self.left + column * (width + gutter), self.top + row * (height + gutter), width, height)

    def network(self, prompt: int, network: int) -> Box:
        """The block of a network within that of a prompt, its label included."""
        outer = self.prompt(prompt)
        row, column = divmod(network, self.networks[1])
        width, height = self.network_box
        gutter = NETWORK_GUTTER * self.size.scale
        top = outer.top + self.prompt_label
        return Box(outer.left + column * (width + gutter), top + row * (height + gutter), width, height)

    def tile(self, prompt: int, network: int, run: int) -> Box:
        """The place of a run's picture."""
        outer = self.network(prompt, network)
        row, column = divmod(run, self.runs[1])
        gap = TILE_GAP * self.size.scale
        left = outer.left + column * (self.tile_width + gap)
        top = outer.top + self.network_label + row * (self.tile_height + gap)
        return Box(left, top, self.tile_width, self.tile_height)


def lay_out(size: Size, counts: Counts, aspect: float = 1.0, prompt_lines: int = 1, network_lines: int = 1) -> Layout:
    """The best mosaic for a frame; ``aspect`` is width over height of the pictures.

    Raises:
        ExportError: even the best has tiles too small to see; the message says what would help.
    """
    best = max(
        (
            made
            for shapes in product(_shapes(counts.prompts), _shapes(counts.networks), _shapes(counts.runs))
            if (made := _measured(size, counts, shapes, aspect, prompt_lines, network_lines))
        ),
        key=lambda scored: scored[0],
        default=None,
    )
    if best is None or min(best[1].tile_width, best[1].tile_height) < SMALLEST_TILE * size.scale:
        raise ExportError(_too_many(size, counts))
    return best[1]


def _shapes(count: int) -> list[tuple[int, int]]:
    """(rows, columns) for so many things: of those with equally many rows the narrowest, so that no column is empty."""
    narrowest: dict[int, int] = {}
    for columns in range(count, 0, -1):
        narrowest[math.ceil(count / columns)] = columns
    return sorted(narrowest.items())


def _measured(
    size: Size,
    counts: Counts,
    shapes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    aspect: float,
    prompt_lines: int,
    network_lines: int,
) -> tuple[tuple[float, ...], Layout] | None:
    """The mosaic of these shapes with its score, ties settled by size and shape; None if nothing of it would fit."""
    (prompt_rows, prompt_columns), (network_rows, network_columns), (run_rows, run_columns) = shapes
    margin, gap = MARGIN * size.scale, TILE_GAP * size.scale
    prompt_gutter, network_gutter = PROMPT_GUTTER * size.scale, NETWORK_GUTTER * size.scale
    prompt_label, network_label = PROMPT_LINE * prompt_lines * size.scale, NETWORK_LINE * network_lines * size.scale
    # The network block without its tiles, then the prompt block, then all of it.
    network_width, network_height = (run_columns - 1) * gap, network_label + (run_rows - 1) * gap
    prompt_width = network_columns * network_width + (network_columns - 1) * network_gutter
    prompt_height = prompt_label + network_rows * network_height + (network_rows - 1) * network_gutter
    all_width = prompt_columns * prompt_width + (prompt_columns - 1) * prompt_gutter
    all_height = prompt_rows * prompt_height + (prompt_rows - 1) * prompt_gutter

    columns, rows = prompt_columns * network_columns * run_columns, prompt_rows * network_rows * run_rows
    free_width = size.width - 2 * margin - all_width
    free_height = size.height - 2 * margin - FOOTER * size.scale - all_height
    reach = min(free_width / (columns * aspect), free_height / rows)
    height, width = math.floor(reach), math.floor(reach * aspect)
    if height < 1 or width < 1:
        return None
    filled = counts.prompts * counts.networks * counts.runs / (columns * rows)
    score = (math.sqrt(width * height) * filled, float(width), float(-prompt_rows), float(-network_rows))
    network_box = (network_width + run_columns * width, network_height + run_rows * height)
    prompt_box = (
        prompt_width + network_columns * run_columns * width,
        prompt_height + network_rows * run_rows * height,
    )
    left = margin + (free_width - columns * width) // 2
    top = margin + (free_height - rows * height) // 2
    return score, Layout(size, *shapes, width, height, prompt_label, network_label, left, top, network_box, prompt_box)


def _too_many(size: Size, counts: Counts) -> str:
    larger = [name for name, other in SIZES.items() if other.width > size.width]
    room = f"take --size {' or '.join(larger)}, or " if larger else ""
    tiles = counts.prompts * counts.networks * counts.runs
    return (
        f"{tiles} runs ({counts.prompts} prompts x {counts.networks} networks x {counts.runs} runs) do not fit a frame "
        f"of {size.width} x {size.height} ({size.name}) with tiles of {SMALLEST_TILE * size.scale} pixels or more; "
        f"{room}show fewer runs of each prompt and network with --runs N"
    )
