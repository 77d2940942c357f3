"""The methods by which a file's picture may be written, by number.

Here belongs the table that a decoder looks them up in. A method is a module with two functions, ``decode`` and
``describe``, of the types below; it is imported when a file needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from panic_assets.codec.bitstream.fields import Fields
from panic_assets.codec.bitstream.head import Head
from panic_assets.codec.errors import WrongVersion

PLAIN, EXACT, LEARNED, VAE = range(4)
NAMES = {PLAIN: "plain", EXACT: "exact", LEARNED: "learned", VAE: "vae"}
_ROOM = "panic_assets.codec.bitstream"

Decode = Callable[[Head, Fields, Any, bool], np.ndarray]
"""Given head, body, the model that a caller named (or None) and whether only the exact picture will do: the picture,
uint8 (h, w, channels)."""

Describe = Callable[[Head, Fields], dict[str, Any]]
"""Given head and body: what the body says of itself, by name, without decoding."""


@dataclass(frozen=True)
class Method:
    """How the pictures of a method are read."""

    name: str
    decode: Decode
    describe: Describe


def method_of(number: int) -> Method:
    """The method of this number. Raises: :class:`~panic_assets.codec.errors.WrongVersion` if it is not known here."""
    name = NAMES.get(number)
    if name is None or find_spec(f"{_ROOM}.{name}") is None:
        raise WrongVersion(f"a file by method {number}, which this codec does not know; read it with a newer one")
    module = import_module(f"{_ROOM}.{name}")
    return Method(name, module.decode, module.describe)
