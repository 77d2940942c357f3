"""The training: steps over mixed sizes, all quality levels at once.

Here belong the mixtures, the trade between bits and distortion, and the schedule; the loop with its checkpoints and its
average is the bundled models' own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from panic_assets.codec.training.entropy import Entropy
from panic_assets.codec.training.images import Pools
from panic_assets.codec.training.loss import distortion
from panic_assets.codec.training.transform import BASE, LEVELS, STRIDE, Gains, networks, start_from
from panic_assets.models.bundled.training import Schedule, train

# Name, schedule, whether the autoencoder learns too. At first the rest, which knows nothing yet, would spoil it.
STAGES = (
    ("codec-around", Schedule(4000, 2e-3, warmup=100, decay=0.3), False),
    ("codec-whole", Schedule(40_000, 3e-4, warmup=300, decay=0.3), True),
)

# Side of the crops: (how many at once, shares of the pools). Small ones are cheap, large ones teach the coarse passes.
MIXTURES: dict[int, tuple[int, dict[str, float]]] = {
    64: (
        8,
        {
            "painted-64": 4,
            "fast-64": 2,
            "drawn-64": 1.5,
            "painted-256": 1,
            "fast-256": 0.5,
            "painted-128": 0.5,
            "patterns-128": 2,
            "patterns-256": 0.5,
        },
    ),
    128: (
        2,
        {
            "painted-256": 3,
            "fast-256": 1.5,
            "painted-128": 1,
            "drawn-128": 1.5,
            "drawn-256": 1.5,
            "patterns-128": 1.5,
            "patterns-256": 0.5,
        },
    ),
    256: (1, {"painted-256": 3, "fast-256": 1.5, "drawn-256": 2, "patterns-256": 1}),
}
_SIZES = (64, 128, 64, 256, 64, 128)  # one after the other

LOWEST_TRADE, HIGHEST_TRADE = 0.0005, 0.1
"""Bits per pixel that a unit of distortion is worth, at the lowest and at the highest level."""


def trades() -> torch.Tensor:
    """The worth of distortion at every level, (LEVELS,), in equal ratios."""
    return torch.logspace(math.log10(LOWEST_TRADE), math.log10(HIGHEST_TRADE), LEVELS)


Stage = tuple[str, Schedule, bool]


class Codec(nn.Module):
    """Everything that learns, and what the loss is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.analysis, self.decoder = networks()
        self.gains, self.entropy = Gains(), Entropy()

    def hold_base(self, held: bool) -> None:
        """Keep the autoencoder as it is, or let it learn."""
        for part in (self.encoder, *self.decoder.of_base()):
            part.requires_grad_(not held)

    def forward(self, pictures: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Bits per pixel (n,) and decoded pictures of (n, 3, 8h, 8w) in [-1, 1] at levels (n,)."""
        gain, back = (table[level][:, :, None, None] for table in self.gains.tables())
        quality = level[:, None].to(pictures.dtype) / (LEVELS - 1)
        base_bits, base = self.entropy.base(self.encoder(pictures) * gain[:, :BASE], level)
        drawn = self.decoder.base(base * back[:, :BASE], quality)
        detail_bits, detail = self.entropy.detail(self.analysis(pictures - drawn) * gain[:, BASE:], base, level)
        decoded = drawn + self.decoder.detail(torch.cat([base, detail], 1) * back, quality)
        return (base_bits + detail_bits) / (pictures.shape[-1] * pictures.shape[-2]), decoded


def fit(pools: Pools, seed: int, work: Path, stages: Sequence[Stage] = STAGES, every: int = 100) -> Codec:
    """Train from where the checkpoints in ``work`` stand; the averaged weights are in what is returned."""
    torch.manual_seed(seed)
    codec = Codec().to(memory_format=torch.channels_last)
    start_from(pools.blocks(STRIDE, seed), codec.analysis, codec.decoder)
    worth = trades()
    seen: list[tuple[float, float]] = []

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        # The noise of the rate comes from the global generator: seeding it here lets a stopped training go on alike.
        number = int(torch.randint(2**31, (1,), generator=generator))
        torch.manual_seed(number)
        side = _SIZES[number % len(_SIZES)]
        count, mixture = MIXTURES[side]
        pictures = pools.batch(mixture, side, count, generator).contiguous(memory_format=torch.channels_last)
        level = torch.randint(LEVELS, (count,), generator=generator)
        bits, decoded = codec(pictures, level)
        error = distortion(pictures, decoded)
        seen.append((float(bits.detach().mean()), float(error.detach().mean())))
        # Of the logarithm, as delta rates are: a saved tenth counts alike on plain and on difficult pictures, at low
        # and at high levels. Without it a few patterns full of noise are all that the loss sees.
        return (bits + worth[level] * error).log().mean()

    def report() -> dict[str, float]:
        means = torch.tensor(seen).mean(0).tolist()
        seen.clear()
        return {"bits_per_pixel": means[0], "distortion": means[1]}

    for number, (name, schedule, with_base) in enumerate(stages):
        codec.hold_base(not with_base)
        train(
            name,
            codec,
            loss_of,
            schedule,
            seed + number,
            work,
            average=0.998,
            weight_decay=0.0,
            report=report,
            every=every,
        )
    return codec.eval()


def latest(work: Path, stages: Sequence[Stage] = STAGES) -> Codec:
    """The averaged weights of the newest checkpoint in ``work``. Raises: FileNotFoundError if there is none."""
    path, with_base = next(
        (found, with_base)
        for name, _, with_base in reversed(stages)
        if (found := work / f"{name}.checkpoint.pt").exists() or name == stages[0][0]
    )
    codec = Codec()
    codec.hold_base(not with_base)
    saved = torch.load(path, weights_only=True)
    codec.load_state_dict(saved["module"])
    learning = [parameter for parameter in codec.parameters() if parameter.requires_grad]
    for parameter, average in zip(learning, saved["shadow"], strict=True):
        parameter.data.copy_(average)
    return codec.eval()
