"""Tiny VAEs with weights by chance, exported once in a process, and pictures for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from panic_assets.codec.exporting import ExportedVae, export_vae
from panic_assets.paths import project_dir

BUNDLED = project_dir() / "data" / "models" / "tiny-scenes"


def tiny(channels: int = 4) -> Any:
    """An ``AutoencoderTiny`` with stride 4."""
    import diffusers
    import torch

    torch.manual_seed(0)
    return diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
        latent_channels=channels,
    )


def kl() -> Any:
    """An ``AutoencoderKL`` with stride 2, attention, and scaled and shifted latents."""
    import diffusers
    import torch

    torch.manual_seed(1)
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=0.5,
        shift_factor=0.1,
    )


@cache
def exported(kind: str) -> ExportedVae:
    """``tiny``, ``kl`` or ``bundled``, exported into a folder that the system clears away."""
    sources = {"tiny": tiny, "kl": kl, "bundled": lambda: BUNDLED}
    return export_vae(sources[kind](), Path(mkdtemp(prefix="panic-vae-")) / kind)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with an edge, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    down, along = np.mgrid[:height, :width] / 16
    waves = [np.sin(down * rng.uniform(0.3, 2) + along * rng.uniform(0.3, 2) + phase) for phase in (0, 1, 2)]
    planes = np.stack(waves, 2) * 90 + 128
    planes[height // 2 :, width // 3 :] += 30
    return np.clip(planes, 0, 255).astype(np.uint8)
