"""What a user of the codec calls: pictures to files in memory and back.

Here belong the choice of a method, what a quality means, and batches. Each method's bytes belong to the bitstream.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from panic_assets.codec.bitstream import head as heads
from panic_assets.codec.bitstream.layered import Addition
from panic_assets.codec.bitstream.methods import LEARNED, method_of
from panic_assets.codec.errors import CodecError, UnfitValue
from panic_assets.codec.latent import DEFAULT_MODEL, LearnedModel
from panic_assets.codec.refining import Way

QUALITIES = range(1, 17)
DEFAULT_QUALITY = 8

_ALONE = (0, 3, 7, 11)
_WITH_MORE = len(QUALITIES) - len(_ALONE)

PLANS: tuple[tuple[int, Addition], ...] = (
    *((level, 0) for level in _ALONE),
    *((_ALONE[-1], Way(part, _WITH_MORE)) for part in range(1, _WITH_MORE + 1)),
)
"""Of each quality: the level of the learned transform, and the layer that is added to it, 0 for none.

Levels that lie nearer to each other can't be told apart on each picture, as the transform was not trained for PSNR
alone. From the last of them on, equal parts of the way to the picture, in decibels, are told apart by construction."""

_NEEDED = ("constriction", "onnx", "onnxruntime")

_VALUES_AT_ONCE = 3 << 16
"""Of pictures that go through networks together: past it, a batch saves no time, and takes 600 bytes for each pixel."""

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
        quality: 1 to 4, if it was made with one of these. Of higher ones a file has the step that its encoder found.
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
        quality: 1 to 16; bytes and PSNR rise with it, the latter among the first four on nearly every picture.
        lossless: give back exactly this picture, by whole numbers alone.
        residual: instead of the quality's, the step of what is added to the learned transform: 0 for nothing, 1 for an
            exact picture on machines with the same floating point, up to 255.

    Raises:
        UnfitValue: another array or setting.
        MissingModel: no such model.
        MissingExtra: the packages of the extra ``codec`` are not installed.
    """
    return _compressed([picture], model, quality, lossless, residual)[0]


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
    return _decompressed([data], model, limit, exact)[0]


def info(data: bytes) -> Info:
    """What a file says of itself, without decoding it. Raises: as :func:`decompress`, for the bytes alone."""
    head, fields = heads.unseal(bytes(data), heads.LONGEST_SIDE**2)
    method = method_of(head.method)
    details = method.describe(head, fields)
    lossless = bool(details.pop("lossless", False))
    is_alone = details.get("level") in _ALONE and not details["residual_step"]
    quality = 1 + _ALONE.index(details["level"]) if is_alone else None
    return Info(
        len(data), heads.VERSION, method.name, head.height, head.width, head.channels, quality, lossless, details
    )


def compress_batch(
    pictures: Sequence[np.ndarray],
    model: Model = DEFAULT_MODEL,
    quality: int = DEFAULT_QUALITY,
    *,
    lossless: bool = False,
    residual: int | None = None,
    workers: int = 1,
) -> list[bytes]:
    """Files of pictures of any shapes, each as :func:`compress` makes it, byte for byte.

    Pictures of one shape go through the learned transform's networks together, and through a VAE's, whose arithmetic
    is not known here, one by one. ``workers`` threads share the work.
    """

    def make(some: Sequence[np.ndarray]) -> list[bytes]:
        return _compressed(some, model, quality, lossless, residual)

    return _in_groups(make, pictures, np.shape, np.size, workers)


def decompress_batch(
    files: Sequence[bytes],
    model: Model | None = None,
    *,
    limit: int = heads.DEFAULT_LIMIT,
    exact: bool = True,
    workers: int = 1,
) -> list[np.ndarray]:
    """Pictures of files, each as :func:`decompress` makes it; those that are alike in one run of the networks."""

    def make(some: Sequence[bytes]) -> list[np.ndarray]:
        return _decompressed(some, model, limit, exact)

    return _in_groups(make, files, _kind_of_file, lambda data: 3 * heads.unseal(data, limit)[0].pixels, workers)


def _compressed(
    pictures: Sequence[np.ndarray], model: Model, quality: int, lossless: bool, residual: int | None
) -> list[bytes]:
    """Files of pictures of one shape."""
    _check_packages()
    for picture in pictures:
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
            raise UnfitValue(
                f"a picture of {getattr(picture, 'dtype', type(picture).__name__)}: give a numpy array of uint8"
            )
    channels = heads.kind_of(pictures[0].shape)
    if quality not in QUALITIES:
        raise UnfitValue(f"quality {quality}: give {QUALITIES[0]} to {QUALITIES[-1]}")
    if residual is not None and not 0 <= residual <= 255:
        raise UnfitValue(f"residual {residual}: give 0 (none), 1 (exact) to 255")
    from panic_assets.codec.bitstream import exact, learned, plain, vae
    from panic_assets.codec.latent import open_model

    level, addition = PLANS[quality - 1]
    addition = addition if residual is None else residual
    if lossless:
        files = [exact.encode(picture, channels) for picture in pictures]
    elif pipeline := vae.pipeline_for(model):
        files = [vae.encode(picture, channels, pipeline, level, addition) for picture in pictures]
    else:
        files = learned.encode(np.stack(pictures), channels, open_model(model), level, addition)
    together = zip(pictures, files, strict=True)
    return [plain.encode_within(picture, channels, len(file)) or file for picture, file in together]


def _decompressed(files: Sequence[bytes], model: Model | None, limit: int, exact: bool) -> list[np.ndarray]:
    """Pictures of one file, or of several that are alike."""
    _check_packages()
    from panic_assets.codec.bitstream import learned

    opened = [heads.unseal(bytes(data), limit) for data in files]
    if len(files) > 1 and opened[0][0].method == LEARNED:
        made = learned.decode_alike(opened, model, exact)
    else:
        made = [method_of(head.method).decode(head, fields, model, exact) for head, fields in opened]
    return [picture.reshape(head.shape) for picture, (head, _) in zip(made, opened, strict=True)]


def _kind_of_file(data: bytes) -> Hashable:
    """What files must have in common to be drawn together."""
    told = info(data)
    return told.height, told.width, told.method, told.details.get("model"), told.details.get("level")


def _in_groups(
    make: Callable[[Sequence[Given]], list[Made]],
    given: Sequence[Given],
    kind_of: Callable[[Given], Hashable],
    size_of: Callable[[Given], int],
    workers: int,
) -> list[Made]:
    """What ``make`` makes of those that are alike, so many at once as memory should bear, in the order given."""
    kinds: dict[Hashable, list[int]] = {}
    for place, one in enumerate(given):
        kinds.setdefault(kind_of(one), []).append(place)
    groups = []
    for places in kinds.values():
        at_once = max(1, _VALUES_AT_ONCE // max(1, size_of(given[places[0]])))
        groups += [places[start : start + at_once] for start in range(0, len(places), at_once)]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        made = list(pool.map(lambda places: make([given[place] for place in places]), groups))
    in_order = sorted(zip(chain(*groups), chain(*made), strict=True), key=lambda pair: pair[0])
    return [one for _, one in in_order]


def _check_packages() -> None:
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise MissingExtra(f"the codec needs {' and '.join(missing)}: pip install 'panic-assets[codec]'")
