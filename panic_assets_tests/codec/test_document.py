"""A second decoder, of plain Python, written from docs/codec-bitstream.md and nothing else."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from panic_assets.codec import api, lossless
from panic_assets.codec.bitstream import coefficients
from panic_assets_tests.codec.scenes import noise, scene

Plane = list[list[int]]
THRESHOLDS = [1, 3, 5, 8, 11, 15, 20, 27, 37, 52, 75, 110, 170, 300, 600]
SIDES = [(-1, 0), (0, -1), (0, 1), (1, 0)]
DIAGONALS = [(-1, -1), (-1, 1), (1, -1), (1, 1)]


class Numbers:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def number(self) -> int:
        value = shift = 0
        while True:
            found = self.byte()
            value |= (found & 127) << shift
            shift += 7
            if found < 128:
                return value

    def bits(self) -> BitNumbers:
        return BitNumbers(self)

    def rest(self) -> bytes:
        return self.data[self.place :]


class BitNumbers:
    def __init__(self, of: Numbers) -> None:
        self.of, self.left, self.value = of, 0, 0

    def bit(self) -> int:
        if not self.left:
            self.value, self.left = self.of.byte(), 8
        self.left -= 1
        return self.value >> self.left & 1

    def number(self) -> int:
        zeros = 0
        while not self.bit():
            zeros += 1
        value = 1
        for _ in range(zeros):
            value = 2 * value + self.bit()
        return value - 1

    def signed(self) -> int:
        value = self.number()
        return -(value + 1) // 2 if value % 2 else value // 2


def table(numbers: Numbers) -> tuple[int, list[int], int]:
    """Lowest symbol, frequencies, the escape's."""
    kind = numbers.byte()
    if kind < 128:
        m = (8 + kind % 8) << (kind // 8)
        w = [1 << 40]
        everything = (1 << 40) + 2 * ((1 << 40) * m // 512)
        while 2 * (w[-1] * m // 512) * 1024 > everything and 2 * len(w) < 2047:
            w.append(w[-1] * m // (m + 512))
        side = [max(1, weight * (1 << 24) // everything) for weight in w]
        escape = max(1, 2 * (w[-1] * m // 512) * (1 << 24) // everything)
        row = side[:0:-1] + side
        row[len(w) - 1] = 0
        row[len(w) - 1] = (1 << 24) - escape - sum(row)
        return 1 - len(w), row, escape
    bits = numbers.bits()
    lowest = bits.signed()
    if kind == 128:
        return lowest, [1 << 24], 0
    p = kind - 129 + 12
    size, escape, shares = bits.number() + 1, bits.number(), []
    while len(shares) < size - 1:
        shares.append(bits.number())
        if not shares[-1]:
            shares += [0] * bits.number()
    shares.append((1 << p) - sum(shares) - escape)
    zeros = shares.count(0)
    row = [share * (1 << 24 - p) or 1 for share in shares]
    escape *= 1 << 24 - p
    if escape and (zeros == size or escape > max(row)):
        escape -= zeros
    else:
        row[row.index(max(row))] -= zeros
    return lowest, row, escape


class Words:
    def __init__(self, data: bytes) -> None:
        data += bytes(-len(data) % 4)
        self.words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)] or [0xC0DE]
        self.state = 0
        self.fill()

    def fill(self) -> None:
        while self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def read(self, frequencies: list[int]) -> int:
        q, below, found = self.state % (1 << 24), 0, 0
        while q >= below + frequencies[found]:
            below += frequencies[found]
            found += 1
        self.state = (self.state >> 24) * frequencies[found] + q - below
        self.fill()
        return found


def far(words: Words, count: int) -> list[int]:
    """What so many escapes stand for."""
    shares = [max((1 << 24) >> i + 1, 1) for i in range(34)]
    shares[0] += (1 << 24) - sum(shares)
    digits = [words.read(shares) for _ in range(count)]
    values = [1 << d for d in digits]
    for d in sorted(set(digits)):
        for shift in range(0, d, 16):
            size = 1 << min(16, d - shift)
            for place, own in enumerate(digits):
                if own == d:
                    values[place] += words.read([(1 << 24) // size] * size) << shift
    return values


def bands(channels: int, h: int, w: int, levels: int) -> list[tuple[int, int, str, int, int, int, int]]:
    """Channel, level, kind, top, left, height, width."""
    sizes = [(h, w)]
    for _ in range(levels):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    found = [(c, levels, "LL", 0, 0, *sizes[-1]) for c in range(channels)]
    for level in range(levels, 0, -1):
        (high, wide), (low, narrow) = sizes[level - 1], sizes[level]
        for c in range(channels):
            found.append((c, level, "LH", 0, narrow, low, wide - narrow))
            found.append((c, level, "HL", low, 0, high - low, narrow))
            found.append((c, level, "HH", low, narrow, high - low, wide - narrow))
    return [band for band in found if band[5] and band[6]]


def read_coefficients(data: bytes, channels: int, h: int, w: int) -> tuple[list[Plane], int]:
    numbers = Numbers(data)
    levels, count = numbers.number(), numbers.number()
    tables = [table(numbers) for _ in range(count)]
    words = Words(numbers.rest())
    planes = [[[0] * w for _ in range(h)] for _ in range(channels)]
    known: dict[tuple[int, int, str], Plane] = {}
    for c, level, kind, top, left, high, wide in bands(channels, h, w, levels):
        own: Plane = [[0] * wide for _ in range(high)]
        known[c, level, kind] = own
        others = [((c - 1, level, kind), 2, 0)]
        others += [((c, level, k), 2, 0) for k in {"HL": ["LH"], "HH": ["LH", "HL"]}.get(kind, [])]
        others += [((c, level + 1, kind), 1, 1)]
        others = [other for other in others if other[0] in known]
        starts, stride = ([(0, 0)], 1) if high * wide <= 64 else ([(0, 0), (1, 1), (0, 1), (1, 0)], 2)
        for number, (down, along) in enumerate(starts):
            places = [(y, x) for y in range(down, high, stride) for x in range(along, wide, stride)]
            seen = [(p, 2) for p in SIDES] * (number > 1) + [(p, 1) for p in DIAGONALS] * (number in (1, 3))
            by_class: dict[int, list[tuple[int, int]]] = {}
            for y, x in places:
                total = weights = 0
                for (dy, dx), weight in seen:
                    weights += weight
                    if 0 <= y + dy < high and 0 <= x + dx < wide:
                        total += weight * abs(own[y + dy][x + dx])
                for name, weight, shift in others:
                    other = known[name]
                    weights += weight
                    row = other[min(y >> shift, len(other) - 1)]
                    total += weight * abs(row[min(x >> shift, len(row) - 1)])
                first = 17 if c else 0
                size = sum(t <= 8 * total // weights for t in THRESHOLDS) + 1 if weights else 0
                by_class.setdefault(first + size, []).append((y, x))
            escaped = []
            for name in sorted(by_class):
                lowest, row, escape = tables[name]
                for y, x in by_class[name]:
                    index = words.read(row + [escape] * bool(escape)) if len(row) > 1 or escape else 0
                    own[y][x] = index + lowest
                    if index == len(row):
                        escaped.append((y, x, lowest, lowest + len(row) - 1))
            for (y, x, lowest, highest), v in zip(escaped, far(words, len(escaped)), strict=True):
                own[y][x] = highest + 1 + v // 2 if v % 2 else lowest - v // 2
        for y in range(high):
            planes[c][top + y][left : left + wide] = own[y]
    assert (words.state, words.words) == (0xC0DE, [])
    return planes, levels


def line(values: list[int]) -> list[int]:
    n = len(values)
    if n == 1:
        return values
    e, d = values[: (n + 1) // 2], values[(n + 1) // 2 :]
    made = [0] * n
    for i in range(len(e)):
        made[2 * i] = e[i] - ((d[max(i - 1, 0)] + d[min(i, len(d) - 1)] + 2) >> 2)
    for i in range(len(d)):
        following = made[2 * i + 2] if 2 * i + 2 < n else made[2 * i]
        made[2 * i + 1] = d[i] + ((made[2 * i] + following) >> 1)
    return made


def unquantise(planes: list[Plane], levels: int, step: int) -> None:
    steps = {"LH": [16, 10, 5, 3, 1], "HH": [22, 17, 10, 5, 3], "LL": [10, 5, 3, 1, 1]}
    for c, level, kind, top, left, high, wide in bands(len(planes), len(planes[0]), len(planes[0][0]), levels):
        s = step * (2 if c else 1) * steps[{"HL": "LH"}.get(kind, kind)][min(max(level, 1), 5) - 1]
        for row in planes[c][top : top + high]:
            row[left : left + wide] = [
                (abs(q) * s + s // 8) * (1 if q > 0 else -1) if q else 0 for q in row[left : left + wide]
            ]


def to_planes(planes: list[Plane], levels: int, step: int) -> list[Plane]:
    h, w = len(planes[0]), len(planes[0][0])
    if step > 1:
        unquantise(planes, levels, step)
    sizes = [(h, w)]
    for _ in range(levels):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    for plane in planes:
        for high, wide in reversed(sizes[:-1]):
            for y in range(high):
                plane[y][:wide] = line(plane[y][:wide])
            for x in range(wide):
                for y, value in enumerate(line([plane[y][x] for y in range(high)])):
                    plane[y][x] = value
    if len(planes) >= 3:
        for y in range(h):
            for x in range(w):
                luma, orange, lime = (planes[c][y][x] for c in range(3))
                t = luma - (lime >> 1)
                blue = t - (orange >> 1)
                planes[0][y][x], planes[1][y][x], planes[2][y][x] = blue + orange, lime + t, blue
    return [[[(v + 8) >> 4 for v in row] for row in plane] for plane in planes] if step > 1 else planes


def decoded(data: bytes) -> np.ndarray:
    assert data[:3] == bytes.fromhex("9b504c")
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    numbers = Numbers(data[3:-4])
    version, method = divmod(numbers.byte(), 16)
    options, kind = divmod(numbers.byte(), 4)
    assert version == 1
    h, w, channels = numbers.number(), numbers.number(), (1, 3, 4)[kind]
    if method == 0:
        samples = numbers.rest() if not options else zlib.decompress(numbers.rest(), -15)
        picture = np.frombuffer(samples, np.uint8).reshape(h, w, channels)
        return picture if options < 2 else (picture.astype(int).cumsum(1) % 256)
    assert (method, options) == (1, 0)
    if channels < 4:
        found = to_planes(*read_coefficients(numbers.rest(), channels, h, w), 1)
    else:
        size = numbers.number()
        colours = numbers.rest()[:size]
        numbers.place += size
        found = to_planes(*read_coefficients(colours, 3, h, w), 1)
        found += to_planes(*read_coefficients(numbers.rest(), 1, h, w), 1)
    return np.moveaxis(np.array(found), 0, 2)


FLAT = np.zeros((19, 23, 3), np.uint8)
FLAT[5:, :7] = 200
MASK = (np.hypot(*np.mgrid[-20:20, -23:23]) < 17).astype(np.uint8) * 255
RARE = scene(48, 48, 1)
RARE[20:22, 30:33] = 255 - RARE[20:22, 30:33]


@pytest.mark.parametrize(
    ("picture", "method"),
    [
        (scene(37, 41), "exact"),
        (scene(40, 33, 1), "exact"),
        (scene(24, 31, 4), "exact"),
        (scene(2, 400, 1), "exact"),
        (RARE, "exact"),
        (MASK, None),
        (FLAT, "plain"),
        (noise(6, 5), "plain"),
        (scene(3, 2, 4), "plain"),
    ],
)
def test_the_document_s_decoder_agrees(picture: np.ndarray, method: str | None) -> None:
    data = api.compress(picture, lossless=True)
    assert method in (None, api.info(data).method)
    assert np.array_equal(decoded(data), np.atleast_3d(picture))


@pytest.mark.parametrize(("channels", "step"), [(3, 1), (3, 2), (3, 17), (1, 5), (1, 255)])
def test_residuals_are_read_as_the_document_says(channels: int, step: int) -> None:
    residual = np.rint(np.random.default_rng(step).standard_t(2, (channels, 21, 30)) * 9).clip(-255, 255)
    levels = lossless.levels_for(21, 30)
    data = coefficients.encode(lossless.transform(residual.astype(np.int32), levels, step), levels)
    assert (
        to_planes(*read_coefficients(data, channels, 21, 30), step)
        == lossless.decode(data, channels, 21, 30, step).tolist()
    )


def test_far_values_and_few_values_are_read_as_the_document_says() -> None:
    rng = np.random.default_rng(5)
    values = (rng.integers(0, 2, (2, 40, 40)) * 7).astype(np.int32)
    values[0, rng.integers(0, 40, 9), rng.integers(0, 40, 9)] = rng.integers(-(1 << 30), 1 << 30, 9)
    for levels in (0, 3):
        data = coefficients.encode(values, levels)
        assert read_coefficients(data, 2, 40, 40) == (values.tolist(), levels)
