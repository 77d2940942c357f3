"""Pictures of diffusion models as the latents that they were drawn from, which exist already when they are made.

Here belongs what :class:`panic_assets.image_formats.Room` asks of a room. Nothing is encoded by a network: the latents
are quantised and coded as they are, and the VAE's decoder draws the picture again. Pictures without latents, or with
those of a VAE that is not beside the bundled models, are coded as by :mod:`panic_assets.codec.store`.
"""

from __future__ import annotations

import hashlib

import numpy as np

from panic_assets.codec import store
from panic_assets.codec.bitstream import vae
from panic_assets.codec.models import Vae
from panic_assets.codec.pipeline import VaePipeline

decode = store.decode

#: Mean difference, in grey levels, up to which a picture counts as the one that a VAE draws from latents: so much is
#: arithmetic, in 16 bits on a GPU. Where a safety checker put another picture in its place, or the latents are another
#: VAE's, it is many times as large.
_DRAWN_BY_IT = 3.0


def encode(picture: np.ndarray, quality: int | None, latents: np.ndarray | None = None) -> bytes:
    """A file of a picture, uint8 (h, w, 3).

    Args:
        picture: what the model gave.
        quality: 1 to 16.
        latents: what its VAE's decoder was given, float (channels, h, w); None where there are none.

    Raises:
        CodecError: the codec is not all there; see :func:`problem`.
    """
    assert quality is not None, "there is no vae-lossless"
    if latents is not None:
        for known in vae.bundled_vaes():
            scaled = _latents_of(known, picture, latents)
            if scaled is not None:
                return vae.encode(picture, 3, VaePipeline(known), quality - 1, 0, scaled)
    return store.encode(picture, quality)


def identity(quality: int | None) -> str:
    """What decides, beside picture and latents, which picture is read back: all models that may be used."""
    digest = hashlib.sha256(store.identity(quality).encode())
    for known in vae.bundled_vaes():
        digest.update(known.identity)
    return digest.hexdigest()[:16]


def problem(quality: int | None) -> str | None:
    """What is missing, with the remedy; None if nothing is."""
    if not vae.bundled_vaes():
        return "can't be written: no VAE is there; panic codec export-vae MODEL data/models/MODEL-vae"
    return store.problem(quality)


def _latents_of(known: Vae, picture: np.ndarray, latents: np.ndarray) -> np.ndarray | None:
    """Latents in the scale that a VAE's files have; None if it does not draw this picture from them."""
    table, (height, width) = known.settings.table, picture.shape[:2]
    if latents.shape != (known.network("decoder").sides[1], *known.grid(height, width)):
        return None
    scaled = ((latents.astype(np.float32) - table.latent_shift) * table.latent_scale).astype(np.float32)
    if not np.isfinite(scaled).all():
        return None
    drawn = known.decode(scaled[None], height, width)[0]
    return scaled if np.abs(drawn.astype(np.int16) - picture).mean() <= _DRAWN_BY_IT else None
