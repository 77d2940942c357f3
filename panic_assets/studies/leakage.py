"""What a part of the data has in common with what was trained on.

Runs that end in one state give equal vectors, so that a split by run still leaves equal inputs on both sides. Here
belongs telling them apart; the split itself is in ``data``.
"""

from __future__ import annotations

import numpy as np

from panic_assets.studies.records import Part


def unseen(part: Part, train: Part) -> np.ndarray:
    """Whether each input of ``part`` does not occur in ``train``, bool (n,)."""
    known = set(_rows(train.x))
    return np.array([row not in known for row in _rows(part.x)], bool)


def seen_share(part: Part, train: Part) -> float:
    """Share of the inputs of ``part`` that occur in ``train``, 0 to 1."""
    return 1 - float(np.mean(unseen(part, train)))


def _rows(x: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(x) + x.dtype.type(0)]  # -0.0 becomes 0.0
