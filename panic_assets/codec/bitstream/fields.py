"""The small parts of a file: bytes, whole numbers, checksums.

Here belongs reading them in order, with an error that says where the bytes ended. What they mean is not known here.
"""

from __future__ import annotations

import zlib

from panic_assets.codec.errors import WrongBytes

CHECKSUM_BYTES = 4
_LONGEST = 5  # bytes of a number


def number(value: int) -> bytes:
    """A number from 0 to 2**35 - 1: seven bits a byte, the lowest first; a byte above 127 is not the last.

    >>> number(5), number(300)
    (b'\\x05', b'\\xac\\x02')
    """
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def checksum(data: bytes) -> bytes:
    """The CRC-32 of zlib and PNG, lowest byte first."""
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "little")


class Fields:
    """What is left of some bytes. All methods raise :class:`~panic_assets.codec.errors.WrongBytes` where they end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self._data) - self._place

    def take(self, count: int, what: str) -> bytes:
        """The next so many bytes."""
        if count > self.left:
            raise WrongBytes(f"the bytes end within the {what}: {count} needed, {self.left} left; get the file again")
        self._place += count
        return self._data[self._place - count : self._place]

    def byte(self, what: str) -> int:
        """The next byte."""
        return self.take(1, what)[0]

    def number(self, what: str) -> int:
        """The next number, in its only short form."""
        value = 0
        for place in range(_LONGEST):
            found = self.byte(what)
            value |= (found & 127) << 7 * place
            if found < 128:
                if not found and place:
                    break
                return value
        raise WrongBytes(f"the {what} is no number: too long, or not in its shortest form")

    def part(self, what: str) -> bytes:
        """A number, and so many bytes."""
        return self.take(self.number(f"length of the {what}"), what)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left, "rest")


def part(data: bytes) -> bytes:
    """What :meth:`Fields.part` reads."""
    return number(len(data)) + data
