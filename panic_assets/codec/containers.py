"""How many bytes of a picture's file are the picture, and how many are what it is wrapped in.

Here belongs telling them apart for the forms that codecs are compared in. Small pictures make it matter: AVIF's boxes
alone are nearly 300 bytes, whatever is in them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from panic_assets.codec.bitstream import fields, head

Chunks = Iterator[tuple[bytes, int]]
"""Kind and content's size of each part of a file."""


def payload_bytes(data: bytes) -> int:
    """Bytes of a file that carry coded pixels: without boxes, chunk headers, checksums, and the head of our own files.

    Of AVIF that is the media data, of WebP and PNG the content of the chunks with pixels, of JPEG what stands behind
    the header of the first scan. Of any other form it is the whole.
    """
    for is_it, chunks, wanted in _FORMS:
        if is_it(data):
            return sum(size for kind, size in chunks(data) if kind in wanted)
    return len(data)


def _ours(data: bytes) -> Chunks:
    found, _ = head.unseal(data, head.LONGEST_SIDE**2)
    wrapped = len(head.MAGIC) + 2 + len(fields.number(found.height)) + len(fields.number(found.width))
    yield b"body", len(data) - wrapped - fields.CHECKSUM_BYTES


def _boxes(data: bytes) -> Chunks:
    """Of an ISO base media file."""
    place = 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        before = 8
        if size == 1 and place + 16 <= len(data):
            (size,), before = struct.unpack_from(">Q", data, place + 8), 16
        size = max(size or len(data) - place, before)  # 0: up to the end
        yield kind, min(size, len(data) - place) - before
        place += size


def _of_riff(data: bytes) -> Chunks:
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        yield kind, min(size, len(data) - place - 8)
        place += 8 + size + size % 2


def _of_png(data: bytes) -> Chunks:
    place = 8
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        yield kind, min(size, len(data) - place - 8)
        place += 12 + size  # a checksum ends it


def _of_jpeg(data: bytes) -> Chunks:
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        kind, size = data[place + 1 : place + 2], int.from_bytes(data[place + 2 : place + 4], "big")
        place += 2 + size
        if kind == b"\xda":  # the rest is scans, and two bytes that end the picture
            yield b"scans", max(0, len(data) - place - 2)
            return


_FORMS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Chunks], frozenset[bytes]], ...] = (
    (head.is_ours, _ours, frozenset({b"body"})),
    (lambda data: data[4:8] == b"ftyp", _boxes, frozenset({b"mdat"})),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _of_riff, frozenset({b"VP8 ", b"VP8L", b"ALPH"})),
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", _of_png, frozenset({b"IDAT"})),
    (lambda data: data[:3] == b"\xff\xd8\xff", _of_jpeg, frozenset({b"scans"})),
)
