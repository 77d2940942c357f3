"""The networks that turn a picture into latents and back, and the gains that make one model serve all qualities.

Here belongs what the decoder may compute in floating point; what it needs to read the stream at all is in
:mod:`panic_assets.codec.training.entropy`.

Two layers. The *base* starts as the autoencoder of the bundled pipeline: a picture that its decoder made lies near what
its few latents can say, which no general transform knows. The *detail* is what the decoded base leaves, block by
block: little for such pictures, nearly everything for others.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from panic_assets.models.bundled.autoencoder import LATENT_CHANNELS
from panic_assets.paths import project_dir

STRIDE = 8
LEVELS = 16
BASE, DETAIL = LATENT_CHANNELS, 56
CHANNELS = BASE + DETAIL
_NEAR, _WIDE = 48, 64  # channels at a quarter and at an eighth of the picture's side
_REACH = 3.0  # the autoencoder's own bound on what its decoder is shown

# First guesses of gains at the lowest and the highest level. The base is fine enough for its decoder at all of them;
# the detail goes from next to nothing to the steps that an orthonormal transform would want.
_BASE_GAINS, _DETAIL_GAINS = (0.8, 5.0), (0.35, 10.0)
_HASTE = 4.0  # gains are logarithms with far to go: they learn so many times faster than the rest


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape in and out."""
        return x + self.second(functional.leaky_relu(self.first(functional.leaky_relu(x, 0.1)), 0.1))


class Encoder(nn.Module):
    """Pictures in [-1, 1], (n, 3, 8h, 8w), to base latents (n, BASE, h, w)."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Latents of a spread of about 1."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            return self.layers((pictures + 1) / 2).float()


class Decoder(nn.Module):
    """Latents (n, CHANNELS, h, w) and the share of the highest level (n, 1) to pictures in about [-1, 1].

    Returns the picture of the base alone, whose difference from the original is what the detail is made of, and the
    whole picture. Neither is clipped, so that the loss keeps a gradient everywhere.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        start = layers[0]
        assert isinstance(start, nn.Conv2d)
        self.start, self.layers = start, layers[1:]
        self.quality = nn.Linear(1, self.start.out_channels)
        self.straight = nn.ConvTranspose2d(DETAIL, 3, STRIDE, STRIDE, bias=False)
        self.first = nn.Conv2d(CHANNELS, _WIDE, 3, padding=1)
        self.detail_quality = nn.Linear(1, _WIDE)
        self.wide = nn.Sequential(Residual(_WIDE), Residual(_WIDE), nn.LeakyReLU(0.1), nn.Conv2d(_WIDE, 4 * _NEAR, 1))
        self.near = nn.Sequential(nn.PixelShuffle(2), Residual(_NEAR), nn.LeakyReLU(0.1))
        last = nn.Conv2d(_NEAR, 48, 3, padding=1)
        self.last = nn.Sequential(last, nn.PixelShuffle(4))
        for part in (self.quality.weight, self.quality.bias, last.weight, last.bias):
            nn.init.zeros_(part)  # type: ignore[arg-type]

    def of_base(self) -> tuple[nn.Module, ...]:
        """The parts that came from the autoencoder."""
        return self.start, self.layers

    def base(self, latents: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        """The picture of base latents (n, BASE, h, w)."""
        bounded = torch.tanh(latents / _REACH) * _REACH
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            x = self.start(bounded) + self.quality(quality)[:, :, None, None]
            return self.layers(x).float() * 2 - 1

    def detail(self, latents: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        """What all latents add to the picture of the base."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            x = self.first(latents) + self.detail_quality(quality)[:, :, None, None]
            x = self.last(self.near(self.wide(x))).float()
        return self.straight(latents[:, BASE:]) + x

    def forward(self, latents: torch.Tensor, quality: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures of the base and of everything."""
        base = self.base(latents[:, :BASE], quality)
        return base, base + self.detail(latents, quality)


def networks() -> tuple[Encoder, nn.Conv2d, Decoder]:
    """The three parts as training begins: base encoder, analysis of the detail, decoder."""
    from diffusers import AutoencoderTiny

    whole = AutoencoderTiny.from_pretrained(
        project_dir() / "data" / "models" / "tiny-scenes" / "vae", dtype=torch.float32
    )
    analysis = nn.Conv2d(3, DETAIL, STRIDE, STRIDE, bias=False)
    return Encoder(whole.encoder.layers), analysis, Decoder(whole.decoder.layers)


@torch.no_grad()
def start_from(blocks: np.ndarray, analysis: nn.Conv2d, decoder: Decoder) -> None:
    """Set the straight paths of the detail to the principal components of ``blocks``, (n, 3 * 8 * 8)."""
    values = blocks.astype(np.float64)
    _, vectors = np.linalg.eigh(values.T @ values)
    strongest = torch.from_numpy(vectors[:, ::-1][:, :DETAIL].T.copy()).float().reshape(DETAIL, 3, STRIDE, STRIDE)
    analysis.weight.copy_(strongest)
    decoder.straight.weight.copy_(strongest)


class Gains(nn.Module):
    """What latents are multiplied by before they are rounded, per level and channel, and divided by after.

    A gain rises with the level by construction, so that a higher level is finer in every channel.
    """

    def __init__(self) -> None:
        super().__init__()
        ends = torch.tensor([_BASE_GAINS] * BASE + [_DETAIL_GAINS] * DETAIL).log()
        self.lowest = nn.Parameter(ends[:, 0] / _HASTE)
        rise = (ends[:, 1] - ends[:, 0]) / (LEVELS - 1)
        self.steps = nn.Parameter(rise.expm1().log().repeat(LEVELS - 1, 1) / _HASTE)
        self.correction = nn.Parameter(torch.zeros(LEVELS, CHANNELS))

    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Gains and what to multiply by on the way back, both (LEVELS, CHANNELS)."""
        rises = torch.cat([torch.zeros(1, CHANNELS), functional.softplus(self.steps * _HASTE).cumsum(0)])
        logarithm = self.lowest * _HASTE + rises
        return logarithm.exp(), (self.correction - logarithm).exp()
