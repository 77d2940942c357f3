"""Symbols to entropy-coded words and back, by the classes of a probability model.

Here belongs the coding of one picture's symbols. What they mean is the transform's business; what stands around the
words in a file belongs to the bitstream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from panic_assets.codec.probability import LARGEST_SYMBOL, TABLE_TOTAL, Probabilities, SymbolsOf


class Tables:
    """The frequency tables of a model in the form that the entropy coder takes; each is built once."""

    def __init__(self, model: Probabilities) -> None:
        self._frequencies = model.frequencies
        self._table = lru_cache(maxsize=None)(self._make)

    def encode(self, passes: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Words (uint32) for (classes, symbols) pass by pass, as ``symbols_for`` gathers them."""
        from constriction import stream

        coder = stream.stack.AnsCoder()
        # A stack: what is decoded first is encoded last.
        for classes, symbols in reversed(passes):
            flat = symbols.ravel() + LARGEST_SYMBOL
            for number, places in reversed(list(_by_class(classes))):
                coder.encode_reverse(flat[places], self._table(number))
        return coder.get_compressed()

    def reader(self, words: np.ndarray) -> SymbolsOf:
        """A decoder's way to find symbols: the next ones of ``words``. Wrong words give some symbols, not an error."""
        from constriction import stream

        coder = stream.stack.AnsCoder(words)

        def read(targets: np.ndarray, means: np.ndarray, classes: np.ndarray) -> np.ndarray:
            flat = np.empty(classes.size, np.int32)
            for number, places in _by_class(classes):
                flat[places] = coder.decode(self._table(number), len(places))
            return (flat - LARGEST_SYMBOL).reshape(classes.shape)

        return read

    def _make(self, number: int) -> Any:
        from constriction import stream

        # The library gives every symbol 1 of 2**24 and shares out the rest: of these numbers, exactly the frequencies.
        row = self._frequencies[number] - 1
        assert row.sum() + row.size == TABLE_TOTAL
        return stream.model.Categorical(row.astype(np.float64), perfect=False)


def _by_class(classes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each class that occurs, rising, with the places (rising) in the flattened array where it does."""
    flat = classes.ravel()
    order = np.argsort(flat, kind="stable")
    numbers, starts = np.unique(flat[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)
