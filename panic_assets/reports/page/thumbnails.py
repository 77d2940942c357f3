"""Small versions of pictures on one sheet, so that thousands of them make one image of a page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from panic_assets.lake import Lake
from panic_assets.loop.pictures import PictureShelf

if TYPE_CHECKING:
    from PIL.Image import Image

_CHUNK = 256
_LARGEST_SIDE = 16_000  # of a sheet, pixels: WebP ends at 16,383


@dataclass(frozen=True)
class Sheet:
    """A sheet of square tiles, ``columns`` in a row; ``places`` gives the number of a picture's tile by its hash."""

    data_uri: str
    tile: int
    columns: int
    rows: int
    places: dict[bytes, int]

    @property
    def bytes(self) -> int:
        """Size in the page."""
        return len(self.data_uri)


def sheet_of(lake: Lake, experiment: str, hashes: Sequence[bytes], tile: int = 64, quality: int = 80) -> Sheet | None:
    """The pictures of these hashes, in this order, as tiles of ``tile`` pixels; None if there are none.

    Pictures that are not square are fitted into their tile. More than a WebP can hold (about 62,000 tiles of 64 pixels)
    are left out, the last first. Smaller pictures are enlarged.

    Raises:
        MissingPicture, CorruptImage: a picture can't be read.
    """
    from PIL import Image

    most = _LARGEST_SIDE // tile
    distinct = list(dict.fromkeys(hashes))[: most * most]
    if not distinct:
        return None
    columns = min(most, max(1, math.isqrt(len(distinct))))
    rows = math.ceil(len(distinct) / columns)
    canvas = Image.new("RGB", (columns * tile, rows * tile), (127, 127, 127))
    places = {image_hash: place for place, image_hash in enumerate(distinct)}
    shelf = PictureShelf(lake, experiment)
    for start in range(0, len(distinct), _CHUNK):
        for image_hash, pixels in shelf.load(distinct[start : start + _CHUNK]).items():
            row, column = divmod(places[image_hash], columns)
            canvas.paste(_fitted(pixels, tile), (column * tile, row * tile))
    file = io.BytesIO()
    canvas.save(file, format="webp", quality=quality, method=4)
    uri = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return Sheet(uri, tile, columns, rows, places)


def _fitted(pixels: np.ndarray, tile: int) -> Image:
    from PIL import Image

    image = Image.fromarray(pixels)
    scale = tile / max(image.size)
    if scale != 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if image.size == (tile, tile):
        return image
    fitted = Image.new("RGB", (tile, tile), (127, 127, 127))
    fitted.paste(image, ((tile - image.width) // 2, (tile - image.height) // 2))
    return fitted
