"""Chains of systems over entities: what runs, in which order, on which branch.

Here belong the building of a chain and its one execution. What a system does is its own business.

A chain runs when something is asked of it. Asking again runs nothing again; systems added since then do run.

>>> import numpy as np
>>> from panic_assets.codec.components import BlurRGB, ReconRGB
>>> from panic_assets.codec.core.world import World
>>> from panic_assets.codec.systems.blur import GaussianBlur
>>> from panic_assets.codec.systems.metrics import MetricPSNR
>>> from panic_assets.codec.systems.residual import ResidualAdd, ResidualCompute
>>> world = World(arena_bytes=1 << 20)
>>> eid = world.spawn_image(np.tile(np.arange(16, dtype=np.uint8) * 16, (16, 1)))
>>> whole = world.pipe(eid).to(GaussianBlur(1.0))
>>> whole = whole.select(BlurRGB).to(ResidualCompute()).select(BlurRGB).to(ResidualAdd())
>>> recon = (whole | MetricPSNR()).out(ReconRGB)
>>> world.metadata[eid]["psnr"]
inf

``select`` names the component that the next system reads, where that one accepts several:

>>> whole.select(BlurRGB).to(MetricPSNR()).execute()
>>> world.metadata[eid]["psnr"] < 50
True

A branch works on twins of the entities, which share their components and begin with their metadata; ``join`` returns
from it, and takes along those components that are named:

>>> blurred = world.pipe(eid).branch("soft").to(GaussianBlur(3.0)).join().branch("hard").to(GaussianBlur(0.5)).join()
>>> blurred.out(BlurRGB, branch="soft").sigma, blurred.out(BlurRGB, branch="hard").sigma, blurred.out(BlurRGB).sigma
(3.0, 0.5, 1.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from panic_assets.codec.components import Component
from panic_assets.codec.core.system import System
from panic_assets.codec.errors import UnmetDependency

if TYPE_CHECKING:
    from panic_assets.codec.core.world import World

_Component = TypeVar("_Component", bound=Component)
_MAIN = ""
_Held = dict[str, list[set[type[Component]]]]
"""For each branch, the components that each of its entities will have."""


class _Step(Protocol):
    def foresee(self, held: _Held, lines: dict[str, list[int]]) -> None:
        """Change what entities will have as the run would. Raises: :class:`UnmetDependency`."""

    def run(self, world: World, lines: dict[str, list[int]]) -> None:
        """Do it."""


class _Chain:
    """What pipes over one entity and over many have in common."""

    def __init__(self, world: World, entities: Sequence[int]) -> None:
        self._world = world
        self._lines = {_MAIN: list(entities)}
        self._branches: list[str] = [_MAIN]
        self._open: list[str] = [_MAIN]
        self._steps: list[_Step] = []
        self._done = 0
        self._selected: type[Component] | None = None

    def to(self, system: System) -> Self:
        """Add a system. Raises: :class:`UnmetDependency` if it can't read what was selected."""
        if self._selected is not None:
            system = system.reading(self._selected)
            self._selected = None
        self._steps.append(_Run(self._open[-1], system))
        return self

    def __or__(self, system: System) -> Self:
        return self.to(system)

    def select(self, component: type[Component]) -> Self:
        """Let the next system read this component, in the place of the first that it accepts."""
        self._selected = component
        return self

    def branch(self, name: str) -> Self:
        """Go on with twins of the entities, or with those of the branch that has this name already.

        Raises: :class:`UnmetDependency` inside of that branch, or for a name that is empty.
        """
        if not name or name in self._open:
            raise UnmetDependency(f"branch {name!r} is open or has no name; give another one, or join() first")
        if name not in self._branches:
            self._steps.append(_Fork(self._open[-1], name))
            self._branches.append(name)
        self._open.append(name)
        return self

    def join(self, *components: type[Component]) -> Self:
        """Return from the branch to where it began, with copies of the named components.

        Raises: :class:`UnmetDependency` outside of any branch.
        """
        if len(self._open) == 1:
            raise UnmetDependency("join() without a branch; call branch() first")
        name = self._open.pop()
        self._steps.append(_Join(self._open[-1], name, components))
        return self

    def execute(self) -> None:
        """Run all systems that did not run yet.

        Before the first of them runs, it is made sure that each will find what it reads, on every entity: none is ever
        left out. After an error inside a system, the next call begins with that system.

        Raises: :class:`UnmetDependency` (a ``RuntimeError``) and whatever a system raises.
        """
        if self._selected is not None:
            raise UnmetDependency(f"select({self._selected.__name__}) is followed by no system; add one")
        pending = self._steps[self._done :]
        lines = dict(self._lines)
        held = {
            name: [{type(component) for component in self._world.components_of(eid)} for eid in eids]
            for name, eids in lines.items()
        }
        for step in pending:
            step.foresee(held, lines)
        for step in pending:
            step.run(self._world, self._lines)
            self._done += 1

    def _entities(self, branch: str | None) -> list[int]:
        """Execute, and give the entities of a branch; of the open one without a name."""
        if branch is not None and branch not in self._branches[1:]:
            known = ", ".join(self._branches[1:]) or "none"
            raise UnmetDependency(f"no branch {branch!r} in this pipe; there are {known}")
        self.execute()
        return self._lines[self._open[-1] if branch is None else branch]


