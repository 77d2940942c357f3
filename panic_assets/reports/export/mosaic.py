"""Drawing a mosaic: a canvas that goes from step to step, on which only what changed is drawn anew.

Here belong pixels. Where tiles go is in ``layout``; which pictures there are, and what becomes of the frames, in
``video``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from panic_assets.dynamics.corpus import Run
from panic_assets.reports.export.common import ending
from panic_assets.reports.export.layout import MARGIN, Box, Counts, Layout, Size, lay_out
from panic_assets.reports.export.lettering import fitted, typeface, width_of, wrapped

GROUND, CARD, LIGHT, QUIET = "#101012", "#26262a", "#f0f0f0", "#9a9aa2"
#: Colours of the marks on runs that ended, by stop reason; told apart by colour-blind readers too (Okabe and Ito).
ENDINGS = {
    "cycle": "#E69F00",
    "length": "#56B4E9",
    "failed": "#D55E00",
    "quality": "#CC79A7",
    "unfinished": "#9a9aa2",
}
_PROMPT_FONT, _NETWORK_FONT, _FOOTER_FONT, _CAPTION_FONT = 17, 12, 14, 13
_PROMPT_LINES, _NETWORK_LINES = 2, 4  # of a label, at most
_CAPTION_FROM, _WORDS_FROM = 120, 56  # smallest heights of tiles that hold a caption, and a mark in words


@dataclass(frozen=True)
class Tile:
    """A run and its place."""

    run: Run
    box: Box


@dataclass(frozen=True)
class Moment:
    """What a tile shows at a step: the last picture so far, the text if this step made one, whether the run ended."""

    picture: bytes | None
    text: str | None
    ended: bool


def moment(run: Run, step: int) -> Moment:
    """The state of a run after the invocation with sequence number ``step``.

    A step that makes a text keeps the picture of the step before, and a run that ended keeps its last one.
    """
    last = min(step, len(run.outputs) - 1)
    picture = next((run.outputs[place] for place in range(last, -1, -1) if isinstance(run.outputs[place], bytes)), None)
    now = run.outputs[step] if step == last else None
    # Where a run has no picture at all its last text stays, as pictures do.
    if picture is None and now is None and last >= 0:
        now = run.outputs[last]
    text = now if isinstance(now, str) else None
    return Moment(picture if isinstance(picture, bytes) else None, text, step >= len(run.outputs) - 1)


class Mosaic:
    """All runs of an experiment as tiles.

    ``aspect`` is width over height of the pictures. Frames depend on what is given alone, not on machine or time.

    Raises:
        ExportError: there are too many tiles for the frame.
    """

    def __init__(self, title: str, runs: Sequence[Run], size: Size, aspect: float = 1.0) -> None:
        self.title, self.steps = title, max((len(run.outputs) for run in runs), default=0)
        prompts = dict(sorted({run.prompt_number: run.prompt for run in runs}.items()))
        networks = list(dict.fromkeys(run.network for run in runs))
        cells: dict[tuple[int, int], list[Run]] = {}
        for run in runs:
            cells.setdefault((list(prompts).index(run.prompt_number), networks.index(run.network)), []).append(run)
        counts = Counts(len(prompts), len(networks), max(map(len, cells.values()), default=1))
        self.layout, self._prompt_labels, self._network_labels = _labelled(
            size, counts, aspect, list(prompts.values()), networks
        )
        self.tiles = [
            Tile(run, self.layout.tile(prompt, network, number))
            for (prompt, network), held in sorted(cells.items())
            for number, run in enumerate(held)
        ]
        self._shown: dict[int, Moment] = {}
        self._canvas = Image.new("RGB", (size.width, size.height), GROUND)
        self._draw = ImageDraw.Draw(self._canvas, "RGBA")
        self._scale = size.scale
        self._draw_labels(cells)

    def frame(self, step: int, pictures: Mapping[bytes, np.ndarray]) -> bytes:
        """The frame of a step as RGB bytes, rows from the top; steps are to be asked for in order.

        ``pictures``: uint8 (height, width, 3) by hash, at least those that change since the step before.
        """
        for tile in self.tiles:
            now = moment(tile.run, step)
            if now != self._shown.get(tile.run.number):
                self._draw_tile(tile, now, pictures)
                self._shown[tile.run.number] = now
        self._draw_footer(step)
        return self._canvas.tobytes()

    def image(self) -> Image.Image:
        """A copy of the canvas as it is now."""
        return self._canvas.copy()

    def _draw_labels(self, cells: Mapping[tuple[int, int], Sequence[Run]]) -> None:
        bold, plain = typeface(_PROMPT_FONT * self._scale, bold=True), typeface(_NETWORK_FONT * self._scale)
        for prompt, lines in enumerate(self._prompt_labels):
            self._lines(self.layout.prompt(prompt), self.layout.prompt_label, lines, bold, LIGHT)
        for prompt, network in sorted(cells):
            box = self.layout.network(prompt, network)
            self._lines(box, self.layout.network_label, self._network_labels[network], plain, QUIET)

    def _lines(self, box: Box, height: int, lines: Sequence[str], face: object, colour: str) -> None:
        """Lines at the foot of a label, so that they are near what they name."""
        line = height // max(1, self._lines_of(height, lines))
        top = box.top + height - line * len(lines)
        for number, text in enumerate(lines):
            place = (box.left, top + number * line + line // 2)
            self._draw.text(place, text, fill=colour, font=face, anchor="lm")  # type: ignore[arg-type]

    def _lines_of(self, height: int, lines: Sequence[str]) -> int:
        most = self._prompt_labels if height == self.layout.prompt_label else self._network_labels
        return max([len(lines), *map(len, most)])

    def _draw_tile(self, tile: Tile, now: Moment, pictures: Mapping[bytes, np.ndarray]) -> None:
        box = tile.box
        if now.picture is None:
            self._draw.rectangle(_corners(box), fill=CARD)
        elif now.picture in pictures:
            self._canvas.paste(GROUND, (box.left, box.top, box.left + box.width, box.top + box.height))
            picture = contained(Image.fromarray(pictures[now.picture]), box.width, box.height)
            left, top = (box.width - picture.width) // 2, (box.height - picture.height) // 2
            self._canvas.paste(picture, (box.left + left, box.top + top))
        else:
            raise KeyError(f"run {tile.run.number}: the picture {now.picture.hex()} was not given")
        if now.text is not None:
            self._draw_text(box, now)
        if now.ended:
            self._draw_ending(tile)

    def _draw_text(self, box: Box, now: Moment) -> None:
        """What was said: over the foot of the picture where there is room, on the whole tile where there is no picture.

        On small tiles a light line at the foot says that this step made a text.
        """
        scale = self._scale
        pad = 5 * scale
        if now.picture is None and box.height >= _WORDS_FROM * scale:
            face = typeface(_caption_font(box.height, scale) if box.height >= _CAPTION_FROM * scale else 9 * scale)
            line = round(face.size * 1.25)
            lines = wrapped((now.text or "").split(), face, box.width - 2 * pad, (box.height - 2 * pad) // line)
            top = box.top + (box.height - line * len(lines)) // 2
        elif now.picture is not None and box.height >= _CAPTION_FROM * scale:
            face = typeface(_caption_font(box.height, scale))
            line = round(face.size * 1.25)
            lines = wrapped((now.text or "").split(), face, box.width - 2 * pad, 2 if box.height < 240 * scale else 3)
            top = box.top + box.height - line * len(lines) - pad
            if lines:
                band = Box(box.left, top - pad, box.width, box.top + box.height - top + pad)
                self._draw.rectangle(_corners(band), fill=(0, 0, 0, 170))
        else:
            height = max(2 * scale, box.height // 24)
            foot = Box(box.left, box.top + box.height - height, box.width, height)
            self._draw.rectangle(_corners(foot), fill=LIGHT)
            return
        for number, text in enumerate(lines):
            place = (box.left + pad, top + number * line + line // 2)
            self._draw.text(place, text, fill=LIGHT, font=face, anchor="lm")

    def _draw_ending(self, tile: Tile) -> None:
        """How the run ended, at the upper right corner: in words where there is room, else its colour alone."""
        box, scale = tile.box, self._scale
        words = ending(tile.run)
        colour = ENDINGS.get(words.split()[0], QUIET)
        right = box.left + box.width - 1
        if box.height >= _WORDS_FROM * scale:
            face = typeface((12 if box.height >= _CAPTION_FROM * scale else 9) * scale)
            height, pad = round(face.size * 1.5), round(face.size * 0.4)
            dot = round(face.size * 0.75)
            width = min(box.width, width_of(words, face) + dot + 3 * pad)
            self._draw.rectangle((right - width + 1, box.top, right, box.top + height - 1), fill=(16, 16, 18, 190))
            middle = box.top + height // 2
            left = right - width + 1 + pad
            self._draw.ellipse((left, middle - dot // 2, left + dot, middle - dot // 2 + dot), fill=colour)
            self._draw.text((left + dot + pad, middle), words, fill=LIGHT, font=face, anchor="lm")
        else:
            side = max(4 * scale, box.height // 6)
            points = [(right - side, box.top), (right, box.top), (right, box.top + side)]
            self._draw.polygon(points, fill=colour, outline=GROUND)

    def _draw_footer(self, step: int) -> None:
        """Name, legend of the marks, step and a bar of how far it is."""
        scale, width, height = self._scale, self._canvas.width, self._canvas.height
        bar, margin = 4 * scale, MARGIN * scale
        face = typeface(_FOOTER_FONT * scale)
        top = height - 34 * scale
        self._draw.rectangle((0, top, width, height), fill=GROUND)
        middle = (top + height - bar) // 2
        counted = f"step {step + 1} of {self.steps}"
        right = width - margin - width_of(f"step {self.steps} of {self.steps}", face)
        self._draw.text((right, middle), counted, fill=LIGHT, font=face, anchor="lm")
        left = right
        for reason in reversed([reason for reason in ENDINGS if self._has(reason)]):
            left -= width_of(reason, face) + 24 * scale
            self._draw.text((left, middle), reason, fill=QUIET, font=face, anchor="lm")
            left -= 14 * scale
            dot = 9 * scale
            self._draw.ellipse((left, middle - dot // 2, left + dot, middle - dot // 2 + dot), fill=ENDINGS[reason])
        name = fitted(self.title, face, max(0, left - margin - 24 * scale))
        self._draw.text((margin, middle), name, fill=LIGHT, font=face, anchor="lm")
        self._draw.rectangle((0, height - bar, width, height), fill=CARD)
        done = round(width * (step + 1) / max(1, self.steps))
        self._draw.rectangle((0, height - bar, max(0, done - 1), height), fill=LIGHT)

    def _has(self, reason: str) -> bool:
        return any(ending(tile.run).split()[0] == reason for tile in self.tiles)


def contained(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture scaled, its proportions kept, to be as large as fits."""
    scale = min(width / picture.width, height / picture.height)
    target = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if picture.size == target else picture.resize(target, Image.Resampling.LANCZOS)


