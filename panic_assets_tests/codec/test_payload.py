"""Symbols to words and back: exactly, for every shape of grid, and in about the bits that the tables promise."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec.payload import Tables
from panic_assets.codec.probability import LARGEST_SYMBOL, TABLE_TOTAL, Probabilities, SymbolsOf, symbols_for
from panic_assets_tests.codec.networks import BASE, DETAIL, probabilities

Passes = list[tuple[np.ndarray, np.ndarray]]


def _latents(
    model: Probabilities, height: int, width: int, level: int, base: SymbolsOf, detail: SymbolsOf
) -> np.ndarray:
    first = model.base(height, width, level, base)
    return np.concatenate([first, model.detail(first, level, detail)])


def _encode(latents: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray, Passes]:
    model, passes = probabilities(), []
    ways = symbols_for(latents[:BASE], passes), symbols_for(latents[BASE:], passes)
    known = _latents(model, *latents.shape[1:], level, *ways)
    return Tables(model).encode(passes), known, passes


def _decode(words: np.ndarray, height: int, width: int, level: int) -> np.ndarray:
    model = probabilities()
    read = Tables(model).reader(words)
    return _latents(model, height, width, level, read, read)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (6, 2), (8, 8), (17, 33)])
@pytest.mark.parametrize("level", [0, 2])
def test_words_give_back_what_the_encoder_knew(height: int, width: int, level: int) -> None:
    latents = np.random.default_rng(height).standard_t(3, (BASE + DETAIL, height, width)) * 15
    words, known, _ = _encode(latents, level)
    assert words.dtype == np.uint32
    assert np.array_equal(_decode(words, height, width, level), known)


def test_bits_are_those_of_the_tables() -> None:
    words, _, passes = _encode(np.random.default_rng(8).standard_normal((BASE + DETAIL, 24, 24)) * 10, 1)
    table = probabilities().frequencies
    shares = [table[classes, symbols + LARGEST_SYMBOL] / TABLE_TOTAL for classes, symbols in passes]
    promised = -sum(np.log2(share).sum() for share in shares)
    assert promised <= words.size * 32 <= promised + 64 + promised * 1e-4


def test_symbols_at_both_ends_of_the_tables_are_coded() -> None:
    latents = np.where(np.arange(BASE + DETAIL)[:, None, None] % 2, 1e5, -1e5) * np.ones((1, 5, 5))
    words, known, passes = _encode(latents, 0)
    assert {int(s) for _, symbols in passes for s in symbols.ravel()} >= {-LARGEST_SYMBOL, LARGEST_SYMBOL}
    assert np.array_equal(_decode(words, 5, 5, 0), known)