class Pipe(_Chain):
    """A chain of systems over one entity."""

    def out(self, component: type[_Component], *, branch: str | None = None) -> _Component:
        """Execute what did not run yet, and give a component of the entity, or of its twin on a branch.

        Raises: :class:`MissingComponent` (a ``KeyError``); as :meth:`execute`.
        """
        return self._world.get_component(self._entities(branch)[0], component)


class BatchPipe(_Chain):
    """A chain of systems over many entities."""

    def out(self, component: type[_Component], *, branch: str | None = None) -> list[_Component]:
        """The component of each entity in order; see :meth:`Pipe.out`."""
        return [self._world.get_component(eid, component) for eid in self._entities(branch)]


@dataclass(frozen=True)
class _Run:
    line: str
    system: System

    def foresee(self, held: _Held, lines: dict[str, list[int]]) -> None:
        for eid, components in zip(lines[self.line], held[self.line], strict=True):
            missing = [kind.__name__ for kind in self.system.required if kind not in components]
            if missing:
                has = ", ".join(sorted(kind.__name__ for kind in components)) or "nothing"
                raise UnmetDependency(
                    f"{self.system.name} would not find {' and '.join(missing)} on entity {eid}, which will have {has} "
                    "by then; add the system that makes it before, or select() another source"
                )
            components.update(self.system.produced)

    def run(self, world: World, lines: dict[str, list[int]]) -> None:
        eids = lines[self.line]
        unable = [eid for eid in eids if not self.system.can_run(world, eid)]
        if unable:
            raise UnmetDependency(f"{self.system.name} can't run on entities {unable}; see its can_run")
        with world.context.step(self.system.name, len(eids), lambda: world.arena.used):
            self.system.run(world, eids)


@dataclass(frozen=True)
class _Fork:
    line: str
    name: str

    def foresee(self, held: _Held, lines: dict[str, list[int]]) -> None:
        lines[self.name] = lines[self.line]
        held[self.name] = [set(components) for components in held[self.line]]

    def run(self, world: World, lines: dict[str, list[int]]) -> None:
        lines[self.name] = [self._twin(world, eid) for eid in lines[self.line]]

    def _twin(self, world: World, eid: int) -> int:
        twin = world.new_entity()
        for component in world.components_of(eid):
            world.add_component(twin, component)
        world.metadata[twin].update(world.metadata[eid], branch=self.name, twin_of=eid)
        return twin


@dataclass(frozen=True)
class _Join:
    line: str
    name: str
    components: tuple[type[Component], ...]

    def foresee(self, held: _Held, lines: dict[str, list[int]]) -> None:
        for eid, trunk, twig in zip(lines[self.line], held[self.line], held[self.name], strict=True):
            missing = [kind.__name__ for kind in self.components if kind not in twig]
            if missing:
                raise UnmetDependency(f"branch {self.name!r} has no {' and '.join(missing)} for entity {eid} to join")
            trunk.update(self.components)

    def run(self, world: World, lines: dict[str, list[int]]) -> None:
        for eid, twin in zip(lines[self.line], lines[self.name], strict=True):
            for kind in self.components:
                world.add_component(eid, world.get_component(twin, kind))
