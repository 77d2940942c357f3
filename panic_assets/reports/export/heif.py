"""EXIF and XMP as items of an AVIF file, whose coded pixels stay as they are.

An AVIF is boxes; its box ``meta`` names items (``iinf``), says where their bytes lie (``iloc``) and what refers to
what (``iref``): ISO/IEC 14496-12, sections 8.11.3, 8.11.6 and 8.11.12; Exif and XMP items: ISO/IEC 23008-12, annex A.
The two new items' bytes go behind all others, and as ``meta`` grows the places of the old ones move by as much.

Here belongs what Pillow's AVIF files have: a still picture, places counted from the file's beginning. Others are
refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


def with_items(content: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The AVIF with an Exif and an XMP item that describe its picture.

    Raises:
        ValueError: it has such items already, or a structure that is not understood.
    """
    boxes = list(_boxes(content))
    names = [name for name, _ in boxes]
    if names.count(b"meta") != 1 or b"moov" in names:
        raise ValueError("it is not a still picture with one box meta")
    inner = dict(_boxes(dict(boxes)[b"meta"][4:]))
    if not {b"pitm", b"iinf", b"iloc"} <= set(inner):
        raise ValueError("its box meta lacks pitm, iinf or iloc")
    known = _items(inner[b"iinf"])
    if {b"Exif", b"mime"} & set(known.values()):
        raise ValueError("it has metadata already")
    data = [b"\0\0\0\0" + exif, xmp]  # how far the TIFF file begins behind these four bytes
    first = max(known) + 1
    # How long the new meta is does not depend on the places in it, so a first attempt with wrong ones tells.
    draft = _meta(dict(boxes)[b"meta"], first, data, 0, 0)
    shift = len(draft) - len(dict(boxes)[b"meta"])
    behind = len(content) + shift + 8  # the header of the box that holds the new items
    meta = _meta(dict(boxes)[b"meta"], first, data, shift, behind)
    kept = [_box(name, meta if name == b"meta" else body) for name, body in boxes]
    return b"".join([*kept, _box(b"mdat", b"".join(data))])


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        if size < 8 or place + size > len(content):
            raise ValueError(f"box {name!r} has a size of {size}")
        yield name, content[place + 8 : place + size]
        place += size


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def _items(iinf: bytes) -> dict[int, bytes]:
    """Type by number of each item."""
    if iinf[0] != 0:
        raise ValueError(f"iinf of version {iinf[0]}")
    found = {}
    for name, body in _boxes(iinf[6:]):
        if name != b"infe" or body[0] != 2:
            raise ValueError("iinf holds other than infe of version 2")
        number, _, kind = struct.unpack_from(">HH4s", body, 4)
        found[number] = kind
    return found


def _meta(meta: bytes, first: int, data: list[bytes], shift: int, behind: int) -> bytes:
    """The box meta with items ``first`` and the next: their bytes are at ``behind``, older ones move by ``shift``."""
    boxes = list(_boxes(meta[4:]))
    picture = struct.unpack_from(">H", dict(boxes)[b"pitm"], 4)[0]
    entries = [
        _box(b"infe", struct.pack(">IHH4s", 0x02000000, first, 0, b"Exif") + b"\0"),
        _box(b"infe", struct.pack(">IHH4s", 0x02000000, first + 1, 0, b"mime") + b"\0application/rdf+xml\0"),
    ]
    links = b"".join(_box(b"cdsc", struct.pack(">HHH", number, 1, picture)) for number in (first, first + 1))
    places = [(first, behind, len(data[0])), (first + 1, behind + len(data[0]), len(data[1]))]
    made = []
    for name, body in boxes:
        if name == b"iinf":
            count = struct.unpack_from(">H", body, 4)[0] + 2
            body = body[:4] + struct.pack(">H", count) + body[6:] + b"".join(entries)
        elif name == b"iref":
            if body[0] != 0:
                raise ValueError(f"iref of version {body[0]}")
            body += links
        elif name == b"iloc":
            body = _iloc(body, places, shift)
        made.append(_box(name, body))
    if b"iref" not in dict(boxes):
        made.append(_box(b"iref", b"\0\0\0\0" + links))
    return meta[:4] + b"".join(made)


def _iloc(body: bytes, places: list[tuple[int, int, int]], shift: int) -> bytes:
    """Places of items: the old ones moved, the new ones added."""
    version, sizes, count = body[0], body[4:6], struct.unpack_from(">H", body, 6)[0]
    if version != 0 or sizes != b"\x44\x00":  # offsets and lengths of 4 bytes, no base
        raise ValueError(f"iloc of version {version} with sizes {sizes.hex()}")
    out = [body[:6], struct.pack(">H", count + len(places))]
    place = 8
    for _ in range(count):
        head, extents = body[place : place + 6], struct.unpack_from(">H", body, place + 4)[0]
        out.append(head)
        place += 6
        for _ in range(extents):
            offset, length = struct.unpack_from(">II", body, place)
            out.append(struct.pack(">II", offset + shift, length))
            place += 8
    out += [struct.pack(">HHHII", number, 0, 1, offset, length) for number, offset, length in places]
    return b"".join(out)
