"""Recipe of the bundled autoencoder: 64x64 pictures to 8x8 latents of eight channels (diffusers ``AutoencoderTiny``).

Eight channels rather than the usual four: with four, small objects blur and their shapes are lost.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from panic_assets.models.bundled.corpus import Corpus
from panic_assets.models.bundled.training import Schedule, train

LATENT_CHANNELS = 8
_NOISE = 0.08  # added to latents in training, so that the decoder forgives what a sampler gets slightly wrong
_REACH = 2.5  # latents beyond this many standard deviations are pulled back


def fit(corpus: Corpus, held: Corpus, schedule: Schedule, seed: int, work: Path, batch: int = 32) -> AutoencoderTiny:
    """Train an autoencoder whose latents have mean 0 and standard deviation 1 in each channel."""
    torch.manual_seed(seed)
    model = AutoencoderTiny(
        encoder_block_out_channels=(32,) * 4,
        decoder_block_out_channels=(32,) * 4,
        num_encoder_blocks=(0, 1, 1, 2),
        num_decoder_blocks=(3, 2, 1, 1),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    ).to(memory_format=torch.channels_last)

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        pictures = corpus.images(torch.randint(len(corpus), (batch,), generator=generator))
        with torch.autocast("cpu", torch.bfloat16):
            latents = model.encode(pictures).latents.float()
            noise = torch.randn(latents.shape, generator=generator) * _NOISE
            error = model.decode(latents + noise).sample.float() - pictures
        mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
        shape = mean.square().mean() + (deviation - 1).square().mean()
        shape = shape + (latents.abs() - _REACH).clamp(min=0).square().mean()
        return error.square().mean() + 0.1 * error.abs().mean() + 0.02 * shape

    sample = held.images(torch.arange(min(128, len(held))))

    def report() -> dict[str, float]:
        with torch.no_grad():
            decoded = model.decode(model.encode(sample).latents).sample.clamp(-1, 1)
        return {"held_out_psnr_db": psnr(decoded, sample)}

    train("autoencoder", model, loss_of, schedule, seed, work, report=report, weight_decay=1e-4)
    return model.eval()


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of images in [-1, 1], shape (n, 3, h, w)."""
    return float((10 * torch.log10(4 / (a - b).square().mean((1, 2, 3)))).mean())


@torch.no_grad()
def encode_all(model: AutoencoderTiny, corpus: Corpus, batch: int = 100) -> torch.Tensor:
    """Latents of a whole corpus, float32 (n, 8, 8, 8)."""
    parts = []
    for start in range(0, len(corpus), batch):
        index = torch.arange(start, min(start + batch, len(corpus)))
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(model.encode(corpus.images(index)).latents.float())
    return torch.cat(parts)
