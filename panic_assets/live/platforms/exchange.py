"""Values on their way into and out of platforms: the checks and conversions that hosted platforms share.

Here belongs nothing that asks anything over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panic_assets.live.media import from_data_uri, sniff
from panic_assets.live.platforms.base import LiveModel, PlatformError
from panic_assets.live.values import Medium, Value


def given_text(model: LiveModel, value: Value) -> str:
    """The text that a model is to be called with.

    Raises:
        PlatformError: of kind internal: there is none.
    """
    if value.text is None:
        raise PlatformError("internal", f"{model.id} takes a text, and its input has none")
    return value.text


def given_bytes(model: LiveModel, value: Value) -> tuple[bytes, str]:
    """The bytes of a picture or sound with their media type; the bytes are believed before the label.

    Raises:
        PlatformError: of kind internal: there are none; the archive has to be read first.
    """
    if value.data is None:
        raise PlatformError("internal", f"{model.id} takes {value.medium} data, and its input was not read before")
    usual = {"image": "image/webp", "audio": "audio/ogg"}
    return value.data, sniff(value.data) or value.media_type or usual.get(value.medium, "application/octet-stream")


def text_value(model: LiveModel, text: object) -> Value:
    """A text that a model gave, without white space around it.

    Raises:
        PlatformError: of kind invalid: it is blank or no text, so that the next model could not go on from it.
    """
    if not isinstance(text, str):
        raise PlatformError("invalid", f"{model.id} gave {type(text).__name__} where a text should be")
    if not text.strip():
        raise PlatformError("invalid", f"{model.id} gave a blank text, from which no model can go on")
    return Value("text", text=text.strip())


def media_value(model: LiveModel, medium: Medium, address: object) -> Value:
    """A picture or sound that a model gave as an address: of the web, or one that holds the data.

    Raises:
        PlatformError: of kind invalid: it is neither.
    """
    if not isinstance(address, str) or not address.startswith(("https://", "http://", "data:")):
        raise PlatformError("invalid", f"{model.id} gave {address!r} where the address of {medium} should be")
    if not address.startswith("data:"):
        return Value(medium, url=address)
    try:
        data, told = from_data_uri(address)
    except ValueError as error:
        raise PlatformError("invalid", f"{model.id} gave {medium} data that can't be read: {error}") from None
    return Value(medium, data=data, media_type=sniff(data) or told)


def token_cost(
    usage: object, names_in: tuple[str, ...], names_out: tuple[str, ...], prices: tuple[float | None, float | None]
) -> float | None:
    """US dollars for the tokens that a platform counted; None where a price or the count is not known."""
    if not isinstance(usage, Mapping) or None in prices:
        return None
    counts = [_count(usage, names_in), _count(usage, names_out)]
    if None in counts:
        return None
    return sum(count * price for count, price in zip(counts, prices, strict=True) if count and price) / 1e6


def _count(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    found = [usage[name] for name in names if isinstance(usage.get(name), int)]
    return sum(found) if found else None
