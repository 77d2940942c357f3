"""Split-flap boards: a text is sent to a board, never faster than the board can turn its flaps.

Here belong sending and its pace. What a board shows, and how a text is broken into its lines, is decided elsewhere.
Of the texts that come while a board rests, only the newest is sent: an audience wants to see where the ring is now.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from panic_assets.live.clock import Clock, SystemClock
from panic_assets.live.platforms.base import PlatformError
from panic_assets.live.platforms.http import Service, base_address, read_key

USUAL_ADDRESS, ADDRESS_VARIABLE = "https://rw.vestaboard.com", "PANIC_VESTABOARD_URL"
REQUEST_SECONDS, REST_SECONDS = 10.0, 15.0
_log = logging.getLogger(__name__)


@dataclass
class _Board:
    """What waits for a board, who sends it, and when the board may be written next."""

    waiting: tuple[str, asyncio.Future[str | None]] | None = None
    sender: asyncio.Task[None] | None = None
    free_at: datetime | None = None
    posts: set[asyncio.Task[None]] = field(default_factory=set)


class Vestaboard:
    """Boards by name, as installations know them; ``secret`` gives the key of each, see `key_name`.

    Args:
        secret: see :class:`panic_assets.live.platforms.base.Call`.
        clock: what the pace is kept by.
        url: where the API is.
        rest_seconds: between two texts on the same board.
    """

    def __init__(
        self,
        secret: Callable[[str], str],
        clock: Clock | None = None,
        url: str | None = None,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        address = base_address(url, ADDRESS_VARIABLE, USUAL_ADDRESS)
        self._service = Service("vestaboard", address, "X-Vestaboard-Read-Write-Key", "")
        self.url = self._service.address
        self._secret, self._clock, self._rest = secret, clock or SystemClock(), timedelta(seconds=rest_seconds)
        self._boards: dict[str, _Board] = {}

    async def write(self, board: str, text: str) -> str | None:
        """Send a text, as soon as the board has rested.

        Returns:
            The identifier of the message; None if a newer text took its place, it is shown already, or all closed.

        Raises:
            PlatformError: it was refused. Of kind quota: texts came too fast, of this house or of others.
        """
        if not text.strip():
            raise PlatformError("invalid", f"the board {board} refuses blank texts")
        line = self._boards.setdefault(board, _Board())
        _supersede(line)
        told: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        line.waiting = (text, told)
        if line.sender is None or line.sender.done():
            line.sender = asyncio.create_task(self._send_all(board, line))
        return await told

    def post(self, board: str, text: str) -> None:
        """Send a text without waiting for it; a failure goes to the log. To be called in an event loop."""
        line = self._boards.setdefault(board, _Board())
        task = asyncio.create_task(self._written(board, text))
        line.posts.add(task)
        task.add_done_callback(line.posts.discard)

    async def close(self) -> None:
        """Drop what waits and close the connections."""
        for line in self._boards.values():
            _supersede(line)
            tasks = [task for task in (line.sender, *line.posts) if task is not None]
            if line.sender is not None:
                line.sender.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._service.close()

    async def _written(self, board: str, text: str) -> None:
        try:
            await self.write(board, text)
        except PlatformError as error:
            _log.warning("board %s: %s", board, error)

    async def _send_all(self, board: str, line: _Board) -> None:
        while line.waiting is not None:
            rest = 0.0 if line.free_at is None else (line.free_at - self._clock.now()).total_seconds()
            if rest > 0:
                await self._clock.sleep(rest)
                continue
            text, told = line.waiting
            line.waiting = None
            if told.done():  # whoever asked is gone
                continue
            line.free_at = self._clock.now() + self._rest
            try:
                came = await self._send(board, text)
            except Exception as error:
                if not told.done():
                    told.set_exception(error)
            except asyncio.CancelledError:  # closed: whoever waits is to go on
                if not told.done():
                    told.set_result(None)
                raise
            else:
                if not told.done():
                    told.set_result(came)

    async def _send(self, board: str, text: str) -> str | None:
        key = read_key(self._secret, key_name(board))
        reply = await self._service.ask("POST", "/", key, REQUEST_SECONDS, {"text": text})
        if reply.status_code == 304:
            return None
        if reply.status_code == 503:
            error = self._service.refusal(reply, key, "quota")
            error.retry_after = error.retry_after or self._rest.total_seconds()
            raise error
        content = self._service.json(reply, key)
        identifier = content.get("id") if isinstance(content, dict) else None
        if identifier is None:
            raise self._service.misshapen("no id", content, key)
        return str(identifier)


def key_name(board: str) -> str:
    """The name of the secret of a board: panic_1 has VESTABOARD_PANIC_1_TOKEN."""
    return f"VESTABOARD_{re.sub(r'[^A-Z0-9]+', '_', board.upper()).strip('_')}_TOKEN"


def _supersede(line: _Board) -> None:
    if line.waiting is not None and not line.waiting[1].done():
        line.waiting[1].set_result(None)
    line.waiting = None
