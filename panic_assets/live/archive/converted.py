"""A medium as it will be kept.

Here belongs the shape that pictures and sounds share; how each is made is in its own module.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The ending of a file by its media type; no others get into the archive.
ENDINGS = {
    "image/webp": "webp",
    "image/avif": "avif",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/webm": "weba",
}


@dataclass(frozen=True)
class Converted:
    """Bytes of a known type. Width and height in pixels of a picture, seconds of a sound where they are known."""

    data: bytes
    media_type: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
