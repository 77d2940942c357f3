"""Split-flap boards: how a text fits one, and who is to be written when.

Here belongs what all boards have in common. Which text a board is to show is decided in ``displays``; how a real one
is reached belongs to ``platforms``.
"""

from __future__ import annotations

import asyncio
import logging
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from panic_assets.live.clock import Clock, SystemClock
from panic_assets.live.displays import BOARD_SIZES, what_board_shows
from panic_assets.live.records import Installation, Invocation, Watcher

#: What stands for a text of which a board can show nothing: boards refuse blank ones.
NOTHING = "..."
_MORE = "..."
#: Characters that are looked at for each flap: wrapping a word of megabytes would hold up everyone.
_READ = 40
#: Colours have no letter: here they are squares, and codes for the boards themselves.
_SQUARES = {"🟥": 63, "🟧": 64, "🟨": 65, "🟩": 66, "🟦": 67, "🟪": 68, "⬜": 69, "⬛": 70}
_FLAPS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#$()-+&=;:'\"%,./?° \n").union(_SQUARES)
_ALIKE: dict[str, str | int | None] = {
    **dict.fromkeys("‐‑‒–—―−_~•·|", "-"),
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‘’‚‛‹›′`´", "'"),
    **dict.fromkeys("[{", "("),
    **dict.fromkeys("]}", ")"),
    **dict(zip("🔴🟠🟡🟢🔵🟣⚪⚫", _SQUARES, strict=True)),
    "…": "...", "×": "X", "÷": "/", "¼": " 1/4", "½": " 1/2", "¾": " 3/4",
    "\N{FRACTION SLASH}": "/", "\\": "/", "º": "°",
    "Æ": "AE", "Œ": "OE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "ẞ": "SS", "ı": "I",
}  # fmt: skip
_LIKE = str.maketrans(_ALIKE)
#: Accents, selectors of a form, joiners: they change the sign before, which goes without.
_SILENT = frozenset(("Mn", "Me", "Cf"))
_log = logging.getLogger(__name__)


def board_text(text: str, rows: int = 6, columns: int = 22, centred: bool = False) -> str:
    """A text as a board of that size can show it: up to ``rows`` lines of up to ``columns`` flaps.

    Capitals without accents; typographic signs become plain ones, squares and discs of eight colours are coloured
    flaps, anything else is a space. Words are kept whole where a line holds them. Line breaks are kept where they fit.
    What is too long ends in three dots. A text of which nothing is left becomes `NOTHING`.

    ``centred`` puts spaces and empty lines before. The real boards do that by themselves.
    """
    plain = _plain(text[: _READ * rows * columns])
    lines = [part for line in plain.split("\n") for part in _wrapped(line, columns)]
    if len(lines) > rows:
        lines = _wrapped(plain, columns)
    if len(lines) > rows:
        lines = [*lines[: rows - 1], _cut(lines[rows - 1], columns)]
    lines = lines or [NOTHING[:columns]]
    if centred:
        lines = [""] * ((rows - len(lines)) // 2) + [" " * ((columns - len(line)) // 2) + line for line in lines]
    return "\n".join(lines)


def in_codes(text: str) -> str:
    """A text of `board_text` with coloured flaps as the codes that real boards know, such as {63}."""
    return "".join(f"{{{_SQUARES[sign]}}}" if sign in _SQUARES else sign for sign in text)


class Following(Protocol):
    """The part of the store that boards need."""

    def installations(self) -> Sequence[Installation]:
        """All of them."""


@dataclass
class _Line:
    """What a board was last told, what waits for it, and when it may be written next."""

    told: str | None = None
    waiting: str | None = None
    writer: asyncio.Task[None] | None = None
    free_at: datetime | None = None


class Boards:
    """The boards of all installations, each shown what its watcher says. To be used from one event loop.

    Which boards follow which network is held in memory. It is read again, beside the event loop, when it is older than
    ``fresh_seconds`` and something is to be shown, which then still goes by what was held: whoever changes an
    installation calls `refresh`, and so does a server before its first run.

    Args:
        store: where installations are.
        write: writes a text on a board; may raise, and may be cancelled.
        clock: what the pace is kept by.
        rest_seconds: between two texts on a board. Of those that come meanwhile the newest is shown.
        fresh_seconds: how long boards of other servers' making may go unseen.
    """

    def __init__(
        self,
        store: Following,
        write: Callable[[str, str], Awaitable[object]],
        clock: Clock | None = None,
        rest_seconds: float = 15.0,
        fresh_seconds: float = 3.0,
    ) -> None:
        self._store, self._write, self._clock = store, write, clock or SystemClock()
        self._rest, self._fresh = timedelta(seconds=rest_seconds), timedelta(seconds=fresh_seconds)
        self._following: Mapping[str, Sequence[Watcher]] = {}
        self._read_at: datetime | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lines: dict[str, _Line] = {}
        #: Texts that were written, by board, and those that could not be.
        self.written: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    async def refresh(self) -> None:
        """Read which boards follow which network."""
        self._read_at = self._clock.now()
        following: dict[str, list[Watcher]] = {}
        for installation in await asyncio.to_thread(self._store.installations):
            boards = [watcher for watcher in installation.watchers if watcher.kind == "vestaboard"]
            following.setdefault(installation.network_id, []).extend(boards)
        self._following = following

    def show(self, invocation: Invocation) -> bool:
        """Let the boards of its network show it, without waiting for them; whether any will be written.

        A board that shows the text already, or has it waiting, is left alone.
        """
        self._keep_fresh()
        written = False
        for watcher in self._following.get(invocation.network_id, ()):
            text = what_board_shows(watcher, invocation)
            if text is not None and watcher.board:
                rows, columns = BOARD_SIZES[0]
                fitted = board_text(text, watcher.rows or rows, watcher.columns or columns)
                written |= self._tell(watcher.board, fitted)
        return written

    async def close(self) -> None:
        """Drop what waits and stop writing."""
        tasks = [line.writer for line in self._lines.values()] + [self._reading]
        going = [task for task in tasks if task is not None]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    def _keep_fresh(self) -> None:
        is_old = self._read_at is None or self._clock.now() - self._read_at >= self._fresh
        if is_old and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._refreshed(), name="boards that follow networks")

    async def _refreshed(self) -> None:
        try:
            await self.refresh()
        except Exception:  # what was held still holds
            _log.exception("the installations can't be read; boards go on as before")

    def _tell(self, board: str, text: str) -> bool:
        line = self._lines.setdefault(board, _Line())
        newest = line.told if line.waiting is None else line.waiting
        if text == newest:
            return False
        line.waiting = text
        if line.writer is None or line.writer.done():
            line.writer = asyncio.create_task(self._write_all(board, line), name=f"board {board}")
        return True

    async def _write_all(self, board: str, line: _Line) -> None:
        while line.waiting is not None:
            rest = 0.0 if line.free_at is None else (line.free_at - self._clock.now()).total_seconds()
            if rest > 0:
                await self._clock.sleep(rest)
                continue
            line.told, line.waiting = line.waiting, None
            line.free_at = self._clock.now() + self._rest
            try:
                await self._write(board, line.told)
                self.written[board] += 1
            except Exception as error:
                line.told = None
                self.failed[board] += 1
                _log.warning("board %s was not written (%d times so far): %s", board, self.failed[board], error)


def _plain(text: str) -> str:
    """The text in what a board has on its flaps, and line breaks."""
    upper = text.replace("\t", " ").upper().translate(_LIKE)
    letters = (sign for sign in unicodedata.normalize("NFKD", upper) if unicodedata.category(sign) not in _SILENT)
    return "".join(sign if sign in _FLAPS else " " for sign in "".join(letters).upper().translate(_LIKE))


def _wrapped(text: str, columns: int) -> list[str]:
    return [line.rstrip() for line in textwrap.wrap(" ".join(text.split()), columns)]


def _cut(line: str, columns: int) -> str:
    most = max(columns - len(_MORE), 0)
    kept = line[:most]
    if len(line) > most and line[most] != " " and " " in kept:
        kept = kept.rpartition(" ")[0]
    return (kept.rstrip(" ,;:-.") + _MORE)[:columns]
