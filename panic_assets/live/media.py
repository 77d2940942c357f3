"""Pictures and sounds as bytes: what kind they are, how they travel in JSON, and small ones made from a hash.

Here belongs nothing that knows of platforms or of the archive.
"""

from __future__ import annotations

import io
import re
import wave
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from urllib.parse import unquote_to_bytes

import numpy as np

from panic_assets.lake import images

RATE = 16_000  # samples in a second of the sounds made here
_SECONDS, _SIDE = 0.75, 96
#: Quarter tones above 110 Hz, of a scale without dissonance: any of them sound well together.
_SCALE = (0, 4, 6, 10, 14, 18, 20, 24, 28, 30, 34, 38, 42, 44, 48, 52)
_STARTS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AIFF", "audio/aiff"),
    (8, b"AIFC", "audio/aiff"),
    (4, b"ftypavi", "image/avif"),
    (4, b"ftypM4A", "audio/mp4"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\x1a\x45\xdf\xa3", "audio/webm"),
)
_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;(?!base64)[^,;]*)*(?P<base64>;base64)?,", re.ASCII)


def sniff(data: bytes) -> str | None:
    """The media type that the first bytes tell, such as image/webp; None if they tell none that is known here."""
    for place, start, kind in _STARTS:
        if data.startswith(start, place):
            return kind
    if len(data) > 2 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:  # frames without a tag before them
        return "audio/aac" if data[1] & 0x06 == 0 else "audio/mpeg"
    return None


def data_uri(data: bytes, media_type: str) -> str:
    """The bytes as an address that holds them."""
    return f"data:{media_type};base64,{b64encode(data).decode('ascii')}"


def from_data_uri(address: str) -> tuple[bytes, str | None]:
    """The bytes that such an address holds, and the media type that it tells, if it tells one.

    Raises:
        ValueError: it is no such address, or its letters are not base64.
    """
    found = _DATA_URI.match(address)
    if found is None:
        raise ValueError("the data does not start as data:TYPE;base64,")
    rest = address[found.end() :]
    if not found["base64"]:
        return unquote_to_bytes(rest), found["type"]
    try:
        return b64decode(rest, validate=True), found["type"]
    except Base64Error as error:
        raise ValueError(f"what follows data:{found['type'] or ''};base64, is not base64: {error}") from None


def picture(digest: bytes, format: str = "webp-lossless") -> bytes:
    """A small picture drawn from a hash of 16 bytes or more: shapes on a gradient; equal hashes give equal pixels."""
    from PIL import Image, ImageDraw

    ramp = np.linspace(0.0, 1.0, _SIDE, dtype=np.float32)[:, None, None]
    first, last = (np.frombuffer(digest[start : start + 3], np.uint8).astype(np.float32) for start in (0, 3))
    pixels = np.broadcast_to(first + (last - first) * ramp, (_SIDE, _SIDE, 3)).astype(np.uint8)
    drawn = Image.fromarray(np.ascontiguousarray(pixels))
    pen = ImageDraw.Draw(drawn)
    for number in range(3):
        x, y, size, colour = digest[6 + number], digest[9 + number], digest[12 + number], digest[number : number + 3]
        radius = 8 + size % 24
        box = (x % _SIDE - radius, y % _SIDE - radius, x % _SIDE + radius, y % _SIDE + radius)
        shape = pen.ellipse if size % 2 else pen.rectangle
        shape(box, fill=(255 - colour[0], 255 - colour[1], 255 - colour[2]))
    return images.encode(np.asarray(drawn), format)


def tone(digest: bytes) -> bytes:
    """A short chord as WAV (16 bit, one channel) from a hash of 3 bytes or more; equal hashes give equal bytes."""
    time = np.arange(int(RATE * _SECONDS), dtype=np.float64) / RATE
    notes = [110.0 * 2 ** (_SCALE[byte % len(_SCALE)] / 24) for byte in digest[:3]]
    fade = np.minimum(1.0, np.minimum(time, _SECONDS - time) * 20)
    wave_form = sum(np.sin(2 * np.pi * note * time) for note in notes) / len(notes) * fade
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(np.round(wave_form * 0.6 * 32767).astype("<i2").tobytes())
    return content.getvalue()
