"""Entities, their components, and the arena that holds their tensors.

Here belongs the store. What happens to components is the systems' business, in which order the pipes'.

>>> import numpy as np
>>> from panic_assets.codec.components import ReconRGB
>>> world = World(arena_bytes=1 << 20)
>>> eids = world.spawn_images(np.zeros((3, 8, 8, 3), np.uint8))
>>> world.query(RGB)
[0, 1, 2]
>>> world.get_component(eids[1], ReconRGB)
Traceback (most recent call last):
...
panic_assets.codec.errors.MissingComponent: entity 1 has no ReconRGB; it has RGB

One world serves one picture, or one batch, after another without new memory:

>>> world.clear()
>>> world.query(RGB), world.arena.used
([], 0)
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, overload

import numpy as np

from panic_assets.codec.components import PICTURE_RULE, RGB, Component, is_picture
from panic_assets.codec.core.arena import Arena, TensorRef
from panic_assets.codec.core.context import Context
from panic_assets.codec.core.pipe import BatchPipe, Pipe
from panic_assets.codec.errors import MissingComponent, UnfitValue, WrongThread

_Component = TypeVar("_Component", bound=Component)


class World:
    """Entities by number, for the one thread that made it; make one world for each thread.

    Args:
        arena_bytes: room for all tensors between two calls of :meth:`clear`. Only what is used of it costs memory.
        context: how systems are to run.

    Every method raises :class:`WrongThread` in another thread.
    """

    def __init__(self, arena_bytes: int = 512 << 20, context: Context | None = None) -> None:
        self._arena = Arena(arena_bytes)
        self._thread = threading.get_ident()
        self._components: dict[type[Component], dict[int, Component]] = {}
        self._metadata: dict[int, dict[str, Any]] = {}
        self._next = 0
        self.context = context or Context()

    @property
    def arena(self) -> Arena:
        """The memory of all tensors."""
        self._check_thread()
        return self._arena

    @property
    def metadata(self) -> dict[int, dict[str, Any]]:
        """What is known of each entity besides its components, such as measured likeness."""
        self._check_thread()
        return self._metadata

    def new_entity(self) -> int:
        """An entity without components. Its number is never given again, not even after :meth:`clear`."""
        self._check_thread()
        eid = self._next
        self._next += 1
        self._metadata[eid] = {}
        return eid

    def spawn_image(self, image: np.ndarray, colorspace: Literal["sRGB", "linear"] = "sRGB") -> int:
        """A new entity with a copy of a picture, uint8 (h, w), (h, w, 3) or (h, w, 4), as its :class:`RGB`.

        Raises: :class:`UnfitValue`, :class:`ArenaFull`.
        """
        return self.spawn_images([image], colorspace)[0]

    def spawn_images(
        self, images: np.ndarray | Sequence[np.ndarray], colorspace: Literal["sRGB", "linear"] = "sRGB"
    ) -> list[int]:
        """New entities with pictures of one shape, one behind the other in memory: ``arena.batch`` needs no copy.

        Raises: as :meth:`spawn_image`, before anything is made.
        """
        self._check_thread()
        for number, image in enumerate(images):
            if not is_picture(image):
                raise UnfitValue(f"picture {number}: {image.shape} {image.dtype}; {PICTURE_RULE}")
            if image.shape != images[0].shape:
                raise UnfitValue(
                    f"picture {number}: shape {image.shape}, the first {images[0].shape}; spawn each shape apart"
                )
        if not len(images):
            return []
        batch = self._arena.alloc((len(images), *images[0].shape), np.uint8)
        self._arena.view(batch)[...] = images
        return [self._spawn(self._arena.sub(batch, number), colorspace) for number in range(len(images))]

    def add_component(self, eid: int, component: Component) -> None:
        """Give an entity a component, in the place of one of the same type.

        Raises: :class:`MissingComponent` without such an entity, :class:`StaleReference` for tensors that are not here.
        """
        self._check_entity(eid)
        for _, value in component:
            if isinstance(value, TensorRef):
                self._arena.check(value)
        self._components.setdefault(type(component), {})[eid] = component

    def get_component(self, eid: int, kind: type[_Component]) -> _Component:
        """A component of an entity. Raises: :class:`MissingComponent` (a ``KeyError``)."""
        self._check_entity(eid)
        component = self._components.get(kind, {}).get(eid)
        if component is None:
            has = ", ".join(type(other).__name__ for other in self.components_of(eid)) or "nothing"
            raise MissingComponent(f"entity {eid} has no {kind.__name__}; it has {has}")
        assert isinstance(component, kind)
        return component

    def has_component(self, eid: int, kind: type[Component]) -> bool:
        """Whether an entity exists and has such a component."""
        self._check_thread()
        return eid in self._components.get(kind, {})

    def components_of(self, eid: int) -> list[Component]:
        """All components of an entity, by the names of their types. Raises: :class:`MissingComponent`."""
        self._check_entity(eid)
        held = [store[eid] for store in self._components.values() if eid in store]
        return sorted(held, key=lambda component: type(component).__name__)

    def remove_component(self, eid: int, kind: type[Component]) -> None:
        """Take a component away; its tensors stay in the arena. Raises: :class:`MissingComponent`."""
        self.get_component(eid, kind)
        del self._components[kind][eid]

    def destroy_entity(self, eid: int) -> None:
        """Take an entity away with all it has. Raises: :class:`MissingComponent`."""
        self._check_entity(eid)
        for store in self._components.values():
            store.pop(eid, None)
        del self._metadata[eid]

    def query(self, *kinds: type[Component]) -> list[int]:
        """The entities that have all of these components, rising; none where none is named."""
        self._check_thread()
        stores = [self._components.get(kind, {}).keys() for kind in kinds]
        return sorted(set.intersection(*map(set, stores))) if stores else []

    @overload
    def pipe(self, entities: int) -> Pipe: ...

    @overload
    def pipe(self, entities: Sequence[int]) -> BatchPipe: ...

    def pipe(self, entities: int | Sequence[int]) -> Pipe | BatchPipe:
        """A chain of systems over one entity or several. Raises: :class:`MissingComponent` for one that is not here."""
        if isinstance(entities, int | np.integer):
            self._check_entity(int(entities))
            return Pipe(self, [int(entities)])
        for eid in entities:
            self._check_entity(eid)
        return BatchPipe(self, entities)

    def clear(self) -> None:
        """Take all entities away and give all memory back to the arena."""
        self._check_thread()
        self._components.clear()
        self._metadata.clear()
        self._arena.reset()

    def _spawn(self, pix: TensorRef, colorspace: Literal["sRGB", "linear"]) -> int:
        component = RGB(pix=pix, colorspace=colorspace)
        eid = self.new_entity()
        self.add_component(eid, component)
        return eid

    def _check_entity(self, eid: int) -> None:
        self._check_thread()
        if eid not in self._metadata:
            raise MissingComponent(f"there is no entity {eid} in this world; it was destroyed, or never made")

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise WrongThread(
                f"thread {threading.current_thread().name} uses a world of another; make one world for each thread"
            )
