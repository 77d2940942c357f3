"""Small whole numbers as bits: what the head of a file and its tables are written with.

Here belongs one code for numbers of unknown size, the Elias gamma code, and nothing about what they mean. A number n
is n + 1 in binary, after as many zeros as it has binary digits less one; the first bit of a byte is its highest.
"""

from __future__ import annotations

from panic_assets.codec.errors import UnfitValue, WrongBytes

_LONGEST = 40  # binary digits
_BYTES = 11  # where such a number begins, it ends within so many


class BitWriter:
    """Collects numbers; each method returns the writer."""

    def __init__(self) -> None:
        self._digits: list[str] = []

    def number(self, value: int) -> BitWriter:
        """A number from 0. Raises: :class:`~panic_assets.codec.errors.UnfitValue` outside 0 to 2**40 - 2."""
        digits = f"{value + 1:b}"
        if value < 0 or len(digits) > _LONGEST:
            raise UnfitValue(f"{value} can't be written: give 0 to 2**{_LONGEST} - 2")
        self._digits.append("0" * (len(digits) - 1) + digits)
        return self

    def signed(self, value: int) -> BitWriter:
        """0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
        return self.number(2 * value if value >= 0 else -2 * value - 1)

    def bytes(self) -> bytes:
        """All of it, filled up with zeros to whole bytes."""
        digits = "".join(self._digits)
        size = -(-len(digits) // 8)
        return int(digits.ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")


class BitReader:
    """Reads what a :class:`BitWriter` wrote from byte ``start`` of ``data`` on.

    All methods raise :class:`~panic_assets.codec.errors.WrongBytes` where the bytes end first or hold no number.
    """

    def __init__(self, data: bytes, start: int = 0) -> None:
        self._data, self._place = data, 8 * start

    @property
    def end(self) -> int:
        """The byte behind the last one that was read from."""
        return -(-self._place // 8)

    def number(self) -> int:
        """A number from 0."""
        first, inside = divmod(self._place, 8)
        near = self._data[first : first + _BYTES]
        left = 8 * len(near) - inside
        word = int.from_bytes(near, "big") & ((1 << max(0, left)) - 1)
        zeros = left - word.bit_length()
        if zeros >= _LONGEST or 2 * zeros >= left:
            raise WrongBytes(f"no number at byte {first} of {len(self._data)}: cut off, or {_LONGEST} zeros in a row")
        self._place += 2 * zeros + 1
        return (word >> (left - 2 * zeros - 1)) - 1

    def signed(self) -> int:
        """A number of either sign."""
        value = self.number()
        return -(value + 1) // 2 if value % 2 else value // 2
