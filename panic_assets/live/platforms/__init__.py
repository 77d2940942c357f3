"""Where live models are called: one module for each platform, all of the shape that ``base`` lays down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # whoever wants a shape of ``base`` alone does not pay for devices and HTTP
    from panic_assets.live.platforms.base import Platform
    from panic_assets.models.entry import ModelEntry


def open_platforms(registry: Mapping[str, ModelEntry] | None = None, devices: str = "auto") -> dict[str, Platform]:
    """All platforms that models are called on, by name; to be closed by whoever opens them.

    The hosted ones are where $PANIC_OPENAI_URL, $PANIC_REPLICATE_URL and $PANIC_GEMINI_URL say, else at their makers'.
    Nothing is connected and no device opened before the first call. ``registry`` and ``devices`` are those of `local`.

    Raises:
        PanicError: such a variable holds no address.
    """
    from panic_assets.live.platforms.dummy import Dummy
    from panic_assets.live.platforms.gemini import Gemini
    from panic_assets.live.platforms.local import Local
    from panic_assets.live.platforms.openai import OpenAI
    from panic_assets.live.platforms.replicate import Replicate

    platforms: list[Platform] = [OpenAI(), Replicate(), Gemini(), Dummy(), Local(registry, devices)]
    return {platform.name: platform for platform in platforms}


__all__ = ["open_platforms"]
