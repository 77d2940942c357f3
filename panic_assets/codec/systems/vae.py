"""A VAE's two halves as systems: pictures to latents, latents to pictures.

Here belongs the way between components and :class:`panic_assets.codec.models.Vae`. Entities whose pictures have one
shape go through the network together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panic_assets.codec.components import RGB, BlurRGB, Component, Latent, ReconRGB
from panic_assets.codec.core.system import Mode
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.models import Vae, batches_by_shape, load_vae
from panic_assets.codec.systems.on_pictures import SHAPE, OnPictures

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class OnnxVAE(OnPictures):
    """A picture to its :class:`Latent`; in the other mode back to a :class:`ReconRGB`.

    Grey counts as three equal colours; opacity is refused. The way back gives a picture of the size and with the
    colours of the one that the latents are of; whole strides in three colours where the entity's metadata do not tell.

    Args:
        model: name in the configuration, folder of an exported VAE, path of an ``.onnx`` file, or a VAE.
        config: the configuration; by default it is looked for.
        mode: encode or decode.

    Raises: :class:`MissingModel`, :class:`WrongConfiguration`.
    """

    def __init__(self, model: str | Path | Vae, config: Path | str | None = None, mode: Mode = "encode") -> None:
        super().__init__(mode)
        self._model = load_vae(model, config)

    @property
    def accepts(self) -> tuple[type[Component], ...]:
        """Any picture; latents on the way back."""
        return (RGB, BlurRGB, ReconRGB) if self.mode == "encode" else (Latent,)

    @property
    def produced(self) -> tuple[type[Component], ...]:
        """Latents; a picture on the way back."""
        return (Latent,) if self.mode == "encode" else (ReconRGB,)

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Run the network on batches by shape.

        Raises: :class:`UnfitValue`, :class:`MissingModel`, :class:`BrokenModel`.
        """
        device = world.context.device
        vae = self._model if device == "cpu" else Vae(self._model.settings, device)
        (self._encode if self.mode == "encode" else self._decode)(vae, world, eids)

    def _encode(self, vae: Vae, world: World, eids: Sequence[int]) -> None:
        pictures = [world.arena.view(self.picture(world, eid).pix) for eid in eids]
        for eid, picture in zip(eids, pictures, strict=True):
            if picture.ndim == 3 and picture.shape[2] == 4:
                raise UnfitValue(f"entity {eid}: a VAE codes no opacity; give its colours, and keep opacity apart")
        for batch in batches_by_shape([picture.shape for picture in pictures]):
            latents = vae.encode(np.stack([_coloured(pictures[index]) for index in batch]))
            for index, latent in zip(batch, latents, strict=True):
                world.add_component(eids[index], Latent(z=world.arena.put(latent)))
                world.metadata[eids[index]][SHAPE] = pictures[index].shape

    def _decode(self, vae: Vae, world: World, eids: Sequence[int]) -> None:
        latents = [world.arena.view(world.get_component(eid, Latent).z) for eid in eids]
        shapes = [
            world.metadata[eid].get(SHAPE, (latent.shape[1] * vae.stride, latent.shape[2] * vae.stride, 3))
            for eid, latent in zip(eids, latents, strict=True)
        ]
        for batch in batches_by_shape([(*z.shape, *shape) for z, shape in zip(latents, shapes, strict=True)]):
            shape = shapes[batch[0]]
            made = vae.decode(np.stack([latents[index] for index in batch]), *shape[:2])
            for index, picture in zip(batch, made, strict=True):
                pixels = picture if len(shape) == 3 else _grey(picture)
                world.add_component(eids[index], ReconRGB(pix=world.arena.put(pixels)))


class OnnxVAEEncode(OnnxVAE):
    """:class:`OnnxVAE` from pictures to latents."""


class OnnxVAEDecode(OnnxVAE):
    """:class:`OnnxVAE` from latents to pictures."""

    def __init__(self, model: str | Path | Vae, config: Path | str | None = None, mode: Mode = "decode") -> None:
        super().__init__(model, config, mode)


def _coloured(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture


def _grey(picture: np.ndarray) -> np.ndarray:
    grey: np.ndarray = np.clip(np.rint(picture.astype(np.float32) @ _LUMA), 0, 255).astype(np.uint8)
    return grey
