"""Files that were damaged by chance or on purpose, and what a decoder may do with them.

Here belongs the making and the judging; how many, and of which pictures, is said by tests and by
``python -m benchmarks.codec_mutations``.
"""

from __future__ import annotations

import resource
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.codec import api
from panic_assets.codec.errors import CodecError

LIMIT = 1 << 16
"""Pixels that the decoder is told to accept."""


@dataclass(frozen=True)
class Mutant:
    """Bytes; ``is_resealed`` where the checksum was made to fit, as only a person would."""

    kind: str
    data: bytes
    is_resealed: bool


def mutants(files: Sequence[bytes], count: int, seed: int) -> Iterator[Mutant]:
    """So many damaged files, half of them resealed."""
    rng = np.random.default_rng(seed)
    kinds = [_flip, _cut, _splice, _overwrite, _insert, _head]
    for number in range(count):
        damage = kinds[number % len(kinds)]
        data = damage(files, rng)
        is_resealed = number // len(kinds) % 2 == 1
        if is_resealed:
            data = data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")
        yield Mutant(damage.__name__.strip("_"), data, is_resealed)


def judge(mutant: Mutant, originals: dict[bytes, np.ndarray], model: api.Model | None) -> str:
    """What came of a mutant: the error's name, ``right`` or ``another picture``.

    Raises: AssertionError for a picture that nobody asked for; and whatever a decoder must not raise.
    """
    try:
        made = api.decompress(mutant.data, model, limit=LIMIT)
    except CodecError as problem:
        return type(problem).__name__
    if mutant.data in originals:
        assert np.array_equal(made, originals[mutant.data]), "a whole file must give its picture"
        return "right"
    # With a checksum that fits, other bytes are simply another file.
    assert mutant.is_resealed, "damage must not go unseen"
    assert made.shape[0] * made.shape[1] <= LIMIT
    return "another picture"


def tally(files: Sequence[bytes], count: int, seed: int, model: api.Model | None) -> dict[str, Counter[str]]:
    """What came of so many mutants, by their kind."""
    originals = {data: api.decompress(data, model) for data in files}
    found: dict[str, Counter[str]] = {}
    for mutant in mutants(files, count, seed):
        kind = f"{mutant.kind}, resealed" if mutant.is_resealed else mutant.kind
        found.setdefault(kind, Counter())[judge(mutant, originals, model)] += 1
    return found


def peak_memory() -> int:
    """Bytes that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _any(files: Sequence[bytes], rng: np.random.Generator) -> bytearray:
    return bytearray(files[rng.integers(len(files))])


def _flip(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    data = _any(files, rng)
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return bytes(data)


def _cut(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    data = _any(files, rng)
    return bytes(data[: rng.integers(len(data))])


def _splice(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    first, second = _any(files, rng), _any(files, rng)
    return bytes(first[: rng.integers(len(first))] + second[rng.integers(len(second)) :])


def _overwrite(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    data, start = _any(files, rng), 0
    start = int(rng.integers(len(data)))
    data[start : start + 8] = rng.bytes(min(8, len(data) - start))
    return bytes(data)


def _insert(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    data = _any(files, rng)
    place = int(rng.integers(len(data)))
    return bytes(data[:place] + rng.bytes(int(rng.integers(1, 9))) + data[place:])


def _head(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Other methods, kinds and sizes in front of the same body."""
    data = _any(files, rng)
    data[3] = 16 | int(rng.integers(16)) if rng.random() < 0.7 else int(rng.integers(256))
    if rng.random() < 0.5:
        data[4] = int(rng.integers(256))
    sides = b"".join(_number(int(2 ** rng.uniform(0, 20))) for _ in range(2))
    return bytes(data[:5] + sides + data[7:])


def _number(value: int) -> bytes:
    digits = [value >> 7 * place & 127 for place in range(max(1, -(-value.bit_length() // 7)))]
    return bytes([digit | 128 for digit in digits[:-1]] + digits[-1:])
