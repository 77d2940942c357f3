"""The probability model of latents in integers: what an encoder and a decoder must compute alike.

Here belongs everything of the model that a stream depends on bit for bit: the integer networks, the scale classes,
the frequency tables. No floating point decides anything here: all numbers are whole, and sums of them stay under
2**53, so that float64 holds them exactly in whatever order a machine adds them. The bytes of a stream belong elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from panic_assets.codec import lattice
from panic_assets.errors import PanicError

CLASSES = 64
LARGEST_SYMBOL = 255
ONE = 64
"""The whole number that stands for 1.0 in values, means, hidden activations and scale classes."""

WEIGHT_ONE = 4096
"""The whole number that stands for 1.0 in weights; biases are in units of 1 / (ONE * WEIGHT_ONE)."""

TABLE_TOTAL = 1 << 24
"""What the frequencies of each class sum to."""

_LARGEST_HIDDEN = (1 << 20) - 1
_AT_ONCE = 256
"""Targets that a network sees together: what it reads and makes of them stays in a processor's cache."""

_EXACT = 1 << 53
_LOWEST_LOG_SCALE, _STEP = -3.9, 8.1 / (CLASSES - 1)
_PARTS = ("first", "first_bias", "second", "second_bias", "third", "straight", "last_bias")

Number = TypeVar("Number")
SymbolsOf = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Given targets (t,), means (t, c) in 1/ONE and classes (t, c): the symbols (t, c) there, whole numbers."""


class BrokenProbabilities(PanicError):
    """A file of probabilities that no stream could be coded with."""


def log_scale(scale_class: Number) -> Number:
    """Natural logarithm of the scale (in symbols) that a class stands for; works on numbers, arrays and tensors."""
    return scale_class * _STEP + _LOWEST_LOG_SCALE  # type: ignore[operator, return-value]


@dataclass(frozen=True)
class IntegerNet:
    """Two hidden layers and a straight path; all arrays hold whole numbers as float64.

    ``first`` (i, h), ``first_bias`` (levels, h), ``second`` (h, h), ``second_bias`` (h,), ``third`` (h, 2c),
    ``straight`` (i, 2c), ``last_bias`` (levels, 2c).
    """

    first: np.ndarray
    first_bias: np.ndarray
    second: np.ndarray
    second_bias: np.ndarray
    third: np.ndarray
    straight: np.ndarray
    last_bias: np.ndarray

    def __call__(self, known: np.ndarray, level: int) -> np.ndarray:
        """``known``: (t, i) in 1/ONE. Means and unrounded classes side by side, (t, 2c) in 1/ONE."""
        hidden = _activated(known @ self.first, self.first_bias[level])
        hidden = _activated(hidden @ self.second, self.second_bias)
        sums = hidden @ self.third
        sums += known @ self.straight
        return _down(sums, self.last_bias[level])

    def largest_sum(self, largest_input: int) -> float:
        """A bound on every sum in :meth:`__call__` for inputs up to a magnitude."""
        return max(
            largest_input * np.abs(self.first).sum(0).max() + np.abs(self.first_bias).max(),
            _LARGEST_HIDDEN * np.abs(self.second).sum(0).max() + np.abs(self.second_bias).max(),
            _LARGEST_HIDDEN * np.abs(self.third).sum(0).max()
            + largest_input * np.abs(self.straight).sum(0).max()
            + np.abs(self.last_bias).max(),
        )


@dataclass(frozen=True)
class Probabilities:
    """The whole model: networks by name, the start of the base, the frequency tables.

    ``top``: (levels, 2 * base channels) in 1/ONE. ``frequencies``: (CLASSES, 2 * LARGEST_SYMBOL + 1) of integers, all
    at least 1, each row summing to TABLE_TOTAL; column ``s + LARGEST_SYMBOL`` is symbol s.
    """

    nets: Mapping[str, IntegerNet]
    top: np.ndarray
    frequencies: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Probabilities:
        """Read ``probabilities.npz``. Raises: :class:`BrokenProbabilities`."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                nets = {
                    name: IntegerNet(**{part: stored[f"{name}.{part}"].astype(np.float64) for part in _PARTS})
                    for name in (*lattice.BASE_NETS, *lattice.DETAIL_NETS)
                }
                made = cls(nets, stored["top"].astype(np.float64), stored["frequencies"].astype(np.int64))
        except (OSError, KeyError, ValueError) as problem:
            raise BrokenProbabilities(
                f"{path}: not a file of codec probabilities ({problem}); export it again"
            ) from None
        made._check(path)
        return made

    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`load` reads, as int32."""
        parts = {f"{name}.{part}": getattr(net, part) for name, net in self.nets.items() for part in _PARTS}
        parts |= {"top": self.top, "frequencies": self.frequencies}
        return {name: values.astype(np.int32) for name, values in parts.items()}

    @property
    def base_channels(self) -> int:
        """Number of channels of the first group."""
        return self.top.shape[1] // 2

    @property
    def detail_channels(self) -> int:
        """Number of channels of the second group."""
        return self.nets["detail_first"].last_bias.shape[1] // 2

    def base(self, height: int, width: int, level: int, symbols_of: SymbolsOf) -> np.ndarray:
        """Go through the passes over the base; ``symbols_of`` finds each pass's symbols: by rounding, or from a stream.

        Returns: base latents as a decoder knows them, in 1/ONE, (base channels, height, width), float64.
        """
        passes = lattice.base_passes(height, width)
        return self._walk(passes, self.base_channels, None, level, symbols_of).reshape(-1, height, width)

    def detail(self, base: np.ndarray, level: int, symbols_of: SymbolsOf) -> np.ndarray:
        """The same over the detail, given what :meth:`base` returned."""
        height, width = base.shape[1:]
        known = np.concatenate([base.reshape(len(base), -1).T, np.zeros((1, len(base)))])
        around = _seen_at(known, lattice.surroundings(height, width))
        passes = lattice.detail_passes(height, width)
        return self._walk(passes, self.detail_channels, around, level, symbols_of).reshape(-1, height, width)

    def _walk(
        self,
        passes: tuple[lattice.Pass, ...],
        channels: int,
        around: np.ndarray | None,
        level: int,
        symbols_of: SymbolsOf,
    ) -> np.ndarray:
        """Values of all positions, (channels, positions)."""
        positions = sum(len(step.targets) for step in passes)
        values = np.zeros((positions + 1, channels))  # the last row is what is outside the grid
        for step in passes:
            if step.net == "top":
                found = np.broadcast_to(self.top[level], (len(step.targets), 2 * channels))
            else:
                found = np.empty((len(step.targets), 2 * channels))
                for start in range(0, len(step.targets), _AT_ONCE):
                    some = slice(start, start + _AT_ONCE)
                    known = _seen_at(values, step.neighbours[some])
                    if around is not None:
                        known = np.concatenate([around[step.targets[some]], known], 1)
                    found[some] = self.nets[step.net](known, level)
            means = np.clip(found[:, :channels], -LARGEST_SYMBOL * ONE, LARGEST_SYMBOL * ONE)
            classes = np.clip(np.floor((found[:, channels:] + ONE // 2) / ONE), 0, CLASSES - 1).astype(np.int64)
            values[step.targets] = symbols_of(step.targets, means, classes) * ONE + means
        return values[:-1].T

    def _check(self, path: Path) -> None:
        if (self.frequencies < 1).any() or (self.frequencies.sum(1) != TABLE_TOTAL).any():
            raise BrokenProbabilities(f"{path}: a row of frequencies has a 0 or does not sum to {TABLE_TOTAL}")
        for name, net in self.nets.items():
            if (bound := net.largest_sum(2 * LARGEST_SYMBOL * ONE)) >= _EXACT:
                raise BrokenProbabilities(f"{path}: sums of network {name} reach {bound:.3g}, past 2**53: not exact")


def symbols_for(latents: np.ndarray, seen: list[tuple[np.ndarray, np.ndarray]]) -> SymbolsOf:
    """An encoder's way to find symbols: nearest to ``latents`` (channels, h, w), in symbols, already with their gain.

    What is found is appended to ``seen`` as (classes, symbols), pass by pass, in the order of coding.
    """
    rows = latents.reshape(len(latents), -1).T.astype(np.float64)

    def nearest(targets: np.ndarray, means: np.ndarray, classes: np.ndarray) -> np.ndarray:
        symbols = np.clip(np.rint(rows[targets] - means / ONE), -LARGEST_SYMBOL, LARGEST_SYMBOL)
        seen.append((classes, symbols.astype(np.int32)))
        return symbols

    return nearest


def _activated(sums: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A hidden layer in 1 / ONE of what its weights summed up; in the place of ``sums``."""
    down = _down(sums, bias)
    return np.clip(down, 0, _LARGEST_HIDDEN, out=down)


def _down(sums: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """From 1 / (ONE * WEIGHT_ONE) to 1 / ONE, halves rounded up; in the place of ``sums``.

    Exact: a power of two only moves the point.
    """
    sums += bias + WEIGHT_ONE // 2
    sums *= 1 / WEIGHT_ONE
    return np.floor(sums, out=sums)


def _seen_at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values at (t, k) positions side by side, then k flags, ONE for a position inside: (t, k * (channels + 1))."""
    targets, count = index.shape
    width = count * values.shape[1]
    seen = np.empty((targets, width + count))
    # take copies whole rows, many times as fast as indexing.
    seen[:, :width] = np.take(values, index, axis=0).reshape(targets, width)
    np.multiply(index < len(values) - 1, float(ONE), out=seen[:, width:])
    return seen
