"""Pictures in files as arrays that the codec takes, and back.

Here belongs what Pillow reads and writes, and which files in a folder are pictures. Pictures of the lake are read by
:mod:`panic_assets.lake.images`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.codec.errors import CodecError

_SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_KEPT = ("L", "RGB", "RGBA")
_OPTIONS: dict[str, dict[str, Any]] = {
    ".webp": {"lossless": True, "exact": True},
    ".avif": {"quality": 100, "subsampling": "4:4:4"},
}
_WIDER = ("I", "F")  # and their spellings: more than 8 bits


class NoPicture(CodecError, ValueError):
    """A file that is no picture, or none that 8 bits for each of at most four channels hold."""


def read_picture(path: Path) -> np.ndarray:
    """The picture of a file, upright, uint8 (h, w) grey, (h, w, 3) or, with opacity, (h, w, 4).

    Raises: :class:`NoPicture`; ``OSError`` for a file that is not there.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            if (frames := getattr(opened, "n_frames", 1)) > 1:
                raise NoPicture(f"{path} has {frames} frames; give a file for each")
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith(_WIDER):
                raise NoPicture(f"{path} has more than 8 bits for a channel ({upright.mode}); convert it first")
            return np.array(upright if upright.mode in _KEPT else upright.convert(_mode(upright)))
    except UnidentifiedImageError:
        raise NoPicture(f"{path} is no picture that Pillow can read") from None
    except (SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as problem:
        raise NoPicture(f"{path} is no whole picture: {problem}") from problem


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write uint8 (h, w), (h, w, 3) or (h, w, 4) in the form that the suffix names: WebP without loss, AVIF nearly so.

    Raises: :class:`NoPicture` for a suffix that names none, or one that can't hold the picture; ``OSError``.
    """
    from PIL import Image

    try:
        Image.fromarray(picture).save(path, **_OPTIONS.get(path.suffix.lower(), {}))
    except (ValueError, KeyError) as problem:
        raise NoPicture(f"{path} can't be written: {problem}; give a name that ends with .png") from problem


def pictures_in(folder: Path) -> list[Path]:
    """Files of pictures in a folder, by name. Raises: :class:`NoPicture` where there is none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not found:
        raise NoPicture(f"{folder} has no picture ({', '.join(sorted(_SUFFIXES))})")
    return found


def _mode(image: object) -> str:
    mode, has_opacity = image.mode, getattr(image, "has_transparency_data", False)  # type: ignore[attr-defined]
    if has_opacity:
        return "RGBA"
    return "L" if mode == "1" else "RGB"
