"""Media of the archive as rows of ``images`` and ``sounds``: the stored bytes, verbatim, named by what is in them.

Here belongs looking into bytes; reading them is the archive's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from panic_assets.interop.panic_tda.pictures import format_of
from panic_assets.lake import images
from panic_assets.lake.errors import CorruptImage
from panic_assets.live.values import Archived


class Unreadable(Exception):
    """A medium that the lake can't take; the text says why."""


@dataclass(frozen=True)
class Medium:
    """What an invocation says of its medium, and the table and row that hold it."""

    table: str
    columns: dict[str, Any]
    row: dict[str, Any] = field(repr=False)
    size: int
    flags: list[str]


def medium_of(archived: Archived, content: bytes) -> Medium:
    """A picture or sound of the archive.

    Raises:
        Unreadable: a picture that can't be decoded, or nothing at all.
    """
    if not content:
        raise Unreadable("it is empty")
    if archived.medium == "audio":
        name = blake2b(content, digest_size=16).digest()
        facts = {"format": archived.media_type, "seconds": archived.seconds}
        row = {"audio_hash": name, **facts, "byte_size": len(content), "sound": content}
        return Medium("sounds", {"audio_hash": name}, row, len(content), [])
    try:
        pixels = images.decode(content)
    except CorruptImage as error:
        raise Unreadable(str(error).partition(";")[0].partition(" (cannot identify")[0]) from error
    name, (height, width) = images.pixel_hash(pixels), pixels.shape[:2]
    flag = images.uniform_or_black(pixels)
    row = {"image_hash": name, "format": format_of(content), "width": width, "height": height}
    row |= {"byte_size": len(content), "image": content}
    return Medium("images", {"image_hash": name}, row, len(content), [flag] if flag else [])
