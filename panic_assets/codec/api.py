"""What a user of the codec calls: pictures to files in memory and back.

Here belong the choice of a method, what a quality means, and batches. Each method's bytes belong to the bitstream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from panic_assets.codec.bitstream import head as heads
from panic_assets.codec.bitstream.methods import method_of
from panic_assets.codec.errors import CodecError, UnfitValue
from panic_assets.codec.latent import DEFAULT_MODEL, LearnedModel

QUALITIES = range(1, 17)
DEFAULT_QUALITY = 8

PLANS = (
    *((level, 0) for level in range(10)),
    (10, 48),
    (11, 32),
    (12, 20),
    (13, 12),
    (14, 7),
    (15, 3),
)
"""Of each quality: the level of the learned transform, and the step of what is added to it, 0 for nothing.

Pictures like those that the transform learned from need no addition until late; others have no ceiling by it."""

_NEEDED = ("constriction", "onnxruntime")

Model = str | Path | LearnedModel
Given = TypeVar("Given")
Made = TypeVar("Made")


class MissingExtra(CodecError, ImportError):
    """A package that the codec needs and that is not installed."""


@dataclass(frozen=True)
class Info:
    """What a file says of itself.

    Args:
        bytes: of the whole file.
        version: of the format.
        method: ``plain``, ``exact``, ``learned`` or ``vae``.
        height: pixels.
        width: pixels.
        channels: 1 grey, 3 RGB, 4 RGBA.
        quality: 1 to 16, if it was made with one of these.
        lossless: whether the decoded picture is the encoded one.
        details: what else the method's body says.
    """

    bytes: int
    version: int
    method: str
    height: int
    width: int
    channels: int
    quality: int | None
    lossless: bool
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def bits_per_pixel(self) -> float:
        """Of the whole file."""
        return 8 * self.bytes / (self.height * self.width)


def compress(
    picture: np.ndarray,
    model: Model = DEFAULT_MODEL,
    quality: int = DEFAULT_QUALITY,
    *,
    lossless: bool = False,
    residual: int | None = None,
) -> bytes:
    """A file of a picture. Where one without any loss is no larger, it is that.

    Args:
        picture: uint8 (h, w) grey, (h, w, 3) RGB or (h, w, 4) RGBA, with sides of 1 to 65,535. Alpha is never lossy.
        model: name or folder of the learned transform; not used when ``lossless``.
        quality: 1 to 16; bytes and quality rise with it.
        lossless: give back exactly this picture, by whole numbers alone.
        residual: instead of the quality's, the step of what is added to the learned transform: 0 for nothing, 1 for an
            exact picture on machines with the same floating point, up to 255.

    Raises:
        UnfitValue: another array or setting.
        MissingModel: no such model.
        MissingExtra: the packages of the extra ``codec`` are not installed.
    """
    _check_packages()
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        raise UnfitValue(
            f"a picture of {getattr(picture, 'dtype', type(picture).__name__)}: give a numpy array of uint8"
        )
    channels = heads.kind_of(picture.shape)
    if quality not in QUALITIES:
        raise UnfitValue(f"quality {quality}: give {QUALITIES[0]} to {QUALITIES[-1]}")
    if residual is not None and not 0 <= residual <= 255:
        raise UnfitValue(f"residual {residual}: give 0 (none), 1 (exact) to 255")
    from panic_assets.codec.bitstream import exact, learned, plain, vae
    from panic_assets.codec.latent import open_model

    level, step = PLANS[quality - 1]
    step = step if residual is None else residual
    files = [plain.encode(picture, channels)]
    if lossless:
        files.append(exact.encode(picture, channels))
    else:
        pipeline = vae.pipeline_for(model)
        files.append(
            vae.encode(picture, channels, pipeline, level, step)
            if pipeline
            else learned.encode(picture, channels, open_model(model), level, step)
        )
    return min(files, key=len)


def decompress(
    data: bytes, model: Model | None = None, *, limit: int = heads.DEFAULT_LIMIT, exact: bool = True
) -> np.ndarray:
    """The picture of a file, uint8, in the shape that was compressed.

    Args:
        data: the whole file.
        model: name or folder of the learned transform; None for the bundled one that the file names.
        limit: pixels above which a file is refused before anything is made for them.
        exact: refuse a file that promises exact pixels if this machine's floating point makes others.

    Raises:
        WrongBytes: no file of this codec, damaged, or above the limit.
        WrongVersion: of a version or by a method that is not known here.
        WrongModel: written by another model.
        MissingModel: no such model.
        MissingExtra: the packages of the extra ``codec`` are not installed.
        OtherArithmetic: see ``exact``.
    """
    _check_packages()
    head, fields = heads.unseal(bytes(data), limit)
    return method_of(head.method).decode(head, fields, model, exact).reshape(head.shape)


def info(data: bytes) -> Info:
    """What a file says of itself, without decoding it. Raises: as :func:`decompress`, for the bytes alone."""
    head, fields = heads.unseal(bytes(data), heads.LONGEST_SIDE**2)
    method = method_of(head.method)
    details = method.describe(head, fields)
    lossless = bool(details.pop("lossless", False))
    # A step that found nothing to add is not in the file.
    quality = next(
        (
            number
            for number, (level, step) in zip(QUALITIES, PLANS, strict=True)
            if details.get("level") == level and details.get("residual_step") in (None, step or None)
        ),
        None,
    )
    return Info(
        len(data), heads.VERSION, method.name, head.height, head.width, head.channels, quality, lossless, details
    )


def compress_batch(
    pictures: Sequence[np.ndarray],
    model: Model = DEFAULT_MODEL,
    quality: int = DEFAULT_QUALITY,
    *,
    workers: int = 1,
    **settings: Any,
) -> list[bytes]:
    """Files of pictures of any shapes, each as :func:`compress` makes it, in ``workers`` threads."""
    return _each(lambda picture: compress(picture, model, quality, **settings), pictures, workers)


def decompress_batch(
    files: Sequence[bytes], model: Model | None = None, *, workers: int = 1, **settings: Any
) -> list[np.ndarray]:
    """Pictures of files, each as :func:`decompress` makes it, in ``workers`` threads."""
    return _each(lambda data: decompress(data, model, **settings), files, workers)


def _each(make: Callable[[Given], Made], given: Iterable[Given], workers: int) -> list[Made]:
    # Pictures go through the networks one by one: in a batch, sums might be made in another order, and bytes differ.
    if workers <= 1:
        return [make(one) for one in given]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(make, given))


def _check_packages() -> None:
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise MissingExtra(f"the codec needs {' and '.join(missing)}: pip install 'panic-assets[codec]'")