def _caption_font(height: int, scale: int) -> int:
    """Size of the letters of a text on a tile: larger tiles are looked at from as far away."""
    return max(_CAPTION_FONT * scale, min(height // 26, 2 * _CAPTION_FONT * scale))


def links(network: str) -> list[str]:
    """The models of a network as words of a label, each after the first with an arrow that stays with it."""
    first, *rest = network.split(" -> ")
    return [first, *(f"→ {name}" for name in rest)]


def _labelled(
    size: Size, counts: Counts, aspect: float, prompts: Sequence[str], networks: Sequence[str]
) -> tuple[Layout, list[list[str]], list[list[str]]]:
    """The layout, and the lines of its labels.

    How many lines a label needs depends on the widths of blocks, and these on the heights of labels: it is laid out
    again with more lines until all have what they need, or the most that they may have.
    """
    bold, plain = typeface(_PROMPT_FONT * size.scale, bold=True), typeface(_NETWORK_FONT * size.scale)
    prompt_lines = network_lines = 1
    while True:
        layout = lay_out(size, counts, aspect, prompt_lines, network_lines)
        for_prompts = [wrapped(text.split(), bold, layout.prompt_box[0], _PROMPT_LINES) for text in prompts]
        for_networks = [wrapped(links(name), plain, layout.network_box[0], _NETWORK_LINES) for name in networks]
        needed = max(map(len, for_prompts), default=1), max(map(len, for_networks), default=1)
        if needed[0] <= prompt_lines and needed[1] <= network_lines:
            return layout, for_prompts, for_networks
        prompt_lines, network_lines = max(prompt_lines, needed[0]), max(network_lines, needed[1])


def _corners(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.left + box.width - 1, box.top + box.height - 1
