"""Pictures on their way into the archive: any common format becomes a still, upright, 8 bit WebP or AVIF.

Here belongs decoding what strangers send, within bounds, and encoding it. Of animations the first picture is kept:
it is what the next model sees, and the audience is to see the same.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Literal

from panic_assets.live.archive.converted import Converted
from panic_assets.live.archive.errors import ArchiveError, Undecodable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Format = Literal["webp", "avif"]
#: Decoded, such a picture takes about 400 MB.
MOST_PIXELS = 100_000_000
#: The longest side that WebP can have.
MOST_SIDE = 16_383
#: Of a lossless picture up to so many pixels or colours the lossless WebP is tried too: drawings come out smaller.
_FEW_PIXELS, _FEW_COLOURS = 256 * 256, 4096
_LOSSLESS = frozenset(("PNG", "GIF", "BMP"))
_ORIENTATION = 0x0112
_OPTIONS: dict[Format, dict[str, Any]] = {
    "webp": {"format": "WEBP", "quality": 90, "method": 4},
    "avif": {"format": "AVIF", "quality": 75, "speed": 6},
}


def convert(data: bytes, format: Format = "webp") -> Converted:
    """The picture as it will be kept. One that is a plain WebP, or a plain AVIF where that is wanted, stays as it is.

    Raises:
        Undecodable: not a whole picture.
        ArchiveError: too many pixels.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("WEBP", "PNG", "JPEG", "AVIF", "GIF", "BMP")) as picture:
                _check_size(*picture.size)
                picture.load()
                if _stays(picture, format):
                    return Converted(data, f"image/{str(picture.format).lower()}", *picture.size)
                source, plain = picture.format, _plain(picture)
    except ArchiveError:
        raise
    except Image.DecompressionBombError as error:
        raise ArchiveError("permanent", f"the picture is too large: {error}") from None
    except Exception as error:  # decoders of broken files raise anything
        raise Undecodable(f"the picture can't be decoded: {type(error).__name__}: {error}") from None
    encoded = _encoded(plain, **_OPTIONS[format])
    if source in _LOSSLESS and format == "webp" and _is_simple(plain):
        lossless = _encoded(plain, format="WEBP", lossless=True, quality=80, method=4, exact=True)
        encoded = min(lossless, encoded, key=len)
    return Converted(encoded, f"image/{format}", *plain.size)


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ArchiveError("permanent", f"the picture has {width} x {height} pixels, more than {MOST_PIXELS:,}")


def _stays(picture: Picture, format: Format) -> bool:
    is_wanted = picture.format in ("WEBP", format.upper())
    is_still = getattr(picture, "n_frames", 1) == 1
    return is_wanted and is_still and not _is_turned(picture)


def _is_turned(picture: Picture) -> bool:
    try:
        return picture.getexif().get(_ORIENTATION, 1) != 1
    except Exception:  # what came along is damaged, not the picture
        return False


def _plain(picture: Picture) -> Picture:
    """Upright, in sRGB, 8 bit, with transparency where there is any; nothing else is kept of what came along."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(picture) if _is_turned(picture) else picture.copy()
    upright.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    if upright.mode.startswith(("I", "F")):
        upright = _eight_bit(upright)
    clear = "transparency" in upright.info or upright.mode in ("LA", "PA", "La", "RGBA", "RGBa")
    plain = _in_srgb(upright) if "icc_profile" in upright.info else upright
    plain = plain.convert("RGBA" if clear else "RGB")
    if clear and plain.getchannel("A").getextrema() == (255, 255):
        plain = plain.convert("RGB")
    plain.info.clear()
    return plain


def _eight_bit(picture: Picture) -> Picture:
    """Grey of 16 bits as grey of 8; numbers beyond that are cut off."""
    import numpy as np
    from PIL import Image

    grey = np.clip(np.asarray(picture, dtype=np.float64), 0, 65535) / 257
    return Image.fromarray(np.round(grey).astype(np.uint8))


def _in_srgb(picture: Picture) -> Picture:
    """Colours as a browser would show them; a profile that does not fit the picture counts for nothing."""
    from PIL import ImageCms

    if picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        wanted = picture.mode if picture.mode == "RGBA" else "RGB"
        turned = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode=wanted)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    return turned or picture


def _is_simple(picture: Picture) -> bool:
    return picture.width * picture.height <= _FEW_PIXELS or picture.getcolors(_FEW_COLOURS) is not None


def _encoded(picture: Picture, **options: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, **options)
    return content.getvalue()
