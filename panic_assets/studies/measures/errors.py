"""What can't be measured, and why. No other errors."""

from __future__ import annotations

from panic_assets.errors import PanicError


class MeasureError(PanicError):
    """A model or a part of the data of which a measure can't speak: names the layer or the field, and what would do."""
