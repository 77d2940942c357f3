"""What a system is: a step from some components of an entity to others.

Here belongs the base class alone. A system says what it reads and what it adds; a pipe holds it to that. One that
turns a picture upside down, for instance:

>>> import numpy as np
>>> from panic_assets.codec.components import RGB, ReconRGB
>>> from panic_assets.codec.core.world import World
>>> class Flip(System):
...     accepts = RGB, ReconRGB
...     produced = (ReconRGB,)
...     def run(self, world, eids):
...         for eid in eids:
...             pixels = world.arena.view(world.get_component(eid, self.source).pix)
...             world.add_component(eid, ReconRGB(pix=world.arena.put(pixels[::-1])))
>>> world = World(arena_bytes=1 << 20)
>>> flipped = world.pipe(world.spawn_image(np.arange(4, dtype=np.uint8).reshape(2, 2))).to(Flip()).out(ReconRGB)
>>> world.arena.view(flipped.pix).tolist()
[[2, 3], [0, 1]]
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from panic_assets.codec.components import Component
from panic_assets.codec.errors import UnfitValue, UnmetDependency

if TYPE_CHECKING:
    from panic_assets.codec.core.world import World

Mode = Literal["encode", "decode", "forward", "inverse"]
"""Either word of each pair: towards the bytes, or back towards the picture."""

_DIRECTIONS: dict[str, Literal["encode", "decode"]] = {
    "encode": "encode",
    "forward": "encode",
    "decode": "decode",
    "inverse": "decode",
}


class System(ABC):
    """A step over entities, in one direction. Raises: :class:`UnfitValue` for a mode that is none.

    A subclass gives ``accepts`` and ``produced``, which may depend on ``mode`` as properties, and ``run``. Systems hold
    no state of a run, so one may serve many worlds.
    """

    def __init__(self, mode: Mode = "encode") -> None:
        if mode not in _DIRECTIONS:
            raise UnfitValue(f"mode {mode!r} of {type(self).__name__}; give one of {', '.join(_DIRECTIONS)}")
        self.mode = _DIRECTIONS[mode]
        self._chosen: type[Component] | None = None

    @property
    @abstractmethod
    def accepts(self) -> tuple[type[Component], ...]:
        """Components of which one is read: the first, or the one that :meth:`reading` chose."""

    @property
    def also_reads(self) -> tuple[type[Component], ...]:
        """Components that are read besides."""
        return ()

    @property
    @abstractmethod
    def produced(self) -> tuple[type[Component], ...]:
        """Components that each entity has after a run."""

    @abstractmethod
    def run(self, world: World, eids: Sequence[int]) -> None:
        """Add the produced components to each entity; all of them can run, so none is left out."""

    @property
    def name(self) -> str:
        """The class, and the direction where it is not the usual one and the class does not say it."""
        own = type(self).__name__
        return own if self.mode == "encode" or own.endswith("Decode") else f"{own} decode"

    @property
    def source(self) -> type[Component]:
        """The one of ``accepts`` that is read."""
        return self._chosen or self.accepts[0]

    @property
    def required(self) -> tuple[type[Component], ...]:
        """All components that are read."""
        return (self.source, *self.also_reads)

    def can_run(self, world: World, eid: int) -> bool:
        """Whether an entity has all that is read."""
        return all(world.has_component(eid, component) for component in self.required)

    def reading(self, component: type[Component]) -> Self:
        """The same system with another of ``accepts`` as its source. Raises: :class:`UnmetDependency`."""
        if component not in self.accepts:
            accepted = ", ".join(sorted(kind.__name__ for kind in self.accepts))
            raise UnmetDependency(f"{self.name} can't read {component.__name__}; it accepts {accepted}")
        other = copy.copy(self)
        other._chosen = component
        return other
