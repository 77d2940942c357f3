"""``panic export strip``: evenly spaced pictures of a run in a row, each with the step and what was said of it.

Here belongs drawing for paper: dark on white, as PNG or PDF. The pages of a PDF are pictures; their words can't be
selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from panic_assets.dynamics.corpus import Corpus, Run
from panic_assets.lake import Lake
from panic_assets.loop.pictures import PictureShelf
from panic_assets.reports.export.common import (
    ExportError,
    Progress,
    chosen_runs,
    ending,
    load_runs,
    replacing,
    silent,
)
from panic_assets.reports.export.lettering import fitted, typeface, wrapped
from panic_assets.reports.export.mosaic import contained, links

PAPER, INK, QUIET = "white", "#222222", "#777777"
_TILE, _GAP, _MARGIN = 192, 10, 16
_TITLE, _SUBTITLE, _STEP, _LINE, _CAPTION_LINES = 26, 22, 18, 17, 5
_DOTS_PER_INCH = 144
_NARROWEST = 3  # pictures, so that there is room for the words


def export_strips(
    lake: Lake,
    experiment: str,
    target: Path,
    numbers: Sequence[int] = (),
    count: int = 8,
    progress: Progress = silent,
) -> list[Path]:
    """Write film strips; give the files.

    ``target`` ending in ``.png`` is one sheet of all strips, in ``.pdf`` a page for each, and else a folder with a PNG
    for each. ``numbers`` are runs; without any, the first run with pictures of each prompt and network is taken.
    ``count``: pictures of a run, the first and the last among them; a run with fewer shows all.

    Raises:
        ExportError: no such run, a run without pictures, or a suffix that is not written.
        MissingPicture, CorruptImage, CorruptPart: a picture can't be read.
    """
    if count < 1:
        raise ExportError(f"a strip of {count} pictures can't be; give 1 or more")
    if target.suffix.lower() not in ("", ".png", ".pdf"):
        raise ExportError(f"{target}: strips are written as .png, .pdf, or into a folder; choose one of these")
    corpus = load_runs(lake, experiment)
    runs = _with_pictures(corpus, numbers)
    shelf = PictureShelf(lake, experiment)
    progress(0, len(runs))
    strips: list[Image.Image] = []
    written: list[Path] = []
    for done, run in enumerate(runs, 1):
        strip = draw_strip(run, shelf, count)
        if target.suffix:
            strips.append(strip)
        else:
            written.append(_save(target / f"run_{run.number:05d}.png", strip))
        progress(done, len(runs))
    if target.suffix.lower() == ".png":
        written = [_save(target, _sheet(strips))]
    elif target.suffix.lower() == ".pdf":
        written = [_save_pdf(target, strips, experiment)]
    return written


def evenly(places: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the places, evenly spaced, the first and the last among them (for a count of 1 the last)."""
    if len(places) <= count:
        return list(places)
    if count == 1:
        return [places[-1]]
    return [places[round(number * (len(places) - 1) / (count - 1))] for number in range(count)]


def draw_strip(run: Run, shelf: PictureShelf, count: int) -> Image.Image:
    """One run: its prompt, what it is, and the row of pictures with their captions."""
    places = evenly([place for place, output in enumerate(run.outputs) if isinstance(output, bytes)], count)
    pixels = shelf.load({output for place in places if isinstance(output := run.outputs[place], bytes)})
    width = 2 * _MARGIN + max(len(places), _NARROWEST) * (_TILE + _GAP) - _GAP
    face = typeface(13)
    captions = [wrapped(_said_of(run, place).split(), face, _TILE, _CAPTION_LINES) for place in places]
    tall = max(_shown(pixels[_hash(run, place)]).height for place in places)
    below = max(map(len, captions)) * _LINE
    title = wrapped(run.prompt.split(), typeface(17, bold=True), width - 2 * _MARGIN, 3)
    top = _MARGIN + len(title) * _TITLE
    height = top + _SUBTITLE + _STEP + tall + 6 + below + _MARGIN
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(title):
        draw.text((_MARGIN, _MARGIN + number * _TITLE), line, fill=INK, font=typeface(17, bold=True))
    facts = f"run {run.number}   ·   {_seed(run)}   ·   ended: {ending(run)}   ·   {' '.join(links(run.network))}"
    draw.text((_MARGIN, top), fitted(facts, face, width - 2 * _MARGIN), fill=QUIET, font=face)
    top += _SUBTITLE
    for number, (place, lines) in enumerate(zip(places, captions, strict=True)):
        left = _MARGIN + number * (_TILE + _GAP)
        draw.text((left, top), f"step {place + 1}", fill=QUIET, font=typeface(12))
        picture = _shown(pixels[_hash(run, place)])
        page.paste(picture, (left + (_TILE - picture.width) // 2, top + _STEP + (tall - picture.height) // 2))
        for row, text in enumerate(lines):
            draw.text((left, top + _STEP + tall + 6 + row * _LINE), text, fill=INK, font=face)
    return page


def _with_pictures(corpus: Corpus, numbers: Sequence[int]) -> list[Run]:
    """The runs asked for, or the first of each prompt and network."""
    if numbers:
        runs = chosen_runs(corpus, list(numbers))
        bare = [str(run.number) for run in runs if not _pictured(run)]
        if bare:
            raise ExportError(f"experiment {corpus.experiment}: run {', '.join(bare)} made no pictures; name others")
        return runs
    first: dict[tuple[int, str], Run] = {}
    for run in corpus.runs:
        if _pictured(run):
            first.setdefault((run.prompt_number, run.network), run)
    if not first:
        raise ExportError(f"experiment {corpus.experiment}: no run made a picture, so there is no strip to show")
    return [first[key] for key in sorted(first)]


def _pictured(run: Run) -> bool:
    return any(isinstance(output, bytes) for output in run.outputs)


def _said_of(run: Run, place: int) -> str:
    """The text that the next invocation made of a picture; nothing if it made none."""
    after = run.outputs[place + 1] if place + 1 < len(run.outputs) else ""
    return after if isinstance(after, str) else ""


def _hash(run: Run, place: int) -> bytes:
    output = run.outputs[place]
    if not isinstance(output, bytes):
        raise AssertionError(f"run {run.number}: output {place} is a text")
    return output


def _seed(run: Run) -> str:
    return "unseeded" if run.seed == -1 else f"seed {run.seed}"


def _shown(pixels: np.ndarray) -> Image.Image:
    return contained(Image.fromarray(pixels), _TILE, 2 * _TILE)


def _sheet(strips: Sequence[Image.Image]) -> Image.Image:
    width, height = max(strip.width for strip in strips), sum(strip.height for strip in strips)
    sheet = Image.new("RGB", (width, height), PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _save(path: Path, picture: Image.Image) -> Path:
    with replacing(path) as aside:
        picture.save(aside, "PNG", optimize=True)
    return path


def _save_pdf(path: Path, pages: Sequence[Image.Image], title: str) -> Path:
    first, *rest = pages
    with replacing(path) as aside:
        first.save(aside, "PDF", save_all=True, append_images=rest, resolution=_DOTS_PER_INCH, quality=95, title=title)
    return path
