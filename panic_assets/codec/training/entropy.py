"""The probability model of latents while it learns: small networks over coded neighbours, in floating point.

Here belong the networks and the rate in bits. Their integer form, which the codec runs, is made by
:mod:`panic_assets.codec.training.export` and evaluated by :mod:`panic_assets.codec.probability`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from panic_assets.codec import lattice
from panic_assets.codec.probability import CLASSES, LARGEST_SYMBOL, log_scale
from panic_assets.codec.training.transform import BASE, DETAIL, LEVELS

_BASE_HIDDEN, _DETAIL_HIDDEN = 64, 96
START_CLASS = 26.0  # a scale of about half a symbol
_DETAIL_START_CLASS = 10.0  # most of the detail is nothing, at most levels
CLASS_GAIN = 8.0  # networks learn classes in units of eight, near the size of their other outputs
_LEAST = 2.0**-20


class Predictor(nn.Module):
    """Means (in symbols) and scale classes of the channels of one position, from what is known around it."""

    def __init__(self, inputs: int, hidden: int, outputs: int, start_class: float = START_CLASS) -> None:
        super().__init__()
        self.start_class = start_class
        self.first = nn.Linear(inputs, hidden, bias=False)
        self.first_bias = nn.Parameter(torch.zeros(LEVELS, hidden))
        self.second = nn.Linear(hidden, hidden)
        self.third = nn.Linear(hidden, 2 * outputs, bias=False)
        self.straight = nn.Linear(inputs, 2 * outputs, bias=False)  # an average of neighbours is a good start
        self.last_bias = nn.Parameter(torch.zeros(LEVELS, 2 * outputs))
        nn.init.zeros_(self.third.weight)
        nn.init.zeros_(self.straight.weight)
        if inputs == lattice.NEIGHBOURS["coarse_centre"] * (outputs + 1):
            nearest = torch.eye(outputs).repeat(1, 4) / 4  # the average of the four nearest positions
            self.straight.weight.data[:outputs, : nearest.shape[1]] = nearest

    def forward(self, known: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``known``: (n, t, inputs); ``level``: (n,). Two tensors (n, t, outputs)."""
        hidden = functional.relu(self.first(known) + self.first_bias[level][:, None])
        out = self.third(functional.relu(self.second(hidden))) + self.straight(known) + self.last_bias[level][:, None]
        mean, scale = out.chunk(2, -1)
        return mean, self.start_class + CLASS_GAIN * scale


class Entropy(nn.Module):
    """Bits of latents, and the latents as the decoder will have them."""

    def __init__(self) -> None:
        super().__init__()
        self.top = nn.Parameter(torch.zeros(LEVELS, 2 * BASE))
        nets = {n: Predictor(lattice.NEIGHBOURS[n] * (BASE + 1), _BASE_HIDDEN, BASE) for n in lattice.BASE_NETS}
        around = lattice.SURROUNDINGS * (BASE + 1)
        for n in lattice.DETAIL_NETS:
            nets[n] = Predictor(
                around + lattice.NEIGHBOURS[n] * (DETAIL + 1), _DETAIL_HIDDEN, DETAIL, _DETAIL_START_CLASS
            )
        self.nets = nn.ModuleDict(nets)

    def base(self, latents: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of base latents (n, BASE, h, w), multiplied by their gains: bits per picture (n,), and the rounded latents.

        Rounding passes gradients straight through; bits are those of latents with uniform noise, which have one.
        """
        seen, bits = self._code(_rows(latents), lattice.base_passes(*latents.shape[2:]), None, level)
        return bits, _grid(seen, latents)

    def detail(
        self, latents: torch.Tensor, base: torch.Tensor, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of detail latents (n, DETAIL, h, w), which are coded after the whole rounded ``base``."""
        height, width = latents.shape[2:]
        known = functional.pad(_rows(base), (0, 0, 0, 1))
        around = _gather(known, torch.from_numpy(lattice.surroundings(height, width)))
        seen, bits = self._code(_rows(latents), lattice.detail_passes(height, width), around, level)
        return bits, _grid(seen, latents)

    def _code(
        self, rows: torch.Tensor, passes: tuple[lattice.Pass, ...], around: torch.Tensor | None, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seen = rows.new_zeros(rows.shape[0], rows.shape[1] + 1, rows.shape[2])  # the last row is outside the grid
        bits = rows.new_zeros(rows.shape[0])
        for step in passes:
            targets = torch.from_numpy(step.targets)
            mean, scale = self._predict(step, seen, None if around is None else around[:, targets], level)
            wanted = rows[:, targets]
            symbol = wanted - mean
            bits = bits + bits_of(symbol + torch.rand_like(symbol) - 0.5, scale).sum((1, 2))
            rounded = symbol + (symbol.round().clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL) - symbol).detach()
            seen = seen.index_copy(1, targets, rounded + mean)
        return seen, bits

    def _predict(
        self, step: lattice.Pass, seen: torch.Tensor, around: torch.Tensor | None, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if step.net == "top":
            mean, scale = self.top[level][:, None].expand(-1, len(step.targets), -1).chunk(2, -1)
            return mean, START_CLASS + CLASS_GAIN * scale
        known = _gather(seen, torch.from_numpy(step.neighbours))
        return self.nets[step.net](known if around is None else torch.cat([around, known], -1), level)


def _rows(latents: torch.Tensor) -> torch.Tensor:
    """(n, channels, h, w) to (n, positions, channels)."""
    return latents.flatten(2).transpose(1, 2)


def _grid(seen: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Rows, without the last, back to the shape of ``like``."""
    return seen[:, :-1].transpose(1, 2).reshape(like.shape)


def _gather(seen: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Values at (t, k) positions side by side, then k flags that say which are inside: (n, t, k * (c + 1))."""
    outside = seen.shape[1] - 1
    values = seen[:, index.reshape(-1)].reshape(seen.shape[0], index.shape[0], -1)
    flags = (index != outside).to(seen.dtype).expand(seen.shape[0], -1, -1)
    return torch.cat([values, flags], -1)


def bits_of(symbol: torch.Tensor, scale_class: torch.Tensor) -> torch.Tensor:
    """Bits of symbols under a logistic distribution around 0, integrated over one unit; any shape."""
    scale = torch.exp(log_scale(scale_class.clamp(0, CLASSES - 1)))
    distance = symbol.abs()  # both ends in the tail where the difference is exact
    share = torch.sigmoid((0.5 - distance) / scale) - torch.sigmoid((-0.5 - distance) / scale)
    return -torch.log2(share + _LEAST)
