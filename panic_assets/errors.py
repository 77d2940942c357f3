"""The root of all errors this package raises on purpose.

Each room derives its own from it, so that a caller can tell a described problem from a defect.
"""

from __future__ import annotations


class PanicError(Exception):
    """A problem described for the person who meets it: what, where, and what would be right."""
