"""``panic export video``: all runs of an experiment side by side, as a film with a frame for each step.

Here belongs the way of the pictures from the lake through the mosaic to ffmpeg. At most a window of them is in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from panic_assets.dynamics.corpus import Run
from panic_assets.lake import Lake, images
from panic_assets.loop.pictures import PictureShelf
from panic_assets.reports.export.common import ExportError, Progress, batches, load_runs, replacing, silent
from panic_assets.reports.export.ffmpeg import choose_codec, encode, find_ffmpeg
from panic_assets.reports.export.layout import SIZES
from panic_assets.reports.export.mosaic import Mosaic, contained, moment

_WINDOW_BYTES = 256 * 2**20  # of pictures, as small as their tiles
_BATCH, _THREADS = 64, 4


def export_video(
    lake: Lake,
    experiment: str,
    path: Path,
    size: str = "hd",
    rate: float = 2.0,
    codec: str | None = None,
    most_runs: int | None = None,
    progress: Progress = silent,
) -> Path:
    """Write the mosaic video of an experiment as MP4; give its path.

    ``size``: hd, 4k or 8k. ``rate``: frames, which are steps, a second. ``codec``: h264 or av1; by default the first
    that ffmpeg has. ``most_runs``: of each prompt and network only so many, those with the lowest numbers.

    Raises:
        ExportError: an unknown size, too many runs for it, no ffmpeg, or ffmpeg failed.
        MissingPicture, CorruptImage, CorruptPart: a picture can't be read.
    """
    if size not in SIZES:
        raise ExportError(f"there is no size {size!r}; there are {', '.join(SIZES)}")
    if not 0 < rate <= 120:
        raise ExportError(f"{rate} frames a second can't be; give more than 0 and at most 120")
    if path.suffix.lower() != ".mp4":
        raise ExportError(f"{path}: a video is written as .mp4; give it that suffix")
    program = find_ffmpeg()
    chosen = choose_codec(program, codec)
    runs = [run for run in few_of_each(load_runs(lake, experiment).runs, most_runs) if run.outputs]
    if not runs:
        raise ExportError(f"experiment {experiment}: no run has an output yet; `panic run FILE` first")
    mosaic = Mosaic(experiment, runs, SIZES[size], aspect_of(lake, experiment))
    with replacing(path) as aside:
        shown = frames(mosaic, PictureShelf(lake, experiment), progress)
        encode(program, chosen, shown, SIZES[size].width, SIZES[size].height, rate, f"panic: {experiment}", aside)
    return path


def frames(mosaic: Mosaic, shelf: PictureShelf, progress: Progress = silent) -> Iterator[bytes]:
    """Every frame of a mosaic, in order, as RGB bytes."""
    progress(0, mosaic.steps)
    box = mosaic.tiles[0].box
    window = max(1, _WINDOW_BYTES // (box.width * box.height * 3 * len(mosaic.tiles)))
    held: dict[bytes, np.ndarray] = {}
    for steps in batches(range(mosaic.steps), window):
        wanted = {now.picture for step in steps for tile in mosaic.tiles if (now := moment(tile.run, step)).picture}
        held = {name: pixels for name, pixels in held.items() if name in wanted}
        held |= _loaded(shelf, wanted - held.keys(), box.width, box.height)
        for step in steps:
            yield mosaic.frame(step, held)
            progress(step + 1, mosaic.steps)


def few_of_each(runs: Sequence[Run], most: int | None) -> list[Run]:
    """The first ``most`` runs of each prompt and network; all for None."""
    seen: Counter[tuple[int, str]] = Counter()
    chosen = []
    for run in runs:
        seen[run.prompt_number, run.network] += 1
        if most is None or seen[run.prompt_number, run.network] <= most:
            chosen.append(run)
    return chosen


def aspect_of(lake: Lake, experiment: str) -> float:
    """Width over height of most pictures of an experiment; 1 where there are none."""
    rows = lake.read("images", experiment, ["width", "height"])
    shapes = Counter(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    if not shapes:
        return 1.0
    width, height = max(shapes, key=lambda shape: (shapes[shape], shape))
    return float(width / height)


def _loaded(shelf: PictureShelf, wanted: set[bytes], width: int, height: int) -> dict[bytes, np.ndarray]:
    """Pictures by hash, none larger than a tile needs; read in the order in which they are stored."""

    def small(item: tuple[bytes, tuple[str, bytes]]) -> tuple[bytes, np.ndarray]:
        name, (_, content) = item
        pixels = images.decode(content)
        if pixels.shape[0] <= height and pixels.shape[1] <= width:
            return name, pixels
        return name, np.asarray(contained(Image.fromarray(pixels), width, height))

    made: dict[bytes, np.ndarray] = {}
    with ThreadPoolExecutor(_THREADS) as threads:
        for some in batches(shelf.in_order(wanted), _BATCH):
            made.update(threads.map(small, shelf.encoded(some).items()))
    return made
