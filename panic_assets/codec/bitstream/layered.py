"""Pictures by a transform that loses, with a layer in whole numbers for what it left and for transparency.

Here belongs the body that such files have, whichever transform it is: methods 2 and 3. Which one, and how it is found
from the identity in a file, is told by ``learned`` and ``vae``; the layer is :mod:`panic_assets.codec.lossless`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from panic_assets.codec import lossless, refining
from panic_assets.codec.bitstream import coefficients
from panic_assets.codec.bitstream.fields import CHECKSUM_BYTES, Fields, checksum, part
from panic_assets.codec.bitstream.head import Head, seal
from panic_assets.codec.errors import CodecError, WrongBytes
from panic_assets.codec.latent import IDENTITY_BYTES

LEVELS = 16
_WITH_RESIDUAL = 16  # bits 0 to 3 of the options are the level

Draw = Callable[[bytes, bytes, int], np.ndarray]
"""Given a model's identity, the bytes of latents and the level: the picture, uint8 (h, w, 3)."""

Addition = int | refining.Way
"""What is added to a transform: the layer of a step, 1 for exactly and 0 for none, or the one that comes so far."""


class OtherArithmetic(CodecError, ArithmeticError):
    """A file that promises exact pixels, on a machine whose floating point makes others of the same latents."""


@dataclass(frozen=True)
class Body:
    """What stands behind the head. ``exact_sum`` is empty unless the step is 1; layers are where there are none."""

    identity: bytes
    step: int
    exact_sum: bytes
    latents: bytes
    residual: bytes
    alpha: bytes


def colours_of(picture: np.ndarray) -> np.ndarray:
    """What a transform codes of uint8 (h, w) or (h, w, 3 or 4): (h, w, 3), grey as three equal colours, no alpha."""
    colours = np.atleast_3d(picture)[:, :, :3]
    return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))


def write(
    method: int,
    picture: np.ndarray,
    channels: int,
    identity: bytes,
    level: int,
    addition: Addition,
    latents: bytes,
    drawn: Callable[[], np.ndarray],
) -> bytes:
    """A file of a picture.

    Args:
        method: number of the method.
        picture: uint8 (h, w) or (h, w, 3 or 4).
        channels: 1, 3 or 4.
        identity: the model's.
        level: of the transform, 0 to 15.
        addition: the layer that codes what the transform left. Where it would not come nearer to the picture, the
            file is the one without.
        latents: the transform's bytes.
        drawn: what a decoder will make of them, uint8 (h, w, 3); asked for only with an addition.
    """
    samples, layers, step = np.atleast_3d(picture), [], 0
    if addition:
        missing = _planes(samples[:, :, :3]) - _planes(_seen(drawn(), channels))
        if isinstance(addition, int):
            layer = refining.with_step(missing, addition)
        else:
            layer = refining.part_of_the_way(missing, addition)
        if layer:
            step = layer.step
            layers.append(coefficients.encode(layer.coefficients, layer.levels))
    if channels == 4:
        layers.append(lossless.encode_picture(samples[:, :, 3]))
    body = identity[:IDENTITY_BYTES]
    if step:
        body += bytes([step])
    if step == 1:
        body += checksum(samples.tobytes())
    sections = [latents, *layers]
    body += b"".join(part(section) for section in sections[:-1]) + sections[-1]
    height, width = picture.shape[:2]
    return seal(Head(method, height, width, channels, level | _WITH_RESIDUAL * bool(step)), body)


def read(head: Head, fields: Fields, draw: Draw, exact: bool) -> np.ndarray:
    """The picture.

    Raises:
        WrongBytes: of a body that no encoder wrote.
        OtherArithmetic: where a file promises exact pixels, ``exact`` is set, and others come out.
        CodecError: whatever ``draw`` raises.
    """
    body = body_of(head, fields)
    return picture_of(head, body, draw(body.identity, body.latents, head.options % LEVELS), exact)


def picture_of(head: Head, body: Body, drawn: np.ndarray, exact: bool) -> np.ndarray:
    """The picture of a body whose latents are ``drawn``. Raises: as :func:`read`."""
    size = head.height, head.width
    planes = _planes(_seen(drawn, head.channels))
    if body.step:
        planes = planes + lossless.decode(body.residual, len(planes), *size, body.step)
    picture = np.ascontiguousarray(np.clip(planes, 0, 255).transpose(1, 2, 0), np.uint8)
    if body.alpha:
        picture = np.concatenate([picture, lossless.decode_picture(body.alpha, *size, 1)], 2)
    if exact and body.exact_sum and checksum(picture.tobytes()) != body.exact_sum:
        raise OtherArithmetic(
            "this file promises exact pixels, and this machine's floating point makes others of its latents; decode it "
            "with exact=False to take what comes out, a grey level off here and there, or where it was written"
        )
    return picture


def describe(head: Head, fields: Fields) -> dict[str, Any]:
    """Level, step, model and sizes."""
    body = body_of(head, fields)
    return {
        "level": head.options % LEVELS,
        "residual_step": body.step or None,
        "lossless": body.step == 1,
        "model": body.identity.hex(),
        "latent_bytes": len(body.latents),
        "residual_bytes": len(body.residual),
        "alpha_bytes": len(body.alpha),
    }


def body_of(head: Head, fields: Fields) -> Body:
    """What stands behind a head. Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
    if head.options >= 2 * _WITH_RESIDUAL:
        raise WrongBytes(f"options {head.options} of a layered picture: {2 * _WITH_RESIDUAL - 1} is the most")
    identity = fields.take(IDENTITY_BYTES, "model's identity")
    step = fields.byte("residual's step") if head.options & _WITH_RESIDUAL else 0
    if head.options & _WITH_RESIDUAL and not step:
        raise WrongBytes("a residual with a step of 0")
    exact_sum = fields.take(CHECKSUM_BYTES, "checksum of pixels") if step == 1 else b""
    names = ["latents", *["residual"] * bool(step), *["alpha"] * (head.channels == 4)]
    found = {name: fields.part(name) for name in names[:-1]} | {names[-1]: fields.rest()}
    if not all(found[name] for name in names[1:]):
        raise WrongBytes("the bytes end before the layers in whole numbers")
    return Body(identity, step, exact_sum, *(found.get(name, b"") for name in ("latents", "residual", "alpha")))


def _seen(drawn: np.ndarray, channels: int) -> np.ndarray:
    """What is drawn of RGB (h, w, 3) in a picture of so many channels: of grey, luma, else all."""
    if channels > 1:
        return drawn
    red, green, blue = (drawn[:, :, number].astype(np.int32) for number in range(3))
    return ((red + 2 * green + blue + 2) >> 2)[:, :, None]


def _planes(picture: np.ndarray) -> np.ndarray:
    return picture.transpose(2, 0, 1).astype(np.int32)
