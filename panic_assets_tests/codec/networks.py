"""A small probability model with weights by chance, for tests that need one and no training."""

from __future__ import annotations

import numpy as np

from panic_assets.codec import lattice
from panic_assets.codec.probability import CLASSES, LARGEST_SYMBOL, ONE, WEIGHT_ONE, IntegerNet, Probabilities

LEVELS = 3
BASE, DETAIL, HIDDEN = 2, 5, 7


def probabilities(seed: int = 0) -> Probabilities:
    """A model of two base and five detail channels and three levels; classes vary, frequencies fall off."""
    rng = np.random.default_rng(seed)

    def whole(*shape: int, one: int = WEIGHT_ONE, spread: float = 0.3) -> np.ndarray:
        return np.rint(rng.standard_normal(shape) * spread * one)

    def net(inputs: int, channels: int) -> IntegerNet:
        last = whole(LEVELS, 2 * channels, one=ONE * WEIGHT_ONE)
        last[:, channels:] += 30 * ONE * WEIGHT_ONE
        return IntegerNet(
            first=whole(inputs, HIDDEN),
            first_bias=whole(LEVELS, HIDDEN, one=ONE * WEIGHT_ONE),
            second=whole(HIDDEN, HIDDEN),
            second_bias=whole(HIDDEN, one=ONE * WEIGHT_ONE),
            third=whole(HIDDEN, 2 * channels),
            straight=whole(inputs, 2 * channels, spread=0.05),
            last_bias=last,
        )

    nets = {name: net(lattice.NEIGHBOURS[name] * (BASE + 1), BASE) for name in lattice.BASE_NETS}
    around = lattice.SURROUNDINGS * (BASE + 1)
    for name in lattice.DETAIL_NETS:
        nets[name] = net(around + lattice.NEIGHBOURS[name] * (DETAIL + 1), DETAIL)
    top = whole(LEVELS, 2 * BASE, one=ONE)
    top[:, BASE:] += 40 * ONE
    return Probabilities(nets, top, _frequencies())


def _frequencies() -> np.ndarray:
    distance = np.abs(np.arange(-LARGEST_SYMBOL, LARGEST_SYMBOL + 1))
    rows = []
    for number in range(CLASSES):
        row = 1 + np.floor(np.exp(-distance / (0.2 + number)) * 30_000).astype(np.int64)
        row[LARGEST_SYMBOL] += (1 << 24) - row.sum()
        rows.append(row)
    return np.stack(rows)
