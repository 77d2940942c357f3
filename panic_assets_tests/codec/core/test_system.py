"""Systems: directions, what they read, and the trace of what they cost."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec.components import RGB, BlurRGB, Channels, Latent, ReconRGB, Residual
from panic_assets.codec.core.context import Context
from panic_assets.codec.core.system import System
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnmetDependency
from panic_assets.codec.systems.blur import GaussianBlur
from panic_assets.codec.systems.hadamard import Hadamard4
from panic_assets.codec.systems.residual import ResidualCompute


@pytest.mark.parametrize(("mode", "meant"), [("encode", 0), ("forward", 0), ("decode", 1), ("inverse", 1)])
def test_a_direction_has_two_words(mode: str, meant: int) -> None:
    system = Hadamard4(mode=mode)
    assert system.mode == ("encode", "decode")[meant]
    assert system.required == ((Latent,), (Channels,))[meant]
    assert system.produced == ((Channels,), (Latent,))[meant]
    assert system.name == ("Hadamard4", "Hadamard4 decode")[meant]


def test_another_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="mode 'sideways' of Hadamard4; give one of encode, forward"):
        Hadamard4(mode="sideways")


def test_a_system_without_its_parts_can_not_be_made() -> None:
    class Half(System):
        accepts = (RGB,)

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_can_run_asks_for_all_that_is_read() -> None:
    world = World(arena_bytes=1 << 16)
    eid = world.spawn_image(np.zeros((4, 4), np.uint8))
    system = ResidualCompute()
    assert system.required == (ReconRGB, RGB)
    assert not system.can_run(world, eid)
    world.add_component(eid, ReconRGB(pix=world.get_component(eid, RGB).pix))
    assert system.can_run(world, eid)
    assert not system.can_run(world, world.new_entity())


def test_reading_another_component_leaves_the_system_as_it_was() -> None:
    system = ResidualCompute(scale=2)
    other = system.reading(BlurRGB)
    assert other.required == (BlurRGB, RGB)
    assert other.scale == 2
    assert system.required == (ReconRGB, RGB)
    with pytest.raises(UnmetDependency, match="ResidualCompute can't read Residual; it accepts BlurRGB, ReconRGB"):
        system.reading(Residual)


def test_the_trace_tells_systems_entities_time_and_memory() -> None:
    world = World(arena_bytes=1 << 20, context=Context(is_traced=True))
    eids = world.spawn_images(np.zeros((3, 8, 16), np.uint8))
    world.pipe(eids).to(GaussianBlur()).select(BlurRGB).to(ResidualCompute()).execute()
    steps = world.context.trace
    assert [(s.system, s.entities, s.arena_bytes) for s in steps] == [
        ("GaussianBlur", 3, 3 * 128),
        ("ResidualCompute", 3, 3 * 256),
    ]
    assert all(step.milliseconds > 0 for step in steps)


def test_a_system_that_fails_is_traced_too() -> None:
    context = Context(is_traced=True)
    with pytest.raises(ZeroDivisionError), context.step("Broken", 1, lambda: 0):
        _ = 1 / 0
    assert [step.system for step in context.trace] == ["Broken"]


def test_tracing_changes_no_result_and_is_off_unless_asked_for() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 9), np.uint8)
    found = []
    for context in (None, Context(is_traced=True)):
        world = World(arena_bytes=1 << 16, context=context)
        blur = world.pipe(world.spawn_image(image)).to(GaussianBlur()).out(BlurRGB)
        found.append(world.arena.view(blur.pix).tolist())
        assert bool(world.context.trace) == bool(context)
    assert found[0] == found[1]
