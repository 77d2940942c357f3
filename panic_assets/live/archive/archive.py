"""The archive as the rest of the live room sees it: keep a medium, read it again.

Here belongs the order of the steps, and which of them are tried again; each step is a module beside this one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from panic_assets.live.archive import pictures, sounds
from panic_assets.live.archive.addresses import networks
from panic_assets.live.archive.converted import ENDINGS, Converted
from panic_assets.live.archive.errors import ArchiveError, NoSuchMedium, Undecodable
from panic_assets.live.archive.fetching import Bounds, fetch
from panic_assets.live.archive.shelf import Shelf, key_of
from panic_assets.live.clock import Clock, SystemClock
from panic_assets.live.media import sniff
from panic_assets.live.values import Archived, Value

#: Before each new attempt at what may go well later.
_WAITS = (0.5, 1.0, 2.0)
Result = TypeVar("Result")


class MediaRows(Protocol):
    """The part of the store that remembers media."""

    def add_media(self, archived: Archived) -> None:
        """Remember a medium."""


class Archive:
    """Pictures and sounds for good, in a folder or at any other address that fsspec knows.

    Work that blocks is done in threads, a few at a time. Where a ``store`` is given it is told of each medium.

    Args:
        url: a folder, s3://bucket/folder, memory://name ...
        store: where rows about media are kept.
        allow_private: fetch from private networks too, where models are served in the same house: from all, or from
            those that are named, such as fd12:3456::/32.
        image_format: what pictures become; WebP stays WebP.
        audio_format: what sounds become; Opus stays Opus.
        bounds: of a fetch; ``most_bytes`` holds for what comes as bytes, too.
        clock: what waits between attempts go by.
        find_ffmpeg: gives the program, or raises a `PanicError` where there is none.

    Raises:
        ArchiveError: there is no way to ``url``, or a named network is none.
    """

    def __init__(
        self,
        url: str,
        store: MediaRows | None = None,
        *,
        allow_private: bool | Sequence[str] = False,
        image_format: pictures.Format = "webp",
        audio_format: sounds.Format = "opus",
        bounds: Bounds | None = None,
        clock: Clock | None = None,
        find_ffmpeg: Callable[[], str] = sounds.find_ffmpeg,
    ) -> None:
        self._shelf, self._store = Shelf(url), store
        self._inside, self._bounds, self._clock = networks(allow_private), bounds or Bounds(), clock or SystemClock()
        self._image_format, self._audio_format, self._find_ffmpeg = image_format, audio_format, find_ffmpeg
        # Decoded pictures are large: as many at a time as can be worked on.
        self._at_work = asyncio.Semaphore(os.cpu_count() or 1)

    async def keep(self, value: Value) -> Archived:
        """Store a picture or sound, given as bytes or by its address. Keeping the same again changes nothing.

        Raises:
            ArchiveError: it is not in the archive; ``kind`` says whether another attempt may help. Several were made.
        """
        if value.medium not in ("image", "audio") or (value.data is None and value.url is None):
            raise ArchiveError("permanent", f"a {value.medium} without data or an address can't be archived")
        data, converted = await self._again(lambda: self._taken(value))
        original_type = sniff(data)
        if original_type is None:
            raise AssertionError("what was converted has a type")
        key = key_of(converted.data, ENDINGS[converted.media_type])
        await self._again(lambda: asyncio.to_thread(self._shelf.put, key, converted.data))
        archived = Archived(
            key=key,
            medium=value.medium,
            media_type=converted.media_type,
            sha256=hashlib.sha256(converted.data).hexdigest(),
            byte_size=len(converted.data),
            original_sha256=hashlib.sha256(data).hexdigest(),
            original_bytes=len(data),
            original_type=original_type,
            width=converted.width,
            height=converted.height,
            seconds=converted.seconds,
        )
        if self._store is not None:
            await asyncio.to_thread(self._store.add_media, archived)
        return archived

    async def read(self, key: str) -> bytes:
        """The stored bytes, checked against the hash in their key.

        Raises:
            NoSuchMedium: there is nothing under that key.
            ArchiveError: it can't be read or is damaged.
        """
        return await asyncio.to_thread(self._shelf.get, key)

    async def open_range(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from ``start`` to before ``end``; to the end without one. They are not checked.

        Raises:
            NoSuchMedium: there is nothing under that key.
            ArchiveError: it can't be read.
            ValueError: a negative number.
        """
        return await asyncio.to_thread(self._shelf.range, key, start, end)

    async def size(self, key: str) -> int:
        """How many bytes are stored.

        Raises:
            NoSuchMedium: there is nothing under that key.
            ArchiveError: it can't be read.
        """
        return await asyncio.to_thread(self._shelf.size, key)

    async def exists(self, key: str) -> bool:
        """Whether something is stored under a key.

        Raises:
            ArchiveError: that can't be found out.
        """
        try:
            await self.size(key)
        except NoSuchMedium:
            return False
        return True

    def path(self, key: str) -> Path | None:
        """The file of a key, if the archive is a folder of this machine and the file is there."""
        return self._shelf.file(key)

    async def _taken(self, value: Value) -> tuple[bytes, Converted]:
        """(original, converted)."""
        if value.data is not None:
            return value.data, await self._converted(value, value.data)
        data = await fetch(value.url or "", self._bounds, self._inside)
        try:
            return data, await self._converted(value, data)
        except Undecodable as error:  # it may have been cut on its way, without a word
            raise ArchiveError("transient", str(error)) from error

    async def _converted(self, value: Value, data: bytes) -> Converted:
        if len(data) > self._bounds.most_bytes:
            raise ArchiveError("permanent", f"{len(data):,} bytes are more than the {self._bounds.most_bytes:,} kept")
        kind = sniff(data)
        if kind is None or not kind.startswith(f"{value.medium}/"):
            what = kind or f"nothing known; it begins with {data[:24]!r}"
            raise ArchiveError("permanent", f"{value.medium} was expected, and it is {what}")
        async with self._at_work:
            if value.medium == "image":
                return await asyncio.to_thread(pictures.convert, data, self._image_format)
            return await asyncio.to_thread(sounds.convert, data, kind, self._audio_format, self._find_ffmpeg)

    async def _again(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """What the work gives, in one of several attempts at most, unless trying again is of no use."""
        for wait in _WAITS:
            try:
                return await work()
            except ArchiveError as error:
                if error.kind == "permanent":
                    raise
            await self._clock.sleep(wait)
        return await work()
