"""The head of a file, and the checksum at its end.

Here belong magic, version, method and geometry: what every file has, whatever its method, and the first doubts about
bytes that claim to be one. What follows the head is the method's.
"""

from __future__ import annotations

from dataclasses import dataclass

from panic_assets.codec.bitstream.fields import CHECKSUM_BYTES, Fields, checksum, number
from panic_assets.codec.errors import UnfitValue, WrongBytes, WrongVersion

MAGIC = b"\x9bPL"
VERSION = 1
LONGEST_SIDE = 65_535

DEFAULT_LIMIT = 1 << 24
"""Pixels that a decoder takes on unless told otherwise: the networks need about 600 bytes for each."""

_CHANNELS = {0: 1, 1: 3, 2: 4}
_KINDS = {channels: kind for kind, channels in _CHANNELS.items()}
_SHORTEST = len(MAGIC) + 4 + CHECKSUM_BYTES


@dataclass(frozen=True)
class Head:
    """What a file says first.

    Args:
        method: 0 to 15, of :mod:`panic_assets.codec.bitstream.methods`.
        height: pixels, 1 to LONGEST_SIDE.
        width: pixels, 1 to LONGEST_SIDE.
        channels: 1 grey, 3 RGB, 4 RGB and alpha.
        options: six bits that mean something to the method.
    """

    method: int
    height: int
    width: int
    channels: int
    options: int = 0

    @property
    def pixels(self) -> int:
        """Their number."""
        return self.height * self.width

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the decoded array."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)


def is_ours(data: bytes) -> bool:
    """Whether some bytes begin as a file of this codec does."""
    return data[: len(MAGIC)] == MAGIC


def seal(head: Head, body: bytes) -> bytes:
    """A whole file."""
    kinds = bytes([VERSION << 4 | head.method, _KINDS[head.channels] | head.options << 2])
    data = MAGIC + kinds + number(head.height) + number(head.width) + body
    return data + checksum(data)


def unseal(data: bytes, limit: int = DEFAULT_LIMIT) -> tuple[Head, Fields]:
    """The head of a file that is whole, and the fields behind it.

    Raises:
        WrongBytes: no file of this codec, damaged, or of more than ``limit`` pixels.
        WrongVersion: of a version that is not known here.
    """
    if not is_ours(data):
        raise WrongBytes(f"no file of this codec: it begins with {data[: len(MAGIC)]!r}, and one would with {MAGIC!r}")
    if len(data) < _SHORTEST:
        raise WrongBytes(f"{len(data)} bytes are not the whole of a file; get it again")
    version, method = divmod(data[len(MAGIC)], 16)
    if version != VERSION:
        raise WrongVersion(
            f"a file of version {version}, and this codec knows {VERSION}: read it with a newer one, or, if there is "
            "none, get it again, for it is damaged"
        )
    whole, end = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if checksum(whole) != end:
        raise WrongBytes("the checksum does not fit: bytes are missing or were changed; get the file again")
    fields = Fields(whole[len(MAGIC) + 1 :])
    kind = fields.byte("kind of picture")
    if kind & 3 not in _CHANNELS:
        raise WrongBytes(f"kind of picture {kind & 3}: 0 grey, 1 RGB and 2 RGBA are known")
    head = Head(method, fields.number("height"), fields.number("width"), _CHANNELS[kind & 3], kind >> 2)
    for side, name in ((head.height, "height"), (head.width, "width")):
        if not 1 <= side <= LONGEST_SIDE:
            raise WrongBytes(f"a {name} of {side} pixels: 1 to {LONGEST_SIDE} is possible")
    if head.pixels > limit:
        raise WrongBytes(
            f"{head.width} x {head.height} pixels are more than the {limit} that may be decoded; if you trust the "
            "file, give a larger limit"
        )
    return head, fields


def kind_of(shape: tuple[int, ...]) -> int:
    """Channels of an array of this shape.

    Raises: :class:`~panic_assets.codec.errors.UnfitValue` if it is no picture.
    """
    is_grey = len(shape) == 2
    if not (is_grey or (len(shape) == 3 and shape[2] in (3, 4))) or not all(
        1 <= side <= LONGEST_SIDE for side in shape[:2]
    ):
        raise UnfitValue(
            f"an array of shape {shape}: give (h, w) for grey, (h, w, 3) for RGB or (h, w, 4) for RGBA, with sides of "
            f"1 to {LONGEST_SIDE} pixels"
        )
    return 1 if is_grey else shape[2]
