"""Pictures by any VAE, with the same layers as those of the learned transform.

Here belongs method 3: the body of such files is :mod:`panic_assets.codec.bitstream.layered`'s, its latents are those of
:mod:`panic_assets.codec.pipeline`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.codec.bitstream import layered
from panic_assets.codec.bitstream.fields import Fields
from panic_assets.codec.bitstream.head import Head
from panic_assets.codec.bitstream.methods import VAE
from panic_assets.codec.configuration import FILE_NAME, find_configuration, load_configuration
from panic_assets.codec.errors import MissingModel, UnfitValue, WrongModel
from panic_assets.codec.latent import IDENTITY_BYTES
from panic_assets.codec.models import Vae, load_vae
from panic_assets.codec.pipeline import VaePipeline
from panic_assets.paths import project_dir

describe = layered.describe


def encode(
    picture: np.ndarray,
    channels: int,
    pipeline: VaePipeline,
    level: int,
    addition: layered.Addition,
    latents: np.ndarray | None = None,
) -> bytes:
    """A file of a picture.

    Args:
        picture: uint8 (h, w) or (h, w, 3 or 4).
        channels: 1, 3 or 4.
        pipeline: the VAE and what codes its latents.
        level: 0 to 15.
        addition: as :func:`panic_assets.codec.bitstream.layered.write`'s.
        latents: the picture's latents where they exist already, as diffusion pipelines have them: float (c, h, w). No
            encoder is run then.

    Raises: :class:`UnfitValue`, :class:`MissingModel`, :class:`BrokenModel`.
    """
    height, width = picture.shape[:2]
    found = pipeline.vae.encode(layered.colours_of(picture)[None])[0] if latents is None else latents
    if found.shape[1:] != pipeline.vae.grid(height, width):
        raise UnfitValue(f"latents {found.shape} are not those of {height}x{width} pixels")
    payload = pipeline.encode(found, level)

    def drawn() -> np.ndarray:
        return pipeline.draw(payload, height, width)

    return layered.write(VAE, picture, channels, pipeline.vae.identity, level, addition, payload, drawn)


def decode(head: Head, fields: Fields, model: Any, exact: bool) -> np.ndarray:
    """The picture.

    Raises:
        WrongBytes: of a body that no encoder wrote.
        WrongModel: for a file of another model.
        MissingModel: where the model that is named is none, or none is named and the configuration has none.
        OtherArithmetic: where a file promises exact pixels, ``exact`` is set, and others come out.
    """

    def draw(identity: bytes, latents: bytes, level: int) -> np.ndarray:
        return VaePipeline(vae_for(identity, model)).draw(latents, head.height, head.width)

    return layered.read(head, fields, draw, exact)


def pipeline_for(model: object) -> VaePipeline | None:
    """What codes pictures by a VAE, if a VAE is what is named; None for everything else.

    That is a folder that export-vae wrote, or a name in the configuration in force.

    Raises: :class:`~panic_assets.codec.configuration.WrongConfiguration`.
    """
    if isinstance(model, VaePipeline):
        return model
    if isinstance(model, Vae):
        return VaePipeline(model)
    if not isinstance(model, str | Path):
        return None
    path = find_configuration()
    is_configured = path is not None and str(model) in load_configuration(path).models
    return VaePipeline(load_vae(model)) if is_configured or (Path(model) / FILE_NAME).is_file() else None


def vae_for(identity: bytes, model: str | Path | Vae | VaePipeline | None) -> Vae:
    """The VAE that a file was written by: the one that is named, or whichever of the configuration or bundled it is.

    Raises: :class:`WrongModel` with both identities, :class:`MissingModel`.
    """
    if isinstance(model, VaePipeline):
        model = model.vae
    candidates = [load_vae(model)] if model is not None else _configured()
    for candidate in [*candidates, *([] if model is not None else bundled_vaes())]:
        if candidate.identity[:IDENTITY_BYTES] == identity:
            return candidate
    if not candidates:
        raise MissingModel(
            f"the file was written by the VAE {identity.hex()}, and no configuration names one; give its folder"
        )
    raise WrongModel("the file", identity.hex(), ", ".join(c.identity[:IDENTITY_BYTES].hex() for c in candidates))


def bundled_vaes() -> list[Vae]:
    """The VAEs beside the bundled models, in folders that export-vae wrote."""
    folders = sorted(path.parent for path in (project_dir() / "data" / "models").glob(f"*/{FILE_NAME}"))
    return [load_vae(folder) for folder in folders]


def _configured() -> list[Vae]:
    """The VAEs of the configuration in force whose files are there."""
    path = find_configuration()
    if path is None:
        return []
    tables = load_configuration(path).models
    there = [name for name, table in tables.items() if table.decoder is not None and table.decoder.is_file()]
    return [load_vae(name, path) for name in there]
