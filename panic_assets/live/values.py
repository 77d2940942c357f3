"""What goes round a live ring: texts, images and sounds.

Here belong the shapes that runner, platforms and archive share; nothing that makes or stores one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Medium = Literal["text", "image", "audio"]


@dataclass(frozen=True)
class Value:
    """An input or output of a model.

    A text has ``text``. An image or a sound has ``data`` with ``media_type`` (such as image/webp), or ``url``: the
    address that a platform gave, which may expire. ``key`` names it in the archive, once it is there.
    """

    medium: Medium
    text: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    url: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Archived:
    """A medium in the archive.

    ``key`` is its place there; ``sha256`` and ``byte_size`` are those of the stored bytes, ``original_sha256``,
    ``original_bytes`` and ``original_type`` those of what the platform gave.
    """

    key: str
    medium: Medium
    media_type: str
    sha256: str
    byte_size: int
    original_sha256: str
    original_bytes: int
    original_type: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
