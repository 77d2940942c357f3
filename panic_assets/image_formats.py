"""The formats that pictures may be stored in: their names, and what one needs to be written and read here.

Here belong formats as data, for the experiment file and for the lake alike. Coding pictures is the lake's business, or
that of the room that a format names.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

DEFAULT_FORMAT = "webp-lossless"


@dataclass(frozen=True)
class Room:
    """Another room's coding, imported when it is first needed: rooms below it must not know of it.

    Args:
        module: has ``encode(picture, quality, latents)``, ``decode(content)``, ``identity(quality)`` and
            ``problem(quality)``; quality is None for the format without loss.
        mark: what all its pictures begin with; of one mark the first reads them all.
        extra: the optional part of the installation that it needs.
        packages: what that part installs.
    """

    module: str
    mark: bytes
    extra: str
    packages: tuple[str, ...]

    @property
    def code(self) -> Any:
        """The module."""
        return import_module(self.module)


@dataclass(frozen=True)
class ImageFormat:
    """A format. ``quality`` is None where nothing is lost; ``room`` is None for what Pillow codes."""

    kind: str
    quality: int | None = None
    room: Room | None = None

    @property
    def is_lossless(self) -> bool:
        """Whether every pixel is kept."""
        return self.quality is None


_MARK, _PACKAGES = b"\x9bPL", ("constriction", "onnx", "onnxruntime")
LATENT = Room("panic_assets.codec.store", _MARK, "codec", _PACKAGES)
VAE = Room("panic_assets.codec.vae_store", _MARK, "codec", _PACKAGES)

_LOSSLESS: dict[str, Room | None] = {"webp-lossless": None, "png": None, "latent-lossless": LATENT}
_LOSSY: dict[str, tuple[range, Room | None]] = {
    "webp": (range(101), None),
    "avif": (range(101), None),
    "jpeg": (range(101), None),
    "latent": (range(1, 17), LATENT),
    "vae": (range(1, 17), VAE),
}
FORMATS: dict[str, ImageFormat] = {
    **{kind: ImageFormat(kind, None, room) for kind, room in _LOSSLESS.items()},
    **{
        f"{kind}-{quality}": ImageFormat(kind, quality, room)
        for kind, (qualities, room) in _LOSSY.items()
        for quality in qualities
    },
}
PATTERN = "^(webp-lossless|png|latent-lossless|(webp|avif|jpeg)-(100|[1-9]?[0-9])|(latent|vae)-([1-9]|1[0-6]))$"
"""The names of all formats, as JSON schemas want them."""

IN_WORDS = (
    "webp-lossless, png, latent-lossless, or webp-Q, avif-Q, jpeg-Q with a quality Q of 0 to 100, or latent-Q, vae-Q "
    "with one of 1 to 16"
)


def room_of(content: bytes) -> Room | None:
    """The room that reads a picture, by its first bytes; None for one of Pillow's, or of nobody."""
    return LATENT if content.startswith(LATENT.mark) else None


def problem(name: str) -> str | None:
    """What keeps this installation from storing pictures in a format, with the remedy; None if nothing does.

    To be asked before there is a picture to lose. Nothing heavy is imported.

    Raises:
        KeyError: no such format.
    """
    form = FORMATS[name]
    if form.room is None:
        return None
    missing = [package for package in form.room.packages if find_spec(package) is None]
    if missing:
        return (
            f"needs {', '.join(missing)}, which the extra {form.room.extra} installs: "
            f"pip install 'panic-assets[{form.room.extra}]'"
        )
    found: str | None = form.room.code.problem(form.quality)
    return found
