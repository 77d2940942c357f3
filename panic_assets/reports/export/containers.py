"""EXIF and XMP put into the bytes of a picture, whose pixels are not coded anew.

Here belong the four containers that the lake stores pictures in:

* WebP: chunks of a RIFF file; a plain file becomes an extended one (RFC 9649, section 2.7).
* PNG: chunks ``eXIf`` and ``iTXt`` before the pixels (PNG, third edition, 11.3).
* JPEG: segments APP1 behind JFIF's APP0 (EXIF 2.32, 4.7; XMP part 3, 1.1.3). Each holds 65,533 bytes at most.
* AVIF: in ``heif``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from panic_assets.reports.export.common import ExportError
from panic_assets.reports.export.heif import with_items

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LARGEST_SEGMENT = 65_533
_HAS_EXIF, _HAS_XMP, _HAS_ALPHA = 0x08, 0x04, 0x10


def with_metadata(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The picture with these blocks, in place of those that it has; its pixels stay as they are, to the bit.

    ``exif`` is a TIFF file, ``xmp`` a packet, as `provenance` makes them.

    Raises:
        ExportError: the bytes are no WebP, PNG, JPEG or AVIF, or a block is too large for a JPEG.
    """
    try:
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content, exif, xmp)
        if content.startswith(_PNG):
            return _png(content, exif, xmp)
        if content.startswith(b"\xff\xd8\xff"):
            return _jpeg(content, exif, xmp)
        if content[4:8] == b"ftyp":
            return with_items(content, exif, xmp)
    except (struct.error, IndexError, ValueError) as error:
        raise ExportError(f"{len(content)} bytes starting {content[:12]!r} are damaged: {error}") from error
    raise ExportError(f"{len(content)} bytes starting {content[:12]!r} are no WebP, PNG, JPEG or AVIF")


def _webp(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    chunks = [(name, data) for name, data in _riff(content) if name not in (b"EXIF", b"XMP ")]
    name, head = chunks[0]
    if name == b"VP8X":
        head = bytes([head[0] | _HAS_EXIF | _HAS_XMP]) + head[1:]
        chunks = chunks[1:]
    else:
        width, height, alpha = _webp_size(name, head)
        flags = _HAS_EXIF | _HAS_XMP | (_HAS_ALPHA if alpha else 0)
        head = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    all_chunks = [(b"VP8X", head), *chunks, (b"EXIF", exif), (b"XMP ", xmp)]
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in all_chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        yield name, content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _webp_size(name: bytes, data: bytes) -> tuple[int, int, bool]:
    """Width, height, and whether there is transparency, of a plain WebP's only chunk."""
    if name == b"VP8L":  # a byte of signature, 14 bits of width - 1, 14 of height - 1, 1 of alpha
        bits = int.from_bytes(data[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    if name == b"VP8 ":  # 3 bytes of tag, 3 of start code, then 14 bits each in 16
        width, height = struct.unpack_from("<HH", data, 6)
        return width & 0x3FFF, height & 0x3FFF, False
    raise ValueError(f"a WebP does not begin with a chunk {name!r}")


def _png(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    keyword = b"XML:com.adobe.xmp"
    kept = [content[:8]]
    place = 8
    while place < len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        whole = content[place : place + 12 + size]
        place += 12 + size
        if name == b"eXIf" or (name == b"iTXt" and whole[8:].startswith(keyword)):
            continue
        kept.append(whole)
        if name == b"IHDR":
            kept += [_png_chunk(b"eXIf", exif), _png_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + xmp)]
    return b"".join(kept)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _jpeg(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    added = []
    for what, data in (("EXIF", b"Exif\0\0" + exif), ("XMP", _JPEG_XMP + xmp)):
        if len(data) > _LARGEST_SEGMENT:
            raise ExportError(f"{what} of {len(data)} bytes does not fit a JPEG, which holds {_LARGEST_SEGMENT}")
        added.append(b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data)
    place, kept = 2, [content[:2]]
    while content[place : place + 1] == b"\xff" and 0xE0 <= content[place + 1] <= 0xEF:
        size = 2 + struct.unpack_from(">H", content, place + 2)[0]
        segment = content[place : place + size]
        place += size
        if not (segment[1] == 0xE1 and segment[4:].startswith((b"Exif\0\0", _JPEG_XMP))):
            kept.append(segment)
    # JFIF wants its APP0 first; the other segments that were there may follow ours or precede them.
    return b"".join([*kept, *added, content[place:]])
