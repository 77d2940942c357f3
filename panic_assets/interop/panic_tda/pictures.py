"""Pictures of the source: what their bytes are, their pixels' hash, and the hash by which the source judged them.

Here belongs decoding, on threads, of a bounded number of pictures at once; it is what an import spends its time on.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from panic_assets.image_formats import LATENT
from panic_assets.interop.panic_tda.records import Rejected, SourceInvocation
from panic_assets.lake import images
from panic_assets.lake.errors import CorruptImage

#: Pictures that are decoded or wait for it, for each thread.
_AHEAD = 4
_LOSSLESS = ("webp-lossless", "png")


@dataclass(frozen=True)
class Picture:
    """A decoded picture without its pixels; ``lossy_hash`` is None where nobody asked for it."""

    image_hash: bytes
    format: str
    width: int
    height: int
    flag: str | None
    lossy_hash: bytes | None

    @property
    def is_lossless(self) -> bool:
        """Whether its pixels are those that the model gave."""
        return self.format in _LOSSLESS


@dataclass(frozen=True)
class Seen:
    """A row of the source in the order it came, with its picture, or with what is wrong with that."""

    record: SourceInvocation | Rejected
    picture: Picture | None = None
    damage: str | None = None


def workers() -> ThreadPoolExecutor:
    """Threads for `look_at`, as many as there are processors for this process."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="decode")


def look_at(
    records: Iterable[SourceInvocation | Rejected], threads: ThreadPoolExecutor, judged: bool
) -> Iterator[Seen]:
    """The records in their order, their pictures decoded ahead. ``judged``: also by the source's own hash."""
    waiting: deque[Future[Seen]] = deque()
    most = _AHEAD * threads._max_workers
    for record in records:
        waiting.append(threads.submit(_look, record, judged))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def format_of(content: bytes) -> str:
    """The encoding, by the first bytes: webp-lossless, webp, png, jpeg, avif, latent, or unknown."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp-lossless" if _is_lossless_webp(content) else "webp"
    for kind, place, mark in (("png", 0, b"\x89PNG"), ("jpeg", 0, b"\xff\xd8\xff"), ("latent", 0, LATENT.mark)):
        if content[place : place + len(mark)] == mark:
            return kind
    return "avif" if content[4:8] == b"ftyp" and content[8:12] in (b"avif", b"avis", b"mif1", b"miaf") else "unknown"


def _is_lossless_webp(content: bytes) -> bool:
    """Whether the picture is in a VP8L chunk; an extended file has others before it."""
    place = 12
    while place + 8 <= len(content):
        kind = content[place : place + 4]
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return False


def _look(record: SourceInvocation | Rejected, judged: bool) -> Seen:
    if isinstance(record, Rejected) or not record.image:
        return Seen(record)
    try:
        pixels = images.decode(record.image)
    except CorruptImage as error:
        # Without the library's name for the place in memory, so that the same bytes are always told alike.
        return Seen(record, damage=str(error).partition(";")[0].partition(" (cannot identify")[0])
    height, width = pixels.shape[:2]
    lossy = _source_hash(pixels) if judged else None
    flag = images.uniform_or_black(pixels)
    return Seen(record, Picture(images.pixel_hash(pixels), format_of(record.image), width, height, flag, lossy))


def _source_hash(pixels: images.Picture) -> bytes:
    """By what the source held two pictures for equal: SHA-256 of a JPEG of quality 30.

    Near pictures may agree in it, and another JPEG library may part or join them otherwise than the source's did.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=30)
    return hashlib.sha256(buffer.getvalue()).digest()
