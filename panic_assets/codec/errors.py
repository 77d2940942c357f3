"""What can go wrong in the codec room.

Here belong the errors that several of its modules raise. Each also derives from the built-in error that a reader of
Python expects in its place (a missing component is a ``KeyError``), so that either may be caught. Components that hold
something unfit raise pydantic's ``ValidationError``, which can't be derived from.
"""

from __future__ import annotations

from panic_assets.errors import PanicError


class CodecError(PanicError):
    """A problem in the codec room."""


class WrongBytes(CodecError, ValueError):
    """Bytes that are no file of this codec, or no longer what was written."""


class WrongVersion(CodecError, ValueError):
    """A file of this codec, in a version or by a method that is not known here."""


class WrongModel(CodecError, ValueError):
    """A file that another model wrote than the one at hand.

    >>> str(WrongModel("kept.plc", "0a1b2c3d", "ffee0011"))
    'kept.plc was written by the model 0a1b2c3d, the one at hand is ffee0011; give the one that wrote it'
    """

    def __init__(self, what: str, written_by: str, at_hand: str) -> None:
        super().__init__(
            f"{what} was written by the model {written_by}, the one at hand is {at_hand}; give the one that wrote it"
        )
        self.written_by, self.at_hand = written_by, at_hand


class MissingModel(CodecError, FileNotFoundError):
    """A model that is named or needed, and not found."""


class MissingComponent(CodecError, KeyError):
    """An entity that does not exist, or lacks a component."""

    __str__ = Exception.__str__  # KeyError's would put the sentence in quotation marks


class ArenaFull(CodecError, MemoryError):
    """A tensor for which an arena has no room."""


class StaleReference(CodecError, ValueError):
    """A reference to a tensor that its arena no longer holds, or never held."""


class OutOfBounds(CodecError, IndexError):
    """A part that reaches over the edge of its tensor."""


class UnfitValue(CodecError, ValueError):
    """An argument that a step of the codec can't work with."""


class UnmetDependency(CodecError, RuntimeError):
    """A system in a pipe that would not find what it reads."""


class WrongThread(CodecError, RuntimeError):
    """A world that is used by another thread than the one that made it."""
